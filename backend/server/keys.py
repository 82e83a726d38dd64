"""The keys of an encrypting server: its own, and the one that all clients with its pairing string share.

They are in a file of the data folder. Clients with separate keys are in :mod:`backend.server.clients`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from backend.server.private import readable_by_others, write_private
from protocol.errors import Unavailable
from protocol.pairing import Pairing, is_key

FILE = "pairing.keys"


@dataclass(frozen=True)
class Keys:
    """Two secret keys of CurveZMQ in Z85.

    Attributes:
        server: the server's key.
        client: the key of all clients with the pairing string.
    """

    server: str = field(repr=False)
    client: str = field(repr=False)

    @property
    def pairing(self) -> Pairing:
        return Pairing(public(self.server), self.client)


def load_or_make(data: Path) -> tuple[Keys, bool]:
    """Return the keys of a data folder, and whether they were just created.

    Raises:
        Unavailable: as :func:`load` and :func:`renew`.
    """
    known = load(data)
    if known is not None:
        return known, False
    return _make(data, replace=False)


def load(data: Path) -> Keys | None:
    """Return the keys of a data folder, None if it has none.

    Raises:
        Unavailable: if they cannot be read, or other users of this machine can read them.
    """
    path = data / FILE
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read(1000).split("\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"The keys in {path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if readable_by_others(mode):
        raise Unavailable(
            f"The keys in {path} can be read or changed by other users of this machine.",
            f"Make new ones with: backend pairing --renew --data {data}.",
        )
    if len(lines) != 3 or not all(map(is_key, lines[:2])) or lines[2]:
        raise Unavailable(
            f"The file {path} does not contain a server's keys.",
            f"Make new ones with: backend pairing --renew --data {data}.",
        )
    return Keys(*lines[:2])


def renew(data: Path) -> Keys:
    """Create new keys for a data folder, replacing existing ones.

    Raises:
        Unavailable: if they cannot be written, or libzmq has no encryption.
    """
    return _make(data, replace=True)[0]


def renew_client(data: Path) -> Keys:
    """Create a new key for the clients with the pairing string; the server keeps its own.

    Raises:
        Unavailable: as :func:`load` and :func:`renew`.
    """
    known, _ = load_or_make(data)
    keys = Keys(known.server, new_secret())
    _write(data, keys, replace=True)
    return keys


def new_secret() -> str:
    """Return a new secret key in Z85.

    Raises:
        Unavailable: if libzmq has no encryption.
    """
    if not zmq.has("curve"):
        raise Unavailable(
            "The installed pyzmq does not support encryption.", "Install pyzmq from PyPI: pip install pyzmq."
        )
    return zmq.curve_keypair()[1].decode()


def public(secret: str) -> str:
    """Return the public key that belongs to a secret one, both in Z85."""
    return zmq.curve_public(secret.encode()).decode()


def _make(data: Path, *, replace: bool) -> tuple[Keys, bool]:
    keys = Keys(new_secret(), new_secret())
    try:
        _write(data, keys, replace=replace)
    except FileExistsError:  # another process was faster; its keys are used
        known = load(data)
        assert known is not None
        return known, False
    return keys, True


def _write(data: Path, keys: Keys, *, replace: bool) -> None:
    try:
        write_private(data / FILE, f"{keys.server}\n{keys.client}\n", replace=replace)
    except FileExistsError:
        raise
    except OSError as error:
        raise Unavailable(
            f"Keys cannot be stored in {data}: {error.strerror}.", "Choose another folder with --data."
        ) from error

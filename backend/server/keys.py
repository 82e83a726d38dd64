"""The keys of an encrypting server: its own and that of its paired clients, in a file of the data folder."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from protocol.errors import Unavailable
from protocol.pairing import Pairing, is_key

FILE = "pairing.keys"


@dataclass(frozen=True)
class Keys:
    """Two secret keys of CurveZMQ, Z85.

    Attributes:
        server: the server's.
        client: that of the clients with the pairing string.
    """

    server: str = field(repr=False)
    client: str = field(repr=False)

    @property
    def pairing(self) -> Pairing:
        return Pairing(zmq.curve_public(self.server.encode()).decode(), self.client)


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
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            lines = file.read(1000).split("\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"The keys in {path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    # Windows has access lists, which a data folder takes from the folder of its user, and no such mode.
    if os.name == "posix" and mode & 0o077:
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


def _make(data: Path, *, replace: bool) -> tuple[Keys, bool]:
    if not zmq.has("curve"):
        raise Unavailable(
            "The installed pyzmq does not support encryption.", "Install pyzmq from PyPI: pip install pyzmq."
        )
    keys = Keys(zmq.curve_keypair()[1].decode(), zmq.curve_keypair()[1].decode())
    part = data / f".{FILE}.{os.getpid()}"
    try:
        data.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{keys.server}\n{keys.client}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            if replace:
                part.replace(data / FILE)
            else:
                _name(part, data / FILE)
        except FileExistsError:  # another process was faster; its keys are used
            known = load(data)
            assert known is not None
            return known, False
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(
            f"Keys cannot be stored in {data}: {error.strerror}.", "Choose another folder with --data."
        ) from error
    return keys, True


def _name(part: Path, final: Path) -> None:
    """Give a whole file its final name, where there is none of that name.

    Raises:
        FileExistsError: if there is.
    """
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError as error:  # a disk without hard links
        if final.exists():
            raise FileExistsError from error
        part.replace(final)

"""The clients that may connect to an encrypting server: names and public keys, in a file of the data folder.

The server does not keep the secret keys of clients: a pairing string is printed once, when its key is made. All clients
with the pairing string of :mod:`backend.server.keys` are one client, :data:`DEFAULT_CLIENT`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from backend import lock
from backend.server import keys as key_file
from backend.server.keys import new_secret, public
from backend.server.private import readable_by_others, write_private
from protocol.errors import BadArgument, NotFound, Refused, Unavailable
from protocol.pairing import Pairing, is_key
from protocol.synced import make_folder

FILE = "clients.json"
DEFAULT_CLIENT = "default"
"""The client with the shared pairing string; on a server that does not encrypt, the user who started it."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_MAX_FILE = 1 << 20


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client: its public key in Z85, and the time at which it was made, in seconds since 1970."""

    key: str
    made: float


_decoder = msgspec.json.Decoder(dict[str, Client], strict=True)


def named(data: Path) -> dict[str, Client]:
    """Return the clients that have a separate key, by their names.

    Raises:
        Unavailable: if the file cannot be read, others can read or change it, or it contains no clients.
    """
    path = data / FILE
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_FILE)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unavailable(
            f"The clients in {path} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    if readable_by_others(mode):
        raise Unavailable(
            f"The clients in {path} can be read or changed by other users of this machine.",
            f"Check that it lists only clients that you know, and run: chmod 600 {path}.",
        )
    try:
        found = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_clients(path) from error
    if not all(_NAME.fullmatch(name) and name != DEFAULT_CLIENT and is_key(each.key) for name, each in found.items()):
        raise _not_clients(path)
    return found


def keys_of(data: Path) -> dict[str, str]:
    """Return the names of all clients by their public keys.

    Raises:
        Unavailable: as :func:`named` and :func:`backend.server.keys.load`.
    """
    names = {each.key: name for name, each in named(data).items()}
    shared = key_file.load(data)
    return names if shared is None else {**names, public(shared.client): DEFAULT_CLIENT}


def add(data: Path, name: str, *, renew: bool = False) -> Pairing:
    """Make a key for a client and return its pairing. The secret key in it is not kept.

    Args:
        data: the server's data folder.
        name: of the client.
        renew: whether to replace the key of a known client; the old one becomes invalid at once.

    Raises:
        BadArgument: if ``name`` cannot be a name.
        Refused: if a client of this name exists, and ``renew`` is false.
        NotFound: if no client of this name exists, and ``renew`` is true.
        Unavailable: as :func:`named`, or if the file cannot be written.
    """
    _check_name(name)
    server = public(key_file.load_or_make(data)[0].server)
    secret = new_secret()
    with _changing(data) as clients:
        if name in clients and not renew:
            raise Refused(
                f"The client {name} exists already, and the server does not keep its pairing string.",
                f"Make a new string with: backend pairing --for {name} --renew. The old one becomes invalid.",
            )
        if name not in clients and renew:
            raise _unknown(name)
        clients[name] = Client(public(secret), time.time())
    return Pairing(server, secret)


def revoke(data: Path, name: str) -> None:
    """Remove a client's key; a running server closes its connections. Its jobs and files stay.

    Raises:
        NotFound: if there is no such client.
        Unavailable: as :func:`add`.
    """
    if name not in named(data):
        raise _unknown(name)
    with _changing(data) as clients:
        clients.pop(name, None)


def revoke_all(data: Path) -> list[str]:
    """Remove the keys of all clients that have a separate one; return their names. Raises as :func:`add`."""
    with _changing(data) as clients:
        names = sorted(clients)
        clients.clear()
    return names


@contextlib.contextmanager
def _changing(data: Path) -> Iterator[dict[str, Client]]:
    """Yield the clients, and write them to the file if the block has changed them."""
    try:
        make_folder(data, 0o700)
        held = lock.hold(data / "clients.lock")
        if held is None:
            raise Refused(f"Another program is changing {data / FILE}.", "Try again.")
        with held:
            clients = named(data)
            before = dict(clients)
            yield clients
            if clients != before:
                text = msgspec.json.format(msgspec.json.encode(clients), indent=1).decode()
                write_private(data / FILE, text + "\n", replace=True)
    except OSError as error:
        raise Unavailable(
            f"The clients cannot be written to {data / FILE}: {error.strerror}.", "Choose another folder with --data."
        ) from error


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadArgument(
            f"A client cannot be called {name[:80]!r}.",
            "Use up to 40 lower-case letters, digits, dots, hyphens and underscores; begin with a letter or digit.",
        )


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no client {name[:80]!r}.", "List the clients with: backend pairing --list.")


def _not_clients(path: Path) -> Unavailable:
    return Unavailable(
        f"The file {path} does not contain a server's clients.", "Move it away, and make new keys with --for."
    )

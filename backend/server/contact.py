"""The file of a data folder that says how its owner reaches the server that runs on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from backend.server.private import write_private
from protocol.field_types import Token

FILE = "server.json"


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file.

    Attributes:
        address: of the control socket.
        encrypts: whether clients need keys. The folder does not show it: it keeps keys of an earlier server.
        process: the server's process id.
        token: see :class:`protocol.messages.Survey`.
    """

    address: str
    encrypts: bool
    process: int
    token: Token


_contact = msgspec.json.Decoder(Contact, strict=True)


@contextlib.contextmanager
def told(data: Path, address: str, token: str, *, encrypts: bool) -> Iterator[None]:
    """Write the file, readable by its owner only, and remove it when the context ends."""
    contact = Contact(address, encrypts, os.getpid(), token)
    write_private(data / FILE, msgspec.json.encode(contact).decode(), replace=True)
    try:
        yield
    finally:
        (data / FILE).unlink(missing_ok=True)


def find(data: Path) -> Contact | None:
    """Return how to reach the server on a data folder; None if no server runs."""
    try:
        contact = _contact.decode((data / FILE).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return contact if psutil.pid_exists(contact.process) else None

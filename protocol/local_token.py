"""Proofs between a program and a server on the same machine that they run for the same user, without encryption.

A file in the user's folder, which other users cannot read, contains a token. The server sends a number that it uses
once, and the program answers with an HMAC (RFC 2104) of that number and of the server's address, with the token as the
key. So the token is never sent, and an answer is not valid at another address. Then the program challenges the server
in the same way, because another program may have taken the port. The server's answer contains one more word, so neither
side can send the other's answer back as its own.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import stat
from pathlib import Path

from protocol.address import Address
from protocol.errors import Refused

SERVER_PROOF = "server-proof"
"""The feature of servers that prove this."""
TOKEN = re.compile(r"[0-9a-f]{64}")
_MOST = 200
"""Most bytes that are read from the file."""


class UnprovenServer(Refused):
    """The program that answers at an address does not prove that it knows this user's token."""

    def __init__(self, address: Address) -> None:
        super().__init__(
            f"The program that answers at {address} does not prove that this user started it.",
            "If it is not your server, end it. If it is, it is too old: update its backend.",
        )


def token_file() -> Path:
    """Return the path of this user's token.

    Raises:
        RuntimeError: if the user has no folder.
    """
    return Path.home() / ".splatlift" / "local.token"


def read_token(path: Path) -> str | None:
    """Return the token in a file; None if it is invalid, if this user cannot read it, or if other users can."""
    try:
        if not path.is_file():
            return None  # a pipe would hold up the caller
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MOST).decode(errors="replace").strip()
    except OSError:
        return None
    open_to_others = os.name == "posix" and stat.S_IMODE(mode) & 0o077
    return text if TOKEN.fullmatch(text) and not open_to_others else None


def prove(token: str, nonce: str, address: Address) -> str:
    """Return the proof of a program that knows the token, for a server at ``address`` that sent ``nonce``."""
    return _mac(token, f"{nonce} {_written(address)}")


def prove_server(token: str, nonce: str, address: Address) -> str:
    """Return the proof of a server at ``address`` that knows the token, for a program that sent ``nonce``."""
    return _mac(token, f"server {nonce} {_written(address)}")


def proves(mac: str, token: str, nonce: str, address: Address) -> bool:
    """Whether ``mac`` is the result of :func:`prove`; the time taken does not reveal how much of it is correct."""
    return hmac.compare_digest(mac.encode(), prove(token, nonce, address).encode())


def server_proves(mac: str, token: str, nonce: str, address: Address) -> bool:
    """Whether ``mac`` is the result of :func:`prove_server`; see :func:`proves`."""
    return hmac.compare_digest(mac.encode(), prove_server(token, nonce, address).encode())


def new_nonce() -> str:
    """Return a random number for a single challenge, in hexadecimal."""
    return secrets.token_hex(16)


def _mac(token: str, text: str) -> str:
    return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()


def _written(address: Address) -> str:
    return f"{ipaddress.ip_address(address.host).compressed} {address.port}"

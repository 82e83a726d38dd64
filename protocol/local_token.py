"""How a program and a server on the same machine show each other that they run for the same user, without encryption.

A file in the user's folder, which other users cannot read, holds a token. The server sends a number that it uses once,
and the program answers with an HMAC (RFC 2104) of that number and of the server's address, with the token as the key.
So the token is never sent, and what one server is answered is of no use at another address. Then the program asks the
server in the same way: another program may have taken the port. What the two answer differs by a word, so neither can
give back what it was answered.
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

SERVER_PROOF = "server-proof"
"""The feature of servers that can show it."""
TOKEN = re.compile(r"[0-9a-f]{64}")
_MOST = 200
"""Bytes that are read of the file at most."""


def token_file() -> Path:
    """Return where the token of this user is.

    Raises:
        RuntimeError: if the user has no folder.
    """
    return Path.home() / ".splatlift" / "local.token"


def read_token(path: Path) -> str | None:
    """Return the token in a file, or None if there is none that this user can read, or other users can read it."""
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
    """Return what shows that the token is known to a server at ``address`` that sent ``nonce``."""
    return _mac(token, f"{nonce} {_written(address)}")


def prove_server(token: str, nonce: str, address: Address) -> str:
    """Return what shows that a server at ``address`` knows the token to a program that sent ``nonce``."""
    return _mac(token, f"server {nonce} {_written(address)}")


def proves(mac: str, token: str, nonce: str, address: Address) -> bool:
    """Whether ``mac`` is what :func:`prove` returns, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(mac.encode(), prove(token, nonce, address).encode())


def server_proves(mac: str, token: str, nonce: str, address: Address) -> bool:
    """Whether ``mac`` is what :func:`prove_server` returns, as :func:`proves`."""
    return hmac.compare_digest(mac.encode(), prove_server(token, nonce, address).encode())


def new_nonce() -> str:
    """Return a number that is used once, for a challenge."""
    return secrets.token_hex(16)


def _mac(token: str, text: str) -> str:
    return hmac.new(token.encode(), text.encode(), hashlib.sha256).hexdigest()


def _written(address: Address) -> str:
    return f"{ipaddress.ip_address(address.host).compressed} {address.port}"

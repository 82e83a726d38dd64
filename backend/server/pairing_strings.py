"""``backend pairing``: makes, lists and revokes the strings that clients connect with."""

from __future__ import annotations

import time
from pathlib import Path

from backend.server import clients, keys
from backend.server.clients import DEFAULT_CLIENT
from backend.server.known_keys import LOOK

SETTLE = 3 * LOOK
"""Seconds that a command waits so that a running server has read a change."""


def shared(data: Path, *, renew: bool) -> tuple[str, list[str]]:
    """Return the string that clients without a separate one share, and notes for the user.

    Args:
        data: the server's data folder.
        renew: whether to make new keys for the server as well; all earlier strings become invalid.

    Raises:
        Unavailable: if the keys cannot be read or written.
        Refused: if another program changes the clients.
    """
    if not renew:
        return keys.load_or_make(data)[0].pairing.text(), []
    revoked = clients.revoke_all(data)
    notes = ["A running server on this folder refuses all clients until it is restarted."]
    if revoked:
        notes.append(f"The strings of these clients are invalid as well: {', '.join(revoked)}.")
    return keys.renew(data).pairing.text(), notes


def of_client(data: Path, name: str, *, renew: bool) -> str:
    """Return a new string for one client; for the default client the existing one, unless ``renew`` is set.

    Raises:
        BadArgument, Refused, NotFound, Unavailable: as :func:`backend.server.clients.add`.
    """
    if name == DEFAULT_CLIENT:
        known = keys.renew_client(data) if renew else keys.load_or_make(data)[0]
        text = known.pairing.text()
    else:
        text = clients.add(data, name, renew=renew).text()
    time.sleep(SETTLE)
    return text


def revoke(data: Path, name: str) -> str:
    """Make a client's string invalid, also on a running server; return a sentence for the user.

    Raises:
        NotFound, Refused, Unavailable: as :func:`backend.server.clients.revoke`.
    """
    if name == DEFAULT_CLIENT:
        keys.renew_client(data)
    else:
        clients.revoke(data, name)
    time.sleep(SETTLE)
    return f"The pairing string of {name} is invalid now. The client's jobs and files stay on the server."


def listed(data: Path) -> list[str]:
    """Return a line for each client.

    Raises:
        Unavailable: if the keys cannot be read.
    """
    lines = []
    if keys.load(data) is not None:
        lines.append(f"{DEFAULT_CLIENT:40} shared; 'backend pairing' prints its string")
    for name, client in sorted(clients.named(data).items()):
        lines.append(f"{name:40} since {time.strftime('%Y-%m-%d', time.localtime(client.made))}")
    return lines

"""The files of a server on this machine: they are linked, not sent, and take no room twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from protocol.messages import FileEntry, Locate, Located

if TYPE_CHECKING:
    from .connection import Connection

T = TypeVar("T")
Steps = Generator[bool, None, T]


def find_store(connection: Connection) -> Steps[Path | None]:
    """Ask a server that is reached without a network where its files are, and return that, None where it is not here.

    Behind an SSH tunnel the path is one of another machine.

    Raises:
        Fault: the server's.
        Lost: with the link.
    """
    assert connection.server is not None
    assert connection.address is not None
    # On Windows a path may name another machine, which Windows would then log in to.
    if "nearby" not in connection.server.features or not connection.address.is_loopback or os.name != "posix":
        return None
    answer = yield from connection.ask(Locate(), Located)
    return Path(answer.store) if os.path.isabs(answer.store) and os.path.isdir(answer.store) else None


def link(
    connection: Connection, entries: list[FileEntry], tell: Callable[[int, int], None] = lambda done, total: None
) -> Steps[None]:
    """Take over what the cache lacks of ``entries`` and the server's store has; ``tell`` how many bytes of how many.

    What cannot be taken over is left out, for :class:`protocol.pull.Pull`.
    """
    store = connection.store
    if connection.nearby is None:
        return
    missing = {entry.digest: entry for entry in entries if not store.has(entry.digest, entry.size)}
    total = sum(entry.size for entry in missing.values())
    before = 0
    for entry in missing.values():
        source = connection.nearby / store.path(entry.digest).relative_to(store.root)
        if entry.digest not in store.writers:
            for done in store.take(source, entry):
                tell(before + done, total)
                yield True
        before += entry.size

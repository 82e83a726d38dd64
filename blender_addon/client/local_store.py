"""Files of a server on this machine are hard-linked into the cache instead of being transferred."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from protocol.address import Address
from protocol.messages import FileEntry, Locate, Located, Welcome
from protocol.store import Store

from .coroutines import Steps
from .dispatcher import Dispatcher


def find_store(dispatcher: Dispatcher, welcome: Welcome, address: Address) -> Steps[Path | None]:
    """Ask a server that is reached over loopback for its store; return the folder, None if it is not on this machine.

    Behind an SSH tunnel the path belongs to another machine.

    Raises:
        Fault: the server's.
        ConnectionLost: if the link is closed.
    """
    # On Windows a path may name another machine, and opening it would send credentials there.
    if "nearby" not in welcome.features or not address.is_loopback or os.name != "posix":
        return None
    answer = yield from dispatcher.ask(Locate(), Located)
    return Path(answer.store) if os.path.isabs(answer.store) and os.path.isdir(answer.store) else None


def link_files(store: Store, source: Path, entries: list[FileEntry], tell: Callable[[int, int], object]) -> Steps[None]:
    """Link the ``entries`` that ``store`` lacks from the server's store.

    Files that cannot be linked are left to :class:`protocol.pull.Pull`.

    Args:
        source: the root of the server's store.
        tell: called with the bytes done and their total.
    """
    missing: dict[str, FileEntry] = {}
    for entry in entries:
        if not store.has(entry.digest, entry.size):
            missing[entry.digest] = entry
        yield True
    total = sum(entry.size for entry in missing.values())
    before = 0
    for entry in missing.values():
        if entry.digest not in store.writers:
            for done in store.take(source / store.path(entry.digest).relative_to(store.root), entry):
                tell(before + done, total)
                yield True
        before += entry.size

"""Eviction: a store is kept below a size limit by removing unused files, the oldest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from protocol.store import Store

_FILES_A_STEP = 200


class Holder(Protocol):
    """Something that files are stored for, such as a result: it stays or is removed as a whole."""

    def contents(self) -> set[str]:
        """Return what it holds: the hashes of stored files, and names of files outside the store."""
        ...

    def remove(self) -> None:
        """Remove the files that it has outside the store."""
        ...


def evict(
    store: Store,
    limit: int,
    removable: Sequence[Holder],
    kept: Callable[[], Iterable[Holder]],
    *,
    loose_before: float,
    outside: Mapping[str, int] | None = None,
) -> Generator[None, None, int]:
    """Remove files until at most ``limit`` bytes are left, or only what must stay.

    First those stored files go that no holder has, the oldest first; then the ``removable`` holders in order, each with
    its files that no holder which stays has too. Yields often; returns how many bytes were removed.

    Args:
        store: where. Files that are being written stay.
        limit: bytes.
        removable: those first that may go first.
        kept: gives the holders that stay, whatever they take. Asked again at each removal.
        loose_before: seconds since 1970; files that no holder has stay where they are not older.
        outside: bytes of the files outside the store, by the names that holders give them.
    """
    sizes = dict(outside or {})
    dates: dict[str, float] = {}
    for count, path in enumerate(store.files()):
        with suppress(FileNotFoundError):
            status = path.stat()
            sizes[path.name] = status.st_size
            # A file stored by a hard link keeps the contents' old time of modification.
            dates[path.name] = max(status.st_mtime, status.st_ctime)
        if count % _FILES_A_STEP == 0:
            yield
    excess = sum(sizes.values()) - limit
    if excess <= 0:
        return 0
    holders: Counter[str] = Counter()
    for holder in removable:
        holders.update(holder.contents())
        yield

    def remove(names: Iterable[str], enough: float) -> int:
        """Remove what no holder keeps, up to ``enough`` bytes; return how many."""
        stays = store.writers.union(*(holder.contents() for holder in kept()))
        removed = 0
        for name in names:
            if removed < enough and name in sizes and name not in stays:
                if name in dates:
                    store.path(name).unlink(missing_ok=True)
                removed += sizes.pop(name)
        return removed

    removed = 0
    loose = sorted((name for name in dates if not holders[name] and dates[name] < loose_before), key=dates.__getitem__)
    while removed < excess and loose:
        removed += remove(loose[:_FILES_A_STEP], excess - removed)
        del loose[:_FILES_A_STEP]
        yield
    for holder in removable:
        if removed >= excess:
            break
        contents = holder.contents()
        holder.remove()
        holders.subtract(contents)
        removed += remove((name for name in contents if holders[name] <= 0), float("inf"))
        yield
    return removed

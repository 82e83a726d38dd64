"""Eviction: unused files are removed, oldest first, to keep a store below a size limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from protocol.coroutines import FILES_A_STEP
from protocol.store import Store


class Holder(Protocol):
    """An owner of stored files, such as a result. It is kept or removed as a whole."""

    def contents(self) -> set[str]:
        """Return what it owns: the hashes of stored files, and the names of files outside the store."""
        ...

    def remove(self) -> None:
        """Remove its files outside the store."""
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
    """Remove files until at most ``limit`` bytes are left, or until only files that must be kept are left.

    Stored files without an owner are removed first, oldest first. Then the ``removable`` owners are removed in order,
    with those of their files that no remaining owner has. Yields often; returns the number of bytes removed.

    Args:
        store: the store. Files that are being written are kept.
        limit: bytes.
        removable: owners that may be removed, in order of removal.
        kept: returns the owners to keep, whatever their size. Called again for each removal.
        loose_before: seconds since 1970; files without an owner are removed only if they are older.
        outside: bytes of the files outside the store, by the names that owners return.
    """
    stored, dates = yield from _listed(store)
    sizes = {**(outside or {}), **stored}
    excess = sum(sizes.values()) - limit
    if excess <= 0:
        return 0
    holders: Counter[str] = Counter()
    for holder in removable:
        holders.update(holder.contents())
        yield

    def remove(names: Iterable[str], enough: float) -> int:
        """Remove files that no remaining owner has, up to ``enough`` bytes; return the number of bytes removed."""
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
        removed += remove(loose[:FILES_A_STEP], excess - removed)
        del loose[:FILES_A_STEP]
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


def _listed(store: Store) -> Generator[None, None, tuple[dict[str, int], dict[str, float]]]:
    """Return the sizes of the stored files in bytes, and their dates in seconds since 1970; yields often."""
    sizes: dict[str, int] = {}
    dates: dict[str, float] = {}
    for count, path in enumerate(store.files()):
        with suppress(FileNotFoundError):
            status = path.stat()
            sizes[path.name] = status.st_size
            # A hard link keeps the old modification time of the content, so the change time counts too.
            dates[path.name] = max(status.st_mtime, status.st_ctime)
        if count % FILES_A_STEP == 0:
            yield
    return sizes, dates

"""Eviction for the server's store: scenes and results of ended jobs are removed, oldest first.

:func:`free_space` keeps the size of the whole store; :func:`release` makes room for what one client sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress

from backend.server.owners import Owners
from protocol.coroutines import FILES_A_STEP
from protocol.errors import Fault
from protocol.eviction import evict
from protocol.store import STALE, Store, read_manifest


def free_space(
    store: Store,
    limit: int,
    dispensable: Sequence[tuple[str, ...]],
    needed: Callable[[], Iterable[str]],
    now: float,
) -> Generator[None, None, int]:
    """Remove files until the store holds at most ``limit`` bytes, or nothing else may be removed.

    Partial uploads that were not continued for a day are removed, and the oldest ones while all of them exceed
    ``limit``. Then files that no manifest names and that are at least a day old are removed; then the files of the
    ``dispensable`` manifests that no remaining manifest names. Yields often; returns the number of bytes removed.

    Args:
        store: the store. Files that are being written are kept.
        limit: bytes.
        dispensable: hashes of manifests, in order of removal; a tuple is removed as a whole.
        needed: returns the manifests that are always kept. Called again before each removal.
        now: seconds since 1970.
    """
    yield from _remove_parts(store, limit, now)
    return (
        yield from evict(
            store,
            limit,
            [_Manifests(store, group) for group in dispensable],
            lambda: [_Manifests(store, (manifest,)) for manifest in needed()],
            loose_before=now - STALE,
        )
    )


def _remove_parts(store: Store, limit: int, now: float) -> Generator[None, None, None]:
    parts = []
    for path in store.parts():
        with suppress(FileNotFoundError):
            status = path.stat()
            parts.append((status.st_mtime, status.st_size, path))
        yield
    held = sum(size for _, size, _ in parts)
    for changed, size, path in sorted(parts):
        if path.stem not in store.writers and (now - changed > STALE or held > limit):
            path.unlink(missing_ok=True)
            held -= size
        yield


def release(
    owners: Owners,
    store: Store,
    client: str,
    excess: int,
    dispensable: Sequence[tuple[str, ...]],
    needed: Iterable[str],
) -> Generator[None, None, int]:
    """Remove the oldest files of a client until at least ``excess`` bytes are removed; yields often.

    A file that another client owns as well stays in the store.

    Args:
        owners: the table of the clients' files.
        store: the store.
        client: its name.
        excess: bytes.
        dispensable: hashes of the client's manifests, in order of removal; a tuple is removed as a whole.
        needed: hashes of the manifests to keep.

    Returns:
        The bytes that the client no longer owns.

    Raises:
        Unavailable: as :meth:`backend.server.owners.Owners.remove`.
    """
    stays: set[str] = set()
    for manifest in needed:
        stays |= _Manifests(store, (manifest,)).contents()
        yield
    holders: Counter[str] = Counter()
    for group in dispensable:
        holders.update(_Manifests(store, group).contents())
        yield
    released = 0
    for group in dispensable:
        if released >= excess:
            break
        contents = _Manifests(store, group).contents()
        holders.subtract(contents)
        for count, digest in enumerate(sorted(contents)):
            if holders[digest] <= 0 and digest not in stays:
                released += owners.remove(client, digest)
                if not owners.anybody_has(digest):
                    with suppress(PermissionError):  # Windows does not remove open files
                        store.path(digest).unlink(missing_ok=True)
            if count % FILES_A_STEP == 0:
                yield
    return released


class _Manifests:
    """Manifests that are removed together, and the files that they name."""

    def __init__(self, store: Store, manifests: tuple[str, ...]) -> None:
        self.store = store
        self.manifests = manifests

    def contents(self) -> set[str]:
        return set().union(*map(self._content, self.manifests))

    def remove(self) -> None:
        """Do nothing, because a manifest is itself in the store."""

    def _content(self, manifest: str) -> set[str]:
        """Return a manifest and the files it names; empty if it is not stored, only itself if it is not a manifest."""
        if not self.store.has(manifest):
            return set()
        try:
            return {manifest, *(entry.digest for entry in read_manifest(self.store, manifest))}
        except Fault:
            return {manifest}

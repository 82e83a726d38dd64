"""Keeping the server's store within its bound: the scenes and results of jobs that have ended go, the oldest first."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress

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
    """Remove files until the store holds at most ``limit`` bytes, or nothing is left that may go.

    What arrived of files that nobody has gone on with for a day goes at any rate, and the oldest of it where it alone
    is more than ``limit``. Of the files, first those go that no manifest names and that have been there for a day; then
    those of the ``dispensable`` manifests, as far as no manifest that stays names them too. Yields often; returns how
    many bytes of files were removed.

    Args:
        store: where. Files that are being written stay.
        limit: bytes.
        dispensable: manifests by their hashes, those first that may go first; a tuple goes as a whole.
        needed: gives the manifests that stay, whatever they take. Asked again before each removal.
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


class _Manifests:
    """Manifests that go together, and the files that they name."""

    def __init__(self, store: Store, manifests: tuple[str, ...]) -> None:
        self.store = store
        self.manifests = manifests

    def contents(self) -> set[str]:
        return set().union(*map(self._content, self.manifests))

    def remove(self) -> None:
        """Do nothing: a manifest is itself in the store."""

    def _content(self, manifest: str) -> set[str]:
        """Return a manifest and what it names; nothing where it is not stored, itself alone where it is no manifest."""
        if not self.store.has(manifest):
            return set()
        try:
            return {manifest, *(entry.digest for entry in read_manifest(self.store, manifest))}
        except Fault:
            return {manifest}

"""Keeping a store from growing without end: what nobody needs any more goes, the oldest first."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from protocol.errors import Fault
from protocol.store import STALE, Store, read_manifest

_FILES_A_STEP = 200


def make_room(
    store: Store,
    limit: int,
    dispensable: Sequence[tuple[str, ...]],
    needed: Callable[[], Iterator[str]],
    now: Callable[[], float],
) -> Generator[None, None, int]:
    """Remove files until the store holds at most ``limit`` bytes, or nothing is left that may go.

    First those go that no manifest names and that have been there for a day, the oldest first; then those of the
    ``dispensable`` manifests, in order, as far as no manifest that stays names them too. Yields often; returns how many
    bytes were removed.

    Args:
        store: where. Files that are being written stay.
        limit: bytes.
        dispensable: manifests by their hashes, those first that may go first; a tuple goes as a whole.
        needed: gives the manifests that stay, whatever they take. Asked again before each removal.
        now: seconds since 1970, as files are dated.
    """
    sizes: dict[str, int] = {}
    for count, path in enumerate(_files(store.root)):
        with suppress(FileNotFoundError):
            sizes[path.name] = path.stat().st_size
        if count % _FILES_A_STEP == 0:
            yield
    removed = 0
    excess = sum(sizes.values()) - limit
    left = list(dispensable)
    if excess > 0:
        named = set[str]()
        for manifest in {*needed(), *(each for group in left for each in group)}:
            named |= _content(store, manifest)
            yield
        for digest in sorted(sizes.keys() - named, key=lambda each: _date(store, each)):
            if removed < excess and now() - _date(store, digest) > STALE:
                removed += _remove(store, digest, sizes)
            yield
    while removed < excess and left:
        group = left.pop(0)
        stays = set[str]()
        for manifest in {*needed(), *(each for group in left for each in group)}:
            stays |= _content(store, manifest)
            yield
        # What was asked for meanwhile is not in the list above yet.
        for manifest in needed():
            stays |= _content(store, manifest)
        going = set[str]().union(*(_content(store, manifest) for manifest in group))
        for digest in going - stays - store.writers:
            removed += _remove(store, digest, sizes)
        yield
    return removed


def _files(root: Path) -> Iterator[Path]:
    for folder in root.iterdir():
        if len(folder.name) == 2 and folder.is_dir():
            yield from folder.iterdir()


def _content(store: Store, manifest: str) -> set[str]:
    """Return a manifest and what it names; nothing where it is not stored or is none."""
    if not store.has(manifest):
        return set()
    try:
        return {manifest, *(entry.digest for entry in read_manifest(store, manifest))}
    except Fault:
        return {manifest}


def _date(store: Store, digest: str) -> float:
    try:
        status = store.path(digest).stat()
    except FileNotFoundError:
        return 0.0
    return max(status.st_mtime, status.st_ctime)


def _remove(store: Store, digest: str, sizes: dict[str, int]) -> int:
    with suppress(FileNotFoundError):
        store.path(digest).unlink()
    return sizes.pop(digest, 0)

"""Keeping the cache from growing without end: downloads that nobody needs any more go, the oldest first. No bpy."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Generator
from pathlib import Path

_FILES_A_STEP = 200


def make_room(cache: Path, limit: int, kept: Collection[str]) -> Generator[None, None, int]:
    """Remove files until the cache holds at most ``limit`` bytes, or nothing is left that may go.

    First contents go that are part of no result, then results that are not ``kept``; among each, the oldest first.
    Yields often; returns how many bytes were removed.

    Args:
        cache: with ``store`` and ``results``, whose files are hard links to one another.
        limit: bytes.
        kept: ids of jobs whose results stay.
    """
    sizes: dict[int, int] = {}
    # Links from elsewhere, such as the store of a server on this machine, do not count.
    links: Counter[int] = Counter()
    stored: dict[int, Path] = {}
    ages: dict[int, float] = {}
    for count, path in enumerate(path for path in (cache / "store").rglob("*") if len(path.name) == 64):
        status = path.stat()
        sizes[status.st_ino] = status.st_size
        links[status.st_ino] += 1
        stored[status.st_ino] = path
        ages[status.st_ino] = status.st_mtime
        if count % _FILES_A_STEP == 0:
            yield
    results = [path for path in (cache / "results").glob("*") if path.is_dir() and path.name not in kept]
    for count, path in enumerate((cache / "results").rglob("*")):
        status = path.lstat()
        if path.is_file():
            sizes[status.st_ino] = status.st_size
            links[status.st_ino] += 1
        if count % _FILES_A_STEP == 0:
            yield
    excess = sum(sizes.values()) - limit
    removed = 0
    for inode in sorted((inode for inode in stored if links[inode] == 1), key=lambda inode: ages[inode]):
        if removed < excess:
            stored[inode].unlink(missing_ok=True)
            removed += sizes[inode]
            yield
    for folder in sorted(results, key=lambda path: path.stat().st_mtime):
        if removed >= excess:
            break
        going = Counter(path.stat().st_ino for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
        yield
        links -= going
        for inode in going:
            if links[inode] == 1 and inode in stored:
                stored[inode].unlink(missing_ok=True)
                links[inode] = 0
            if links[inode] == 0:
                removed += sizes.pop(inode, 0)
        yield
    return removed

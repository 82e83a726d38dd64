"""Keeping the cache from growing without end: downloads that nobody needs any more go, the oldest first. No bpy."""

from __future__ import annotations

import os
import shutil
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
    loose: list[tuple[float, Path, int]] = []
    for count, path in enumerate(path for path in (cache / "store").rglob("*") if len(path.name) == 64):
        status = path.stat()
        sizes[status.st_ino] = status.st_size
        if status.st_nlink == 1:
            loose.append((status.st_mtime, path, status.st_size))
        if count % _FILES_A_STEP == 0:
            yield
    results = [path for path in (cache / "results").glob("*") if path.is_dir() and path.name not in kept]
    for count, path in enumerate((cache / "results").rglob("*")):
        status = path.lstat()
        if path.is_file():
            sizes[status.st_ino] = status.st_size
        if count % _FILES_A_STEP == 0:
            yield
    excess = sum(sizes.values()) - limit
    removed = 0
    for _, path, size in sorted(loose):
        if removed < excess:
            path.unlink(missing_ok=True)
            removed += size
            yield
    for folder in sorted(results, key=lambda path: path.stat().st_mtime):
        if removed >= excess:
            break
        inodes = {path.stat().st_ino: path.stat() for path in folder.rglob("*") if path.is_file()}
        shutil.rmtree(folder)
        yield
        removed += sum(status.st_size for status in inodes.values() if status.st_nlink == 1)
        for path in (path for path in (cache / "store").rglob("*") if len(path.name) == 64):
            status = os.stat(path)
            if status.st_ino in inodes and status.st_nlink == 1:
                path.unlink()
                removed += status.st_size
        yield
    return removed

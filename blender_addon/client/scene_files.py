"""Which files of a scene folder are sent: those that the backend's readers know, and none from outside the folder."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from protocol.capture_names import MASK_ENDINGS, PHOTOGRAPH_ENDINGS, SPLAT_ENDINGS, TRUTH, is_passed_over
from protocol.errors import BadArgument, BadScene

ENDINGS = frozenset({*PHOTOGRAPH_ENDINGS, *MASK_ENDINGS, *SPLAT_ENDINGS, ".json", ".txt", ".bin"})

_NAMES_A_STEP = 200


@dataclass
class SceneFiles:
    """The files to send, sorted, their bytes, and how many links out of the folder were left out."""

    files: list[Path] = field(default_factory=list)
    bytes: int = 0
    links_left_out: int = 0


def find_files(folder: Path, also: tuple[str, ...] = ()) -> Generator[int, None, SceneFiles]:
    """List a scene folder a few names at a time: yields how many files were found; returns them.

    Files with other endings than :data:`ENDINGS`, hidden ones, and folders called "gt" are passed over, except below
    the paths ``also``, which the request names. Links are followed inside the folder only.

    Raises:
        BadScene: if the folder cannot be read, or holds nothing to send.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise BadScene(
            f"The folder {folder} does not exist.", "Choose the folder that holds the photographs and cameras."
        )
    found = SceneFiles()
    for count, entry in enumerate(_walk(root, root, frozenset(Path(name) for name in also), found, frozenset()), 1):
        if entry is not None:
            found.files.append(folder / entry)
        if count % _NAMES_A_STEP == 0:
            yield len(found.files)
    if not found.files:
        raise BadScene(
            f"The folder {folder} holds no photographs, cameras or masks.",
            "Choose the folder that holds the photographs and cameras.",
        )
    found.files = sorted(set(found.files))
    return found


def _walk(
    root: Path, folder: Path, also: frozenset[Path], found: SceneFiles, above: frozenset[Path]
) -> Iterator[Path | None]:
    """Yield each name below ``folder``: relative to ``root`` if it is to be sent, else None."""
    real = folder.resolve()
    if real in above:
        return  # a link to a folder it lies in
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise BadScene(f"The folder {folder} cannot be read: {error.strerror}.") from error
    for entry in entries:
        path = Path(entry.path)
        name = path.relative_to(root)
        if not _wanted(name, entry, also):
            yield None
        elif entry.is_symlink() and not path.resolve().is_relative_to(root):
            found.links_left_out += 1
            yield None
        elif entry.is_dir():
            yield from _walk(root, path, also, found, above | {real})
        elif entry.is_file():
            found.bytes += path.stat().st_size
            yield name
        else:
            yield None  # a dead link, a pipe


def _wanted(name: Path, entry: os.DirEntry[str], also: frozenset[Path]) -> bool:
    asked_for = any(name == each or each in name.parents for each in also)
    passed_over = any(part == TRUTH or is_passed_over(part) for part in name.parts) and not asked_for
    if entry.is_dir():
        return not passed_over or any(name in each.parents for each in also)
    return name in also or (not passed_over and name.suffix.lower() in ENDINGS)


def inside(folder: Path, path: str | Path, what: str) -> str:
    """Return ``path``, absolute or relative to ``folder``, as a request names it: relative, with forward slashes.

    Raises:
        BadArgument: if there is no such file or folder, or it lies outside the scene folder and so would not be sent.
    """
    full = folder / path
    if not full.exists():
        raise BadArgument(f"There is no {what} at {full}.")
    if not full.resolve().is_relative_to(folder.resolve()):
        raise BadArgument(
            f"The {what} at {full} is outside the scene folder {folder}, which alone is sent.",
            "Copy it into the scene folder.",
        )
    return full.resolve().relative_to(folder.resolve()).as_posix()

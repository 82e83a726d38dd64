"""Selects the files of a scene folder to upload: those that the backend can read, and none from outside the folder.

From a folder with photographs or a video but no cameras, only files that a segmentation reads are uploaded, because
such a folder may contain unrelated files.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from protocol.coroutines import FILES_A_STEP
from protocol.endings import HEIF_ENDINGS, MASK_ENDINGS, PHOTOGRAPH_ENDINGS, SPLAT_ENDINGS, VIDEO_ENDINGS, is_one_of
from protocol.errors import BadArgument, BadScene
from protocol.find_unposed import find_in
from protocol.folder_names import TRUTH, is_passed_over
from protocol.mask_names import MASK_SCORES
from protocol.ply import may_hold_gaussians
from protocol.splat_files import latest
from protocol.unposed import Unposed

from .layouts import holds_cameras

ENDINGS = frozenset({*PHOTOGRAPH_ENDINGS, *MASK_ENDINGS, *SPLAT_ENDINGS, ".json", ".txt", ".bin"})
UNPOSED_ENDINGS = frozenset({*HEIF_ENDINGS, *VIDEO_ENDINGS})
"""Endings of files that are read only if there are no cameras."""


@dataclass
class SceneFiles:
    """The files to upload.

    Attributes:
        root: the folder that contains the files.
        files: sorted.
        bytes: of all files.
        links: links out of the folder, relative to it, which are skipped.
        unposed: photographs or a video without cameras, or None.
        alone: the file of Gaussians, if there is nothing else, or None.
        unread: the first file of Gaussians next to photographs without cameras, which is not read, or None.
    """

    root: Path
    files: list[Path] = field(default_factory=list)
    bytes: int = 0
    links: list[Path] = field(default_factory=list)
    unposed: Unposed | None = None
    alone: Path | None = None
    unread: Path | None = None


def root_of(scene: Path) -> Path:
    """Return the folder of a scene, which may be a single video or splat file."""
    return scene.parent if scene.is_file() else scene


def find_files(scene: Path, also: tuple[str, ...] = ()) -> Generator[int, None, SceneFiles]:
    """List a scene folder in small steps: yields the number of files found so far; returns the files.

    Files without one of :data:`ENDINGS`, hidden files, and folders named "gt" are skipped, except below the paths
    ``also``, which the request names. Links are followed only inside the folder. A scene may also be a video or a splat
    file.

    Raises:
        BadScene: if the folder cannot be read, contains nothing to upload, or contains several captures.
    """
    folder = root_of(scene)
    root = folder.resolve()
    single = scene if scene.is_file() else None
    if not root.is_dir() or (single is not None and not is_one_of(single.name, (*VIDEO_ENDINGS, *SPLAT_ENDINGS))):
        raise BadScene(
            f"{scene} is not an existing folder, video or splat file.",
            "Choose the folder that contains the photographs.",
        )
    found = SceneFiles(folder)
    asked = frozenset(Path(name) for name in also)
    if single is not None:
        found.files = [single, *(path for name in also for path in _below(folder / name))]
        found.unposed = Unposed(single, video=single) if is_one_of(single.name, VIDEO_ENDINGS) else None
        found.alone = single if found.unposed is None else None
    else:
        for count, entry in enumerate(_walk(root, root, asked, found, frozenset()), 1):
            if entry is not None:
                found.files.append(folder / entry)
            if count % FILES_A_STEP == 0:
                yield len(found.files)
        _choose(found, {folder / name for name in asked})
    if not found.files:
        raise BadScene(
            f"The folder {folder} contains no photographs, cameras, masks or video.",
            "Choose the folder that contains the photographs.",
        )
    found.files = sorted(set(found.files))
    found.bytes = sum(path.stat().st_size for path in found.files)
    return found


def _choose(found: SceneFiles, asked: set[Path]) -> None:
    """Keep only files that a segmentation reads, and requested paths.

    Raises:
        BadScene: if the folder contains several captures.
    """
    folder = found.root
    paths = [PurePosixPath(path.relative_to(folder).as_posix()) for path in found.files]
    kept: set[Path] | None = None
    if holds_cameras(paths, found.links):
        kept = {path for path in found.files if not is_one_of(path.name, tuple(UNPOSED_ENDINGS))}
    elif (unposed := find_in(folder, paths)) is not None:
        found.unposed, kept = unposed, set(unposed.files)
        found.unread = next(iter(_splats(found)), None)
    else:
        splats = _splats(found)
        last = latest([PurePosixPath(path.relative_to(folder).as_posix()) for path in splats]) if splats else None
        if last is not None:
            splats = [folder / last]
        if len(splats) > 1:
            listed = ", ".join(path.relative_to(folder).as_posix() for path in splats[:3])
            raise BadScene(
                f"{folder} holds {len(splats)} splat files without photographs (first: {listed}).", "Give one of them."
            )
        if splats:
            found.alone, kept = splats[0], {splats[0]}
    if kept is not None:
        found.files = [path for path in found.files if path in kept or asked & {path, *path.parents}]


def _splats(found: SceneFiles) -> list[Path]:
    return sorted(path for path in found.files if TRUTH not in path.parts and may_hold_gaussians(path))


def _below(path: Path) -> list[Path]:
    """Return a file, or the files below a folder."""
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]


def _walk(
    root: Path, folder: Path, also: frozenset[Path], found: SceneFiles, above: frozenset[Path]
) -> Iterator[Path | None]:
    """Yield each name below ``folder``: relative to ``root`` if it will be uploaded, else None."""
    real = folder.resolve()
    if real in above:
        return  # a link to one of its parent folders
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
            found.links.append(name)
            yield None
        elif entry.is_dir():
            yield from _walk(root, path, also, found, above | {real})
        elif entry.is_file():
            yield name
        else:
            yield None  # a dangling link or a pipe


def _wanted(name: Path, entry: os.DirEntry[str], also: frozenset[Path]) -> bool:
    asked_for = any(name == each or each in name.parents for each in also)
    passed_over = any(part == TRUTH or is_passed_over(part) for part in name.parts) and not asked_for
    if entry.is_dir():
        return not passed_over or any(name in each.parents for each in also)
    known = name.suffix.lower() in ENDINGS | UNPOSED_ENDINGS or name.name == MASK_SCORES
    return name in also or (not passed_over and known)


def inside(scene: Path, path: str | Path, what: str) -> str:
    """Return ``path``, absolute or relative to the scene, in the form of a request: relative, with forward slashes.

    Raises:
        BadArgument: if there is no such file or folder, or it is outside the scene folder and would not be uploaded.
    """
    folder = root_of(scene)
    full = folder / path
    if not full.exists():
        raise BadArgument(f"The {what} {full} does not exist.")
    if not full.resolve().is_relative_to(folder.resolve()):
        raise BadArgument(
            f"The {what} {full} is outside the scene folder {folder}. Only files in the scene folder are sent.",
            "Copy it into the scene folder.",
        )
    return full.resolve().relative_to(folder.resolve()).as_posix()

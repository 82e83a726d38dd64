"""A file of Gaussians without cameras or photographs."""

from __future__ import annotations

import warnings
from pathlib import Path, PurePosixPath

from backend.scene.files import Names
from backend.scene.load import holds_cameras
from protocol.errors import BadScene
from protocol.folder_names import TRUTH
from protocol.formats.read import read_splats
from protocol.formats.sog import META
from protocol.lists import first_of
from protocol.ply import SHORT_HEADER, check_header, may_hold_gaussians
from protocol.splat_files import SOG_PARTS, latest

LOD = "lod-meta.json"
"""List of the parts of a scene that is streamed in levels of detail."""
READ_WHOLE = 4 << 20
"""Most bytes of a file that is read to check it, which takes less than a second."""


def splat_files(root: Path) -> list[Path]:
    """Return the files of Gaussians in a folder, sorted; ground truth is skipped.

    The file of an extracted SOG archive is its ``meta.json``.
    """
    below = Names(root).below(root)
    return [root / path for path in below if TRUTH not in path.parts and _may_be_splats(root / path)]


def _may_be_splats(file: Path) -> bool:
    return may_hold_gaussians(file) or (file.name == META and any(file.with_name(part).is_file() for part in SOG_PARTS))


def find_splats_alone(root: Path) -> Path | None:
    """Return the file of Gaussians at or in ``root``; None if there is none, or if there are cameras.

    Of the states of one training, the last one is returned; :func:`older_states` names the others. Call it only if
    :func:`backend.scene.unposed.find_unposed` finds nothing.

    Raises:
        BadScene: if the folder contains several, or cannot be read.
    """
    if not root.is_dir():
        return root if root.is_file() and _may_be_splats(root) else None
    if holds_cameras(Names(root)):
        return None
    if (root / LOD).is_file():
        raise BadScene(
            f"{root} contains a SOG scene in levels of detail, which is not read.",
            "Export it as one .sog or .ply file.",
        )
    files = splat_files(root)
    last = latest([PurePosixPath(file.relative_to(root).as_posix()) for file in files]) if len(files) > 1 else None
    if last is not None:
        return root / last
    if len(files) > 1:
        listed = ", ".join(file.relative_to(root).as_posix() for file in files[:3])
        raise BadScene(
            f"{root} holds {len(files)} splat files without photographs (first: {listed}).", "Give one of them."
        )
    return files[0] if files else None


def older_states(alone: Path, root: Path) -> tuple[str, ...]:
    """Return a warning if :func:`find_splats_alone` chose one of several files."""
    others = [file for file in splat_files(root) if file != alone] if root.is_dir() else []
    if not others:
        return ()
    return (f"{alone} was read, the last of {len(others) + 1} states of one training; not read: {first_of(others)}.",)


def check_splats(file: Path) -> None:
    """Refuse a file of Gaussians that cannot be read: a PLY by its header, a small file of another format whole.

    Raises:
        BadSplats: with the reason.
        Unavailable: if the format needs a package that is not installed.
    """
    with file.open("rb") as stream:
        head = stream.read(SHORT_HEADER)
    if head[:3] == b"ply" and b" packed_position" not in head:
        check_header(file)
    elif file.stat().st_size <= READ_WHOLE:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_splats(file)

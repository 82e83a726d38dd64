"""A file of Gaussians without cameras or photographs."""

from __future__ import annotations

from pathlib import Path

from backend.scene.files import Names
from backend.scene.load import holds_cameras
from protocol.capture_names import TRUTH
from protocol.errors import BadScene
from protocol.ply import may_hold_gaussians


def splat_files(root: Path) -> list[Path]:
    """Return the files of Gaussians in a folder, sorted; ground truth is skipped."""
    below = Names(root).below(root)
    return [root / path for path in below if TRUTH not in path.parts and may_hold_gaussians(root / path)]


def find_splats_alone(root: Path) -> Path | None:
    """Return the file of Gaussians at or in ``root``; None if there is none, or if there are cameras.

    Call it only if :func:`backend.scene.unposed.find_unposed` finds nothing.

    Raises:
        BadScene: if the folder contains several, or cannot be read.
    """
    if not root.is_dir():
        return root if root.is_file() and may_hold_gaussians(root) else None
    if holds_cameras(Names(root)):
        return None
    files = splat_files(root)
    if len(files) > 1:
        listed = ", ".join(file.relative_to(root).as_posix() for file in files[:3])
        raise BadScene(
            f"{root} holds {len(files)} splat files without photographs (first: {listed}).", "Give one of them."
        )
    return files[0] if files else None

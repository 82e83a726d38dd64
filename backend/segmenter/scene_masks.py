"""Determines the output folder of a scene's masks and the photographs to mask, from command-line arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backend.scene.load import load_scene
from backend.scene.types import Scene, View
from backend.scene.unposed import find_unposed
from backend.segmenter.folder import read_note
from protocol.errors import BadArgument

FOLDER = "masks"
ALL = "all"


def scene_to_mask(root: Path, out: Path | None) -> tuple[Scene, Path]:
    """Return the scene and the folder for its masks: ``out``, or ``masks`` in the scene.

    Raises:
        BadArgument: if the photographs have no cameras, or the scene has masks and ``out`` is not given.
        BadScene, BadMask: as :func:`backend.scene.load_scene`.
    """
    if find_unposed(root) is not None:
        raise BadArgument(
            f"{root} has no cameras, which are needed to choose photographs that cover the scene.",
            f"Run backend poses {root} --out FOLDER and make masks of FOLDER, or run backend segment, which does both.",
        )
    scene = load_scene(root)
    place = root / FOLDER if out is None else out
    others = scene.masks_from is not None and scene.masks_from != place
    if out is None and (others or (place.exists() and read_note(place) is None)):
        raise BadArgument(
            f"{root} already has masks in {scene.masks_from or place}.",
            "Choose another folder for the new masks with --out.",
        )
    return scene, place


def views_to_mask(scene: Scene, wanted: str | None) -> tuple[Sequence[View], int | None]:
    """Return the photographs that may get masks, and how many do; None for as many as lifting needs.

    Args:
        scene: its held-out photographs are excluded, unless all are wanted.
        wanted: a number, "all", or None.

    Raises:
        BadArgument: if ``wanted`` has another value.
    """
    if wanted == ALL:
        return scene.views, len(scene.views)
    views = [view for view in scene.views if not view.held_out] or scene.views
    if wanted is None:
        return views, None
    if not (wanted.isascii() and wanted.isdigit() and int(wanted[:9]) > 0 and len(wanted) < 10):
        raise BadArgument(f"{wanted!r} is not a number of photographs.", 'Give a number of at least 1, or "all".')
    return views, int(wanted)

"""What a scene folder is read as, and whether it can be segmented: told before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.scene.files import Names, from_inside
from backend.scene.images import image_size
from backend.scene.load import load_scene
from backend.scene.masks import no_mask
from backend.scene.types import MaskIds, Scene
from backend.scene.unposed import Unposed, find_unposed
from backend.scene.videos import frame_size
from protocol.capture_names import PHOTOGRAPH_ENDINGS, TRUTH, is_one_of
from protocol.errors import BadScene, Fault
from protocol.ply import may_hold_gaussians

Findings = dict[str, Any]


def inspect_scene(
    root: Path, masks: Path | None = None, mask_ids: MaskIds | None = None
) -> tuple[Findings, Fault | None]:
    """Return what is recognised, and why a segmentation would not start, or None where it would.

    Photographs and videos without cameras have the layout "photographs" or "video"; a warning says that poses will be
    computed. The findings are ``layout``, ``views`` (how many), ``sizes`` (a list of width and height), ``masks``
    (views that have one), ``masks_from`` (a folder, or the file that lists them), ``points`` (how many), ``splats`` (a
    file of Gaussians in the folder) and ``warnings`` (sentences); paths are relative to the scene folder where they are
    in it.
    Where there is a fault they have ``error`` and ``remedy`` too, its two sentences.

    Args: as :func:`backend.scene.load.load_scene`.
    """
    findings: Findings = {
        "layout": None,
        "views": 0,
        "sizes": [],
        "masks": 0,
        "masks_from": None,
        "points": 0,
        "splats": None,
        "warnings": [],
    }
    fault: Fault | None = None
    try:
        unposed = find_unposed(root)
        if unposed is not None:
            findings |= _findings_unposed(unposed)
            if not findings["masks"] and masks is None:
                raise unposed.no_mask()
        else:
            scene = load_scene(root, masks, mask_ids)
            findings |= _findings(scene)
            if not findings["masks"]:
                raise no_mask(len(scene.views), root, scene.without_masks)
    except Fault as error:
        fault = error
        findings |= {"error": error.sentence, "remedy": error.remedy}
    if root.is_dir():
        findings["splats"] = _splat_file(root)
    return findings, fault


def _findings(scene: Scene) -> Findings:
    sizes = sorted({(view.camera.width, view.camera.height) for view in scene.views})
    return {
        "layout": scene.layout,
        "views": len(scene.views),
        "sizes": [list(size) for size in sizes],
        "masks": sum(view.mask_path is not None for view in scene.views),
        "masks_from": None if scene.masks_from is None else _relative(scene.masks_from, scene.root),
        "points": len(scene.points),
        "warnings": [from_inside(warning, scene.root) for warning in scene.warnings],
    }


def _findings_unposed(unposed: Unposed) -> Findings:
    """Of photographs, or of a video, whose frames are not chosen yet: 0 views."""
    said = list(unposed.warnings)
    if unposed.video is not None:
        layout, sizes = "video", {frame_size(unposed.video)}
        said.append("Poses are computed from 60 to 200 frames of the video, which takes minutes.")
    else:
        layout, sizes = "photographs", set()
        for file in unposed.photographs:
            if is_one_of(file.name, PHOTOGRAPH_ENDINGS):
                try:
                    sizes.add(image_size(file))
                except BadScene as error:
                    said.append(f"It will be left out: {error.sentence}")
        said.append("There are no cameras: poses are computed from the photographs, which takes minutes.")
    return {
        "layout": layout,
        "views": len(unposed.photographs),
        "sizes": [list(size) for size in sorted(sizes)],
        "masks": unposed.masked or len(unposed.masks_beside),
        "masks_from": None if unposed.masks is None else _relative(unposed.masks, unposed.root),
        "warnings": [from_inside(warning, unposed.root) for warning in said],
    }


def _splat_file(root: Path) -> str | None:
    """Return the first file of Gaussians in the scene folder, where truth to score against is passed over."""
    below = (path for path in Names(root).below(root) if TRUTH not in path.parts)
    return next((str(path) for path in below if may_hold_gaussians(root / path)), None)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def as_lines(findings: Findings) -> list[str]:
    """Return the findings for a person to read, a line each; the fault is told by who has it."""
    if findings["layout"] is None:
        return [f"splats: {findings['splats']}"] if findings["splats"] else []
    sizes = ", ".join(f"{width} x {height}" for width, height in findings["sizes"])
    source = f" from {findings['masks_from']}" if findings["masks"] else ""
    return [
        f"layout: {findings['layout']}",
        f"views: {findings['views']} of {sizes}",
        f"masks: {findings['masks']}{source}",
        f"points: {findings['points']:,}",
        f"splats: {findings['splats'] or 'none'}",
        *(f"warning: {warning}" for warning in findings["warnings"]),
    ]

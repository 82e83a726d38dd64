"""Reports how a scene folder is read and whether it can be segmented, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pillow_heif

from backend.scene.files import from_inside
from backend.scene.images import image_size
from backend.scene.load import load_scene
from backend.scene.splats_alone import check_splats, find_splats_alone, older_states, splat_files
from backend.scene.types import MaskIds, Scene
from backend.scene.unposed import check_masks_of, find_unposed, given_masks
from backend.scene.videos import first_frames
from protocol.errors import BadScene, Fault
from protocol.unposed import FEWEST, Unposed, too_few

Findings = dict[str, Any]
GEOMETRY = "geometry"
"""Source of objects if there are no masks: the geometry of the Gaussians."""
BY_GEOMETRY = "none; objects are found by geometry"
POSES = {
    "cameras": "those of the capture",
    "photographs": "computed from the photographs, which takes minutes",
    "video": "computed from at most 200 frames of the video, which takes minutes",
}
"""Texts for ``poses_from``."""


def inspect_scene(
    root: Path,
    masks: Path | None = None,
    mask_ids: MaskIds | None = None,
    geometry: bool = False,
    model: Callable[[], str | None] = lambda: None,
) -> tuple[Findings, Fault | None]:
    """Return what was recognised, and why a segmentation would not start, or None if it would.

    The findings are ``layout``, ``views`` (number), ``sizes`` (a list of width and height), ``poses_from``, ``masks``
    (number of views with masks), ``masks_from``, ``points`` (number), ``splats`` (a file of Gaussians in the folder)
    and ``warnings`` (sentences); paths inside the scene folder are relative to it. ``poses_from`` is "cameras" if the
    capture has them, "photographs" or "video" if they are computed from these, and None if none are needed.
    ``masks_from`` is a folder, the file that lists the masks, or "geometry" if there are none. If there is a fault, the
    findings also have ``error`` and ``remedy``, its two sentences.

    In addition to the layouts of scenes, ``layout`` may be "photographs" or "video" without cameras, and "splats" for a
    file of Gaussians alone.

    Args:
        root: a scene folder, a folder of photographs, a video or a file of Gaussians.
        masks, mask_ids: as in :func:`backend.scene.load.load_scene`.
        geometry: whether masks are ignored.
        model: returns the segmentation model that makes missing masks; only called if masks are missing.
    """
    findings: Findings = {
        "layout": None,
        "views": 0,
        "sizes": [],
        "poses_from": None,
        "masks": 0,
        "masks_from": None,
        "points": 0,
        "splats": None,
        "warnings": [],
    }
    fault: Fault | None = None
    try:
        _inspect(findings, root, masks, mask_ids)
    except Fault as error:
        fault = error
        findings.update(error=error.sentence, remedy=error.remedy)
    if findings["layout"] is not None and (geometry or not findings["masks"]):
        may_be_made = not geometry and findings["poses_from"] is not None
        findings.update(masks=0, masks_from=(model() if may_be_made else None) or GEOMETRY)
    if findings["splats"] is None and root.is_dir():
        files = splat_files(root)
        findings["splats"] = _relative(files[0], root) if files else None
    return findings, fault


def _inspect(findings: Findings, root: Path, masks: Path | None, mask_ids: MaskIds | None) -> None:
    """Fill in the findings, as far as possible before a fault."""
    unposed = find_unposed(root)
    alone = find_splats_alone(root) if unposed is None else None
    if alone is not None:
        findings.update(layout="splats", splats=alone.name if alone == root else _relative(alone, root))
        findings["warnings"] = [from_inside(said, root) for said in older_states(alone, root)]
        check_splats(alone)
    elif unposed is not None:
        bad = _fill_in(findings, unposed)
        if masks is not None:
            findings.update(masks=given_masks(unposed, masks), masks_from=_relative(masks, root))
        refusal = unposed.refusal()
        if refusal is not None:
            raise refusal
        said = check_masks_of(unposed, masks, mask_ids)
        findings["warnings"] += [from_inside(warning, unposed.root) for warning in said]
        readable = len(unposed.photographs) - len(bad)
        if unposed.video is None and readable < FEWEST:
            raise too_few(root, readable, "photographs", bad)
    else:
        findings.update(_of_scene(load_scene(root, masks, mask_ids)))


def _of_scene(scene: Scene) -> Findings:
    sizes = sorted({(view.camera.width, view.camera.height) for view in scene.views})
    return {
        "layout": scene.layout,
        "views": len(scene.views),
        "sizes": [list(size) for size in sizes],
        "poses_from": "cameras",
        "masks": sum(view.mask_path is not None for view in scene.views),
        "masks_from": None if scene.masks_from is None else _relative(scene.masks_from, scene.root),
        "points": len(scene.points),
        "warnings": [from_inside(warning, scene.root) for warning in scene.warnings],
    }


def _fill_in(findings: Findings, unposed: Unposed) -> list[str]:
    """Fill in the findings for photographs or a video without cameras; return the unreadable photographs."""
    sizes: dict[tuple[int, int], Path] = {}
    bad: dict[str, str] = {}
    # Programs also store HEIC under the ending .jpg.
    pillow_heif.register_heif_opener()
    for file in unposed.photographs:
        try:
            sizes[image_size(file)] = file
        except BadScene as error:
            bad[unposed.path_below_root(file)] = error.sentence
    if unposed.video is not None:
        frames, size = first_frames(unposed.video, FEWEST)
        sizes[size] = unposed.video
        if frames < FEWEST:
            raise too_few(unposed.video, frames, "frames")
    kind = "photographs" if unposed.video is None else "video"
    findings.update(
        layout=kind,
        views=len(unposed.photographs),
        sizes=[list(size) for size in sorted(sizes)],
        poses_from=kind,
        masks=unposed.masked,
        masks_from=None if unposed.masks_from is None else _relative(unposed.masks_from, unposed.root),
        warnings=[from_inside(warning, unposed.root) for warning in (*unposed.warnings, *_skipped(bad, unposed))],
    )
    return list(bad)


def _skipped(bad: dict[str, str], unposed: Unposed) -> tuple[str, ...]:
    """Return a warning about unreadable photographs, given the reason of each."""
    if not bad:
        return ()
    first = next(iter(bad.values())).removesuffix(".")
    if len(bad) == 1:
        return (f"{first}; it will be skipped.",)
    return (
        f"{len(bad)} of {len(unposed.photographs)} photographs cannot be read and will be skipped. First: {first}.",
    )


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _without(findings: Findings) -> str:
    return BY_GEOMETRY if findings["masks_from"] == GEOMETRY else f"none; made by the model {findings['masks_from']}"


def as_lines(findings: Findings) -> list[str]:
    """Return the findings as lines of text for the user; the caller prints the fault."""
    if findings["layout"] is None:
        return [f"splats: {findings['splats']}"] if findings["splats"] else []
    sizes = ", ".join(f"{width} x {height}" for width, height in findings["sizes"])
    masks = f"{findings['masks']} from {findings['masks_from']}" if findings["masks"] else _without(findings)
    lines = [f"layout: {findings['layout']}"]
    if findings["layout"] != "splats":
        lines += [
            f"views: {findings['views']} of {sizes}" if findings["views"] else f"views: frames of {sizes}",
            f"poses: {POSES[findings['poses_from']]}",
        ]
    return [
        *lines,
        f"masks: {masks}",
        *([f"points: {findings['points']:,}"] if findings["poses_from"] == "cameras" else []),
        f"splats: {findings['splats'] or 'none'}",
        *(f"warning: {warning}" for warning in findings["warnings"]),
    ]

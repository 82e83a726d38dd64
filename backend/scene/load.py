"""`load_scene`: recognises a folder's layout, reads it, names its views and finds their masks."""

from __future__ import annotations

from pathlib import Path

from backend.scene.capture import Capture
from backend.scene.colmap import find_model, read_colmap
from backend.scene.masks import check_masks, find_given_masks, find_masks
from backend.scene.messy_rooms import read_messy_rooms
from backend.scene.names import natural_key, view_names
from backend.scene.nerf_synthetic import TEST, TRAIN, read_nerf_synthetic
from backend.scene.panoptic_lifting import INTRINSIC, read_panoptic_lifting
from backend.scene.transforms import read_transforms
from backend.scene.types import Scene, View
from protocol.errors import BadScene


def load_scene(root: Path, masks: Path | None = None) -> Scene:
    """Return the capture in the folder ``root``; no pixel is read, only headers.

    Layouts, the first that fits: COLMAP, nerfstudio and instant-ngp, NeRF-synthetic, Messy-Rooms,
    ScanNet and Replica as Panoptic-Lifting prepares them.

    Args:
        root: the folder.
        masks: the folder of the masks; None for the one that is customary in the layout.

    Raises:
        BadScene: if no layout fits, a file is damaged, a camera or pose cannot be used, or no photograph is there.
        BadMask: if a mask cannot be read, does not fit its photograph, or ``masks`` holds none.
        BadArgument: if ``masks`` is no folder.
    """
    layout, capture = _read(root)
    names = view_names([shot.path for shot in capture.shots])
    found, warnings = _masks(root, masks, capture, names)
    views = [
        View(name, shot.camera, shot.file, mask, shot.lens, shot.held_out)
        for name, shot, mask in zip(names, capture.shots, found, strict=True)
    ]
    views.sort(key=lambda view: natural_key(view.name))
    check_masks(views)
    return Scene(
        root, layout, tuple(views), capture.points, capture.colours, capture.warnings + warnings, capture.matched
    )


def describe_scene(scene: Scene) -> str:
    """Return one line for a person: "colmap scene, 80 views of 400 x 400, 80 masks, 8,000 points"."""
    sizes = sorted({(view.camera.width, view.camera.height) for view in scene.views})
    (w, h), (W, H) = sizes[0], sizes[-1]
    size = f"{w} x {h}" if len(sizes) == 1 else f"{w} x {h} to {W} x {H}"
    masks = sum(view.mask_path is not None for view in scene.views)
    return f"{scene.layout} scene, {len(scene.views)} views of {size}, {masks} masks, {len(scene.points):,} points"


def _read(root: Path) -> tuple[str, Capture]:
    if not root.is_dir():
        raise BadScene(f"The scene folder {root} does not exist.")
    model = find_model(root)
    if model is not None:
        return "colmap", read_colmap(root, model)
    if (root / "transforms.json").is_file():
        return "transforms", read_transforms(root)
    if (root / TRAIN).is_file() or (root / TEST).is_file():
        return "nerf-synthetic", read_nerf_synthetic(root)
    if (root / "metadata.json").is_file() and (root / "color").is_dir():
        return "messy-rooms", read_messy_rooms(root)
    if (root / INTRINSIC).is_file() and (root / "color").is_dir():
        return "panoptic-lifting", read_panoptic_lifting(root)
    raise BadScene(
        f"{root} is no scene folder that can be read: looked for cameras, images and points3D (.bin or .txt) in "
        f"sparse/0, sparse and the folder itself, for transforms.json, for {TRAIN}, and for metadata.json with color/, "
        f"or {INTRINSIC} with color/.",
        "Run COLMAP on the photographs, or name the folder that holds its result.",
    )


def _masks(
    root: Path, given: Path | None, capture: Capture, names: list[str]
) -> tuple[list[Path | None], tuple[str, ...]]:
    """Return the mask of each shot: from the user's folder, else as the capture names it, else by custom."""
    if given is not None:
        return find_given_masks(given, capture.shots, names), ()
    if any(shot.mask for shot in capture.shots):
        return [shot.mask for shot in capture.shots], ()
    folders = [root / folder for folder in capture.mask_folders if (root / folder).is_dir()]
    for folder in folders:
        found = find_masks(folder, capture.shots, names)
        if any(found):
            return found, ()
    unused = tuple(f"The folder {folder} holds no mask named after a photograph." for folder in folders)
    return [None] * len(capture.shots), unused

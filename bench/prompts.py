"""Masks of named objects from a result: LERF-Mask and 3D-OVS score the objects that a text prompt names.

Lifting itself does not use text. The papers use a text detector (Grounding DINO with SAM) in one view and select the
objects inside its mask. Here its masks can be given. Without them, the true mask of the first view that shows the
object replaces a detector without errors. The objects selected in that one view are the mask in all other views.
:mod:`bench.text_prompts` selects objects by text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.evaluate.folders import read_ids
from backend.evaluate.panoptic import resize_nearest
from backend.evaluate.prompt_masks import WHITE, mask_files
from backend.scene import load_scene, split_views
from protocol.errors import BadArgument, BadMask
from protocol.result.names import label_map_path

INSIDE = 0.7
"""An object is selected if this share of its pixels is in the detected mask, as in Gaussian Grouping's script."""

Files = Mapping[tuple[str, str], Path]
"""The file of each (view, prompt)."""


def write_prompt_masks(result: Path, scene: Path, truth: Path, detections: Path | None, out: Path) -> None:
    """Write ``out/<view>/<prompt>.png`` for each true mask of a scene, from the label maps of a result.

    Args:
        result: the folder that segment wrote, with the test views of the scene held out.
        scene: the scene folder.
        truth: its folder of views with true masks, by name of the view or by number of the test view.
        detections: masks of a detector, ``<view>/<prompt>.png``, one view a prompt; None for the truth's.
        out: a folder.

    Raises:
        BadArgument: if a view of the truth is no test view, or a prompt has no detection. Fault: if a file is damaged.
    """
    wanted = mask_files(truth)
    given = mask_files(detections) if detections is not None else wanted
    maps = LabelMaps(result, scene)
    chosen = {}
    for prompt in dict.fromkeys(prompt for _, prompt in wanted):
        view, mask = first_detection(given, prompt)
        chosen[prompt] = chosen_objects(maps[view], mask)
    write_masks(maps, list(wanted), chosen, out)


class LabelMaps:
    """The label maps (H, W) of the test views of a result, by the name or the number of the view.

    Args:
        result: the folder that segment wrote, with the test views of the scene held out.
        scene: the scene folder.

    Raises:
        BadArgument: if the scene defines no test views. Fault: if it cannot be read.
    """

    def __init__(self, result: Path, scene: Path) -> None:
        self.result = result
        self.names = [view.name for view in split_views(load_scene(scene).views, "own")[1]]
        self.read: dict[str, NDArray[np.int64]] = {}

    def __getitem__(self, view: str) -> NDArray[np.int64]:
        """Return the label map of a view.

        Raises:
            BadArgument: if it is no test view. BadMask: if its map cannot be read.
        """
        if view not in self.read:
            self.read[view] = read_ids(label_map_path(self.result, test_view(view, self.names)))
        return self.read[view]


def write_masks(
    maps: LabelMaps, wanted: Sequence[tuple[str, str]], chosen: Mapping[str, Sequence[int]], out: Path
) -> None:
    """Write ``out/<view>/<prompt>.png``, white where a view shows the objects of the prompt.

    Args:
        maps: the label maps of the test views.
        wanted: pairs of view and prompt.
        chosen: the objects of each prompt; without any its masks are black.
        out: a folder.
    """
    for view, prompt in wanted:
        file = out / view / f"{prompt}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * np.isin(maps[view], list(chosen[prompt])).astype(np.uint8)).save(file)


def test_view(folder: str, names: Sequence[str]) -> str:
    """Return the test view that a folder of true masks is of: the one of that name, or else of that number.

    Raises:
        BadArgument: if it does not exist.
    """
    if folder in names:
        return folder
    if folder.isascii() and folder.isdigit() and int(folder) < len(names):
        return names[int(folder)]
    raise BadArgument(f"The masks of view {folder} belong to none of the {len(names)} test views.")


def first_detection(files: Files, prompt: str) -> tuple[str, NDArray[np.bool_]]:
    """Return the first view that has a mask of the prompt with anything in it, and that mask.

    Raises:
        BadArgument: if no mask was found. BadMask: if a file is not an image.
    """
    for (view, named), file in files.items():
        if named == prompt:
            mask = _read(file)
            if mask.any():
                return view, mask
    raise BadArgument(f"No view has a mask of {prompt!r} to choose objects by.", "Detect it in one view.")


def chosen_objects(labels: NDArray[np.integer], mask: NDArray[np.bool_]) -> list[int]:
    """Return the objects that lie inside a mask, or else the one that overlaps it best; none where no object does.

    Args:
        labels: (H, W) of the view, 0 for background.
        mask: (H', W'), resized to the labels by nearest neighbour.
    """
    inside = resize_nearest(mask.astype(np.int64), labels.shape) > 0
    area = np.bincount(labels.ravel())
    shared = np.bincount(labels[inside], minlength=len(area))
    area[0] = shared[0] = 0
    chosen = np.flatnonzero(shared > INSIDE * np.maximum(area, 1))
    if len(chosen) == 0 and shared.any():
        chosen = np.array([(shared / np.maximum(area + inside.sum() - shared, 1)).argmax()])
    return chosen.tolist()


def _read(file: Path) -> NDArray[np.bool_]:
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("L")) > WHITE
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadMask(f"The mask {file} cannot be read: {error}.", "Save it as a black and white PNG.") from error

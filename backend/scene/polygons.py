"""Polygons of annotation programs as masks: COCO's ``segmentation`` and the files of LabelMe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon as draw_polygon

from backend.scene.mask_limits import Size
from protocol.errors import BadMask

LARGEST = 1 << 20
"""Largest coordinate in pixels."""
SHAPES = ("polygon", "rectangle", "circle")


def declared_size(content: Any) -> Size | None:
    """Return width and height of the photograph that a file declares, or None."""
    if not isinstance(content, dict):
        return None
    pictures = content.get("images")
    first = pictures[0] if isinstance(pictures, list) and pictures else content.get("image")
    for holder, width, height in (
        (content, "imageWidth", "imageHeight"),
        (content, "img_width", "img_height"),
        (first, "width", "height"),
    ):
        if isinstance(holder, dict):
            sides = [side for side in (holder.get(width), holder.get(height)) if type(side) is int]
            if len(sides) == 2 and 0 < min(sides) <= max(sides) <= LARGEST:
                return sides[0], sides[1]
    return None


def labelme_items(shapes: Any, file: Path) -> list[dict[str, Any]]:
    """Return the instances of a LabelMe file as COCO writes them; shapes of one group are one instance.

    Raises:
        BadMask: if a shape has no area or is damaged.
    """
    groups: dict[Any, list[Any]] = {}
    for number, shape in enumerate(shapes if isinstance(shapes, list) else []):
        kind = shape.get("shape_type", "polygon") if isinstance(shape, dict) else None
        if kind not in SHAPES:
            raise BadMask(
                f"The mask {file} contains the shape {kind!r}; supported shapes are {', '.join(SHAPES)}.",
                "Draw polygons, or export the annotations as images.",
            )
        group = shape.get("group_id")
        key = number if type(group) is not int else (group, str(shape.get("label")))
        groups.setdefault(key, []).append(_outline(shape.get("points"), kind, file))
    return [{"segmentation": polygons} for polygons in groups.values()]


def _outline(points: Any, kind: str, file: Path) -> list[float]:
    try:
        corners = [(float(x), float(y)) for x, y in points]
        if kind == "rectangle":
            (x, y), (X, Y) = corners
            corners = [(x, y), (X, y), (X, Y), (x, Y)]
        if kind == "circle":
            (x, y), edge = corners
            radius = math.dist((x, y), edge)
            turns = [2 * math.pi * i / 64 for i in range(64)]
            corners = [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]
    except (TypeError, ValueError) as error:
        raise _damaged(file) from error
    return [value for corner in corners for value in corner]


def is_polygons(item: Any) -> bool:
    """Whether a ``segmentation`` is a list of polygons, not run lengths."""
    return isinstance(item, list)


def fill(polygons: Sequence[Any], size: Size, file: Path) -> NDArray[np.bool_]:
    """Return the mask (H, W) of polygons, each a list x, y, x, y and so on in pixels.

    Raises:
        BadMask: if a polygon has less than three corners or is damaged.
    """
    width, height = size
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        is_right = isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0
        if not is_right or not all(type(v) in (int, float) and abs(v) <= LARGEST for v in polygon):
            raise _damaged(file)
        # A corner at x is the left edge of the pixel x, as in COCO; skimage counts from the centre of pixel 0.
        corners = np.array(polygon, np.float64).reshape(-1, 2) - 0.5
        mask[draw_polygon(corners[:, 1], corners[:, 0], mask.shape)] = True
    return mask


def _damaged(file: Path) -> BadMask:
    return BadMask(
        f"The mask {file} contains a polygon without three corners.", "Write a polygon as a list x, y, x, y, ..."
    )

"""`overview.png`: photographs, input masks and lifted labels side by side, in the colours that Blender shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from backend.objects.table import palette

CELL = 320
"""Longest side of one picture, pixels."""
TITLES = ("photograph", "input mask, ids of its own", "lifted labels")


class Row(NamedTuple):
    """One view of the overview: photograph (H, W, 3) uint8, mask (H', W') ids or None, labels (H", W") ids."""

    name: str
    photograph: NDArray[np.uint8]
    mask: NDArray[np.integer] | None
    labels: NDArray[np.integer]


def overview(rows: Sequence[Row]) -> Image.Image:
    """Return a picture with one row per view and the columns of :data:`TITLES`."""
    sizes = [_fit(row.photograph.shape[1], row.photograph.shape[0]) for row in rows]
    header, gap = 24, 8
    width = max(size[0] for size in sizes)
    page = Image.new("RGB", (3 * width + 4 * gap, header + sum(size[1] + gap for size in sizes)), (250, 250, 250))
    draw = ImageDraw.Draw(page)
    for column, title in enumerate(TITLES):
        draw.text((gap + column * (width + gap), 6), title, fill=(40, 40, 40))
    top = header
    for row, size in zip(rows, sizes, strict=True):
        pictures = (Image.fromarray(row.photograph), paint(row.mask), paint(row.labels))
        for column, picture in enumerate(pictures):
            left = gap + column * (width + gap)
            if picture is None:
                draw.text((left + 8, top + 8), "no mask", fill=(120, 120, 120))
            else:
                resample = Image.Resampling.LANCZOS if column == 0 else Image.Resampling.NEAREST
                page.paste(picture.resize(size, resample), (left, top))
        draw.text((gap + 4, top + 4), row.name, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
        top += size[1] + gap
    return page


def paint(ids: NDArray[np.integer] | None) -> Image.Image | None:
    """Return an id map in the labels' colours, or None for None."""
    if ids is None:
        return None
    colours = palette(int(ids.max(initial=0)) if ids.max(initial=0) < 4096 else 4095)
    return Image.fromarray(colours[np.where(ids > 0, (ids - 1) % (len(colours) - 1 or 1) + 1, 0)])


def _fit(width: int, height: int) -> tuple[int, int]:
    scale = CELL / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))

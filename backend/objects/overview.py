"""`overview.png`: photographs, input masks and lifted labels side by side, in the colours that Blender shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from protocol.result.colours import palette

T = TypeVar("T")

CELL = 320
"""Longest side of one image, pixels."""
TITLES = ("input mask (its own ids)", "lifted labels")
OVERVIEW_ROWS = 4
"""Most views in an overview."""


class Row(NamedTuple):
    """One view of the overview: photograph (H, W, 3) uint8, mask (H', W') ids or None, labels (H", W") ids."""

    name: str
    photograph: NDArray[np.uint8]
    mask: NDArray[np.integer] | None
    labels: NDArray[np.integer]


def overview(rows: Sequence[Row], picture: str = "photograph") -> Image.Image:
    """Return an image with one row per view: its ``picture``, as the column is titled, and those of :data:`TITLES`."""
    drawn = []
    for row in rows:
        size = _fit(row.photograph.shape[1], row.photograph.shape[0])
        photograph = Image.fromarray(row.photograph).resize(size, Image.Resampling.LANCZOS)
        mask = None if row.mask is None else paint(row.mask)
        drawn.append((row.name, size, [photograph, mask, paint(row.labels)]))
    return page((picture, *TITLES), drawn)


def page(
    titles: Sequence[str], rows: Sequence[tuple[str, tuple[int, int], Sequence[Image.Image | None]]]
) -> Image.Image:
    """Return an image with a grid of images, one column for each of ``titles``.

    Args:
        rows: the name of each row, (width, height) of its images, and the images; None for a missing mask.
    """
    header, gap = 24, 8
    width = max(size[0] for _, size, _ in rows)
    across = len(titles) * width + (len(titles) + 1) * gap
    sheet = Image.new("RGB", (across, header + sum(size[1] + gap for _, size, _ in rows)), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((gap + column * (width + gap), 6), title, fill=(40, 40, 40))
    top = header
    for name, size, pictures in rows:
        for column, picture in enumerate(pictures):
            left = gap + column * (width + gap)
            if picture is None:
                draw.text((left + 8, top + 8), "no mask", fill=(120, 120, 120))
            else:
                sheet.paste(picture.resize(size, Image.Resampling.NEAREST), (left, top))
        draw.text((gap + 4, top + 4), name, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
        top += size[1] + gap
    return sheet


def paint(ids: NDArray[np.integer] | None) -> Image.Image | None:
    """Return an id map in the colours of labels, or None for None."""
    if ids is None:
        return None
    colours = palette(int(ids.max(initial=0)) if ids.max(initial=0) < 4096 else 4095)
    return Image.fromarray(colours[np.where(ids > 0, (ids - 1) % (len(colours) - 1 or 1) + 1, 0)])


def _fit(width: int, height: int) -> tuple[int, int]:
    scale = CELL / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))

"""Held-out photographs next to renders of the same views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from backend.objects.overview import CELL, page
from backend.render import Renderer
from backend.scene import evenly_spread, read_image
from backend.scene.types import View

TITLES = ("photograph, not used", "rendered", "difference, four times")


def held_out_page(renderer: Renderer, views: Sequence[View], most: int = 4) -> Image.Image:
    """Return an image with one row for each of at most ``most`` of ``views``, spread evenly."""
    rows = []
    for view in evenly_spread(views, most):
        size = view.camera.size_within(CELL)
        photograph = read_image(view, size)
        shown = np.round(255 * renderer.image(view.camera.resized(*size)).clip(0, 1)).astype(np.uint8)
        difference = np.abs(photograph.astype(int) - shown).max(2) * 4
        pictures = (photograph, shown, difference.clip(0, 255).astype(np.uint8))
        rows.append((view.name, size, [Image.fromarray(picture).convert("RGB") for picture in pictures]))
    return page(TITLES, rows)

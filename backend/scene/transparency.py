"""Decides what the transparent pixels of a capture's photographs mean: empty space, or a part that is hidden.

Programs that remove the background, and renderers, make the surroundings of an object transparent: nothing is there,
and nothing must be reconstructed there. People also erase what must not be reconstructed, such as a tripod or a
passer-by; the scene continues behind it. Other programs leave the choice to the user. Here the sparse points decide: if
pixels are hidden, points that other photographs show lie there as densely as elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.scene.images import alpha_range, is_transparent_format, read_with_alpha
from backend.scene.split import evenly_spread
from backend.scene.types import Camera, Transparent, View
from protocol.errors import BadScene

LOOKED_AT = 8
"""Photographs whose pixels are read."""

LONG_SIDE = 256
"""Size in pixels at which they are compared with the points."""

MOST_POINTS = 5000
FEWEST_POINTS = 50
"""Points on surfaces from which the meaning is decided; with fewer, transparent pixels are empty."""

AS_DENSE = 0.15
"""Density of surface points in transparent pixels, relative to opaque ones, from which the scene is hidden there. In
generated captures it is 0.4 to 0.45 if parts are hidden, and below 0.01 if objects are cut out."""


def with_transparency(
    views: Sequence[View], points: NDArray[np.float32], meaning: Transparent | None = None
) -> tuple[list[View], tuple[str, ...]]:
    """Return the views with the meaning of their transparent pixels, and a warning that tells it.

    Args:
        views: at least one. The headers of all photographs are read, and the pixels of a few.
        points: (P, 3), the sparse points of the scene.
        meaning: if the layout defines it; then there is no warning.

    Raises:
        BadScene: if a photograph cannot be read, or nothing in the photographs is opaque.
    """
    candidates = [view for view in views if is_transparent_format(view.image_path)]
    looked = evenly_spread(candidates, LOOKED_AT)
    ranges = [alpha_range(view.image_path) for view in looked]
    example = next((view for view, (least, _) in zip(looked, ranges, strict=True) if least < 255), None)
    if example is None:
        return list(views), ()
    if len(candidates) == len(views) and not any(most for _, most in ranges):
        raise BadScene(
            f"All inspected photographs, such as {example.image_path}, are transparent everywhere.",
            "Save the photographs without an alpha channel.",
        )
    found = meaning or _meaning(evenly_spread(views, LOOKED_AT), points)
    names = {view.name for view in candidates}
    marked = [replace(view, transparent=found) if view.name in names else view for view in views]
    return marked, () if meaning else (_warning(found, example),)


def _warning(meaning: Transparent, example: View) -> str:
    file = example.image_path
    if meaning == "empty":
        return f"Transparent pixels of photographs, such as {file}, were treated as empty space around the objects."
    return f"Transparent pixels of photographs, such as {file}, were ignored: other photographs show the scene there."


def _meaning(views: Sequence[View], points: NDArray[np.float32]) -> Transparent:
    if len(points) < FEWEST_POINTS:
        return "empty"
    if len(points) > MOST_POINTS:
        points = points[:: -(-len(points) // MOST_POINTS)]
    opaque, clear = np.zeros(len(points), int), np.zeros(len(points), int)
    area = np.zeros(2)
    for view in views:
        size = view.camera.size_within(LONG_SIDE)
        alpha = read_with_alpha(view, size).alpha
        shows = np.ones(size[::-1], bool) if alpha is None else alpha > 127
        rows, pixels = _pixels_of(points, view.camera.resized(*size))
        here = shows.reshape(-1)[pixels]
        opaque[rows] += here
        clear[rows] += ~here
        area += shows.sum(), (~shows).sum()
    surface = opaque > clear
    if surface.sum() < FEWEST_POINTS:
        return "empty"
    density = np.array([opaque[surface].sum(), clear[surface].sum()]) / np.maximum(area, 1)
    return "hidden" if density[1] > AS_DENSE * density[0] else "empty"


def _pixels_of(points: NDArray[np.float32], camera: Camera) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the points inside the image, and their row-major pixel numbers."""
    seen = camera.from_world(points) @ camera.K.T
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
    rows = np.flatnonzero((seen[:, 2] > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height))
    return rows, y[rows].astype(np.int64) * camera.width + x[rows].astype(np.int64)

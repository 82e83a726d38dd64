"""Clicks: the object at a place, its part at the next click there, then the object again; sets of objects and parts.

Shift adds, Control takes away, and both together keep what old and new selection have in common.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.scene.types import Camera
from protocol.errors import BadArgument
from protocol.ray_picking import SAME_PLACE, Mode, RayIndex, combined, label_of
from protocol.splats import Splats


class _Last(NamedTuple):
    """The last click, and what it selected."""

    x: float
    y: float
    label: int
    part: int
    mode: Mode


class Clicks:
    """The clicks on one scene.

    Args:
        splats: N Gaussians.
        labels: (N,) integer, the object of each; 0 is background.
        parts: (N,) integer, the part of each; 0 for none. None if no object has parts.
    """

    def __init__(self, splats: Splats, labels: NDArray[np.integer], parts: NDArray[np.integer] | None = None) -> None:
        self.index = RayIndex(splats)
        self.labels = labels
        self.parts = parts
        self.selected = np.zeros(len(splats), bool)
        self._before = self.selected
        self._last: _Last | None = None

    def click(self, camera: Camera, x: float, y: float, mode: Mode = "set") -> tuple[int, int]:
        """Select what is at a pixel.

        Args:
            camera: of the view that was clicked.
            x, y: pixels, column and row; (0.5, 0.5) is the centre of the first pixel.
            mode: what the click does with the selection so far. Further clicks of the same mode at the same place
                replace what the first one there did.

        Returns:
            The object, and its part if only the part was selected, else 0.

        Raises:
            BadArgument: if no object is at this place; the selection is unchanged.
        """
        hits = self.index.hits(*ray_of(camera, x, y))
        label = label_of(hits, self.labels)
        if label == 0:
            raise BadArgument(f"No object is at pixel {x:g} {y:g}.", "Click an object.")
        last, part = self._last, 0
        if last is None or (last.label, last.mode) != (label, mode) or np.hypot(x - last.x, y - last.y) > SAME_PLACE:
            self._before = self.selected
        elif self.parts is not None and not last.part:
            part = label_of(hits, np.where(self.labels == label, self.parts, 0))
        self._last = _Last(x, y, label, part, mode)
        chosen = self.labels == label
        if part and self.parts is not None:
            chosen &= self.parts == part
        self.selected = combined(self._before, chosen, mode)
        return label, part


def ray_of(camera: Camera, x: float, y: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the origin and the direction (3,) of the ray through a pixel, in the frame of the scene."""
    local = np.linalg.solve(camera.K, np.array([x, y, 1.0]))
    return camera.centre, camera.viewmat[:3, :3].T @ local

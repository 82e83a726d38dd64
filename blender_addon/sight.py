"""From where a view is seen. Does not import bpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class Sight(NamedTuple):
    """From where a view is seen.

    Attributes:
        view: (4, 4), world to the axes of the view: x right, y up, z towards the viewer.
        projection: (4, 4), those axes to the cube of normalised device coordinates.
        width, height: pixels.
    """

    view: Matrix
    projection: Matrix
    width: int
    height: int

    @property
    def is_flat(self) -> bool:
        """Whether it is an orthographic view."""
        return bool(self.projection[3, 3] > 0.5)

    @property
    def near(self) -> float:
        """Distance from which on something is seen."""
        (a, b) = self.projection[2, 2:]
        return float((b + 1) / a) if self.is_flat else float(b / (a - 1))

    def same_as(self, other: Sight) -> bool:
        """Whether both show the same from the same place."""
        return self[2:] == other[2:] and all(np.array_equal(a, b) for a, b in zip(self[:2], other[:2], strict=True))

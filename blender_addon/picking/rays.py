"""From a pixel of a view to a ray in the world. Does not import bpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument

from ..sight import Matrix, Sight


class Ray(NamedTuple):
    """A ray: points ``origin + t * direction`` with t above 0; both are (3,)."""

    origin: NDArray[np.float64]
    direction: NDArray[np.float64]

    def seen_from(self, matrix: Matrix) -> Ray | None:
        """Return the ray in the frame that ``matrix`` (4, 4) maps to this one; None if it has no inverse.

        The same t gives the same point, so distances along rays in several frames can be compared.
        """
        back = _inverse(matrix)
        return None if back is None else Ray(back @ (self.origin - matrix[:3, 3]), back @ self.direction)


def ray_through(sight: Sight, x: float, y: float) -> Ray:
    """Return the ray through a pixel, in the world.

    It begins at the near plane of a view, in front of which nothing is seen.

    Args:
        x, y: pixels from the lower left corner, as Blender counts them in a region; (0.5, 0.5) is the centre of the
            first pixel.

    Raises:
        BadArgument: if the matrix of the view has no inverse.
    """
    p = sight.projection
    across, up = 2 * x / sight.width - 1, 2 * y / sight.height - 1
    if sight.is_flat:
        heading = np.array([0.0, 0.0, -1.0])
        # The near plane of a flat view usually lies behind the viewer.
        local = np.array([(across - p[0, 3]) / p[0, 0], (up - p[1, 3]) / p[1, 1], -(1 + p[2, 3]) / p[2, 2]])
    else:
        heading = np.array([(across + p[0, 2]) / p[0, 0], (up + p[1, 2]) / p[1, 1], -1.0])
        local = heading * p[2, 3] / (p[2, 2] - 1)
    ray = Ray(local, heading).seen_from(sight.view)
    if ray is None:
        raise BadArgument("The view is flat.", "Reset the view: View > Frame All.")
    return ray


def _inverse(matrix: Matrix) -> Matrix | None:
    """Return the inverse (3, 3) of the linear part of a matrix; None if there is none.

    By hand, because LAPACK starts threads, which takes longer than a whole click while other programs run.
    """
    (a, b, c), (d, e, f), (g, h, i) = matrix[:3, :3].tolist()
    adjugate = ((e * i - f * h, c * h - b * i, b * f - c * e), (f * g - d * i, a * i - c * g, c * d - a * f))
    last = (d * h - e * g, b * g - a * h, a * e - b * d)
    determinant = a * adjugate[0][0] + b * adjugate[1][0] + c * last[0]
    if abs(determinant) < 1e-30:
        return None
    return np.array([*adjugate, last]) / determinant

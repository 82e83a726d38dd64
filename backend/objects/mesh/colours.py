"""Colours of a surface from the cameras of the capture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates, maximum_filter, minimum_filter
from scipy.spatial import KDTree

from backend.objects.mesh.object_views import ObjectView
from backend.render import Renderer
from backend.scene.types import Camera

SHARPNESS = 4
"""Exponent of the cosine between surface and view in the weight of a view: frontal views show most detail."""

EDGE_FROM, EDGE_TO = 1.5, 3.0
"""Distances in pixels of the camera from an edge. Nearer than the first, a photograph shows a mixture with what lies
beside it, and depths are off by about as much; from the second on a view has its full weight."""

JUMP = 8.0
"""Difference of depth between pixels less than two apart, in sizes of a pixel, from which an edge lies between them."""

AT_EDGE = 1e-4
"""Share of its weight that a view has at an edge, for points that every view shows at one."""

NEAREST = 4
"""Number of seen points that an unseen point gets its colour from."""

GAIN = 3.0
"""Most by which a photograph is brightened or darkened to the exposure of the Gaussians."""

Photograph = Callable[[int], NDArray[np.uint8] | None]
"""Returns the undistorted photograph (H, W, 3), sRGB, of a camera by its index, at any size; None if there is none."""


class Painter:
    """Finds the colours of points on the surface of an object.

    Args:
        views: of the object.
        cameras: of the capture.
        renderer: of the whole scene.
        slack: largest distance of a point from the surface that a view shows, scene units.
        photograph: the pictures that colours are read from; where there is none, ``renderer`` renders one. The exposure
            of a photograph is matched to that of the Gaussians, which is the same in all views.
    """

    def __init__(
        self,
        views: Sequence[ObjectView],
        cameras: Sequence[Camera],
        renderer: Renderer,
        slack: float,
        photograph: Photograph | None = None,
    ) -> None:
        self._views = [
            (look, look.captured, _from_edges(look, cameras[look.captured]))
            for look in views
            if look.captured is not None
        ]
        self._cameras, self._renderer, self._slack, self._photograph = cameras, renderer, slack, photograph

    def colours_of(self, points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the colours (P, 3), sRGB, of points.

        Points that no camera of the capture sees get the colours of their nearest seen points; grey if no point is
        seen.

        Args:
            points: (P, 3), scene units.
            normals: (P, 3), unit length, outwards.
        """
        total, weight = np.zeros((len(points), 3)), np.zeros(len(points))
        for look, number, apart in self._views:
            rows, share = _seen(points, normals, look, apart, self._slack)
            if len(rows):
                total[rows] += share[:, None] * self._shown(points[rows], look, number, share)
                weight[rows] += share
        seen = weight > 0
        if not seen.any():
            return np.full((len(points), 3), 128, np.uint8)
        colours = total / np.maximum(weight, 1e-12)[:, None]
        if not seen.all():
            near = min(NEAREST, int(seen.sum()))
            _, index = KDTree(points[seen]).query(points[~seen], k=near)
            colours[~seen] = colours[seen][index.reshape(-1, near)].mean(1)
        return np.round(255 * colours.clip(0, 1)).astype(np.uint8)

    def _shown(
        self, points: NDArray[np.float64], look: ObjectView, number: int, share: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the colours (R, 3) that a view shows of points."""
        rendered = _sampled(self._renderer.image(look.camera).clip(0, 1), look.camera, points)
        photograph = None if self._photograph is None else self._photograph(number)
        if photograph is None:
            return rendered
        found = _sampled(photograph, self._cameras[number], points) / 255
        gain = (share[:, None] * rendered).sum(0) / np.maximum((share[:, None] * found).sum(0), 1e-6)
        return found * gain.clip(1 / GAIN, GAIN)


def _sampled(image: NDArray, camera: Camera, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the colours (R, 3) of an image at points in front of its camera; the image may have another size."""
    there = camera.from_world(points)
    at = there @ camera.K.T
    scale = np.array(image.shape[1::-1]) / [camera.width, camera.height]
    column, row = (at[:, :2] / at[:, 2:] * scale - 0.5).T
    return np.stack([map_coordinates(image[..., c], [row, column], float, 1, "nearest") for c in range(3)], 1)


def _from_edges(look: ObjectView, camera: Camera) -> NDArray[np.float32]:
    """Return the distance (H, W) of each pixel of a view from the nearest edge, in pixels of its camera.

    An edge is where the object ends, where something hides it, and where it hides a part of itself.
    """
    there = look.depth > 0
    low = minimum_filter(np.where(there, look.depth, np.inf), 3)
    high = maximum_filter(np.where(there, look.depth, -np.inf), 3)
    whole = there & (high - low < JUMP * look.depth / look.camera.K[0, 0])
    apart = np.asarray(distance_transform_edt(whole)) if not whole.all() else np.full(whole.shape, np.inf)
    return (apart * camera.K[0, 0] / look.camera.K[0, 0]).astype(np.float32)


def _seen(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    look: ObjectView,
    apart: NDArray[np.float32],
    slack: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the points that a view shows, indices (R,), and their weights (R,).

    Args:
        apart: see :func:`_from_edges`.
    """
    camera = look.camera
    there = camera.from_world(points)
    z = np.maximum(there[:, 2], 1e-12)
    column = camera.K[0, 0] * there[:, 0] / z + camera.K[0, 2]
    row = camera.K[1, 1] * there[:, 1] / z + camera.K[1, 2]
    away = camera.centre - points
    cosine = (normals * away).sum(1) / np.maximum(np.linalg.norm(away, axis=1), 1e-12)
    inside = (
        (there[:, 2] > 0) & (column > 0) & (row > 0) & (column < camera.width) & (row < camera.height) & (cosine > 0)
    )
    rows = np.flatnonzero(inside)
    depth = look.depth[row[rows].astype(int), column[rows].astype(int)]
    rows = rows[(depth > 0) & (np.abs(depth - there[rows, 2]) * cosine[rows] < slack)]
    apart = apart[row[rows].astype(int), column[rows].astype(int)]
    inside = ((apart - EDGE_FROM) / (EDGE_TO - EDGE_FROM)).clip(AT_EDGE, 1)
    return rows, cosine[rows] ** SHARPNESS * inside

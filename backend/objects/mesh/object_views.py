"""Views of one object: depth of its surface, and free space in front of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from backend.render.model import NEAR
from backend.render.opacity_depth import DepthRenderer, Depths
from backend.scene.pose import looking_at
from backend.scene.types import Camera

Some = TypeVar("Some")
CAPTURE_VIEWS = 32
"""Most cameras of the capture that show the surface of an object."""

OUTLINE_VIEWS = 24
"""Most cameras of the capture that show its outlines."""

ORBIT_VIEWS = 32
"""Virtual cameras around an object, before those from directions without a camera of the capture are removed."""

ORBIT_ANGLE = np.cos(np.radians(25))
"""Cosine of the largest angle between a virtual camera and the nearest camera of the capture, seen from the object.

Beyond it, virtual cameras would see the Gaussians from sides that no photograph has constrained.
"""

ORBIT_DISTANCE = 2.5
"""Distance of virtual cameras from the object's centre, in half diagonals of its box."""

LONGEST = 512
"""Most pixels along the longer side of a view."""

GRAZING = 0.2
"""Least cosine between surface and view; more grazing depths are not used."""


class Box(NamedTuple):
    """An axis-aligned box: its corners (3,) float64, scene units."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def middle(self) -> NDArray[np.float64]:
        return (self.low + self.high) / 2

    @property
    def diagonal(self) -> float:
        return float(np.linalg.norm(self.high - self.low))

    @property
    def corners(self) -> NDArray[np.float64]:
        """(8, 3)."""
        picks = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
        return np.where(picks, self.high, self.low)


@dataclass(frozen=True)
class ObjectView:
    """What one camera shows of an object.

    Attributes:
        camera: cropped to the object.
        depth: (H, W) float32, of the object's own surface along the camera's z axis; 0 if hidden or absent.
        facing: (H, W) float32, the cosine between surface and view; 0 if the depth is not used.
        free: (H, W) float32, the depth up to which the object is absent along the pixel's ray; 0 if the pixel has a
            depth or something hides the object, infinite if nothing is visible.
        captured: index of the camera in the capture; None for a virtual one.
    """

    camera: Camera
    depth: NDArray[np.float32]
    facing: NDArray[np.float32]
    free: NDArray[np.float32]
    captured: int | None


class Outline(NamedTuple):
    """The outline of an object in a photograph.

    Attributes:
        camera: cropped to the object, with pixels of the size of the photograph's.
        free: (H, W) float32, see :class:`ObjectView`.
    """

    camera: Camera
    free: NDArray[np.float32]


def outlines(
    box: Box, cameras: Sequence[Camera], own: DepthRenderer, whole: DepthRenderer, is_own: NDArray[np.bool_]
) -> list[Outline]:
    """Return the outlines of an object in cameras of the capture; for the arguments see :func:`object_views`.

    At the size of its photographs the Gaussians were fitted to them. Smaller pictures blur them over more of the
    object: the outline of one at half the size lies 0.3 pixels further outside.
    """
    crops = [crop for camera in cameras if (crop := crop_to_box(camera, box)) is not None]
    found = []
    for camera in _thinned(crops, OUTLINE_VIEWS):
        alone, scene = own.draw(camera, rough=True), whole.draw(camera, rough=True)
        found.append(Outline(camera, _free(alone.depth > 0, scene, is_own)))
    return found


def object_views(
    box: Box,
    cameras: Sequence[Camera],
    pixel: float,
    own: DepthRenderer,
    whole: DepthRenderer,
    is_own: NDArray[np.bool_],
) -> list[ObjectView]:
    """Return views of the object in a box, from cameras of the capture and virtual ones around it.

    Args:
        cameras: of the capture.
        pixel: size of a pixel on the object, scene units.
        own: the object's Gaussians alone.
        whole: the N Gaussians of the scene.
        is_own: (N,) whether a Gaussian of the scene is the object's.
    """
    crops = [(n, crop_to_box(camera, box, pixel)) for n, camera in enumerate(cameras)]
    captured = [(n, crop) for n, crop in crops if crop is not None]
    views = [_object_view(crop, own, whole, is_own, captured=n) for n, crop in _thinned(captured, CAPTURE_VIEWS)]
    around = _orbit(box, [crop for _, crop in captured])
    virtual = [crop for camera in around if (crop := crop_to_box(camera, box, pixel)) is not None]
    return views + [_object_view(camera, own, whole, is_own, captured=None) for camera in virtual]


def _thinned(views: Sequence[Some], most: int) -> list[Some]:
    """Return at most ``most`` of the views, evenly spaced."""
    count = min(len(views), most)
    return [views[n * len(views) // count] for n in range(count)]


def crop_to_box(camera: Camera, box: Box, pixel: float | None = None) -> Camera | None:
    """Return the part of a camera's image that shows a box, or None if it shows none of it.

    Args:
        pixel: size of a pixel of the returned camera at the centre of the box, scene units; None for that of the
            camera. Pixels are larger if there would be more than :data:`LONGEST` along a side.
    """
    there = camera.from_world(box.corners)
    middle = float(there[:, 2].mean())
    if middle <= NEAR:
        return None
    low, high = np.zeros(2), np.array([camera.width, camera.height], float)
    if there[:, 2].min() > NEAR:  # otherwise the box extends behind the camera, and any part of the image may show it
        at = there @ camera.K.T
        at = at[:, :2] / at[:, 2:]
        low, high = np.maximum(low, at.min(0)), np.minimum(high, at.max(0))
    if (high - low).min() < 1:
        return None
    wanted = 1.0 if pixel is None else middle / (camera.K[0, 0] * pixel)
    factor = min(wanted, LONGEST / (high - low).max())
    K = camera.K.copy()
    K[:2, 2] -= low
    K[:2] *= factor
    width, height = (max(1, int(n)) for n in np.ceil((high - low) * factor))
    return replace(camera, K=K, width=width, height=height)


def _orbit(box: Box, captured: Sequence[Camera]) -> list[Camera]:
    """Return cameras around a box, spread evenly over the directions of the capture's cameras."""
    if not captured:
        return []
    seen_from = np.stack([camera.centre for camera in captured]) - box.middle
    seen_from /= np.linalg.norm(seen_from, axis=1, keepdims=True)
    turn = np.arange(ORBIT_VIEWS) * np.pi * (3 - np.sqrt(5))
    height = 1 - 2 * (np.arange(ORBIT_VIEWS) + 0.5) / ORBIT_VIEWS
    around = np.sqrt(1 - height**2)
    ways = np.stack([around * np.cos(turn), around * np.sin(turn), height], 1)
    ways = ways[(ways @ seen_from.T).max(1) >= ORBIT_ANGLE]
    distance = ORBIT_DISTANCE * box.diagonal / 2
    return [_camera_towards(box.middle, box.middle + distance * way) for way in ways]


def _camera_towards(target: NDArray, eye: NDArray) -> Camera:
    # No direction is up here; the axis farthest from the line of sight serves.
    viewmat = looking_at(eye, target, np.eye(3)[np.abs(target - eye).argmin()])
    # The whole box is visible from ORBIT_DISTANCE times its half diagonal.
    return Camera(
        viewmat, np.array([[LONGEST, 0, LONGEST / 2], [0, LONGEST, LONGEST / 2], [0, 0, 1.0]]), LONGEST, LONGEST
    )


def _object_view(
    camera: Camera, own: DepthRenderer, whole: DepthRenderer, is_own: NDArray[np.bool_], captured: int | None
) -> ObjectView:
    alone, scene = own.draw(camera), whole.draw(camera, rough=True)
    there = alone.depth > 0
    shown = there & (scene.ids >= 0) & is_own[scene.ids]
    # The median removes single pixels that look past the surface, or at a Gaussian in front of it.
    depth = np.where(shown, median_filter(alone.depth, 3), 0).astype(np.float32)
    facing = _facing(camera, depth)
    return ObjectView(camera, depth, facing, _free(there, scene, is_own), captured)


def _free(there: NDArray[np.bool_], scene: Depths, is_own: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the depth up to which the object is absent, (H, W), see :class:`ObjectView`.

    Args:
        there: (H, W), where the object alone is opaque.
        scene: depths of the whole scene.
    """
    background = ~there & ~(is_own[scene.ids] & (scene.ids >= 0))
    return np.where(background, np.where(scene.ids >= 0, scene.depth, np.inf), 0).astype(np.float32)


def _facing(camera: Camera, depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine between the surface of a depth map and the view, from finite differences; 0 at gaps."""
    x = (np.arange(camera.width) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(camera.height) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    points = np.stack([x[None, :] * depth, y[:, None] * depth, depth], -1)
    facing = np.zeros(depth.shape, np.float32)
    if min(depth.shape) < 3:
        return facing
    inner = points[1:-1, 1:-1]
    normal = np.cross(points[1:-1, 2:] - points[1:-1, :-2], points[2:, 1:-1] - points[:-2, 1:-1])
    size = np.linalg.norm(normal, axis=-1) * np.linalg.norm(inner, axis=-1)
    cosine = np.abs((normal * inner).sum(-1)) / np.maximum(size, 1e-30)
    whole = (depth[1:-1, 2:] > 0) & (depth[1:-1, :-2] > 0) & (depth[2:, 1:-1] > 0) & (depth[:-2, 1:-1] > 0)
    facing[1:-1, 1:-1] = np.where(whole & (inner[..., 2] > 0) & (cosine > GRAZING), cosine, 0)
    return facing

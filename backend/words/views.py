"""The views in which a detector may look, and how much of each object they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.evaluate.folders import read_ids
from backend.gallery.turntable import FIELD, INSIDE, axes_about, camera_towards
from backend.lift.label_maps import label_map
from backend.progress import Progress, silent
from backend.scene import read_image
from backend.scene.types import Camera, View
from backend.select.selection import Opened
from protocol.errors import BadResult
from protocol.result.names import BACKUP, label_map_path

CENTRES = 256
"""Most Gaussians of an object that are projected to measure how much of it a view shows."""
LEAST_PIXELS = 1 / 4000
"""Least share of an image that an object must cover to be judged; 40 pixels of 400 x 400."""
LEAST_SHOWN = 0.3
"""Least share of an object that must be visible; a detector is not expected to name less."""
VIRTUAL_VIEWS = 24
"""Number of rendered views around a result without cameras."""
VIRTUAL_SIZE = (640, 480)
"""Width and height of a rendered view without a camera, pixels."""
ELEVATIONS = (15.0, 40.0)
"""Degrees above the horizon of the virtual views, in turn."""
DISTANCES = (1.0, 0.6)
"""Distances of the virtual views in turn, relative to the one from which all objects are visible."""


@dataclass(frozen=True)
class Shown:
    """What one view shows.

    Attributes:
        name: of the view.
        camera: undistorted, at the size of ``ids``.
        ids: (H, W) int32, the object at each pixel; 0 for background.
        shown: (K + 1,) float64, per label how much of the object is visible, 0 to 1; 0 if it is too little to judge.
        boxes: (K + 1, 4) float64, left, top, right, bottom of the visible pixels of each label.
    """

    name: str
    camera: Camera
    ids: NDArray[np.int32]
    shown: NDArray[np.float64]
    boxes: NDArray[np.float64]


@dataclass(frozen=True)
class Pictures:
    """Gives the picture of a view: the photograph if there is one, else a rendered image.

    Attributes:
        opened: the result.
        photographs: views of the scene by name; empty to render.
    """

    opened: Opened
    photographs: Mapping[str, View]

    def __call__(self, view: Shown) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8, sRGB, undistorted; a photograph has at least the size of the view."""
        if view.name in self.photographs:
            return read_image(self.photographs[view.name])
        image = self.opened.renderer.image(view.camera)
        return np.round(255 * image.clip(0, 1)).astype(np.uint8)


def views_of(
    opened: Opened, folder: Path, photographs: Mapping[str, View] | None = None, progress: Progress = silent
) -> tuple[list[Shown], Pictures]:
    """Return what each view of a result shows, and its pictures.

    A result without cameras gets virtual views around the objects. They show objects only, because walls would hide
    them.

    Args:
        opened: the result in ``folder``. Stored id maps are used if they are those of the labels and the photograph
            has no lens distortion; else they are rendered.
        photographs: views of the scene by name; the pictures of other views are rendered.

    Raises:
        BadResult: if an id map contains an id that no Gaussian has.
    """
    count = int(opened.labels.max(initial=0))
    cameras = opened.cameras
    if not cameras:
        rows = np.flatnonzero(opened.labels)
        opened = replace(opened, splats=opened.splats.pick(rows), labels=opened.labels[rows])
        cameras = virtual_cameras(opened.splats.means, opened.up)
    is_edited = (folder / BACKUP).exists()
    samples = sampled_centres(opened.splats.means, opened.labels, count)
    found = []
    for done, (name, camera) in enumerate(cameras.items()):
        progress("views", done / len(cameras), name)
        stored = label_map_path(folder, name)
        if name not in opened.lenses and not is_edited and stored.is_file():
            ids = _read_stored(stored, count)
            camera = camera.resized(ids.shape[1], ids.shape[0])
        else:
            ids = label_map(opened.renderer, opened.labels, camera)
        found.append(shown_in(name, camera, ids, samples))
    return found, Pictures(opened, photographs or {})


def _read_stored(file: Path, count: int) -> NDArray[np.int32]:
    ids = read_ids(file)
    if ids.max() > count or ids.min() < 0:
        raise BadResult(
            f"{file} contains the id {ids.max()}, but the result has {count} objects.", "Segment the scene again."
        )
    return ids.astype(np.int32)


def virtual_cameras(means: NDArray[np.float32], up: tuple[float, float, float]) -> dict[str, Camera]:
    """Return cameras around Gaussians with centres ``means`` (N, 3), by name; none if N is 0."""
    if not len(means):
        return {}
    axes = axes_about(np.array(up) / np.linalg.norm(up))
    low, high = np.percentile(means @ axes.T, INSIDE, axis=0)
    centre, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    found = {}
    for number in range(VIRTUAL_VIEWS):
        angle = 2 * np.pi * number / VIRTUAL_VIEWS
        height = np.radians(ELEVATIONS[number % len(ELEVATIONS)])
        distance = DISTANCES[number // len(ELEVATIONS) % len(DISTANCES)] * radius / np.sin(FIELD / 2)
        towards = np.array([np.cos(height) * np.cos(angle), np.cos(height) * np.sin(angle), np.sin(height)])
        place = centre + distance * towards
        found[f"virtual {number}"] = camera_towards(place @ axes, centre @ axes, axes[2], VIRTUAL_SIZE)
    return found


def sampled_centres(means: NDArray[np.float32], labels: NDArray[np.integer], count: int) -> list[NDArray[np.float64]]:
    """Return up to :data:`CENTRES` centres (n, 3) of each label 0 to ``count``; none of the background."""
    rng = np.random.default_rng(0)
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(count + 2))
    found = [np.zeros((0, 3))]
    for label in range(1, count + 1):
        rows = order[ends[label] : ends[label + 1]]
        rows = rows if len(rows) <= CENTRES else rng.choice(rows, CENTRES, replace=False)
        found.append(means[rows].astype(np.float64))
    return found


def shown_in(name: str, camera: Camera, ids: NDArray[np.int32], samples: Sequence[NDArray[np.float64]]) -> Shown:
    """Return what a view shows.

    The visible share of an object is that of its centres which project to a pixel of the object. Centres on the far
    side count as visible, because they project into the same outline.
    """
    count = len(samples)
    numbers = np.repeat(np.arange(count), [len(each) for each in samples])
    inside = np.zeros(count)
    if len(numbers):
        local = camera.from_world(np.concatenate(samples))
        ahead = local[:, 2] > 1e-6
        drawn = local @ camera.K.T
        depth = np.where(ahead, drawn[:, 2], 1.0)
        x, y = np.floor(drawn[:, 0] / depth), np.floor(drawn[:, 1] / depth)
        within = ahead & (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
        hit = np.zeros(len(numbers), bool)
        hit[within] = ids[y[within].astype(int), x[within].astype(int)] == numbers[within]
        inside = np.bincount(numbers[hit], minlength=count) / np.maximum(np.bincount(numbers, minlength=count), 1)
    area = np.bincount(ids.ravel(), minlength=count)[:count]
    inside[(area < LEAST_PIXELS * ids.size) | (inside < LEAST_SHOWN)] = 0
    return Shown(name, camera, ids, inside, boxes_of(ids, count))


def boxes_of(ids: NDArray[np.integer], count: int) -> NDArray[np.float64]:
    """Return left, top, right and bottom (count, 4) of the pixels of each label; zeros where it is not visible."""
    boxes = np.zeros((count, 4))
    rows, columns = np.nonzero(ids)
    labels = ids[rows, columns]
    boxes[:, :2] = np.inf
    for axis, values in ((0, columns), (1, rows)):
        np.minimum.at(boxes[:, axis], labels, values)
        np.maximum.at(boxes[:, axis + 2], labels, values + 1)
    boxes[~np.isfinite(boxes[:, 0])] = 0
    return boxes

"""Captures made by others: what they hold, and that their geometry is read the right way round."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.feature import SIFT, match_descriptors

from backend.scene import describe_scene, load_scene, read_image, read_mask, split_views
from backend.scene.types import View

DESCRIPTIONS = {
    "desk": "colmap scene, 29 views of 1906 x 1070, 0 masks, 7,562 points",
    "cup": "colmap scene, 77 views of 800 x 600, 0 masks, 9,262 points",
    "chair": "nerf-synthetic scene, 125 views of 400 x 400, 0 masks, 0 points",
    "rooms/room25": "colmap scene, 80 views of 400 x 400, 80 masks, 8,000 points",
    "rooms/corridor50": "messy-rooms scene, 100 views of 400 x 400, 100 masks, 0 points",
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_what_they_hold(data: Path, name: str) -> None:
    start = time.process_time()
    scene = load_scene(data / name)
    seconds = time.process_time() - start
    assert describe_scene(scene) == DESCRIPTIONS[name]
    assert scene.warnings == ()
    assert seconds < 1.0


def test_splits(data: Path) -> None:
    train, test = split_views(load_scene(data / "rooms/room25").views, "last:0.2")
    assert ([view.name for view in test], len(train)) == ([f"{i:04}" for i in range(64, 80)], 64)
    train, test = split_views(load_scene(data / "chair").views, "own")
    assert (len(train), len(test)) == (100, 25)


def test_masks_that_come_with_the_rooms(data: Path) -> None:
    for name in ("rooms/room25", "rooms/corridor50"):
        for view in load_scene(data / name).views[::20]:
            ids = read_mask(view)
            assert ids is not None
            assert ids.shape == (400, 400)
            assert 2 < len(np.unique(ids)) < 100


def test_the_true_ids_of_the_corridor_are_never_taken_unasked(data: Path) -> None:
    root = data / "rooms/corridor50"
    assert {view.mask_path.parent.name for view in load_scene(root).views if view.mask_path} == {"detic_instance"}
    assert {v.mask_path.parent.name for v in load_scene(root, root / "instance").views if v.mask_path} == {"instance"}


def project(view: View, points: NDArray) -> tuple[NDArray, NDArray]:
    """Return pixel positions (P, 2) and depths (P,)."""
    camera = view.camera
    seen = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    pixels = seen @ camera.K.T
    return pixels[:, :2] / pixels[:, 2:], seen[:, 2]


def points_in_front(view: View, points: NDArray, cell: int = 10) -> tuple[NDArray, NDArray]:
    """Return which points are about the nearest of their 10 x 10 pixels, and the pixels (column, row) they fall in."""
    pixels, depth = project(view, points)
    columns, rows = np.floor(pixels).astype(int).T
    inside = np.flatnonzero((depth > 0.1) & (columns >= 5) & (columns < 395) & (rows >= 5) & (rows < 395))
    cells = rows[inside] // cell * 40 + columns[inside] // cell
    nearest = np.full(1600, np.inf)
    np.minimum.at(nearest, cells, depth[inside])
    chosen = inside[depth[inside] < 1.05 * nearest[cells]]
    return chosen, np.stack([columns[chosen], rows[chosen]])


@pytest.mark.parametrize("index", [0, 25, 50, 79])
def test_sparse_points_have_the_photographs_colours(data: Path, index: int) -> None:
    scene = load_scene(data / "rooms/room25")
    image = read_image(scene.views[index]).astype(float)
    chosen, (columns, rows) = points_in_front(scene.views[index], scene.points)

    def difference(colours: NDArray, dx: int = 0, dy: int = 0) -> float:
        return float(np.median(np.abs(image[rows + dy, columns + dx] - colours[chosen]).mean(1)))

    colours = scene.colours.astype(float)
    own = difference(colours)
    assert own < 10
    assert own < 0.2 * difference(np.random.default_rng(0).permutation(colours))
    # The points are sharp enough to tell a pixel beside the right one.
    assert own < min(difference(colours, dx, dy) for dx, dy in [(1, 0), (-1, 0), (0, 1), (0, -1)])


def keypoints(view: View) -> tuple[NDArray, NDArray]:
    sift = SIFT()
    sift.detect_and_extract(rgb2gray(read_image(view)))
    assert sift.keypoints is not None
    assert sift.descriptors is not None
    # scikit-image gives (row, column) with pixel centres at whole numbers.
    return np.column_stack([sift.keypoints[:, ::-1] + 0.5, np.ones(len(sift.keypoints))]), sift.descriptors


def epipolar_errors(a: View, b: View) -> NDArray:
    """Return the Sampson distance in pixels of every pair of matching keypoints (Hartley and Zisserman, 11.9)."""
    (at_a, descriptors_a), (at_b, descriptors_b) = keypoints(a), keypoints(b)
    pairs = match_descriptors(descriptors_a, descriptors_b, max_ratio=0.7, cross_check=True)
    x, y = at_a[pairs[:, 0]], at_b[pairs[:, 1]]
    between = b.camera.viewmat @ np.linalg.inv(a.camera.viewmat)
    tx, ty, tz = between[:3, 3]
    essential = np.array([[0, -tz, ty], [tz, 0, -tx], [-ty, tx, 0]]) @ between[:3, :3]
    F = np.linalg.inv(b.camera.K).T @ essential @ np.linalg.inv(a.camera.K)
    Fx, Fy = x @ F.T, y @ F
    return np.abs((y * Fx).sum(1)) / np.sqrt((Fx[:, :2] ** 2).sum(1) + (Fy[:, :2] ** 2).sum(1))


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [
        ("rooms/corridor50", "0009", "0043"),
        ("rooms/corridor50", "0026", "0060"),
        ("rooms/room25", "0016", "0044"),
        ("chair", "train_r_9", "train_r_81"),
    ],
)
def test_what_two_photographs_show_meets_in_space(data: Path, name: str, a: str, b: str) -> None:
    """Keypoints matched by appearance alone are on each other's epipolar lines.

    A wrong sign in an axis, a quaternion or K moves the lines by tens of pixels.
    """
    views = {view.name: view for view in load_scene(data / name).views}
    errors = epipolar_errors(views[a], views[b])
    assert len(errors) > 40
    assert np.median(errors) < 1.0


def test_the_corridors_cameras_stand_in_it_and_look_inward(data: Path) -> None:
    views = load_scene(data / "rooms/corridor50").views
    centres = np.array([view.camera.centre for view in views])
    assert np.abs(centres[:, 0]).max() <= 6.5
    assert np.abs(centres[:, 1]).max() <= 2.0
    assert centres[:, 2].min() > 0
    assert centres[:, 2].max() < 3
    down = np.array([view.camera.viewmat[1, :3] for view in views])
    assert (down[:, 2] < -0.5).all()
    # Those beside a long wall look across to the other side.
    beside = np.abs(centres[:, 1]) > 1.8
    forward = np.array([view.camera.viewmat[2, :3] for view in views])
    assert (forward[beside, 1] * centres[beside, 1] < 0).mean() > 0.95

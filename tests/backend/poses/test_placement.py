"""Sparse points from given poses, and poses that are off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.demo import world
from backend.demo.scene import write_scene
from backend.poses import place
from backend.progress import Cancelled
from backend.scene import load_scene
from backend.scene.types import Scene
from bench.spoilt import write_spoilt


def grain(points: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """A pattern that is fixed to surfaces, of cells of random brightness: features, where the room's own is smooth."""
    cells = np.floor(np.asarray(points) * 16 + 0.3).astype(np.int64) @ np.array([73856093, 19349663, 83492791])
    return 0.4 + 0.6 * ((cells * 2654435761 % 1000003) / 1000003)


def make_room(folder: Path, views: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "_texture", grain)
        write_scene(folder, objects=8, views=views, size=240, seed=3)
    return folder


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_room(tmp_path_factory.mktemp("made") / "room", 30)


@pytest.fixture(scope="module")
def exact(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("exact") / "room"
    write_spoilt(room, folder, ["points"], 0)
    return load_scene(folder)


@pytest.fixture(scope="module")
def moved(room: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("moved") / "room"
    write_spoilt(room, folder, ["poses", "points"], 0)
    return load_scene(folder)


def off(scene: Scene, truth: Scene) -> float:
    """How far cameras stand from their true places, median, scene units."""
    pairs = zip(scene.views, truth.views, strict=True)
    return float(np.median([np.linalg.norm(view.camera.centre - other.camera.centre) for view, other in pairs]))


def test_points_are_found_from_exact_poses_which_stay(exact: Scene) -> None:
    assert not len(exact.points)
    assert not exact.matched
    placed, found = place(exact)
    assert found is not None
    assert not found.adjusted
    assert found.points == len(placed.points) == len(placed.colours) > 300
    assert placed.views == exact.views
    # The room is 6.4 x 6.4 and its walls are seen: hardly a point lies outside.
    assert (np.abs(placed.points[:, :2]).max(1) < 4.2).mean() > 0.95
    assert placed.colours.std() > 5


def test_poses_that_are_off_are_brought_back(tmp_path: Path) -> None:
    # With 30 views the adjusted poses depend on the last bits of single pixels by more than the margin of this test.
    room = make_room(tmp_path / "room", 45)
    for name, spoilers in (("exact", ["points"]), ("moved", ["poses", "points"])):
        write_spoilt(room, tmp_path / name, spoilers, 0)
    exact, moved = load_scene(tmp_path / "exact"), load_scene(tmp_path / "moved")
    placed, found = place(moved)
    assert found is not None
    assert found.adjusted
    assert found.error_adjusted is not None
    assert found.error_adjusted < 0.6 * found.error_given
    assert off(placed, exact) < 0.6 * off(moved, exact)
    # The frame is that of the given cameras.
    given = np.array([view.camera.centre for view in moved.views])
    centres = np.array([view.camera.centre for view in placed.views])
    assert np.linalg.norm((centres - given).mean(0)) < 3e-3


def test_the_same_seed_gives_the_same_points(exact: Scene) -> None:
    one, other = place(exact, 5)[0], place(exact, 5)[0]
    assert np.array_equal(one.points, other.points)


def test_given_points_are_kept(exact: Scene) -> None:
    points = np.eye(3, dtype=np.float32)
    placed, _ = place(replace(exact, points=points, colours=np.zeros((3, 3), np.uint8)))
    assert np.array_equal(placed.points, points)


def test_a_lens_stays_a_lens(room: Path, tmp_path: Path) -> None:
    write_spoilt(room, tmp_path / "room", ["poses", "distortion", "points"], 0)
    scene = load_scene(tmp_path / "room")
    placed, found = place(scene)
    assert found is not None
    assert found.adjusted
    before, after = scene.views[0].lens, placed.views[0].lens
    assert before is not None
    assert after is not None
    assert after.model == "OPENCV"
    ray = np.array([[0.4, -0.4, 1.0]])  # near a corner of the photograph
    assert after.camera.img_from_cam(ray) == pytest.approx(before.camera.img_from_cam(ray), abs=1.5)
    assert placed.views[0].camera.width == scene.views[0].camera.width


def test_photographs_without_features_are_left_as_they_are(exact: Scene, tmp_path: Path) -> None:
    Image.new("RGB", (240, 240), (90, 90, 90)).save(tmp_path / "grey.png")
    views = tuple(replace(view, image_path=tmp_path / "grey.png") for view in exact.views[:4])
    scene = replace(exact, views=views)
    assert place(scene) == (scene, None)


def test_one_photograph_is_left_as_it_is(exact: Scene) -> None:
    scene = replace(exact, views=exact.views[:1])
    assert place(scene) == (scene, None)


def test_it_can_be_cancelled(exact: Scene) -> None:
    stages = set()

    def stop(stage: str, fraction: float, note: str = "") -> None:
        stages.add(stage)
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        place(exact, progress=stop)
    assert stages == {"poses"}


def test_cameras_that_share_few_points_are_left_where_they_are(tmp_path: Path) -> None:
    write_scene(tmp_path / "smooth", objects=8, views=30, size=160, seed=3)
    write_spoilt(tmp_path / "smooth", tmp_path / "room", ["poses"], 0)
    scene = load_scene(tmp_path / "room")
    placed, found = place(scene)
    assert found is None or not found.adjusted
    assert placed.views == scene.views

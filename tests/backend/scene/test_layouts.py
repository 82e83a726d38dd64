"""Each layout, written and read again: the same cameras come back whatever the layout's own axes and units."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from plyfile import PlyData, PlyElement

from backend.scene import describe_scene, load_scene, read_image, read_mask, split_views
from backend.scene.types import Scene
from tests.backend.scene import writing
from tests.backend.scene.writing import COLOURS, FOCAL, HEIGHT, POINTS, WIDTH, camera_to_world


def assert_same_cameras(scene: Scene) -> None:
    """Photograph i of :mod:`writing` is the i-th view in name order."""
    for i, view in enumerate(scene.views):
        np.testing.assert_allclose(view.camera.viewmat, np.linalg.inv(camera_to_world(i)), atol=1e-6)
        expected = [[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]
        np.testing.assert_allclose(view.camera.K, expected, atol=1e-9)
        np.testing.assert_allclose(view.camera.centre, camera_to_world(i)[:3, 3], atol=1e-6)
        assert (view.camera.width, view.camera.height) == (WIDTH, HEIGHT)
        assert tuple(read_image(view)[0, 0]) == (40 * i, 100, 200)


@pytest.mark.parametrize("model", ["sparse/0", "sparse", "."])
@pytest.mark.parametrize("text", [False, True])
def test_colmap(tmp_path: Path, model: str, text: bool) -> None:
    writing.write_colmap(tmp_path, model=model, text=text)
    scene = load_scene(tmp_path)
    assert (scene.layout, [view.name for view in scene.views]) == ("colmap", ["v_1", "v_2", "v_10"])
    assert_same_cameras(scene)
    np.testing.assert_allclose(scene.points, POINTS)
    np.testing.assert_array_equal(scene.colours, COLOURS)
    assert scene.points.dtype == np.float32
    assert scene.warnings == ()


def test_colmap_files_from_before_rigs(tmp_path: Path) -> None:
    folder = writing.write_colmap(tmp_path)
    (folder / "rigs.bin").unlink()
    (folder / "frames.bin").unlink()
    assert_same_cameras(load_scene(tmp_path))


def test_transforms(tmp_path: Path) -> None:
    writing.write_transforms(tmp_path)
    scene = load_scene(tmp_path)
    assert (scene.layout, len(scene.points), scene.warnings) == ("transforms", 0, ())
    assert_same_cameras(scene)


def test_transforms_with_sparse_points(tmp_path: Path) -> None:
    rows = [(*xyz, *rgb) for xyz, rgb in zip(POINTS.tolist(), COLOURS.tolist(), strict=True)]
    rows.append((np.nan, 0.0, 0.0, 0, 0, 0))
    dtype = [(n, "f4") for n in "xyz"] + [(n, "u1") for n in ("red", "green", "blue")]
    PlyData([PlyElement.describe(np.array(rows, dtype), "vertex")]).write(tmp_path / "sparse.ply")
    writing.write_transforms(tmp_path, writing.transforms(ply_file_path="sparse.ply"))
    scene = load_scene(tmp_path)
    np.testing.assert_allclose(scene.points, POINTS)
    np.testing.assert_array_equal(scene.colours, COLOURS)


def test_sparse_points_that_are_missing_are_a_warning(tmp_path: Path) -> None:
    writing.write_transforms(tmp_path, writing.transforms(ply_file_path="sparse.ply"))
    scene = load_scene(tmp_path)
    assert len(scene.points) == 0
    assert scene.warnings == (f"The sparse points {tmp_path / 'sparse.ply'} are missing.",)


def test_a_frames_own_intrinsics_go_first(tmp_path: Path) -> None:
    content = writing.transforms()
    content["frames"][1] |= {"fl_x": 50.0, "fl_y": 60.0, "cx": 19.0}
    writing.write_transforms(tmp_path, content)
    K = [view.camera.K for view in load_scene(tmp_path).views]
    np.testing.assert_allclose(K[0], [[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    np.testing.assert_allclose(K[1], [[50.0, 0, 19.0], [0, 60.0, HEIGHT / 2], [0, 0, 1]])


def test_an_angle_and_the_photographs_own_size_are_enough(tmp_path: Path) -> None:
    frames = writing.transforms()["frames"]
    writing.write_transforms(tmp_path, {"camera_angle_x": 2 * np.arctan(WIDTH / 2 / FOCAL), "frames": frames})
    assert_same_cameras(load_scene(tmp_path))


def test_windows_separators(tmp_path: Path) -> None:
    writing.write_transforms(tmp_path, writing.transforms("images\\"))
    assert_same_cameras(load_scene(tmp_path))


def test_filenames_for_testing_are_held_out(tmp_path: Path) -> None:
    writing.write_transforms(tmp_path, writing.transforms(test_filenames=["images/v_2.png"]))
    train, test = split_views(load_scene(tmp_path).views, "own")
    assert ([view.name for view in train], [view.name for view in test]) == (["v_1", "v_10"], ["v_2"])


def test_nerf_synthetic(tmp_path: Path) -> None:
    writing.write_nerf_synthetic(tmp_path)
    scene = load_scene(tmp_path)
    assert scene.layout == "nerf-synthetic"
    train, test = split_views(scene.views, "own")
    assert [view.name for view in train] == ["train_v_1", "train_v_2", "train_v_10"]
    assert [view.name for view in test] == ["test_v_1", "test_v_2", "test_v_10"]
    for views in (train, test):
        assert_same_cameras(Scene(tmp_path, "", tuple(views), scene.points, scene.colours))


def test_nerf_synthetic_without_its_test_photographs(tmp_path: Path) -> None:
    writing.write_nerf_synthetic(tmp_path)
    for file in [*(tmp_path / "test").iterdir(), tmp_path / "train" / "v_1.png"]:
        file.unlink()
    scene = load_scene(tmp_path)
    assert [view.name for view in scene.views] == ["v_2", "v_10"]
    assert len(scene.warnings) == 1
    assert "4 of 6 listed photographs" in scene.warnings[0]


def test_messy_rooms(tmp_path: Path) -> None:
    writing.write_messy_rooms(tmp_path)
    scene = load_scene(tmp_path)
    assert (scene.layout, [view.name for view in scene.views]) == ("messy-rooms", ["0", "1", "2"])
    assert_same_cameras(scene)
    for i, view in enumerate(scene.views):
        ids = read_mask(view)
        assert ids is not None
        assert (ids == i).all()


def test_a_missing_messy_room_photograph_shifts_no_pose(tmp_path: Path) -> None:
    writing.write_messy_rooms(tmp_path)
    (tmp_path / "color" / "1.png").unlink()
    scene = load_scene(tmp_path)
    np.testing.assert_allclose(scene.views[1].camera.centre, camera_to_world(2)[:3, 3], atol=1e-9)
    assert len(scene.warnings) == 1
    assert "1 of 3 listed photographs" in scene.warnings[0]


@pytest.mark.parametrize("write", [writing.write_colmap, writing.write_transforms])
def test_missing_photographs_are_one_warning(tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(tmp_path)
    (tmp_path / "images" / "v_1.png").unlink()
    (tmp_path / "images" / "v_10.png").unlink()
    scene = load_scene(tmp_path)
    assert [view.name for view in scene.views] == ["v_2"]
    assert len(scene.warnings) == 1
    assert "2 of 3 listed photographs" in scene.warnings[0]


def test_scaled_photographs_scale_the_camera(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    for file in (tmp_path / "images").iterdir():
        file.unlink()
    # A quarter of 30 is 7.5: both ways to round it are met in captures.
    writing.write_photographs(tmp_path / "images_4", size=(10, 8))
    camera = load_scene(tmp_path).views[0].camera
    assert (camera.width, camera.height) == (10, 8)
    np.testing.assert_allclose(camera.K, [[FOCAL / 4, 0, 5], [0, FOCAL * 8 / 30, 4], [0, 0, 1]])


def test_equal_stems_in_several_folders(tmp_path: Path) -> None:
    names = ("left/v_1.png", "left/v_2.png", "right/v_1.png")
    writing.write_colmap(tmp_path, names=names)
    for i, name in enumerate(names):
        file = tmp_path / "images" / name
        file.parent.mkdir(exist_ok=True)
        writing.photograph(i).save(file)
        writing.write_mask(tmp_path / "masks" / name, np.full((HEIGHT, WIDTH), i + 1, np.uint8))
    scene = load_scene(tmp_path)
    assert [view.name for view in scene.views] == ["left_v_1", "left_v_2", "right_v_1"]
    assert_same_cameras(scene)
    ids = [read_mask(view) for view in scene.views]
    assert [int(each[0, 0]) for each in ids if each is not None] == [1, 2, 3]


def test_frames_without_ending_whose_names_hold_dots(tmp_path: Path) -> None:
    content = writing.transforms("images/", "")
    (tmp_path / "images").mkdir()
    for i, frame in enumerate(content["frames"]):
        frame["file_path"] = f"images/frame.{i}"
        writing.photograph(i).save(tmp_path / "images" / f"frame.{i}.jpg", quality=100)
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    assert [view.name for view in load_scene(tmp_path).views] == ["frame.0", "frame.1", "frame.2"]


def test_unregistered_images_are_no_views(tmp_path: Path) -> None:
    folder = writing.write_colmap(tmp_path)
    reconstruction = pycolmap.Reconstruction(folder)
    reconstruction.deregister_frame(reconstruction.images[2].frame_id)
    reconstruction.write_binary(folder)
    assert [view.name for view in load_scene(tmp_path).views] == ["v_1", "v_10"]


def test_description(tmp_path: Path) -> None:
    writing.write_messy_rooms(tmp_path)
    assert describe_scene(load_scene(tmp_path)) == "messy-rooms scene, 3 views of 40 x 30, 3 masks, 0 points"

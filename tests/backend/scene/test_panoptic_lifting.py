"""ScanNet and Replica as Panoptic-Lifting prepares them, good and bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.scene import load_scene, read_mask, split_views
from protocol.errors import BadArgument, BadScene
from tests.backend.scene.test_layouts import assert_same_cameras
from tests.backend.scene.writing import write_panoptic_lifting


def test_cameras_masks_and_split(tmp_path):
    write_panoptic_lifting(tmp_path)
    scene = load_scene(tmp_path)
    assert (scene.layout, scene.warnings) == ("panoptic-lifting", ())
    assert_same_cameras(scene)
    for i, view in enumerate(scene.views):
        ids = read_mask(view)
        assert ids is not None
        assert (ids == i).all()
    train, test = split_views(scene.views, "own")
    assert ([view.name for view in train], [view.name for view in test]) == (["0", "2"], ["1"])


def test_without_a_split_nothing_is_held_out(tmp_path):
    write_panoptic_lifting(tmp_path)
    (tmp_path / "splits.json").unlink()
    with pytest.raises(BadArgument, match="defines no test views"):
        split_views(load_scene(tmp_path).views, "own")


def test_a_photograph_without_a_pose_is_left_out(tmp_path):
    write_panoptic_lifting(tmp_path)
    (tmp_path / "pose/0.txt").unlink()
    scene = load_scene(tmp_path)
    assert [view.name for view in scene.views] == ["1", "2"]
    assert len(scene.warnings) == 1
    assert "1 of 3 photographs" in scene.warnings[0]


def write(name: str, data: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(data)


def pose(change: Callable[[np.ndarray], object]) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        matrix = np.loadtxt(root / "pose/0.txt")
        change(matrix)
        np.savetxt(root / "pose/0.txt", matrix)

    return spoil


def no_poses(root: Path) -> None:
    for file in (root / "pose").iterdir():
        file.unlink()


BAD_PANOPTIC_LIFTING = {
    "no pose at all": (no_poses, "None of the 3 photographs"),
    "a pose that is partly infinite": (
        pose(lambda m: m[3].fill(-np.inf)),
        r"pose/0\.txt contains a value that is not finite",
    ),
    "a mirrored pose": (pose(lambda m: m.__imul__([-1.0, 1.0, 1.0, 1.0])), r"0\.txt is not a rotation"),
    "a pose of twelve numbers": (write("pose/0.txt", "1 0 0 0\n" * 3), "contains 12 numbers"),
    "a pose in words": (write("pose/0.txt", "up and away"), r"0\.txt cannot be read"),
    "a pose of great length": (write("pose/0.txt", "1 " * 40_000), "is larger than"),
    "no focal length": (write("intrinsic/intrinsic_color.txt", "0 0 0 0\n" * 4), "has the focal length 0, 0"),
    "an empty camera": (write("intrinsic/intrinsic_color.txt", ""), "contains 0 numbers"),
    "a split that is broken": (write("splits.json", "{"), r"splits\.json cannot be read as JSON"),
    "a split without test": (write("splits.json", '{"train": []}'), "structure: test is missing"),
}


@pytest.mark.parametrize("case", BAD_PANOPTIC_LIFTING)
def test_bad_scenes_of_panoptic_lifting(tmp_path, case):
    spoil, says = BAD_PANOPTIC_LIFTING[case]
    write_panoptic_lifting(tmp_path)
    spoil(tmp_path)
    with pytest.raises(BadScene, match=says):
        load_scene(tmp_path)


def test_frames_that_scannet_lost_are_skipped(tmp_path):
    write_panoptic_lifting(tmp_path)
    np.savetxt(tmp_path / "pose/1.txt", np.full((4, 4), -np.inf))
    scene = load_scene(tmp_path)
    assert [view.name for view in scene.views] == ["0", "2"]
    assert scene.warnings == (f"1 of 3 photographs of {tmp_path}/color have no pose and were skipped.",)

"""What is told of a scene folder before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blender_addon import api
from blender_addon.survey import CLIMB, scene_of
from protocol.errors import BadScene
from protocol.ply import write_ply
from tests.protocol.strategies import random_splats


def make(root: Path, *names: str, text: str = "x") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def pictures(folder: str, count: int, ending: str = ".png") -> list[str]:
    return [f"{folder}/{n:04d}{ending}" for n in range(count)]


FRAMES = json.dumps({"frames": [{"file_path": f"images/{n}.png"} for n in range(4)]})


def test_colmap(tmp_path):
    make(tmp_path, "sparse/0/cameras.bin", "sparse/0/images.bin", *pictures("images", 5, ".jpg"), *pictures("masks", 4))
    make(tmp_path, *pictures("images_2", 5), *pictures("gt", 5))
    found = api.survey(tmp_path)
    assert (found.layout, found.photographs, found.masks, found.mask_folder) == ("COLMAP", 5, 4, "masks")
    assert (found.splats, found.files) == (None, 16)
    assert found.bytes == 16


def test_lists_of_frames(tmp_path):
    make(tmp_path, "transforms.json", text=FRAMES)
    make(tmp_path, *pictures("images", 6), *pictures("instance", 3, ".npy"))
    found = api.survey(tmp_path)
    assert (found.layout, found.photographs, found.masks) == ("Nerfstudio or Instant-NGP", 4, 3)
    synthetic = make(tmp_path / "synthetic", "transforms_train.json", "transforms_test.json", text=FRAMES)
    assert (api.survey(synthetic).layout, api.survey(synthetic).photographs) == ("NeRF-synthetic", 8)
    broken = make(tmp_path / "broken", "transforms.json", *pictures("images", 2))
    assert (api.survey(broken).layout, api.survey(broken).photographs) == ("Nerfstudio or Instant-NGP", 2)


def test_rooms(tmp_path):
    messy = make(tmp_path / "messy", "metadata.json", *pictures("color", 7), *pictures("detic_instance", 7, ".npy"))
    assert (api.survey(messy).layout, api.survey(messy).photographs, api.survey(messy).masks) == ("Messy-Rooms", 7, 7)
    scannet = make(tmp_path / "scannet", "intrinsic/intrinsic_color.txt", *pictures("color", 3, ".jpg"))
    assert api.survey(make(scannet, *pictures("m2f_instance", 2))).masks == 2
    assert api.survey(scannet).layout == "ScanNet or Replica"


def test_splats_are_told_from_other_points(tmp_path):
    make(tmp_path, "transforms.json", text=FRAMES)
    make(tmp_path, "a_points.ply", text="ply\nformat ascii 1.0\nelement vertex 0\nend_header\n")
    assert api.survey(tmp_path).splats is None
    (tmp_path / "out").mkdir()
    write_ply(random_splats(3), tmp_path / "out" / "scene.ply")
    assert api.survey(tmp_path).splats == "out/scene.ply"


def test_a_folder_that_is_no_scene_is_still_told(tmp_path):
    found = api.survey(make(tmp_path, *pictures("holiday", 3)))
    assert (found.layout, found.photographs, found.masks, found.mask_folder) == (None, 3, 0, None)
    with pytest.raises(BadScene):
        api.survey(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadScene, match="holds no photographs"):
        api.survey(tmp_path / "empty")


@pytest.mark.parametrize(
    ("mark", "dropped"),
    [
        ("transforms.json", "transforms.json"),
        ("transforms.json", "images/0.png"),
        ("transforms.json", "."),
        ("sparse/0/cameras.bin", "sparse/0/cameras.bin"),
        ("sparse/0/cameras.bin", "images/left/0.png"),
        ("metadata.json", "color/0.png"),
    ],
)
def test_the_scene_that_a_dropped_file_belongs_to(tmp_path, mark, dropped):
    scene = make(tmp_path / "a" / "b" / "c" / "scene", mark, "images/0.png", "images/left/0.png", "color/0.png")
    assert CLIMB >= 2
    assert scene_of(scene / dropped) == scene
    alone = make(tmp_path / "alone", "x.ply")
    assert scene_of(alone / "x.ply") == alone
    assert scene_of(alone) == alone

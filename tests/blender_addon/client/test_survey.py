"""What is told of a scene folder before anything is sent."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.scene.files import from_inside
from backend.scene.inspect import inspect_scene
from blender_addon import api
from blender_addon.client.layouts import CLIMB
from blender_addon.client.survey import scene_of
from protocol.errors import BadScene
from protocol.ply import write_ply
from tests.backend.mapping.test_frames import moving, write_video
from tests.backend.scene import writing
from tests.protocol.strategies import random_splats


def make(root: Path, *names: str, text: str = "x") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def pictures(folder: str, count: int, ending: str = ".png") -> list[str]:
    return [f"{folder}/{n:04d}{ending}" for n in range(count)]


FRAMES = json.dumps({"frames": [{"file_path": f"images/{n:04d}.png"} for n in range(4)]})


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
    make(synthetic, *pictures("images", 6))
    assert (api.survey(synthetic).layout, api.survey(synthetic).photographs) == ("NeRF-synthetic", 4)
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
    assert (found.layout, found.photographs, found.masks, found.mask_folder) == ("Photographs", 3, 0, None)
    assert "holds 3 photographs; poses need at least 5" in str(found.problem)
    found = api.survey(make(tmp_path / "other", "masks/0.png", "notes.txt"))
    assert (found.layout, found.masks_from, found.poses_from) == (None, None, None)
    assert "contains no photographs or video" in str(found.problem)
    with pytest.raises(BadScene):
        api.survey(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadScene, match="contains no photographs"):
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


ONE_PIXEL = np.ones((30, 40), np.uint8)


def capture(root: Path, model: str = "sparse/0", mask: str = "masks/{}.png") -> Path:
    """A COLMAP capture with three photographs and masks."""
    writing.write_colmap(root, model=model)
    for stem in writing.STEMS:
        writing.write_mask(root / mask.format(stem), ONE_PIXEL)
    return root


def nerf_synthetic(root: Path) -> Path:
    writing.write_nerf_synthetic(root)
    for split in ("train", "test"):
        for stem in writing.STEMS:
            writing.write_mask(root / "masks" / split / f"{stem}.png", ONE_PIXEL)
    return root


def written(write: Callable[[Path], object], root: Path) -> Path:
    root.mkdir()
    write(root)
    return root


CAPTURES: dict[str, Callable[[Path], Path]] = {
    "COLMAP": capture,
    "masks as COLMAP names them": lambda root: capture(root, mask="masks/{}.png.png"),
    "masks as RealityScan names them": lambda root: capture(root, mask="masks/{}.png.mask.png"),
    "masks beside the photographs": lambda root: capture(root, mask="images/{}_mask.png"),
    "a folder of masks for each photograph": lambda root: capture(root, mask="mask/{}/0.png"),
    "masks below the photographs": lambda root: capture(root, mask="images/masks/{}.png"),
    "masks of a program's own name": lambda root: capture(root, mask="sam2_masks/{}.png"),
    "masks in a folder of labels": lambda root: capture(root, mask="labels/{}.png"),
    "masks in a folder of results": lambda root: capture(root, mask="output/masks/{}.png"),
    "a folder of masks for each object": lambda root: capture(
        capture(root, mask="masks/0/{}.png"), mask="masks/1/{}.png"
    ),
    "a workspace": lambda root: capture(root, model="dense/0/sparse"),
    "another workspace": lambda root: capture(root, model="colmap/sparse/3"),
    "masks of no photograph": lambda root: capture(root, mask="masks/frame_{}7.png"),
    "no masks": lambda root: written(writing.write_colmap, root),
    "JSON": lambda root: written(writing.write_transforms, root),
    "NeRF-synthetic": nerf_synthetic,
    "Messy-Rooms": lambda root: written(writing.write_messy_rooms, root),
    "ScanNet": lambda root: written(writing.write_panoptic_lifting, root),
}


def photographs(root: Path, folder: str = "images", count: int = 6, ending: str = ".jpg") -> Path:
    for number in range(count):
        path = root / folder / f"{number:04d}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        writing.photograph(number).save(path)
    return root


def masks(root: Path, pattern: str, count: int = 4) -> Path:
    for number in range(count):
        writing.write_mask(root / pattern.format(f"{number:04d}"), ONE_PIXEL)
    return root


def video(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_video(file, moving(6))
    return file


def gaussians(root: Path) -> Path:
    (root / "exports").mkdir()
    write_ply(random_splats(3), root / "exports" / "room.ply")
    return root


UNPOSED: dict[str, Callable[[Path], Path]] = {
    "photographs": lambda root: photographs(root, "."),
    "photographs in a folder": photographs,
    "photographs in a folder of any name": lambda root: photographs(root, "Tuesday"),
    "photographs, and others": lambda root: photographs(photographs(root), "photos", 7),
    "photographs with a folder of masks": lambda root: masks(photographs(root), "masks/{}.png"),
    "photographs with masks beside": lambda root: masks(photographs(root), "images/{}.mask.png"),
    "photographs with masks of no photograph": lambda root: masks(photographs(root), "masks/frame_{}7.png"),
    "photographs with rival masks": lambda root: masks(masks(photographs(root), "masks/{}.png"), "masks/{}_mask.png"),
    "few photographs": lambda root: photographs(root, count=4),
    "photographs in two folders": lambda root: photographs(photographs(root, "a"), "b"),
    "photographs in a list of its own": lambda root: make(photographs(root), "metadata.json"),
    "photographs with a table of COLMAP": lambda root: make(photographs(root), "sparse/0/points3D.bin"),
    "a video": lambda root: video(root / "clip.mp4"),
    "a folder with a video": lambda root: video(root / "clip.mp4").parent,
    "a folder with two videos": lambda root: (video(root / "a.mp4"), video(root / "b.mp4"))[0].parent,
    "photographs and Gaussians": lambda root: gaussians(photographs(root)),
    "a folder with a video and Gaussians": lambda root: gaussians(video(root / "clip.mp4").parent),
    "nothing": lambda root: make(root, "masks/0.png"),
}


@pytest.mark.parametrize("name", CAPTURES)
def test_it_says_what_the_backend_finds(tmp_path, name):
    root = CAPTURES[name](tmp_path / "scene")
    write_ply(random_splats(3), root / "point_cloud.ply")
    found, (findings, fault) = api.survey(root), inspect_scene(root)
    assert found.layout is not None
    assert findings["layout"] is not None
    assert found.photographs == findings["views"]
    assert found.masks == findings["masks"]
    assert found.masks_from == findings["masks_from"]
    assert found.poses_from == findings["poses_from"] == "cameras"
    assert found.splats == findings["splats"] == "point_cloud.ply"
    assert found.strays == (3 if name == "masks of no photograph" else 0)
    assert found.problem is fault is None


@pytest.mark.parametrize("name", UNPOSED)
def test_it_says_what_the_backend_finds_without_cameras(tmp_path, name):
    root = UNPOSED[name](tmp_path / "scene")
    findings, fault = inspect_scene(root)
    if fault is not None and " two " in name:
        with pytest.raises(BadScene, match=re.escape(str(fault))):
            api.survey(root)
        return
    found = api.survey(root)
    assert (found.problem is None) == (fault is None)
    if findings["layout"] is None:
        return
    assert found.layout == findings["layout"].capitalize()
    assert found.photographs == findings["views"]
    assert (found.masks, found.masks_from) == (findings["masks"], findings["masks_from"])
    assert found.poses_from == findings["poses_from"]
    assert found.splats == findings["splats"] == ("exports/room.ply" if "Gaussians" in name else None)
    # The backend also reads pixels, and names files that are not uploaded.
    assert findings["warnings"][: len(found.warnings)] == [from_inside(said, root) for said in found.warnings]
    assert str(found.problem) == str(fault)


@pytest.mark.parametrize("named", ["a.ply", "."])
def test_it_says_what_the_backend_finds_of_a_splat_file_alone(tmp_path, named):
    write_ply(random_splats(3), tmp_path / "a.ply")
    found, (findings, fault) = api.survey(tmp_path / named), inspect_scene(tmp_path / named)
    assert fault is found.problem is None
    assert found.layout == findings["layout"].capitalize() == "Splats"
    assert found.splats == findings["splats"] == "a.ply"
    assert (
        (found.masks_from, found.poses_from) == (findings["masks_from"], findings["poses_from"]) == ("geometry", None)
    )


def test_cameras_above_the_photographs_are_told(tmp_path):
    root = capture(tmp_path / "scene")
    photographs(root, "images")
    assert api.survey(root / "images").above == root
    assert api.survey(photographs(tmp_path / "other")).above is None


def test_the_scene_that_a_video_a_splat_file_or_a_photograph_belongs_to(tmp_path):
    root = masks(photographs(tmp_path / "scene"), "masks/{}.png")
    assert scene_of(root / "images" / "0000.jpg") == root
    assert scene_of(photographs(tmp_path / "other") / "images" / "0000.jpg") == tmp_path / "other" / "images"
    write_ply(random_splats(3), root / "a.ply")
    make(root, "clip.mp4")
    assert scene_of(root / "a.ply") == root / "a.ply"
    assert scene_of(root / "clip.mp4") == root / "clip.mp4"
    posed = make(capture(tmp_path / "posed"), "clip.mp4")
    assert scene_of(posed / "clip.mp4") == posed


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("names", [("v_1.png",), ("images\\v_10.png", "/home/me/cap/images/v_2.png")])
def test_only_photographs_with_a_pose_and_their_masks_are_counted(tmp_path, names, text):
    root = capture(tmp_path / "scene")
    shutil.rmtree(root / "sparse")
    writing.write_colmap(root, names=names, text=text)
    found, (findings, _) = api.survey(root), inspect_scene(root)
    assert found.photographs == findings["views"] == len(names)
    assert found.masks == findings["masks"] == len(names)


@pytest.mark.parametrize("others", [[], [{"file_path": "images/absent.png"}]])
def test_only_photographs_in_the_list_of_frames_and_their_masks_are_counted(tmp_path, others):
    root = capture(tmp_path / "scene")
    shutil.rmtree(root / "sparse")
    content = writing.transforms()
    first = content["frames"][0]
    writing.write_transforms(root, {**content, "frames": [first, *({**first, **other} for other in others)]})
    found, (findings, _) = api.survey(root), inspect_scene(root)
    assert found.photographs == findings["views"] == found.masks == findings["masks"] == 1


def test_masks_among_the_photographs_are_counted_for_those_with_a_pose(tmp_path):
    root = capture(tmp_path / "scene", mask="images/{}_mask.png")
    shutil.rmtree(root / "sparse")
    writing.write_colmap(root, names=("v_1.png",))
    found, (findings, _) = api.survey(root), inspect_scene(root)
    assert found.photographs == findings["views"] == found.masks == findings["masks"] == 1


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"\x03" + b"\0" * 7 + b"\x01" * 90, b"\xff" * 200])
def test_a_damaged_table_counts_all_photographs(tmp_path, content):
    root = capture(tmp_path / "scene")
    (root / "sparse/0/images.bin").write_bytes(content)
    assert (api.survey(root).photographs, api.survey(root).masks) == (3, 3)


def test_compressed_and_other_splat_files_are_found(tmp_path):
    make(tmp_path, "transforms.json", text=FRAMES)
    make(tmp_path, "b.spz")
    assert api.survey(tmp_path).splats == "b.spz"
    make(tmp_path, "a.ply", text="ply\nformat ascii 1.0\nelement vertex 0\nproperty uint packed_position\nend_header\n")
    assert api.survey(tmp_path).splats == "a.ply"


def test_files_that_may_be_one_mask_are_told(tmp_path):
    root = capture(capture(tmp_path / "scene"), mask="masks/{}_mask.png")
    found, (_, fault) = api.survey(root), inspect_scene(root)
    assert found.rivals == ("v_1.png", "v_1_mask.png")
    assert fault is not None
    assert "masks/v_1.png, " in str(fault)
    assert "masks/v_1_mask.png; this affects 3 of 3" in str(fault)
    assert api.survey(capture(tmp_path / "other")).rivals == ()


@pytest.mark.parametrize("dropped", ["sparse/3/cameras.bin", "images/v_1.png"])
def test_a_file_of_a_scene_with_any_reconstruction(tmp_path, dropped):
    scene = capture(tmp_path / "a" / "scene", model="sparse/3")
    assert scene_of(scene / dropped) == scene

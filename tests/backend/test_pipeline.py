"""What `segment` makes of a request as a whole; its parts have tests of their own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.demo.scene import write_scene
from backend.pipeline import BY_GEOMETRY, SegmentRequest, reconstruct_to_file, segment
from backend.reconstruct import reconstruct
from backend.scene import load_scene
from backend.scene.types import MaskIds
from protocol.errors import BadArgument, BadMask
from protocol.ply import read_ply, write_ply


@pytest.fixture(scope="module")
def request_small(tmp_path_factory: pytest.TempPathFactory) -> SegmentRequest:
    folder = tmp_path_factory.mktemp("small")
    write_scene(folder / "room", objects=3, views=6, size=64, seed=1)
    return SegmentRequest(folder / "room", folder / "out", device="cpu", steps=30, meshes=False, gallery=False)


def test_warnings_of_the_folder_and_of_the_splat_file_are_in_the_report(request_small, tmp_path: Path):
    room = tmp_path / "room"
    shutil.copytree(request_small.scene, room)
    (room / "masks" / "0001.png").rename(room / "masks" / "other.png")
    scene = load_scene(room)
    splats = reconstruct(scene, scene.views, steps=300, settings={"cap": 800})
    splats.quats[0] = 0
    write_ply(splats, room / "given.ply")
    report = segment(
        replace(
            request_small, scene=room, out=tmp_path / "out", splats=room / "given.ply",
            mask_ids=MaskIds(background=(1, 2)),
        )
    )  # fmt: skip
    assert report["gaussians"] == len(splats) - 1
    *of_scene, of_file = report["warnings"]
    assert of_scene[-2:] == [
        "1 files in masks do not match any photograph and were ignored (first: other.png).",
        "1 of 6 photographs have no mask (first: images/0001.png).",
    ]
    assert of_file == "given.ply has 1 Gaussians with a zero quaternion; they were dropped."


def test_several_gpus_are_refused_where_there_is_none(request_small, tmp_path: Path):
    with pytest.raises(BadArgument, match="GPU"):
        segment(replace(request_small, out=tmp_path / "out", gpus=2))
    with pytest.raises(BadArgument, match="GPU"):
        reconstruct_to_file(
            request_small.scene, tmp_path / "a.ply", None,
            steps=1, test_views="none", device="cpu", seed=0, checkpoint=None, gpus=2,
        )  # fmt: skip


def test_masks_steer_what_grows_unless_they_are_told_not_to(request_small, tmp_path: Path):
    plain = tmp_path / "plain"
    shutil.copytree(request_small.scene, plain)
    shutil.rmtree(plain / "masks")

    def means(scene: Path, steer: bool):
        reconstruct_to_file(
            scene, tmp_path / "a.ply", None,
            steps=100, test_views="none", device="cpu", seed=0, checkpoint=None, steer=steer,
        )  # fmt: skip
        return read_ply(tmp_path / "a.ply").means

    unsteered = means(plain, True)
    assert np.array_equal(means(request_small.scene, False), unsteered)
    assert not np.array_equal(means(request_small.scene, True), unsteered)


def test_a_scene_without_masks_is_segmented_by_geometry_alone(request_small, tmp_path: Path):
    room = tmp_path / "room"
    write_scene(room, objects=3, views=12, size=96, seed=1)
    asked = replace(request_small, scene=room, steps=300, test_views="last:0.2")
    masked = segment(replace(asked, out=tmp_path / "masked", geometry=True))
    shutil.rmtree(room / "masks")
    report = segment(replace(asked, out=tmp_path / "out"))
    assert report["method"] == masked["method"] == "geometry"
    assert report["warnings"].count(BY_GEOMETRY) == 1
    assert not report["refined"]
    assert not report["steered"]
    assert report["objects"] == masked["objects"] > 0
    splats = read_ply(tmp_path / "out" / "splats.ply")
    assert splats.extra["label"].max() == report["objects"]
    with pytest.raises(BadMask, match="has an instance mask"):
        segment(replace(asked, out=tmp_path / "no", method="consensus"))
    with pytest.raises(BadArgument, match="reads no masks"):
        segment(replace(asked, out=tmp_path / "no", method="consensus", geometry=True))

"""From plain photographs to a result, and what is refused before poses are computed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from backend.cli import app
from backend.pipeline import reconstruct_to_file, segment
from backend.scene import load_scene
from protocol.errors import BadArgument, BadMask
from protocol.job_request import JobRequest
from tests.backend.mapping.conftest import VIEWS
from tests.backend.mapping.test_frames import moving, write_video


def run(*arguments: object) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


def test_a_result_holds_the_poses_and_the_next_run_takes_them(plain: Path, tmp_path: Path) -> None:
    request = JobRequest(steps=20, device="cpu", gallery=False, meshes=False, refine=False)
    report = segment(plain, tmp_path / "out", request)
    assert report["scene"] == "room"
    assert report["mapped"]["given"] == VIEWS + 2
    assert report["views"]["train"] == report["mapped"]["placed"] >= 0.9 * VIEWS
    assert any("elsewhere.png" in warning for warning in report["warnings"])
    assert len(load_scene(tmp_path / "out" / "poses").views) == report["mapped"]["placed"]
    cameras = json.loads((tmp_path / "out" / "cameras.json").read_text())
    assert cameras["views"][0]["photograph"] == "images/0000.png"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

    notes = []
    again = segment(plain, tmp_path / "out", request, progress=lambda stage, fraction, note="": notes.append(note))
    assert not any("matching" in note for note in notes)
    assert again["mapped"] == report["mapped"]
    assert again["warnings"] == report["warnings"]


def test_a_reconstruction_keeps_the_poses_beside_the_splat_file(plain: Path, tmp_path: Path) -> None:
    reconstruct_to_file(plain, tmp_path / "a.ply", JobRequest(steps=10, device="cpu"))
    assert (tmp_path / "a.ply").is_file()
    assert load_scene(tmp_path / "a.poses").matched


def test_photographs_without_masks_are_refused_before_poses_are_computed(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain / "images", tmp_path / "room" / "images")

    def progress(stage: str, fraction: float, note: str = "") -> None:
        assert stage != "poses"

    request = JobRequest(method="consensus", device="cpu")
    with pytest.raises(BadMask, match=r"None of the 14 views of .*room has an instance mask"):
        segment(tmp_path / "room", tmp_path / "out", request, progress=progress)


def test_a_video_without_masks_says_how_to_make_them(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(5))
    with pytest.raises(BadMask, match="backend poses"):
        segment(tmp_path / "a.mp4", tmp_path / "out", JobRequest(method="consensus", device="cpu"))


def test_given_gaussians_need_given_cameras(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="has no cameras"):
        segment(plain, tmp_path / "out", JobRequest(splats=str(tmp_path / "a.ply"), device="cpu"))


def test_an_output_among_the_photographs_is_refused(plain: Path) -> None:
    with pytest.raises(BadArgument, match="is inside the folder of the photographs"):
        segment(plain, plain / "out", JobRequest(device="cpu"))


def test_the_command_poses_writes_a_workspace(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("poses", plain, "--out", tmp_path / "workspace")
    said = capsys.readouterr()
    assert "photographs got a pose" in said.out
    assert "broken.png" in said.err
    scene = load_scene(tmp_path / "workspace")
    assert all(view.mask_path is not None for view in scene.views)
    with pytest.raises(BadArgument, match="neither a video nor a folder of photographs without cameras"):
        run("poses", tmp_path / "workspace", "--out", tmp_path / "other")


def test_inspect_tells_of_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_video(tmp_path / "a.mp4", moving(5))
    run("inspect", tmp_path / "a.mp4")
    said = capsys.readouterr().out
    assert "layout: video" in said
    assert "128 x 96" in said
    assert "poses: computed from at most 200 frames" in said
    assert "masks: none; objects are found by geometry" in said
    with pytest.raises(BadMask, match="no mask with the name of a frame of"):
        run("inspect", tmp_path / "a.mp4", "--masks", tmp_path)

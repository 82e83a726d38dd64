"""What is told of a folder before anything is computed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest

from backend.cli import main
from backend.scene.inspect import BY_GEOMETRY, as_lines, inspect_scene
from backend.scene.types import MaskIds
from protocol.ply import write_ply
from tests.backend.scene import writing
from tests.protocol.strategies import random_splats

KEYS = ["layout", "views", "sizes", "poses_from", "masks", "masks_from", "points", "splats", "warnings"]
FULL = np.full((30, 40), 5, np.uint8)


def capture(root: Path) -> Path:
    writing.write_colmap(root)
    for stem in writing.STEMS[:2]:
        writing.write_mask(root / "masks" / f"{stem}.png", FULL)
    writing.write_mask(root / "masks" / "other.png", FULL)
    return root


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["backend", "inspect", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, said.out, said.err


def test_what_is_found(tmp_path: Path) -> None:
    root = capture(tmp_path / "scene")
    (root / "gt").mkdir()
    write_ply(random_splats(2), root / "gt" / "a.ply")
    write_ply(random_splats(2), root / "point_cloud.ply")
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    findings, fault = inspect_scene(root)
    assert fault is None
    assert list(findings) == KEYS
    assert findings == {
        "layout": "colmap",
        "views": 3,
        "sizes": [[40, 30]],
        "poses_from": "cameras",
        "masks": 2,
        "masks_from": "masks",
        "points": 2,
        "splats": "point_cloud.ply",
        "warnings": [
            "1 files in masks do not match any photograph and were ignored (first: other.png).",
            "1 of 3 photographs have no mask (first: images/v_10.png).",
            "The id 5 covers most of the image border in 2 of 2 inspected masks, but was treated as an object. If it "
            "is background, use --background-id 5.",
        ],
    }
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before
    assert as_lines(findings)[:6] == [
        "layout: colmap",
        "views: 3 of 40 x 30",
        "poses: those of the capture",
        "masks: 2 from masks",
        "points: 2",
        "splats: point_cloud.ply",
    ]
    said = inspect_scene(root, mask_ids=MaskIds(background=(5,)))[0]["warnings"]
    assert said == [*findings["warnings"][:2], "None of the 2 inspected masks shows an object."]


def test_a_mask_folder_elsewhere(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path / "scene")
    writing.write_mask(tmp_path / "ids" / "v_1.npy", FULL)
    findings, fault = inspect_scene(tmp_path / "scene", tmp_path / "ids")
    assert fault is None
    assert (findings["masks"], findings["masks_from"]) == (1, str(tmp_path / "ids"))


def test_what_a_list_names(tmp_path: Path) -> None:
    content = writing.transforms()
    content["frames"][0]["mask_path"] = "m.png"
    writing.write_transforms(tmp_path, content)
    writing.write_mask(tmp_path / "m.png", FULL)
    assert inspect_scene(tmp_path)[0]["masks_from"] == "transforms.json"


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = capture(tmp_path / "scene")
    code, out, err = run(monkeypatch, capsys, root, "--json")
    assert (code, err) == (0, "")
    assert list(json.loads(out)) == KEYS
    code, out, _ = run(monkeypatch, capsys, root)
    assert code == 0
    assert out.startswith("layout: colmap\n")
    assert "warning: 1 files in masks do not match" in out


def test_status_2_where_a_segmentation_would_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writing.write_colmap(tmp_path / "scene")
    (tmp_path / "scene" / "images" / "v_1.png").write_bytes(b"none")
    code, out, err = run(monkeypatch, capsys, tmp_path / "scene", "--json")
    findings = json.loads(out)
    assert code == 2
    assert list(findings) == [*KEYS, "error", "remedy"]
    assert "v_1.png cannot be read" in findings["error"]
    assert err == f"backend: {findings['error']} {findings['remedy']}\n"
    code, out, err = run(monkeypatch, capsys, tmp_path / "nowhere", "--json")
    findings = json.loads(out)
    assert (code, findings["layout"], findings["splats"]) == (2, None, None)
    assert "nowhere does not exist" in findings["error"]
    code, out, err = run(monkeypatch, capsys, tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_what_has_no_masks_is_taken_apart_by_geometry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    writing.write_colmap(tmp_path)
    code, out, _ = run(monkeypatch, capsys, tmp_path)
    assert code == 0
    assert "masks: none; objects are found by geometry" in out
    findings, fault = inspect_scene(capture(tmp_path), geometry=True)
    assert fault is None
    assert (findings["masks"], findings["masks_from"]) == (0, "geometry")


def test_a_model_makes_masks_where_there_are_none_and_geometry_was_not_asked_for(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    findings, _ = inspect_scene(tmp_path, model=lambda: "owner/name")
    assert (findings["masks"], findings["masks_from"]) == (0, "owner/name")
    assert "masks: none; made by the model owner/name" in as_lines(findings)
    assert inspect_scene(tmp_path, geometry=True, model=lambda: "owner/name")[0]["masks_from"] == "geometry"
    assert inspect_scene(capture(tmp_path), model=lambda: "owner/name")[0]["masks_from"] == "masks"
    (tmp_path / "alone").mkdir()
    write_ply(random_splats(2), tmp_path / "alone" / "a.ply")
    assert inspect_scene(tmp_path / "alone", model=lambda: "owner/name")[0]["masks_from"] == "geometry"


def test_photographs_without_cameras(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "day").mkdir(exist_ok=True)
        writing.photograph(number).save(tmp_path / "day" / f"{number}.jpg")
    pillow_heif.from_pillow(writing.photograph(6, (50, 30))).save(tmp_path / "day" / "6.heic")
    (tmp_path / "day" / "7.jpg").write_bytes(b"none")
    findings, fault = inspect_scene(tmp_path)
    assert fault is None
    assert (findings["layout"], findings["views"], findings["sizes"]) == ("photographs", 8, [[40, 30], [50, 30]])
    assert (findings["poses_from"], findings["masks_from"]) == ("photographs", "geometry")
    assert "day/7.jpg cannot be read" in findings["warnings"][0]
    assert as_lines(findings)[2] == "poses: computed from the photographs, which takes minutes"
    for number in range(3):
        (tmp_path / "day" / f"{number}.jpg").write_bytes(b"none")
    _, fault = inspect_scene(tmp_path)
    assert "holds 4 photographs that are readable (day/0.jpg, day/1.jpg, day/2.jpg and 1 more are not)" in str(fault)


def test_a_splat_file_alone(tmp_path: Path) -> None:
    write_ply(random_splats(2), tmp_path / "a.ply")
    for root in (tmp_path, tmp_path / "a.ply"):
        findings, fault = inspect_scene(root)
        assert fault is None
        assert (findings["layout"], findings["splats"]) == ("splats", "a.ply")
        assert (findings["poses_from"], findings["masks_from"]) == (None, "geometry")
        assert as_lines(findings) == ["layout: splats", f"masks: {BY_GEOMETRY}", "splats: a.ply"]
    write_ply(random_splats(2), tmp_path / "b.ply")
    assert "2 splat files without photographs (first: a.ply, b.ply)" in str(inspect_scene(tmp_path)[1])

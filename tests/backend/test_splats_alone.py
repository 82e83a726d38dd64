"""Objects of a splat file without cameras: spheres and boxes on a plane."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.cli import app
from backend.pipeline import segment
from backend.splats_alone import objects_of_splats
from protocol.errors import BadArgument, BadScene, BadSplats, Fault
from protocol.job_request import JobRequest
from protocol.ply import read_ply, write_ply
from protocol.result.cameras import read_cameras
from protocol.result.table import read_table
from protocol.transform import transform
from tests.backend.geometry.test_geometry import scene


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "table.ply"
    write_ply(scene()[0], path)
    return path


def test_a_result_with_objects_and_no_views(file: Path, tmp_path: Path) -> None:
    report = objects_of_splats(file, tmp_path / "out", device="cpu")
    _, truth = scene()
    labels = read_ply(tmp_path / "out" / "splats.ply").extra["label"]
    assert not labels[truth == 0].any()
    for each in (1, 2):
        assert (labels[truth == each] == np.bincount(labels[truth == each]).argmax()).mean() > 0.97
    table = read_table(tmp_path / "out")
    assert (table.scene, table.method, len(table.objects)) == ("table", "geometry", 2)
    assert table.up == (0, 0, 1), "that of the plane on which they stand"
    assert read_cameras(tmp_path / "out") == []
    assert len(list((tmp_path / "out" / "objects").iterdir())) == 2
    assert Image.open(tmp_path / "out" / "overview.png").width > 300
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["objects"], report["gaussians"], report["splats"]) == (2, len(truth), "table.ply")
    assert "geometry alone" in report["warnings"][-1]


def test_up_is_that_of_a_tilted_floor(tmp_path: Path) -> None:
    turn = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    write_ply(transform(scene()[0], turn), tmp_path / "turned.ply")
    objects_of_splats(tmp_path / "turned.ply", tmp_path / "out", device="cpu", gallery=False, meshes=False)
    assert read_table(tmp_path / "out").up == (0, 1, 0)
    assert not (tmp_path / "out" / "gallery").exists()


@pytest.mark.parametrize("named", ["table.ply", "."])
def test_segment_takes_a_splat_file_and_a_folder_with_nothing_else(file: Path, tmp_path: Path, named: str) -> None:
    request = JobRequest(device="cpu", gallery=False, meshes=False)
    assert segment(file.parent / named, tmp_path / "out", request)["objects"] == 2
    with pytest.raises(BadArgument, match="has no photographs"):
        segment(file, tmp_path / "other", JobRequest(method="consensus", device="cpu"))


def test_of_several_files_one_has_to_be_named(file: Path, tmp_path: Path) -> None:
    for name in ("a.ply", "b.ply"):
        shutil.copy(file, tmp_path / name)
    with pytest.raises(BadScene, match="2 splat files without photographs"):
        segment(tmp_path, tmp_path / "out", JobRequest(device="cpu"))


def test_what_is_wrong_leaves_nothing(file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.ply").write_bytes(b"ply\n")
    cases: list[tuple[Path, str, type[Fault]]] = [
        (tmp_path / "no.ply", "does not exist", BadSplats),
        (tmp_path / "broken.ply", "broken.ply", BadSplats),
    ]
    for path, said, kind in cases:
        with pytest.raises(kind, match=said):
            objects_of_splats(path, tmp_path / "out", device="cpu")
    with pytest.raises(BadArgument, match="contains files that were not written by a segmentation"):
        objects_of_splats(file, tmp_path, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.ply"]


def test_the_command(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(["objects", str(file), "--out", str(tmp_path / "out"), "--no-gallery"], standalone_mode=False)
    said = capsys.readouterr()
    assert "2 objects in 13,000 Gaussians" in said.out
    assert re.search(r"Check these first, by confidence: Object \d \(\d+%\), Object \d \(\d+%\)\n", said.out)
    assert "geometry alone" in said.err

"""Results in which the holes beneath objects are filled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.lift.types import Lift
from backend.objects import result
from backend.objects.fill import fill
from backend.objects.table import object_table
from protocol.errors import BadArgument, BadResult, NotFound, Unavailable
from protocol.ply import read_ply
from protocol.result.embedding import read_embedding
from protocol.result.folder import whole_folder
from protocol.result.table import read_table
from tests.backend.objects.mesh.making import ball, joined
from tests.backend.objects.test_hole import CAMERAS, floor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    splats, labels = joined(ball((0, 0, 0.55), 0.6), floor(0.45))
    labels = np.where(labels == 1, 1, 0).astype(np.int32)
    rows = np.arange(len(splats))
    embedding = np.stack([rows // 100, rows % 100], 1).astype(np.float32)  # float16 holds both
    lift = Lift(labels, np.ones(len(splats), np.float32), np.array([0, 9], np.int32), "unic-lift", {}, embedding)
    with whole_folder(tmp_path / "in") as made:
        result.write_gaussians(made, splats, lift)
        result.write_objects(made, "kitchen", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
        result.write_cameras(made, {f"{n:04d}": each for n, each in enumerate(CAMERAS)})
    return tmp_path / "in"


def test_the_filled_result_is_a_result_and_marks_what_is_invented(folder: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["fill", str(folder), "1", "--out", str(tmp_path / "out"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "of the hole beneath it" in done.output
    before, after = read_ply(folder / "splats.ply"), read_ply(tmp_path / "out" / "splats.ply")
    invented = after.extra["invented"] == 1
    assert f"{invented.sum()} Gaussians added" in done.output
    assert 10 < invented.sum() < len(before)
    assert set(after.extra["label"][invented].tolist()) == {0}
    assert (after.extra["label"] == 1).sum() == (before.extra["label"] == 1).sum()
    assert [row.count for row in read_table(tmp_path / "out").objects] == [(before.extra["label"] == 1).sum()]
    kept = read_embedding(tmp_path / "out", len(after))
    assert kept is not None
    # Each Gaussian has the embedding of the one that it is or was copied from.
    row = kept.astype(int) @ [100, 1]
    np.testing.assert_array_equal(before.means[row[~invented]], after.means[~invented])
    assert (before.extra["label"][row[invented]] == 0).all()
    way = after.means[invented] - before.means[row[invented]]
    assert (np.linalg.norm(way[:, :2], axis=1) > 0.2).all()
    np.testing.assert_allclose(way[:, 2], 0, atol=1e-5)
    assert "invented" not in before.extra


def test_a_place_that_cannot_be_written_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("backend.objects.fill.write_ply", refuse)
    with pytest.raises(Unavailable, match=r"The result cannot be written to .*out: Permission denied\."):
        fill(folder, ["1"], tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_wrong_requests_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no object '7'"):
        fill(folder, ["7"], tmp_path / "out")
    with pytest.raises(BadArgument, match="is the result that is filled"):
        fill(folder, ["1"], folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(BadArgument, match="were not written by a segmentation"):
        fill(folder, ["1"], tmp_path / "full")
    (folder / "cameras.json").unlink()
    with pytest.raises(BadResult, match=r"cameras\.json"):
        fill(folder, ["1"], tmp_path / "out")
    assert not (tmp_path / "out").exists()

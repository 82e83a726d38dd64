"""Holes beneath objects, filled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.lift.types import Lift
from backend.objects import result
from backend.objects.fill import fill, fill_one, looks_at
from backend.objects.table import object_table
from backend.render import Renderer
from protocol.errors import BadArgument, BadResult, NotFound, Unavailable
from protocol.ply import read_ply
from protocol.result.embedding import read_embedding
from protocol.result.folder import whole_folder
from protocol.result.table import read_table
from protocol.sh import SH0
from protocol.splats import Splats
from tests.backend.objects.mesh.making import ball, camera, joined, ring, sheet

CAMERAS = ring(14, height=2.5)


def floor(hole: float, dark: bool = False) -> Splats:
    """A floor of stripes along x, with a round hole at the origin or dark Gaussians there."""
    x, y = np.meshgrid(np.arange(-3, 3, 0.12), np.arange(-3, 3, 0.12))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1)
    splats = sheet(points, (0, 0, 1), 0.1)
    stripe = np.floor(points[:, 1] / 0.5) % 2 == 0
    splats.sh[:, 0] = np.where(stripe[:, None], [1.0, 0.2, -1.0], [-1.0, 0.2, 1.0])
    inside = np.linalg.norm(points[:, :2], axis=1) < hole
    if dark:
        splats.sh[inside, 0] = -0.5 / SH0
        return splats
    return splats.pick(np.flatnonzero(~inside))


@pytest.mark.parametrize(("hole", "dark"), [(0.45, False), (0.2, True)])
def test_a_hole_in_a_striped_floor_is_filled_with_stripes(hole: float, dark: bool) -> None:
    """The known answer is the floor without a hole, seen from above after the ball is taken away."""
    splats, labels = joined(ball((0, 0, 0.55), 0.6), floor(hole, dark))
    splats = splats.with_columns(label=np.where(labels == 1, 1, 0).astype(np.int32))
    filled = fill_one(splats, labels == 1, labels == 2, looks_at(splats, CAMERAS), "cpu")
    assert filled.splats is not None
    assert filled.share > 0.95
    above = camera((0, 0.01, 5), size=128)
    rest = splats.pick(np.flatnonzero((labels == 2) & ~filled.replaced)).without_columns()
    wanted = np.asarray(Renderer(floor(0.0), "cpu").image(above))
    before = np.asarray(Renderer(splats.pick(labels == 2).without_columns(), "cpu").image(above))
    after = np.asarray(Renderer(both(rest, filled.splats.without_columns()), "cpu").image(above))
    middle = slice(64 - round(25 * hole), 64 + round(25 * hole))
    gap = [np.abs(each - wanted)[middle, middle].mean() for each in (before, after)]
    assert gap[0] > 0.2
    assert gap[1] < 0.25 * gap[0]
    # The copies are in the hole, on the floor.
    assert np.abs(filled.splats.means[:, 2]).max() < 0.1
    assert np.linalg.norm(filled.splats.means[:, :2], axis=1).max() < 1.0


def both(one: Splats, other: Splats) -> Splats:
    return joined(one, other)[0]


@pytest.mark.parametrize(
    ("own", "rest", "says"),
    [
        (ball((0, 0, 0.55), 0.6, 3), floor(0.45), "too few Gaussians"),
        (ball((0, 0, 2.5), 0.4), floor(0.0), "no flat surface beneath it"),
        (ball((0, 0, 0.55), 0.6), ball((9, 0, 0), 0.5), "no flat surface beneath it"),
    ],
)
def test_what_cannot_be_filled_is_told(own: Splats, rest: Splats, says: str) -> None:
    splats, labels = joined(own, rest)
    splats = splats.with_columns(label=labels.astype(np.int32))
    filled = fill_one(splats, labels == 1, labels == 2, looks_at(splats, CAMERAS), "cpu")
    assert filled.splats is None
    assert says in filled.note
    assert not filled.replaced.any()


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

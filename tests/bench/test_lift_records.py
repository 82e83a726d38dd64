"""Records of the lifting benchmark: means, the rows in which the default is not the best, files."""

from __future__ import annotations

import numpy as np
import pytest

from backend.lift.evidence.views import MaskedView
from backend.scene.types import Camera
from bench.ablations import fewer_masks, smaller_masks
from bench.growth import exponents
from bench.lift import CEILING, Case, Record, behind, head, keep, lines, markdown, read_records
from bench.pictures import like
from protocol.splats import Splats


def record(method: str, pq: float, case: str = "seed 100", **changed) -> Record:
    values = {
        "group": "25 objects, made", "case": case, "method": method, "gaussians": 50_000, "objects": 25,
        "median": 800.0, "smallest": 90, "pq": pq, "sq": 95.0, "tp": 24, "fp": 1, "fn": 1, "mean_iou": 90.0,
        "boundary_iou": 80.0, "seconds": 4.0,
    }  # fmt: skip
    return Record(**(values | changed))


def test_a_line_is_the_mean_over_cases_and_names_the_lowest():
    got = lines([record("consensus", 90.0), record("consensus", 96.0, "seed 101", tp=25, seconds=6.0)])
    assert [(line.method, line.pq, line.lowest, line.tp, line.seconds) for line in got] == [
        ("consensus", 93.0, 90.0, 24.5, 5.0)
    ]


def test_rows_where_the_default_is_not_ahead_are_named():
    pq = {CEILING: 99.0, "consensus": 95.0, "unic-lift": 95.0, "hdbscan": 94.9, "voxels": 96.0}
    records = [record(method, value) for method, value in pq.items()]
    assert behind(lines(records)) == ["unic-lift", "voxels"]
    shown = list(markdown(records))
    assert sum("is not ahead of" in line for line in shown) == 2
    assert all(line.count("|") == shown[0].count("|") for line in shown)
    assert behind(lines(records[2:])) == [], "nothing to say where the default was not run"


def test_the_head_counts_cases_and_gaussians_of_an_object():
    two = [record("consensus", 90.0), record("consensus", 90.0, "seed 101", smallest=40, median=900.0)]
    assert head(two) == "25 objects, made (2 seeds, 50,000 Gaussians, 850 an object, smallest 40)"


def test_records_of_other_runs_are_kept_and_the_same_ones_replaced(tmp_path):
    file = tmp_path / "out" / "25.json"
    keep([record("consensus", 90.0), record("voxels", 80.0)], file)
    keep([record("consensus", 91.0), record("consensus", 92.0, "seed 101")], file)
    assert [(one.method, one.case, one.pq) for one in read_records([file])] == [
        ("voxels", "seed 100", 80.0),
        ("consensus", "seed 100", 91.0),
        ("consensus", "seed 101", 92.0),
    ]


def case(views: int = 20) -> Case:
    camera = Camera(np.eye(4), np.array([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]), 8, 8)
    mask = np.kron(np.array([[0, 5], [7, 9]], np.int32), np.ones((4, 4), np.int32))
    train = [MaskedView(f"{n}", camera, mask) for n in range(views)]
    three, four = np.zeros((1, 3), np.float32), np.zeros((1, 4), np.float32)
    one = Splats(three, four, three, np.zeros(1, np.float32), three[:, None])
    return Case("g", "c", one, train, [mask] * views, [])


@pytest.mark.parametrize(("share", "names"), [(0.05, ["0"]), (0.1, ["0", "19"]), (1.0, [f"{n}" for n in range(20)])])
def test_a_share_of_the_masks_is_spread_evenly(share, names):
    fewer = fewer_masks(case(), share)
    assert [view.name for view in fewer.train] == names
    assert len(fewer.exact) == len(names)


def test_smaller_masks_have_smaller_cameras():
    smaller = smaller_masks(case(2), 0.5)
    view = smaller.train[0]
    assert (view.camera.width, view.camera.height, view.camera.K[0, 0]) == (4, 4, 4.0)
    assert view.mask[::2, ::2].tolist() == [[0, 1], [2, 3]]
    assert smaller.exact[0].shape == (4, 4)


def test_exponents_of_all_points_and_of_the_larger_half():
    x = [1.0, 2.0, 4.0, 8.0]
    assert exponents(x, [3 * value for value in x]) == pytest.approx((1.0, 1.0))
    assert exponents(x, [1.0, 1.0, 1.0, 4.0])[1] == pytest.approx(2.0)


def test_objects_take_the_number_of_the_true_one_they_are_most_like():
    truth = np.array([[0, 1, 1, 2, 2, 3]])
    assert like(np.array([[0, 9, 9, 4, 4, 0]]), truth).tolist() == [[0, 1, 1, 2, 2, 0]]
    assert like(np.array([[8, 9, 9, 9, 4, 4]]), truth)[0, 0] > 3, "on the background only, so like none"

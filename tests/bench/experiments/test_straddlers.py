"""One Gaussian on the border of two objects: it is found, cut where the border is, and its parts are labelled."""

from __future__ import annotations

import numpy as np
import pytest

from backend.reconstruct import held_out
from backend.refine import Refinement, refine
from backend.render import Renderer
from bench.experiments.straddlers import Cuts, Division, cut, cut_straddlers, find_cuts, relabel
from protocol.splats import Splats
from tests.backend.reconstruct.cameras import ring
from tests.backend.refine.sheets import make_fuzzy, wrong

CAMERAS = ring(6, (80, 60), 70.0)


def gaussians(means: list[list[float]], sizes: list[list[float]]) -> Splats:
    n = len(means)
    rng = np.random.default_rng(4)
    quats = rng.normal(size=(n, 4))
    quats[0] = [1, 0, 0, 0]
    return Splats(
        np.array(means, np.float32),
        quats.astype(np.float32),
        np.log(np.array(sizes)).astype(np.float32),
        np.full(n, 3, np.float32),
        np.zeros((n, 1, 3), np.float32),
    )


def border(camera, x: float) -> np.ndarray:
    """(H, W) int32: 1 left of the plane of that x in the world's plane z = 0, 2 beyond it."""
    rows, columns = np.indices((camera.height, camera.width)) + 0.5
    ray = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(camera.K).T @ camera.viewmat[:3, :3]
    depth = -camera.centre[2] / ray[..., 2]
    return np.where(camera.centre[0] + depth * ray[..., 0] < x, 1, 2).astype(np.int32)


def divide(splats: Splats, labels: np.ndarray, x: float) -> Division:
    renderer, division = Renderer(splats, "cpu"), Division.empty(len(splats))
    for camera in CAMERAS:
        division.add(splats, labels, camera, renderer.contributions(camera, None, 16), border(camera, x))
    return division


def test_a_straddler_is_cut_at_the_border_and_relabelled():
    splats = gaussians([[0, 0, 0], [-1.2, 0.3, 0], [1.2, 0.3, 0]], [[0.4, 0.2, 0.01], [0.1] * 3, [0.1] * 3])
    labels = np.array([1, 1, 2], np.int32)
    cuts = find_cuts(divide(splats, labels, 0.1))
    assert cuts.rows.tolist() == [0]
    assert cuts.normal[0] @ [1, 0, 0] > 0.95
    assert cuts.offset[0] == pytest.approx(0.1 / 0.4, abs=0.15)
    parts, parents = cut(splats, cuts)
    assert parents.tolist() == [0, 1, 2, 0]
    assert parts.means[0, 0] < 0 < 0.1 < parts.means[3, 0]
    assert np.array_equal(parts.means[1], splats.means[1])
    renderer = Renderer(parts, "cpu")
    views = [(renderer.contributions(camera, None, 16), border(camera, 0.1)) for camera in CAMERAS]
    assert relabel(labels[parents], np.array([0, 3]), views).tolist() == [1, 1, 2, 2]


def test_what_lies_on_one_side_is_left_alone():
    splats = gaussians([[-0.9, 0, 0], [0.9, 0.2, 0]], [[0.2, 0.2, 0.01]] * 2)
    assert len(find_cuts(divide(splats, np.array([1, 2], np.int32), 0.0)).rows) == 0


def test_parts_have_the_moments_of_the_halves():
    splats = gaussians([[0.3, -0.2, 0.5]], [[0.5, 0.3, 0.2]])
    normal = np.array([[0.6, 0.8, 0.0]])
    parts, _ = cut(splats, Cuts(np.array([0]), normal, np.array([0.4])))
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(400_000, 3))
    frame = np.diag(splats.sizes[0])  # the first rotation is none
    own = drawn @ normal[0] < 0.4
    for row, side in ((0, own), (1, ~own)):
        points = drawn[side] @ frame.T + splats.means[0]
        assert np.allclose(parts.means[row], points.mean(0), atol=0.005)
        w, x, y, z = parts.quats[row].astype(float)
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        axes = turn * parts.sizes[row]
        assert np.allclose(axes @ axes.T, np.cov(points.T), atol=0.003)


def test_no_object_loses_its_last_gaussian():
    splats = gaussians([[0.5, 0, 0], [3, 3, 9]], [[0.2, 0.2, 0.01]] * 2)
    shown = Renderer(splats, "cpu").contributions(CAMERAS[0], None, 4)
    two = np.full((60, 80), 2, np.int32)
    assert relabel(np.array([1, 2], np.int32), np.array([0]), [(shown, two)]).tolist() == [1, 2]
    assert relabel(np.array([1, 1], np.int32), np.array([0]), [(shown, two - 1)]).tolist() == [1, 1]


def test_cut_gaussians_keep_labels_and_refine_as_others_do(tmp_path):
    splats, lift, views, maps = make_fuzzy(tmp_path)
    parts, labelled = cut_straddlers(splats, lift, views)
    assert labelled.embedding is not None
    assert len(splats) < len(parts) == len(labelled.labels) == len(labelled.confidence) == len(labelled.embedding)
    found, relifted = refine(parts, labelled, views, how=Refinement(steps=60))
    assert wrong(found, relifted, views, maps) < 0.7 * wrong(splats, lift, views, maps)
    assert np.mean(held_out(found, views)) > np.mean(held_out(splats, views))
    again, _ = cut_straddlers(splats, lift, views)
    assert np.array_equal(again.means, parts.means)

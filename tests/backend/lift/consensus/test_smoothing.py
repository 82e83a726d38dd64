"""Smoothing along surfaces of one colour."""

from __future__ import annotations

import numpy as np

from backend.lift.consensus.smoothing import smoothed, surface
from backend.lift.evidence.agreement import Agreement
from tests.backend.lift.made_evidence import in_a_row


def test_smoothing_follows_colour_and_stops_at_it() -> None:
    line = in_a_row(12, np.repeat([0.2, 0.8], 6))
    graph = surface(line, np.ones(12, bool))
    value = np.zeros((12, 4), np.float32)
    value[:, 0] = 1
    cluster = np.full((12, 4), -1, np.int32)
    # The masks' edge lies two Gaussians away from where the colour changes, and one vote is a stray.
    cluster[:, 0] = [1, 1, 2, 1, 2, 2, 2, 2, 2, 2, 2, 2]
    found = Agreement(cluster, value)
    assert smoothed(found, graph, 0).tolist() == cluster[:, 0].tolist()
    assert smoothed(found, graph, 20)[6:].tolist() == [2] * 6
    value[[4, 5]] *= 0.4
    assert smoothed(found, graph, 20).tolist() == [1] * 6 + [2] * 6


def test_smoothing_leaves_the_edge_between_equal_colours_and_the_lone_background() -> None:
    line = in_a_row(400, np.full(400, 0.5))
    value = np.zeros((400, 4), np.float32)
    value[:, 0] = 1
    cluster = np.full((400, 4), -1, np.int32)
    cluster[:, 0] = np.repeat([1, 2, 0], [150, 150, 100])
    graph = surface(line, np.ones(400, bool))
    got = smoothed(Agreement(cluster, value), graph, 20)
    assert got[:290].tolist() == cluster[:290, 0].tolist()
    assert (got[300:] == 0).all()


def test_smoothing_of_one_gaussian() -> None:
    one = in_a_row(1, np.zeros(1))
    found = Agreement(np.array([[3, 0, -1, -1]], np.int32), np.array([[2, 1, 0, 0]], np.float32))
    assert smoothed(found, surface(one, np.ones(1, bool)), 5).tolist() == [3]
    assert smoothed(found, surface(one, np.zeros(1, bool)), 5).tolist() == [3]

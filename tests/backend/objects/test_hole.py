"""Copies of Gaussians that fill the hole beneath an object."""

from __future__ import annotations

import numpy as np
import pytest

from backend.objects.hole import draw_depths, fill_hole
from backend.render import Renderer
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
    filled = fill_hole(splats, labels == 1, labels == 2, draw_depths(splats, CAMERAS), "cpu")
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
    filled = fill_hole(splats, labels == 1, labels == 2, draw_depths(splats, CAMERAS), "cpu")
    assert filled.splats is None
    assert says in filled.note
    assert not filled.replaced.any()

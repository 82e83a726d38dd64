"""Measures of solidity, and the sentence about fog."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.poses import Placement
from backend.reconstruct.quality import Quality, doubt
from backend.reconstruct.solidity import Solidity, solidity
from backend.scene.types import View
from tests.backend.reconstruct.test_floaters import CAMERAS
from tests.backend.reconstruct.walls import splats_at, wall

VIEWS = [View(str(number), camera, Path("none.png")) for number, camera in enumerate(CAMERAS)]
SOLID = Solidity(0.5, 0.3, 0.8)
FOGGY = Solidity(0.12, 0.1, 0.05)


def test_a_wall_is_solid() -> None:
    found = solidity(wall(), VIEWS)
    assert found.surface_light > 0.95
    assert found.opacity > 0.95
    assert not found.is_fog


def test_faint_gaussians_all_along_the_rays_are_fog() -> None:
    rng = np.random.default_rng(0)
    means = rng.uniform([-1, -1, -2], [1, 1, 2.5], (4000, 3))
    found = solidity(splats_at(means, np.full(3, 0.1), -3.0), VIEWS)
    assert found.surface_light < 0.1
    assert found.opacity == pytest.approx(1 / (1 + np.exp(3)), abs=1e-3)
    assert found.is_fog


def test_nothing_is_fog() -> None:
    unseen = splats_at(np.array([[0.0, 0.0, 50.0]]), np.full(3, 0.1), 1.0)
    assert solidity(unseen, VIEWS) == Solidity(0.0, 0.0, 0.0)


def test_a_solid_reconstruction_leaves_no_doubt() -> None:
    assert doubt(Quality(SOLID, 30.0, 28.0), 60, None) is None
    assert doubt(Quality(SOLID, 30.0, None), 60, None) is None


@pytest.mark.parametrize(
    ("found", "views", "placement", "words"),
    [
        (
            Quality(FOGGY, 30.0, 28.0),
            60,
            Placement(900, 5.2, 4.9, False),
            ("has no clear surfaces: 12 %", "an error of 5.2 pixels"),
        ),
        (Quality(FOGGY, None, None), 12, None, ("has no clear surfaces", "12 photographs are too few")),
        (Quality(SOLID, 31.0, 22.5), 60, Placement(900, 3.0, 0.5, True), ("8.5 dB worse", "blurred")),
    ],
)
def test_the_sentence_says_what_is_wrong_and_the_likely_cause(found, views, placement, words) -> None:
    said = doubt(found, views, placement)
    assert said is not None
    assert all(word.replace(" %", "") in said.replace("%", "") for word in words)

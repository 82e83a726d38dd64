"""Cameras beside those of photographs look at the same point from the same distance."""

from __future__ import annotations

import numpy as np
import pytest

from backend.reconstruct.novel_views import ANGLES, beside
from tests.backend.render import scenes


@pytest.mark.parametrize("seed", range(10))
def test_it_turns_about_the_point_in_the_middle(seed):
    rng = np.random.default_rng(seed)
    camera = scenes.camera(seed, 40, 30)
    turned = beside(camera, 3.0, rng)
    assert np.allclose(turned.viewmat[:3, :3] @ turned.viewmat[:3, :3].T, np.eye(3))
    assert np.linalg.det(turned.viewmat[:3, :3]) == pytest.approx(1)
    target = camera.centre + 3 * camera.viewmat[2, :3]
    assert np.allclose(turned.viewmat[:3, :3] @ target + turned.viewmat[:3, 3], [0, 0, 3])
    angle = np.degrees(np.arccos(camera.viewmat[2, :3] @ turned.viewmat[2, :3]))
    assert ANGLES[0] <= angle <= ANGLES[1]
    assert np.array_equal(turned.K, camera.K)
    assert (turned.width, turned.height) == (40, 30)

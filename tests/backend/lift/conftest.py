"""A small scene with exact labels, made once."""

from __future__ import annotations

import pytest

from bench.scenes import MadeScene, make_scene


@pytest.fixture(scope="session")
def made() -> MadeScene:
    """Five objects in a room, 12 training views of 64x64 with mild noise, 3 test views."""
    return make_scene(objects=5, gaussians=4000, views=12, test_views=3, size=64, noise="mild", seed=3)

"""A pinhole camera that shows all of a photograph, against the lens's equations in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from backend.scene.lens import Lens, pinhole
from backend.scene.types import Camera
from backend.scene.wide_pinhole import wide_pinhole
from tests.backend.scene.test_lens import LENSES, H, W, drawn


@pytest.mark.parametrize("name", LENSES)
def test_a_cover_shows_every_pixel_of_the_photograph_where_it_was_taken(name: str) -> None:
    model, params = LENSES[name]
    lens = Lens(model, params, W, H)
    whole = wide_pinhole(lens, Camera(np.eye(4), pinhole(lens), W, H))
    assert whole.rows.shape == whole.columns.shape == (H, W)
    # The ray of each covering pixel is drawn within a pixel, and some, of the photograph's.
    K = whole.camera.K
    x = (whole.columns + 0.5 - K[0, 2]) / K[0, 0]
    y = (whole.rows + 0.5 - K[1, 2]) / K[1, 1]
    u, v = drawn(model, params, x, y)
    columns, rows = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    assert max(np.abs(u - columns).max(), np.abs(v - rows).max()) < 1.0


def test_a_cover_without_distortion_is_the_photograph() -> None:
    lens = Lens("SIMPLE_RADIAL", (128.0, 80.0, 60.0, 0.0), W, H)
    whole = wide_pinhole(lens, Camera(np.eye(4), pinhole(lens), W, H))
    assert (whole.camera.width, whole.camera.height) == (W, H)
    assert np.array_equal(whole.rows[:, 0], np.arange(H))
    assert np.array_equal(whole.columns[0], np.arange(W))

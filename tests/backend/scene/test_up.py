"""Up from the cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from backend.scene.images import ORIENTATION
from backend.scene.types import Camera, View
from backend.scene.up import FALLBACK, up_direction


@pytest.fixture
def upright(tmp_path: Path) -> Path:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def ring(count: int, tilt: float, up: np.ndarray, photograph: Path) -> list[View]:
    """Cameras around an axis, all tilted down by the same angle."""
    across = np.linalg.svd(up[None])[2][1:]
    views = []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        out = np.cos(angle) * across[0] + np.sin(angle) * across[1]
        forward = -np.cos(tilt) * out - np.sin(tilt) * up
        right = np.cross(forward, up) / np.linalg.norm(np.cross(forward, up))
        viewmat = np.eye(4)
        viewmat[:3, :3] = np.stack([right, np.cross(forward, right), forward])
        views.append(View(str(angle), Camera(viewmat, np.eye(3), 2, 2), photograph))
    return views


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, -1, 0), (1, 0, 0)])
def test_a_ring_of_tilted_cameras_tells_the_axis(axis, upright):
    assert up_direction(ring(7, 0.6, np.array(axis, float), upright)) == axis


def test_an_oblique_up_is_kept(upright):
    up = np.array([1, 2, 2]) / 3
    assert np.allclose(up_direction(ring(8, 0.3, up, upright)), up, atol=1e-5)


def test_cameras_that_disagree_say_nothing(upright):
    above = ring(4, 0.2, np.array([0, 0, 1.0]), upright)
    assert up_direction(above + ring(4, 0.2, np.array([0, 0, -1.0]), upright)) == FALLBACK


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_camera_that_was_held_on_its_side_tells_the_same(turn, tmp_path):
    """Pillow's own turn of a picture that holds the column and the row of each pixel says where its up was stored."""
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    columns, rows = np.meshgrid(np.arange(9, dtype=np.uint8), np.arange(9, dtype=np.uint8))
    Image.fromarray(np.stack([columns, rows, rows], 2)).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as stored:
        shown = np.asarray(ImageOps.exif_transpose(stored)).astype(int)
    right, down = (shown[0, 4] - shown[8, 4])[:2] / 8
    viewmat = np.eye(4)
    viewmat[:3, :3] = [right * np.array([0, 0, 1.0]), down * np.array([0, 0, 1.0]), [0, 1, 0]]
    viewmat[1 if right else 0, :3] = [1, 0, 0]
    assert up_direction([View("a", Camera(viewmat, np.eye(3), 9, 9), tmp_path / "a.png")]) == (0, 0, 1)

"""PSNR of a held-out view with and without its unknown exposure."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.reconstruct.held_out import qualities
from backend.render import Renderer
from backend.scene.types import Camera, View
from protocol.splats import Splats


def ball(colour: tuple[float, float, float]) -> Splats:
    """Return one large, nearly opaque Gaussian of a colour, 3 units before the camera."""
    sh0 = (np.array(colour) - 0.5) / 0.28209479177387814
    return Splats(
        np.array([[0, 0, 3]], np.float32),
        np.array([[1, 0, 0, 0]], np.float32),
        np.full((1, 3), 1.0, np.float32),
        np.array([6.0], np.float32),
        sh0.reshape(1, 1, 3).astype(np.float32),
    )


def test_a_darker_photograph_costs_psnr_but_not_after_its_exposure(tmp_path: Path):
    K = np.array([[40.0, 0, 20], [0, 40, 15], [0, 0, 1]])
    camera = Camera(K=K, viewmat=np.eye(4), width=40, height=30)
    splats = ball((0.8, 0.5, 0.4))
    image = np.asarray(Renderer(splats, "cpu").image(camera)).clip(0, 1)
    Image.fromarray(np.round(255 * 0.7 * image).astype(np.uint8)).save(tmp_path / "dark.png")
    found = qualities(splats, [View("dark", camera, tmp_path / "dark.png")], "cpu")[0]
    error = np.square(0.3 * image).mean()
    assert found.psnr == pytest.approx(-10 * np.log10(error), abs=0.1)
    assert found.exposed > 45

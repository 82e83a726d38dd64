"""Factors of photographs: their best values, their mean, and whether a reconstruction finds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from backend.reconstruct import held_out, reconstruct
from backend.reconstruct.exposure import Exposures, logs_of
from backend.scene.types import Scene
from tests.backend.reconstruct.test_train import scene as scene  # a fixture


def test_the_best_factors_are_found_at_once() -> None:
    image = torch.rand(20, 30, 3, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.1
    factors = torch.tensor([0.8, 1.1, 1.3])
    photograph = (255 * image * factors).round().to(torch.uint8)
    torch.testing.assert_close(logs_of(image, photograph).exp(), factors, atol=5e-3, rtol=0)


def test_a_black_render_says_nothing() -> None:
    assert not logs_of(torch.zeros(4, 4, 3), torch.full((4, 4, 3), 200, dtype=torch.uint8)).any()


def test_the_mean_stays_and_nothing_runs_away() -> None:
    exposures = Exposures(3, "cpu")
    exposures.move(torch.tensor([[9.0, 0.2, 0.0], [0.0, 0.1, 0.0], [-9.0, 0.0, 0.3]]))
    torch.testing.assert_close(exposures.logs.mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    assert exposures.logs.abs().max() <= 1


def test_applying_is_differentiable_in_the_image() -> None:
    exposures = Exposures(2, "cpu")
    exposures.move(torch.tensor([[0.2, 0.0, 0.0], [-0.2, 0.0, 0.0]]))
    image = torch.ones(2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: exposures.apply(x, 0), image)


def test_photographs_of_changing_exposure_are_explained(scene: Scene, tmp_path) -> None:
    """Held-out photographs, as they would be at the mean exposure, come out better."""
    views = []
    for number, view in enumerate(scene.views[:-1]):
        pixels = np.asarray(Image.open(view.image_path)) * (0.6, 1.0)[number % 2]
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        views.append(replace(view, image_path=path))
    test = replace(scene.views[-1], image_path=tmp_path / "test.png")
    pixels = np.asarray(Image.open(scene.views[-1].image_path)) * 0.6 ** (4 / 7)
    Image.fromarray(pixels.astype(np.uint8)).save(test.image_path)

    def quality(rate: float) -> float:
        settings = {"cap": 450, "exposure_rate": rate}
        splats = reconstruct(scene, views, steps=200, settings=settings)
        return float(np.mean(held_out(splats, [test])))

    assert quality(0.3) > quality(0.0) + 0.5

"""What transparent pixels of photographs do to a reconstruction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.reconstruct import reconstruct
from backend.reconstruct.held_out import qualities
from backend.reconstruct.photographs import Photograph, load_photographs
from backend.reconstruct.transparent import as_compared
from backend.render import Renderer
from backend.scene.types import Camera, Scene, View
from protocol.splats import Splats
from tests.backend.scene.test_transparency import ball, disc, everywhere, views_of

CAMERA = Camera(np.eye(4), np.array([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]), 8, 8)
"""Looks along z from the origin."""


def photograph(transparent) -> Photograph:
    """Return a grey photograph whose left half is transparent."""
    image = torch.full((8, 8, 3), 100, dtype=torch.uint8)
    alpha = torch.full((8, 8), 255, dtype=torch.uint8)
    image[:, :4], alpha[:, :4] = 0, 0
    return Photograph(CAMERA, image, None, alpha, transparent)


def test_empty_space_is_compared_on_a_backdrop_that_changes() -> None:
    photo, opacity = photograph("empty"), torch.zeros(8, 8)
    opacity[:, 4:] = 1
    image = photo.image / 255
    seen = []
    for step in range(2):
        drawn, target = as_compared(image, opacity, photo, step)
        torch.testing.assert_close(drawn, target.image / 255, atol=0.5 / 255, rtol=0)
        assert (target.image[:, 4:] == 100).all()
        seen.append(target.image[0, 0])
    assert not torch.equal(*seen)
    # A black Gaussian in empty space looks right on black, and wrong on the backdrop.
    opacity[:] = 1
    drawn, target = as_compared(image, opacity, photo, 2)
    assert (drawn - target.image / 255)[:, :4].abs().mean() > 0.1


def test_hidden_parts_do_not_count() -> None:
    photo = photograph("hidden")
    image = torch.full((8, 8, 3), 100 / 255, requires_grad=True)
    drawn, target = as_compared(image, torch.ones(8, 8), photo, 0)
    torch.testing.assert_close(drawn, target.image / 255)
    drawn.sum().backward()
    assert image.grad is not None
    assert (image.grad[:, :4] == 0).all()
    assert (image.grad[:, 4:] == 1).all()


def test_opaque_photographs_are_compared_as_they_are() -> None:
    photo = Photograph(CAMERA, torch.full((8, 8, 3), 100, dtype=torch.uint8))
    image = torch.rand(8, 8, 3)
    drawn, target = as_compared(image, torch.rand(8, 8), photo, 0)
    assert drawn is image
    assert target is photo


def test_sums_beyond_white_do_not_become_black() -> None:
    photo = photograph("empty")
    photo.image[:, :4] = 3
    brightest = 0
    for step in range(200):
        drawn, target = as_compared(photo.image / 255, torch.zeros(8, 8), photo, step)
        torch.testing.assert_close(target.image[0, 0] / 255, drawn[0, 0].clamp(max=1), atol=0.6 / 255, rtol=0)
        brightest = max(brightest, int(target.image[0, 0].max()))
    assert brightest == 255


@pytest.fixture
def view(tmp_path):
    pixels = np.full((300, 200, 4), 100, np.uint8)
    pixels[:, :, 3] = 255
    pixels[:, :100, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    K = np.array([[200.0, 0, 100], [0, 200, 150], [0, 0, 1]])
    return View("a", Camera(np.eye(4), K, 200, 300), tmp_path / "a.png", transparent="hidden")


def test_alpha_is_stored_in_memory_and_on_disk(view: View, tmp_path) -> None:
    for folder in (None, tmp_path):
        photos = load_photographs([view], long_side=300, device="cpu", folder=folder)
        for photo in (photos.full[0], photos.half[0]):
            height, width = photo.camera.height, photo.camera.width
            assert photo.alpha is not None
            assert photo.alpha.shape == (height, width)
            assert photo.transparent == "hidden"
            assert photo.on_object is None
            left = width // 2
            assert (photo.alpha[:, :left] == 0).all()
            assert (photo.alpha[:, left:] == 255).all()
            assert (photo.image[:, :left] == 0).all()
            assert (photo.image[:, left:] == 100).all()


def test_hidden_pixels_do_not_count_in_the_quality(view: View) -> None:
    nothing = Splats(
        np.zeros((0, 3), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros((0, 3), np.float32),
        np.zeros(0, np.float32),
        np.zeros((0, 1, 3), np.float32),
    )
    (quality,) = qualities(nothing, [view])
    assert quality.psnr == pytest.approx(-20 * np.log10(100 / 255), abs=0.01)


def test_nothing_is_reconstructed_in_empty_space(tmp_path) -> None:
    rng = np.random.default_rng(0)
    views = [replace(view, transparent="empty") for view in views_of(tmp_path, [disc()] * 12)]
    # Points of a black background, from before the photographs were cut out, look right on black.
    points = np.concatenate([ball(rng), everywhere(rng, 600)])
    colours = np.repeat(np.array([90, 0], np.uint8), [400, 600])[:, None].repeat(3, axis=1)
    scene = Scene(tmp_path, "colmap", tuple(views), points, colours)
    splats = reconstruct(scene, views, steps=150, settings={"cap": 3000})
    renderer = Renderer(splats, "cpu")
    solid = np.ones((len(splats), 1), np.float32)
    shows = np.stack([renderer.image(view.camera, solid)[..., 0] for view in views])
    assert shows[:, disc() == 0].mean() < 0.1
    assert shows[:, disc() > 0].mean() > 0.8

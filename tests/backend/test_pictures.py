"""Pictures of work under way: small, not too many, and of what is there."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.pictures import EVERY, SIDE, UNSEEN, Pictures, principal_colours
from backend.pipeline import segment
from backend.progress import silent
from backend.render import Renderer
from protocol.job_request import JobRequest
from protocol.messages import MAX_SIDE
from tests.backend.select.test_selection import CAMERA, FEATURES, made


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pictures_are_small_and_some_seconds_apart():
    taken: list[np.ndarray] = []
    clock = Clock()
    pictures = Pictures(taken.append, clock)
    assert pictures.due
    pictures.image(np.tile(np.array([0.0, 0.5, 2.0], np.float32), (300, 900, 1)))
    assert taken[0].dtype == np.uint8
    assert taken[0].shape == (85, SIDE, 3)
    assert SIDE <= MAX_SIDE
    assert taken[0][0, 0].tolist() == [0, 127, 255]
    assert not pictures.due
    clock.now += EVERY
    assert pictures.due
    pictures.drawing(Image.new("RGB", (20, 10), (1, 2, 3)))
    assert taken[1].shape == (10, 20, 3)
    assert not UNSEEN.due
    assert not UNSEEN.wanted


@pytest.mark.parametrize("dimensions", [1, 2, 3, 12])
def test_what_differs_in_the_embedding_differs_in_colour(dimensions):
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 50)
    centres = np.zeros((2, dimensions))
    centres[1, 0] = 5
    colours = principal_colours((centres[groups] + 0.01 * rng.normal(size=(100, dimensions))).astype(np.float32))
    assert colours.shape == (100, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
    assert np.abs(colours[:50].mean(0) - colours[50:].mean(0)).max() > 0.9
    flat = principal_colours(np.ones((4, dimensions), np.float32))
    assert np.isfinite(flat).all()


def test_an_embedding_as_a_camera_sees_it():
    splats, lift = made(True)
    taken: list[np.ndarray] = []
    pictures = Pictures(taken.append)
    pictures.embedding(Renderer(splats, "cpu"), CAMERA.resized(800, 400), FEATURES[lift.labels])
    assert taken[0].shape == (128, 256, 3)
    assert len(np.unique(taken[0].reshape(-1, 3), axis=0)) > 2


@pytest.mark.parametrize("method", ["consensus", "unic-lift"])
def test_a_segmentation_shows_pictures(tmp_path, method, monkeypatch):
    from backend.demo.scene import write_scene

    monkeypatch.setattr("backend.pictures.EVERY", 0.0)
    monkeypatch.setattr("backend.reconstruct.train.REPORT_EVERY", 0.0)
    write_scene(tmp_path / "room", objects=3, views=5, size=64, seed=1)
    taken: list[tuple[str, np.ndarray]] = []
    now = [""]

    def progress(stage: str, fraction: float, note: str = "") -> None:
        now[0] = stage
        silent(stage, fraction, note)

    settings: dict[str, float | int | str | bool] = {"steps": 40} if method == "unic-lift" else {}
    request = JobRequest(method=method, device="cpu", steps=60, meshes=False, settings=settings)
    segment(
        tmp_path / "room",
        tmp_path / "out",
        request,
        progress=progress,
        picture=lambda picture: taken.append((now[0], picture)),
    )
    assert {"reconstruct", "objects"} | ({"lift"} if method == "unic-lift" else set()) <= {name for name, _ in taken}
    assert all(picture.dtype == np.uint8 and max(picture.shape) <= MAX_SIDE for _, picture in taken)
    labels = next(picture for name, picture in taken if name == "objects")
    assert len(np.unique(labels.reshape(-1, 3), axis=0)) > 1

"""What transparent pixels of photographs mean, decided from sparse points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.scene.pose import looking_at
from backend.scene.transparency import with_transparency
from backend.scene.types import Camera, View
from protocol.errors import BadScene

SIZE = 64
K = np.array([[SIZE, 0, SIZE / 2], [0, SIZE, SIZE / 2], [0, 0, 1.0]])


def views_of(folder: Path, alphas: list[np.ndarray]) -> list[View]:
    """Return views around the origin whose photographs have the given alpha channels."""
    views = []
    for i, alpha in enumerate(alphas):
        angle = 2 * np.pi * i / len(alphas)
        viewmat = looking_at(np.array([3 * np.cos(angle), 3 * np.sin(angle), 1.0]), np.zeros(3), [0.0, 0.0, 1.0])
        pixels = np.full((SIZE, SIZE, 4), 90, np.uint8)
        pixels[..., 3] = alpha
        Image.fromarray(pixels).save(folder / f"{i}.png")
        views.append(View(str(i), Camera(viewmat, K, SIZE, SIZE), folder / f"{i}.png"))
    return views


def disc() -> np.ndarray:
    """Return the alpha channel of a ball of radius 0.5 at the origin."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
    return np.where(np.hypot(x, y) < 0.5 / 3.2 * SIZE, 255, 0)


def ball(rng: np.random.Generator, count: int = 400) -> np.ndarray:
    points = rng.normal(size=(count, 3))
    return (0.48 * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def everywhere(rng: np.random.Generator, count: int = 2000) -> np.ndarray:
    return rng.uniform(-1.2, 1.2, (count, 3)).astype(np.float32)


def tripod(i: int) -> np.ndarray:
    alpha = np.full((SIZE, SIZE), 255)
    alpha[-12:] = 0
    alpha[10:20, 5 * i : 5 * i + 12] = 0
    return alpha


@pytest.mark.parametrize("background", [False, True], ids=["points on the object", "points behind it too"])
def test_an_object_cut_out_has_empty_surroundings(tmp_path: Path, background: bool) -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([ball(rng), 2 * everywhere(rng)]) if background else ball(rng)
    views, warnings = with_transparency(views_of(tmp_path, [disc()] * 8), points)
    assert {view.transparent for view in views} == {"empty"}
    assert len(warnings) == 1
    assert "empty space" in warnings[0]
    assert "0.png" in warnings[0]


def test_a_part_that_other_photographs_show_is_hidden(tmp_path: Path) -> None:
    points = everywhere(np.random.default_rng(0))
    views, warnings = with_transparency(views_of(tmp_path, [tripod(i) for i in range(8)]), points)
    assert {view.transparent for view in views} == {"hidden"}
    assert len(warnings) == 1
    assert "ignored" in warnings[0]


def test_without_points_the_surroundings_are_empty(tmp_path: Path) -> None:
    none = np.zeros((0, 3), np.float32)
    views, _ = with_transparency(views_of(tmp_path, [tripod(i) for i in range(8)]), none)
    assert {view.transparent for view in views} == {"empty"}


def test_the_layout_may_define_it(tmp_path: Path) -> None:
    points = everywhere(np.random.default_rng(0))
    views, warnings = with_transparency(views_of(tmp_path, [tripod(i) for i in range(8)]), points, "empty")
    assert {view.transparent for view in views} == {"empty"}
    assert not warnings


def test_opaque_photographs_have_no_meaning(tmp_path: Path) -> None:
    given = views_of(tmp_path, [np.full((SIZE, SIZE), 255)] * 3)
    assert with_transparency(given, ball(np.random.default_rng(0))) == (given, ())


def test_photographs_that_are_transparent_everywhere_are_refused(tmp_path: Path) -> None:
    given = views_of(tmp_path, [np.zeros((SIZE, SIZE))] * 3)
    with pytest.raises(BadScene, match="are transparent everywhere"):
        with_transparency(given, ball(np.random.default_rng(0)))

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.gallery import Curve, draw_curve, held_out_page, turntable, write_gif
from backend.gallery.turntable import LEAST_FRAMES, MOST_FRAMES, SIZE
from backend.render import Renderer
from backend.scene.types import Camera, View
from protocol.result.colours import colour_of
from protocol.splats import Splats, merge
from tests.backend.objects.making import ball, two_balls

UP = (0.0, 0.0, 1.0)


def near(picture: np.ndarray, colour: tuple[float, float, float]) -> int:
    """How many pixels of (H, W, 3) uint8 have a colour, about."""
    return int((np.abs(picture.astype(int) - 255 * np.array(colour)).max(2) < 25).sum())


def test_a_turn_shows_the_objects_in_both_colourings_and_ends_where_it_began():
    splats, lift = two_balls()
    frames = [np.asarray(frame) for frame in turntable(splats, lift.labels, UP)]
    assert LEAST_FRAMES <= len(frames) <= MOST_FRAMES
    for frame in frames:
        assert frame.shape == (SIZE[1], 2 * SIZE[0], 3)
        photograph, labels = frame[:, : SIZE[0]], frame[:, SIZE[0] :]
        assert near(photograph, (0.923, 0.077, 0.077)) > 100  # 0.5 + SH0 * 1.5
        assert near(labels, colour_of(1)) > 100
    # The two balls are on a line: after a quarter turn, one is in front of the other.
    assert near(frames[len(frames) // 2][:, SIZE[0] :], colour_of(1)) == pytest.approx(
        near(frames[0][:, SIZE[0] :], colour_of(1)), rel=0.5
    )
    steps = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(steps) < 3 * np.median(steps) + 1


def test_walls_between_the_camera_and_the_objects_are_left_out():
    rng = np.random.default_rng(0)
    thing = ball((0, 0, 0), 1.0, 800, rng)
    wall = ball((0, 0, 0), 6.0, 6000, rng)
    both = merge([thing, wall])
    labels = np.repeat([1, 0], [800, 6000]).astype(np.int32)
    for frame in turntable(both, labels, UP, seconds=0):
        assert near(np.asarray(frame)[:, SIZE[0] :], colour_of(1)) > 3000
    # Without objects there is nothing to clear the sight to; the turn is around everything.
    assert len(turntable(both, np.zeros_like(labels), UP, seconds=0)) == LEAST_FRAMES


def test_slow_frames_make_fewer_of_them():
    splats, lift = two_balls()
    ticks = iter([0.0, 0.25])
    assert len(turntable(splats, lift.labels, UP, seconds=3.0, clock=lambda: next(ticks))) == 12
    ticks = iter([0.0, 1e-3])
    assert len(turntable(splats, lift.labels, UP, seconds=3.0, clock=lambda: next(ticks))) == MOST_FRAMES
    ticks = iter([0.0, 60.0])
    assert len(turntable(splats, lift.labels, UP, seconds=3.0, clock=lambda: next(ticks))) == LEAST_FRAMES


def test_a_large_scene_looks_the_same_drawn_with_fewer_gaussians(monkeypatch):
    rng = np.random.default_rng(0)
    splats = merge([ball((0, 0, 0), 1.0, 6000, rng), ball((2.2, 0, 0), 0.8, 4000, rng)])
    # As large as their neighbours are far, as training makes them.
    splats = replace(splats, scales=np.full_like(splats.scales, np.log(0.035)))
    labels = np.repeat([1, 2], [6000, 4000]).astype(np.int32)
    full = [np.asarray(frame).astype(int) for frame in turntable(splats, labels, UP, seconds=0)]
    monkeypatch.setattr(sys.modules["backend.gallery.turntable"], "MOST_GAUSSIANS", 2000)
    few = [np.asarray(frame).astype(int) for frame in turntable(splats, labels, UP, seconds=0)]
    for a, b in zip(full, few, strict=True):
        assert 0 < np.abs(a - b).mean() < 6
        for label in (1, 2):
            assert near(b[:, SIZE[0] :], colour_of(label)) == pytest.approx(
                near(a[:, SIZE[0] :], colour_of(label)), rel=0.2
            )


@pytest.mark.parametrize("up", [(0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.6, 0.0, 0.8)])
def test_any_direction_may_be_up(up: tuple[float, float, float]):
    splats, lift = two_balls()
    for frame in turntable(splats, lift.labels, up, seconds=0):
        assert near(np.asarray(frame)[:, SIZE[0] :], colour_of(1)) > 100


def test_one_gaussian_makes_a_turn():
    one = ball((3, 4, 5), 1.0, 1, np.random.default_rng(0))
    assert len(turntable(one, np.array([1], np.int32), UP, seconds=0)) == LEAST_FRAMES


def test_the_gif_holds_the_frames(tmp_path: Path):
    splats, lift = two_balls()
    frames = turntable(splats, lift.labels, UP, seconds=0)
    write_gif(frames, tmp_path / "turn.gif")
    with Image.open(tmp_path / "turn.gif") as gif:
        assert getattr(gif, "n_frames", 1) == len(frames)
        assert gif.info["loop"] == 0
        gif.seek(3)
        shown = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(shown - np.asarray(frames[3])).mean() < 4


def test_small_objects_keep_their_colours_in_the_gif(tmp_path: Path):
    rows, columns = np.mgrid[:240, :640] / 640
    room = np.stack([200 * rows + 150 * columns, 160 * rows + 160 * columns, 120 * rows + 180 * columns], 2) + 40
    small = [tuple(int(value) for value in 255 * np.array(colour_of(i))) for i in range(1, 13)]
    for i, colour in enumerate(small):
        room[100:124, 40 * i + 20 : 40 * i + 44] = colour
    frame = Image.fromarray(room.clip(0, 255).astype(np.uint8))
    write_gif([frame] * 8, tmp_path / "turn.gif")
    with Image.open(tmp_path / "turn.gif") as gif:
        shown = np.asarray(gif.convert("RGB")).astype(int)
    for i, colour in enumerate(small):
        assert np.abs(shown[112, 40 * i + 32] - colour).max() < 20


def test_held_out_views_stand_beside_their_renders(tmp_path: Path):
    splats: Splats = ball((0, 0, 4), 1.0, 800, np.random.default_rng(0))
    camera = Camera(np.eye(4), np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), 64, 48)
    renderer = Renderer(splats, "cpu")
    seen = np.round(255 * renderer.image(camera).clip(0, 1)).astype(np.uint8)
    views = []
    for name in "abcdef":
        Image.fromarray(seen).save(tmp_path / f"{name}.png")
        views.append(View(name, camera, tmp_path / f"{name}.png", None))
    page = np.asarray(held_out_page(renderer, views, most=3))
    assert page.shape == (24 + 3 * (48 + 8), 3 * 64 + 4 * 8, 3)
    rows = page[24 + 16 : 24 + 48]  # below the name
    left, middle, right = (rows[:, 8 + k * 72 : 8 + k * 72 + 64] for k in range(3))
    assert np.array_equal(left, middle)
    assert near(left, (0.923, 0.077, 0.077)) > 100
    assert right.max() == 0


def test_the_curve_keeps_what_it_is_told_and_is_drawn(tmp_path: Path):
    times = iter([100.0, 101.5, 104.0])
    curve = Curve(clock=lambda: next(times))
    for step, psnr, count in [(10, 12.0, 1000), (20, 18.0, 1500), (40, 22.0, 1800)]:
        curve(step, psnr, count)
    assert curve.seconds == [0.0, 1.5, 4.0]
    assert (curve.steps, curve.psnr, curve.gaussians) == ([10, 20, 40], [12.0, 18.0, 22.0], [1000, 1500, 1800])
    draw_curve(curve, tmp_path / "training.png")
    with Image.open(tmp_path / "training.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    blue = np.abs(pixels - [0x1F, 0x4E, 0x9C]).max(2) < 30
    rows, columns = np.nonzero(blue[:, 80:-80])
    # The line rises from left to right.
    assert rows[columns < np.quantile(columns, 0.2)].mean() > rows[columns > np.quantile(columns, 0.8)].mean() + 50

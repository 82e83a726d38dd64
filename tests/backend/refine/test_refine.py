"""Refinement on two plain boxes side by side: edges get sharper and the picture no worse."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from backend.lift import Lift, label_map
from backend.progress import Cancelled
from backend.reconstruct import held_out
from backend.reconstruct.memory_estimate import DISK
from backend.refine import Refinement, refine
from backend.refine.tuning import codes
from backend.render import Renderer
from backend.scene.types import View
from protocol.sh import SH0
from protocol.splats import Splats
from tests.backend.reconstruct.cameras import ring

STEPS = 60


@pytest.fixture(scope="module")
def fuzzy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Splats, Lift, list[View], list[np.ndarray]]:
    """A coarse sheet of Gaussians, red left of x = 0 and blue right of it; labels; views and id maps of a fine one."""
    root = tmp_path_factory.mktemp("fuzzy")
    exact, labels = sheet(0.035, 0.02)
    coarse, coarse_labels = sheet(0.14, 0.09)
    renderer = Renderer(exact, "cpu")
    views, maps = [], []
    for number, camera in enumerate(ring(6, (64, 64), 60.0)):
        path = root / f"{number}.png"
        Image.fromarray((255 * np.clip(np.asarray(renderer.image(camera)), 0, 1)).astype(np.uint8)).save(path)
        views.append(View(str(number), camera, path, None))
        maps.append(label_map(renderer, labels, camera))
    n = len(coarse)
    lift = Lift(
        coarse_labels,
        np.linspace(0, 1, n, dtype=np.float32),
        np.zeros(3, np.int32),
        "made",
        {},
        np.eye(n, 4, dtype=np.float32),
    )
    return coarse, lift, views, maps


def sheet(step: float, size: float) -> tuple[Splats, np.ndarray]:
    # No grid line falls on x = 0, and the coarse one is off to a side, so that some of its Gaussians reach over.
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-1.02, 1, step), np.arange(-1, 1, step)))
    n = len(x)
    labels = np.where(x < 0, 1, 2).astype(np.int32)
    colour = np.where(labels[:, None] == 1, [0.8, 0.2, 0.2], [0.2, 0.3, 0.8])
    scales = np.log(np.tile([size, size, 0.01], (n, 1)))
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1))
    sh = ((colour - 0.5) / SH0)[:, None, :].astype(np.float32)
    means = np.column_stack([x, y, np.zeros(n)]).astype(np.float32)
    return Splats(means, quats, scales.astype(np.float32), np.full(n, 3, np.float32), sh), labels


def wrong(splats: Splats, lift: Lift, views: list[View], maps: list[np.ndarray]) -> int:
    renderer = Renderer(splats, "cpu")
    return sum(
        int(((found := label_map(renderer, lift.labels, view.camera)) != exact)[(found > 0) & (exact > 0)].sum())
        for view, exact in zip(views, maps, strict=True)
    )


@pytest.mark.parametrize("cut", [False, True])
def test_fewer_pixels_are_wrong_and_the_picture_is_no_worse(fuzzy, cut):
    splats, lift, views, maps = fuzzy
    found, relifted = refine(splats, lift, views, how=Refinement(cut=cut, steps=STEPS))
    assert wrong(found, relifted, views, maps) < 0.7 * wrong(splats, lift, views, maps)
    assert np.mean(held_out(found, views)) > np.mean(held_out(splats, views))
    assert relifted.embedding is not None
    assert len(found) == len(relifted.labels) == len(relifted.confidence) == len(relifted.embedding)
    assert (len(found) > len(splats)) == cut
    for column in (found.means, found.quats, found.scales, found.opacities, found.sh):
        assert np.isfinite(column).all()
    again, _ = refine(splats, lift, views, how=Refinement(cut=cut, steps=STEPS))
    assert np.array_equal(again.means, found.means)


def test_label_gradients_shape_geometry_and_not_colour(fuzzy):
    splats, lift, views, _ = fuzzy
    one, _ = refine(splats, lift, views, how=Refinement(steps=1, label_weight=0))
    other, _ = refine(splats, lift, views, how=Refinement(steps=1, label_weight=5))
    assert np.array_equal(one.sh, other.sh)
    for name in ("means", "scales", "opacities"):
        assert not np.array_equal(getattr(one, name), getattr(other, name))


def test_each_round_draws_outlines_of_what_the_last_one_left(fuzzy):
    splats, lift, views, _ = fuzzy
    fractions: list[float] = []

    def note_down(stage: str, fraction: float, note: str = "") -> None:
        fractions.append(fraction)

    both, _ = refine(splats, lift, views, how=Refinement(steps=9, rounds=2), progress=note_down)
    first, _ = refine(splats, lift, views, how=Refinement(steps=4, rounds=1))
    second, _ = refine(first, lift, views, how=Refinement(steps=5, rounds=1), seed=1)
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert np.array_equal(getattr(both, name), getattr(second, name))
    assert fractions == sorted(fractions)


@pytest.mark.parametrize("cut", [False, True])
def test_photographs_and_outlines_on_disk_change_no_bit(fuzzy, cut, monkeypatch, tmp_path):
    splats, lift, views, _ = fuzzy
    here, labels = refine(splats, lift, views, how=Refinement(cut=cut, steps=5))
    monkeypatch.setattr("backend.refine.place", lambda *_: DISK)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    there, others = refine(splats, lift, views, how=Refinement(cut=cut, steps=5))
    assert np.array_equal(labels.labels, others.labels)
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert np.array_equal(getattr(here, name), getattr(there, name))


def test_without_objects_all_stays(fuzzy):
    splats, lift, views, _ = fuzzy
    bare = dataclasses.replace(lift, labels=np.zeros_like(lift.labels))
    found, relifted = refine(splats, bare, views)
    assert found is splats
    assert relifted is bare


def test_gaussians_that_are_not_finite_do_no_harm(fuzzy):
    splats, lift, views, _ = fuzzy
    means = splats.means.copy()
    means[5] = np.nan
    found, _ = refine(dataclasses.replace(splats, means=means), lift, views, how=Refinement(steps=5))
    assert np.isfinite(np.delete(found.means, 5, 0)).all()


def test_it_can_be_cancelled(fuzzy):
    splats, lift, views, _ = fuzzy
    stages = set()

    def stop(stage: str, fraction: float, note: str = "") -> None:
        stages.add(stage)
        assert 0 <= fraction <= 1
        if fraction > 0.6:
            raise Cancelled

    with pytest.raises(Cancelled):
        refine(splats, lift, views, how=Refinement(steps=30), progress=stop)
    assert stages == {"refine"}


def test_codes_differ():
    table = codes(60, 0)
    assert torch.equal(torch.from_numpy(table).abs(), torch.ones(60, 12))
    different = (table[:, None] != table[None]).sum(2)
    assert different[~np.eye(60, dtype=bool)].min() >= 2

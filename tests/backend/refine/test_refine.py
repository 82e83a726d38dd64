"""Refinement on two plain boxes side by side: edges get sharper and the picture no worse."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from backend.progress import Cancelled
from backend.reconstruct import held_out
from backend.reconstruct.memory_estimate import DISK
from backend.refine import Refinement, refine
from backend.refine.tuning import codes
from tests.backend.refine.sheets import Fuzzy, make_fuzzy, wrong

STEPS = 60


@pytest.fixture(scope="module")
def fuzzy(tmp_path_factory: pytest.TempPathFactory) -> Fuzzy:
    return make_fuzzy(tmp_path_factory.mktemp("fuzzy"))


def test_fewer_pixels_are_wrong_and_the_picture_is_no_worse(fuzzy):
    splats, lift, views, maps = fuzzy
    found, relifted = refine(splats, lift, views, how=Refinement(steps=STEPS))
    assert wrong(found, relifted, views, maps) < 0.7 * wrong(splats, lift, views, maps)
    assert np.mean(held_out(found, views)) > np.mean(held_out(splats, views))
    assert relifted.embedding is not None
    assert len(found) == len(relifted.labels) == len(relifted.confidence) == len(relifted.embedding)
    assert len(found) == len(splats)
    for column in (found.means, found.quats, found.scales, found.opacities, found.sh):
        assert np.isfinite(column).all()
    again, _ = refine(splats, lift, views, how=Refinement(steps=STEPS))
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


def test_photographs_and_outlines_on_disk_change_no_bit(fuzzy, monkeypatch, tmp_path):
    splats, lift, views, _ = fuzzy
    here, labels = refine(splats, lift, views, how=Refinement(steps=5))
    monkeypatch.setattr("backend.refine.place_photographs", lambda *_: DISK)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    there, others = refine(splats, lift, views, how=Refinement(steps=5))
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

"""What the noise profiles do to masks."""

from __future__ import annotations

import numpy as np
import pytest

from backend.demo.noise import PROFILES, Noise, spoil


@pytest.fixture
def exact():
    ids = np.zeros((96, 96), np.uint16)
    for k in range(16):
        row, column = divmod(k, 4)
        ids[4 + 24 * row : 20 + 24 * row, 2 + 24 * column : 26 + 24 * column] = k + 1
    return ids


def only(**wrong) -> Noise:
    return Noise(**{**{"drop": 0.0, "split": 0.0, "merge": 0.0, "blobs": 0.0, "wobble": 0.0}, **wrong})


def test_clean_masks_differ_in_ids_alone(exact):
    mask = spoil(exact, PROFILES["clean"], np.random.default_rng(0))
    pairs = {(int(a), int(b)) for a, b in zip(exact.ravel(), mask.ravel(), strict=True)}
    assert len(pairs) == 17
    assert (0, 0) in pairs
    assert mask.tolist() != exact.tolist()


def test_ids_are_fresh_in_every_view(exact):
    rng = np.random.default_rng(0)
    first, second = (spoil(exact, PROFILES["clean"], rng) for _ in range(2))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize(("noise", "count"), [(only(drop=1.0), 0), (only(split=1.0), 32), (only(blobs=0.0), 16)])
def test_each_fault_by_itself(exact, noise, count):
    mask = spoil(exact, noise, np.random.default_rng(1))
    assert len(np.unique(mask)) - 1 == count


def test_merged_masks_join_objects_that_touch(exact):
    mask = spoil(exact, only(merge=1.0), np.random.default_rng(1))
    assert len(np.unique(mask)) - 1 < 16
    assert np.array_equal(mask > 0, exact > 0)


def test_wobble_moves_outlines_a_little(exact):
    mask = spoil(exact, only(wobble=2.0), np.random.default_rng(1))
    moved = np.mean((mask > 0) != (exact > 0))
    assert 0.01 < moved < 0.15


def test_false_blobs_appear_on_background(exact):
    mask = spoil(exact, only(blobs=6.0), np.random.default_rng(1))
    assert ((mask > 0) & (exact == 0)).any()

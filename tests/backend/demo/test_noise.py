"""What the noise profiles do to masks."""

from __future__ import annotations

import numpy as np
import pytest

from backend.demo.noise import PROFILES, Noise, spoil


def blocks() -> np.ndarray:
    """Sixteen squares of 20 pixels in pairs that touch."""
    mask = np.zeros((200, 200), np.int32)
    for i in range(16):
        y, x = 10 + 48 * (i // 4), 4 + 46 * (i % 4) + (0 if i % 2 == 0 else -26)
        mask[y : y + 20, x : x + 20] = i + 1
    return mask


def test_clean_is_the_same_partition() -> None:
    exact = blocks()
    got = spoil(exact, PROFILES["clean"], np.random.default_rng(0))
    pairs = set(zip(exact.ravel().tolist(), got.ravel().tolist(), strict=True))
    assert len(pairs) == 17
    assert (0, 0) in pairs


@pytest.mark.parametrize(
    ("noise", "expected"), [(Noise(drop=0.25), 12.0), (Noise(merge=0.25), 14.0), (Noise(split=0.25), 20.0)]
)
def test_rates_are_as_named(noise: Noise, expected: float) -> None:
    rng = np.random.default_rng(0)
    counts = [len(np.unique(spoil(blocks(), noise, rng))) - 1 for _ in range(60)]
    assert np.mean(counts) == pytest.approx(expected, abs=0.7)


def test_outlines_wobble_by_pixels() -> None:
    exact = blocks()
    got = spoil(exact, Noise(wobble=2.0), np.random.default_rng(0))
    changed = (got > 0) != (exact > 0)
    assert 0.02 < changed.mean() < 0.15
    inner = np.zeros_like(exact, bool)
    inner[18:22, 12:16] = True
    assert (got[inner] > 0).all()


def test_ids_are_fresh_in_every_view() -> None:
    rng = np.random.default_rng(0)
    first, second = (spoil(blocks(), PROFILES["clean"], rng) for _ in range(2))
    assert first.tolist() != second.tolist()


def test_merged_masks_cover_the_same_pixels() -> None:
    mask = spoil(blocks(), Noise(merge=1.0), np.random.default_rng(1))
    assert len(np.unique(mask)) - 1 == 8
    assert np.array_equal(mask > 0, blocks() > 0)


def test_false_blobs_appear_on_background() -> None:
    mask = spoil(blocks(), Noise(blobs=6.0), np.random.default_rng(1))
    assert ((mask > 0) & (blocks() == 0)).any()

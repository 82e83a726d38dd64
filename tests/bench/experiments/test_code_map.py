"""Codes of pixels."""

from __future__ import annotations

import numpy as np
import pytest

from backend.lift.unic_lift.trained import Trained
from backend.render.types import Contributions
from bench.experiments.code_map import Blend, code_map

RNG = np.random.default_rng(0)
SEEN = Contributions(np.arange(6), RNG.integers(0, 4, (6, 2)).astype(np.int32), RNG.random((6, 2)).astype("f4"))
EMBEDDING = RNG.normal(size=(4, 12)).astype(np.float32)
SEMANTIC = np.array([1.0, 0.5, -2.0, 3.0], np.float32)


def test_code_map_decodes_the_rendered_embedding() -> None:
    got = code_map(SEEN, Trained(EMBEDDING, None), (2, 3), "values")
    for p in range(6):
        rendered = SEEN.weights[p] @ EMBEDDING[SEEN.ids[p]]
        assert got.ravel()[p] == 1 + sum(2**k for k in range(12) if rendered[k] > 0)


@pytest.mark.parametrize("blend", ["values", "sigmoids", "signs"])
def test_the_semantic_value_tells_the_background(blend: Blend) -> None:
    got = code_map(SEEN, Trained(EMBEDDING, SEMANTIC), (2, 3), blend)
    strength = np.sign(SEMANTIC) if blend == "signs" else SEMANTIC
    shown = np.einsum("pk,pk->p", SEEN.weights, strength[SEEN.ids])
    assert 0 < np.count_nonzero(got) < got.size
    np.testing.assert_array_equal(got.ravel() > 0, shown > 0)


def test_blended_signs_are_the_code_of_the_object_that_makes_most_of_a_pixel() -> None:
    embedding = np.array([[0.1, -5.0], [-3.0, 0.2], [9.0, 9.0]], np.float32)
    found = Trained(embedding, np.array([1.0, 1.0, -1.0], np.float32))
    seen = Contributions(np.arange(1), np.array([[0, 1, 2]], np.int32), np.array([[0.4, 0.25, 0.35]], np.float32))
    assert code_map(seen, found, (1, 1), "signs").item() == 1 + 0b01
    assert code_map(seen, Trained(embedding, None), (1, 1), "values").item() == 1 + 0b11


def test_rare_codes_of_pixels_are_led_to_frequent_ones() -> None:
    got = code_map(SEEN, Trained(EMBEDDING, None), (2, 3), "values", np.array([5, 4000]))
    assert set(np.unique(got)) <= {6, 4001}

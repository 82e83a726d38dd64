"""Codes to labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.lift.labels import largest_first
from backend.lift.unic_lift.decode import bits, by_bits
from tests.backend.lift.made_evidence import MASKS, evidence_from_masks


@given(hnp.arrays(np.float32, (4, 12), elements=st.floats(-20, 20, width=32)))
def test_bits_are_the_papers_formula(embedding: np.ndarray) -> None:
    squashed = 1 / (1 + np.exp(-embedding.astype(np.float64)))
    # A float64 sigmoid rounds to 0.5 for the tiniest arguments.
    embedding = np.where(np.abs(embedding) < 1e-6, 0, embedding)
    paper = [
        sum(int(s > 0.5 and v != 0) * 2**k for k, (s, v) in enumerate(zip(*row, strict=True)))
        for row in zip(squashed, embedding, strict=True)
    ]
    assert bits(embedding).tolist() == paper


def test_by_bits_calls_the_code_on_empty_masks_background() -> None:
    codes = np.repeat([7, 4000, 5], 4)
    assert largest_first(by_bits(codes, evidence_from_masks(MASKS))).tolist() == [1] * 4 + [2] * 4 + [0] * 4

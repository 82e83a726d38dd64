"""Codes to labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.lift.labels import largest_first
from backend.lift.unic_lift.decode import background_code, bits, by_bits, decode, frequent_codes, nearest_codes
from backend.lift.unic_lift.settings import UnicLiftSettings
from tests.backend.lift.made_evidence import MASKS, evidence_from_masks, in_a_row


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


def test_the_code_on_empty_masks_is_background() -> None:
    codes = np.repeat([7, 4000, 5], 4)
    labels = by_bits(codes, background_code(codes, evidence_from_masks(MASKS)))
    assert largest_first(labels).tolist() == [1] * 4 + [2] * 4 + [0] * 4


def test_the_semantic_value_decides_what_is_background() -> None:
    codes = np.array([[3, 3], [9, 0]])
    labels = by_bits(codes, np.array([[True, False], [True, True]]))
    assert labels.shape == (2, 2)
    assert (labels == 0).tolist() == [[False, True], [False, False]]
    assert len(np.unique(labels)) == 4


def test_codes_are_frequent_by_what_the_views_show_of_them() -> None:
    evidence = evidence_from_masks(MASKS)
    codes = np.repeat([7, 4000, 5], 4)
    codes[0] = 6
    on_object = np.repeat([True, True, False], 4)
    weight = evidence.weight
    share = weight[0] / (weight[:8].sum() / max(evidence.masks / evidence.views, 1))
    assert set(frequent_codes(codes, evidence, on_object, 0.99 * share)) == {4000, 7, 6}
    assert frequent_codes(codes, evidence, on_object, 1.01 * share).tolist()[0] == 4000
    assert set(frequent_codes(codes, evidence, on_object, 1.01 * share)) == {4000, 7}


@given(
    hnp.arrays(np.int64, (7,), elements=st.integers(0, 2**62 - 1)),
    hnp.arrays(np.int64, (3,), elements=st.integers(0, 2**62 - 1), unique=True),
)
def test_rare_codes_take_the_nearest_frequent_code(codes: np.ndarray, frequent: np.ndarray) -> None:
    expected = [min(frequent.tolist(), key=lambda f: bin(int(c) ^ f).count("1")) for c in codes]
    assert nearest_codes(codes, frequent).tolist() == expected
    assert nearest_codes(codes, frequent[:0]).tolist() == codes.tolist()


def test_a_decode_by_bits_joins_rare_codes_unless_told_not_to() -> None:
    evidence = evidence_from_masks(MASKS)
    embedding = np.repeat(np.array([[1, 1, 1], [-1, -1, 1], [-1, -1, -1]], np.float32), 4, axis=0)
    embedding[1] = [1, 1, -1]
    semantic = np.repeat(np.array([1, 1, -1], np.float32), 4)
    splats = in_a_row(12, np.zeros(12))
    joined, plain = (
        decode(embedding, splats, evidence, UnicLiftSettings(decode="bits", rare_codes=rare), semantic)
        for rare in (0.9, 0.0)
    )
    assert len(set(joined[:4])) == 1
    assert len(set(joined)) == 3
    assert len(set(plain[:4])) == 2
    assert (joined[8:] == 0).all()

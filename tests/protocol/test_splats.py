from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import BadSplats
from protocol.splats import SH_COUNTS, merge
from tests.protocol.strategies import random_splats


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "sh"])
def test_a_column_of_another_shape_is_refused(name: str):
    drawn = random_splats(4, 1)
    for wrong in (getattr(drawn, name)[:3], getattr(drawn, name)[..., None]):
        with pytest.raises(BadSplats, match=r"has shape .*, expected"):
            replace(drawn, **{name: wrong})


def test_an_extra_column_of_another_length_is_refused():
    with pytest.raises(BadSplats, match=r"column label has shape \(3,\), expected \(4,\)"):
        random_splats(4).with_columns(label=np.zeros(3, np.int32))


def test_activated_values_do_not_overflow_with_a_warning():
    drawn = replace(random_splats(3), opacities=np.array([-200, 0, 200], np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drawn.alphas.tolist() == [0.0, 0.5, 1.0]
    assert np.allclose(drawn.sizes, np.exp(drawn.scales))


@given(degrees=st.lists(st.integers(0, 3), min_size=1, max_size=4), sizes=st.data())
def test_merged_parts_are_found_again_where_they_were_put(degrees: list[int], sizes: st.DataObject):
    counts = [sizes.draw(st.integers(0, 5)) for _ in degrees]
    parts = [random_splats(n, d, seed=i) for i, (n, d) in enumerate(zip(counts, degrees, strict=True))]
    whole = merge(parts)
    assert len(whole) == sum(counts)
    assert whole.sh_degree == max(degrees)
    start = 0
    for part in parts:
        piece = whole.pick(np.arange(start, start + len(part)))
        terms = SH_COUNTS[part.sh_degree]
        assert np.array_equal(piece.sh[:, :terms], part.sh)
        assert not piece.sh[:, terms:].any()
        for name in ("means", "quats", "scales", "opacities"):
            assert np.array_equal(getattr(piece, name), getattr(part, name))
        start += len(part)


def test_merging_keeps_the_extra_columns_that_all_parts_have():
    a = random_splats(2, extra={"label": "int32", "confidence": "float32"})
    b = random_splats(3, extra={"seen": "uint8", "label": "int32"})
    whole = merge([a, b])
    assert list(whole.extra) == ["label"]
    assert whole.extra["label"].dtype == np.int32
    assert whole.extra["label"].tolist() == [*a.extra["label"], *b.extra["label"]]


def test_merging_nothing_is_refused():
    with pytest.raises(BadSplats, match="no Gaussians to merge"):
        merge([])

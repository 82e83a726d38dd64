"""Labels numbered by size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.lift.labels import largest_first


@given(hnp.arrays(np.int32, st.integers(1, 40), elements=st.integers(0, 6)))
def test_largest_first(label: np.ndarray) -> None:
    got = largest_first(label)
    assert ((got == 0) == (label == 0)).all()
    count = np.bincount(got)[1:]
    assert (count > 0).all()
    assert (np.diff(count) <= 0).all()
    assert len(set(zip(label.tolist(), got.tolist(), strict=True))) == len(set(label.tolist()))

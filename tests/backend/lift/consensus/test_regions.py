"""Connected pieces of a code."""

from __future__ import annotations

import numpy as np

from backend.lift.consensus.regions import code_regions


def test_code_regions_are_connected_pieces_of_a_code() -> None:
    means = np.zeros((60, 3), np.float32)
    means[:, 0] = np.arange(60) + np.repeat([0, 1000], 30)
    codes = np.repeat([9, 4, 9, 5], [25, 5, 28, 2])
    possible = np.arange(60) != 3
    region = code_regions(means, codes, possible, 4)
    pieces = [set(region[rows]) for rows in (possible & (np.arange(60) < 25), slice(25, 30), slice(30, 58))]
    assert [len(piece) for piece in pieces] == [1, 1, 1]
    assert set.union(*pieces) == {0, 1, 2}
    assert region[3] == -1
    assert set(region[58:]) == {-1}

"""What is measured of the decode by bits."""

from __future__ import annotations

import numpy as np
import pytest

from backend.lift.unic_lift.decode import bits
from backend.lift.unic_lift.settings import CODES, UnicLiftSettings
from backend.render.types import Contributions
from bench.experiments.code_map import code_map
from bench.unic_lift import CHANGES, KINDS, Row, code_kinds, markdown, random_codes


def test_every_change_is_set_back_by_some_row() -> None:
    alone = {name for settings in CHANGES.values() if len(settings) < len(CODES) for name in settings}
    assert CODES.keys() - {"learning_rate", "init_scale", "rare_codes"} <= alone
    defaults = UnicLiftSettings()
    assert CHANGES["none of the changes"] == {name: getattr(defaults, name) for name in CODES}


def test_codes_are_sorted_by_what_they_lie_on() -> None:
    truth = np.zeros((20, 20), np.int32)
    truth[:, 10:] = 3
    codes = np.zeros((20, 20), np.int64)
    codes[:, 10:] = 8 + 1
    codes[:5, 10:] = 9 + 1
    codes[19, 19] = 15 + 1
    codes[0, 0] = 2 + 1
    found = code_kinds([codes], [truth])
    own, background, large, small = (found[kind] for kind in KINDS)
    assert [kind.codes for kind in (own, background, large, small)] == [1, 1, 1, 1]
    assert [round(400 * kind.share) for kind in (own, background, large, small)] == [149, 1, 50, 1]
    assert (large.one_bit, small.one_bit) == (1, 0)
    assert background.near_outline == 0
    # Three columns beside the outline, 15 rows.
    assert own.near_outline == pytest.approx(45 / 149)


def test_rows_of_a_group_are_averaged() -> None:
    rows = [
        Row("made", f"seed {n}", "pixels", pq, pq + 5, 90.0, 20, n, 0, seconds)
        for n, pq, seconds in ((1, 80.0, 2.0), (2, 90.0, 4.0))
    ]
    table = list(markdown(rows))
    assert "made (2 cases)" in table[2]
    assert table[3] == "| pixels | 85.0 | 80.0 | 90.0 | 90.0 | 20.0 / 1.5 / 0.0 | 3.0 |"


def test_a_pixel_of_three_exact_codes_has_the_bits_of_the_majority() -> None:
    found = random_codes(np.array([0, 1, 1, 2, 3], np.int32), 12)
    assert found.semantic is not None
    assert (found.semantic > 0).tolist() == [False, True, True, True, True]
    codes = bits(found.embedding)
    assert codes[1] == codes[2]
    assert len(set(codes[1:].tolist())) == 3
    two, three = [1, 3, 3], [1, 3, 4]
    weights = np.array([[0.4, 0.35, 0.0], [0.4, 0.35, 0.25]], np.float32)
    shown = Contributions(np.arange(2), np.array([two, three], np.int32), weights)
    blend = code_map(shown, found, (1, 2), "signs")[0] - 1
    assert blend[0] == codes[1]
    assert blend[1] == (codes[1] & codes[3]) | (codes[1] & codes[4]) | (codes[3] & codes[4])
    assert blend[1] not in codes

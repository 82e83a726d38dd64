"""The overview picture."""

from __future__ import annotations

import numpy as np

from backend.objects.overview import CELL, Row, overview, paint
from protocol.result.colours import palette


def test_labels_show_in_their_colours():
    ids = np.array([[0, 1], [2, 3]])
    assert np.array_equal(np.asarray(paint(ids)), palette(3)[ids])


def test_huge_ids_do_not_need_a_huge_palette():
    picture = np.asarray(paint(np.array([[2_000_000_000, 0]])))
    assert picture.shape == (1, 2, 3)
    assert not np.array_equal(picture[0, 0], picture[0, 1])


def test_one_row_a_view_three_columns_and_a_word_where_a_mask_is_missing():
    photograph = np.full((20, 40, 3), 255, np.uint8)
    ids = np.ones((10, 20), np.int32)
    page = overview([Row("a", photograph, ids, ids), Row("b", photograph, None, ids)])
    assert page.width > 3 * CELL
    assert page.height > 2 * CELL // 2
    lifted = page.getpixel((page.width - 100, 100))
    assert lifted == tuple(palette(1)[1])

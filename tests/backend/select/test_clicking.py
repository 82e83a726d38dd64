"""Clicks: object, part, object again; adding, taking away, intersecting."""

from __future__ import annotations

import numpy as np
import pytest

from backend.lift.label_maps import label_map
from backend.render import Renderer
from backend.select.clicking import Clicks
from protocol.errors import BadArgument
from tests.backend.objects.making import two_balls
from tests.backend.select.test_selection import CAMERA, LARGE, NOTHING, SMALL


def at(pixel: tuple[int, int]) -> tuple[float, float]:
    return pixel[0] + 0.5, pixel[1] + 0.5


@pytest.fixture
def clicks() -> Clicks:
    splats, lift = two_balls()
    # The large ball has an upper and a lower part, numbers 1 and 2.
    middle = splats.means[lift.labels == 1, 1].mean()
    parts = np.where(lift.labels == 1, np.where(splats.means[:, 1] < middle, 1, 2), 0)
    return Clicks(splats, lift.labels, parts)


def test_clicks_at_one_place_give_object_part_and_object(clicks: Clicks) -> None:
    x, y = at(LARGE)
    y -= 4
    for expected in ((1, 0), (1, 1), (1, 0), (1, 1)):
        assert clicks.click(CAMERA, x, y) == expected
        wanted = clicks.labels == 1
        if expected[1]:
            wanted &= clicks.parts == 1
        np.testing.assert_array_equal(clicks.selected, wanted)
    assert clicks.click(CAMERA, x, y + 8) == (1, 0), "another place begins with the object"
    assert clicks.click(CAMERA, x, y + 9) == (1, 2)


def test_an_object_without_parts_stays_the_object(clicks: Clicks) -> None:
    assert clicks.click(CAMERA, *at(SMALL)) == clicks.click(CAMERA, *at(SMALL)) == (2, 0)


def test_modes_combine_with_the_selection_before(clicks: Clicks) -> None:
    clicks.click(CAMERA, *at(LARGE))
    clicks.click(CAMERA, *at(SMALL), "add")
    np.testing.assert_array_equal(clicks.selected, clicks.labels > 0)
    x, y = at(LARGE)
    clicks.click(CAMERA, x, y - 4, "subtract")
    np.testing.assert_array_equal(clicks.selected, clicks.labels == 2)
    clicks.click(CAMERA, x, y - 4, "subtract")
    np.testing.assert_array_equal(clicks.selected, (clicks.labels == 2) | (clicks.parts == 2))
    clicks.click(CAMERA, x, y - 4, "add")
    np.testing.assert_array_equal(clicks.selected, clicks.labels > 0)
    clicks.click(CAMERA, x, y - 4, "subtract")
    np.testing.assert_array_equal(clicks.selected, clicks.labels == 2)
    clicks.click(CAMERA, *at(SMALL), "intersect")
    np.testing.assert_array_equal(clicks.selected, clicks.labels == 2)


def test_a_click_on_nothing_is_said_and_changes_nothing(clicks: Clicks) -> None:
    clicks.click(CAMERA, *at(SMALL))
    with pytest.raises(BadArgument, match=r"No object is at pixel 79\.5 0\.5"):
        clicks.click(CAMERA, *at(NOTHING))
    np.testing.assert_array_equal(clicks.selected, clicks.labels == 2)


def test_clicks_agree_with_the_rendered_labels(clicks: Clicks) -> None:
    splats, lift = two_balls()
    drawn = label_map(Renderer(splats, "cpu"), lift.labels, CAMERA)
    agree = []
    for y in range(0, CAMERA.height, 2):
        for x in range(0, CAMERA.width, 2):
            try:
                found = clicks.click(CAMERA, x + 0.5, y + 0.5)[0]
            except BadArgument:
                found = 0
            agree.append(found == drawn[y, x])
    assert np.mean(agree) > 0.98

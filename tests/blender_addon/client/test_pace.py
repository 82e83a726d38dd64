"""How fast something goes, and how long it still takes."""

from __future__ import annotations

import pytest

from blender_addon.client.pace import FIRST, MEMORY, Pace, in_words


def test_a_steady_pace():
    pace = Pace()
    assert pace.speed is None
    for tick in range(100):
        pace.tell(tick * 0.05, tick * 5.0)
        assert (pace.speed is None) == (tick * 0.05 < FIRST)
    assert pace.speed == pytest.approx(100.0)
    assert pace.left(1000.0) == pytest.approx((1000 - 99 * 5) / 100)
    assert pace.left(100.0) == 0.0


def test_what_was_long_ago_does_not_count():
    pace = Pace()
    done = 0.0
    for second in range(60):
        done += 1.0 if second < 40 else 50.0
        pace.tell(float(second), done)
    assert pace.speed == pytest.approx(50.0)
    assert len(pace._moments) <= MEMORY + 2


def test_a_standstill_and_a_beginning_anew_say_nothing():
    pace = Pace()
    for second in range(5):
        pace.tell(float(second), 7.0)
    assert pace.left(10.0) is None
    pace.tell(6.0, 9.0)
    assert pace.speed is not None
    pace.tell(7.0, 1.0)
    assert pace.speed is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59.4, "59 s"), (61, "1 min"), (3540, "59 min"), (4800, "1 h 20 min")]
)
def test_in_words(seconds, words):
    assert in_words(seconds) == words

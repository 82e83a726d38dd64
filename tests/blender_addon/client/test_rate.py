"""How fast something goes, and how long it still takes."""

from __future__ import annotations

import pytest

from blender_addon.client.rate import MIN_SPAN, WINDOW, Rate, format_duration


def test_a_steady_rate():
    rate = Rate()
    assert rate.speed is None
    for tick in range(100):
        rate.add(tick * 0.05, tick * 5.0)
        assert (rate.speed is None) == (tick * 0.05 < MIN_SPAN)
    assert rate.speed == pytest.approx(100.0)
    assert rate.left(1000.0) == pytest.approx((1000 - 99 * 5) / 100)
    assert rate.left(100.0) == 0.0


def test_what_was_long_ago_does_not_count():
    rate = Rate()
    done = 0.0
    for second in range(60):
        done += 1.0 if second < 40 else 50.0
        rate.add(float(second), done)
    assert rate.speed == pytest.approx(50.0)
    assert len(rate._samples) <= WINDOW + 2


def test_a_standstill_and_a_beginning_anew_say_nothing():
    rate = Rate()
    for second in range(5):
        rate.add(float(second), 7.0)
    assert rate.left(10.0) is None
    rate.add(6.0, 9.0)
    assert rate.speed is not None
    rate.add(7.0, 1.0)
    assert rate.speed is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59.4, "59 s"), (61, "1 min"), (3540, "59 min"), (4800, "1 h 20 min")]
)
def test_format_duration(seconds, words):
    assert format_duration(seconds) == words

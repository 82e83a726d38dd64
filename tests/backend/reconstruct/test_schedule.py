from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.reconstruct.schedule import FIXED_SIDE, LONG_SIDE, QUALITIES, STEPS, Schedule, default_cap
from protocol.errors import BadArgument


def schedule(**changes) -> Schedule:
    return Schedule.for_scene(3.0, 64 * 160_000, 8000, engine="cpu", **changes)


@given(st.integers(1, 40_000), st.integers(1, 100_000), st.integers(100, 10**9), st.sampled_from(["cpu", "cuda"]))
def test_any_length_and_scene_gives_an_orderly_schedule(steps, count, pixels, engine):
    plan = Schedule.for_scene(3.0, pixels, count, engine=engine, steps=steps)
    assert plan.cap >= count
    n = count
    for step in range(1, steps + 1, max(1, steps // 2000)):
        if plan.densifies(step):
            n = plan.room(step, n)
    assert n <= plan.cap
    first, last = plan.rates(0), plan.rates(steps)
    assert all(0 < last[name] < first[name] for name in first)
    assert plan.degree(0) == 0
    if steps >= 40:
        assert plan.degree(steps) == plan.sh_degree


def test_the_cap_is_reached_when_growth_ends():
    plan = schedule()
    n = 8000
    for step in range(1, plan.steps + 1):
        if plan.densifies(step):
            n = plan.room(step, n)
    assert n == plan.cap == 64 * 160_000 // 240


def test_lengths_follow_the_scene():
    near, far = schedule(), Schedule.for_scene(30.0, 64 * 160_000, 8000, engine="cpu")
    for name in ("rate_means", "rate_means_end", "split_size", "huge_size"):
        assert getattr(far, name) == pytest.approx(10 * getattr(near, name))
    assert far.rates(100)["quats"] == near.rates(100)["quats"]


def test_several_photographs_a_step_make_fewer_and_larger_steps():
    one, four = schedule(steps=1001), schedule(steps=1001, views=4)
    assert four.steps == 251
    for name, rate in one.rates(0).items():
        assert four.rates(0)[name] == pytest.approx(2 * rate)
        assert four.rates(251)[name] == pytest.approx(2 * one.rates(1001)[name])


def test_changes_are_taken_and_bad_ones_refused():
    assert schedule(mask_weight=1.0).mask_weight == 1.0
    for change in ({"colour": 1}, {"sh_degree": 4}, {"cap": 0}, {"rate_quats": float("nan")}, {"steps": 0}):
        with pytest.raises(BadArgument):
            schedule(**change)


@pytest.mark.parametrize("engine", ["cpu", "cuda"])
def test_qualities_are_in_order(engine):
    draft, standard, high = (QUALITIES[name] for name in ("draft", "standard", "high"))
    sides = [each.settings(engine, 4000)["long_side"] for each in (draft, standard, high)]
    assert sides == sorted(set(sides))
    assert sides[1] == LONG_SIDE[engine]
    caps = [
        default_cap(5 * side**2, engine, each.settings(engine, 4000)["pixels_per_gaussian"])
        for side, each in zip(sides, (draft, standard, high), strict=True)
    ]
    assert caps == sorted(set(caps))
    assert draft.settings(engine, 400)["long_side"] == 200
    assert draft.settings(engine, 160)["long_side"] == 150
    assert draft.settings(engine, 100)["long_side"] == 100
    assert standard.settings(engine, 300)["long_side"] == LONG_SIDE[engine]
    # What a step costs follows the pixels; a draft has a third of the time for all of it.
    assert draft.steps * draft.long_side**2 < 1 / 3
    for longest, share in ((2 * FIXED_SIDE[engine], 0.25), (3 * FIXED_SIDE[engine], 0.375), (10_000, 0.5)):
        assert draft.step_count(engine, longest) == pytest.approx(share * STEPS[engine], abs=1)
        assert standard.step_count(engine, longest) == STEPS[engine]


def test_floaters_are_removed_as_often_as_planned_and_only_while_gaussians_still_change():
    plan = schedule(steps=3000)
    checks = [step for step in range(1, 3001) if plan.removes_floaters(step)]
    assert len(checks) == plan.floater_checks
    assert checks[0] > 0.15 * 3000
    assert checks[-1] < plan.prune_until
    assert all(plan.densifies(step) for step in checks)
    assert not any(schedule(steps=3000, floater_checks=0).removes_floaters(step) for step in checks)

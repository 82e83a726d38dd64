"""A kernel on several threads: every piece of work is done once, and no error is lost."""

from __future__ import annotations

import threading

import numba
import pytest

from backend.threads import spread, threads_for

MOST = numba.get_num_threads()


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_every_piece_is_done_once(count):
    runs = []
    spread(lambda begin, end, name: runs.append((begin, end, name)), count, "x")
    assert sorted(piece for begin, end, _ in runs for piece in range(begin, end)) == list(range(count))
    assert {name for *_, name in runs} == {"x"}
    assert len(runs) == threads_for(count)


def test_another_thread_is_used_only_for_enough_work():
    assert threads_for(10, 100) == threads_for(0) == 1
    assert threads_for(10**9, 100) == MOST
    assert threads_for(2 * MOST - 1, 2) == max(1, MOST - 1)
    numba.set_num_threads(1)
    try:
        assert threads_for(10**9) == 1
    finally:
        numba.set_num_threads(MOST)


def test_calls_run_at_the_same_time():
    if MOST == 1:
        pytest.skip("this machine has one processor")
    meeting = threading.Barrier(MOST)
    spread(lambda begin, end: meeting.wait(20), MOST)


@pytest.mark.parametrize("broken", [0, MOST - 1])
def test_an_error_is_raised_once_all_have_ended(broken):
    ended = []

    def run(begin: int, end: int) -> None:
        if begin == broken:
            raise ValueError("broken")
        ended.append(begin)

    for _ in range(2):
        ended.clear()
        with pytest.raises(ValueError, match="broken"):
            spread(run, MOST)
        assert sorted(ended) == [piece for piece in range(MOST) if piece != broken]

"""Which jobs may run beside one another."""

from __future__ import annotations

import pytest

from backend.server.places import ANY_GPU, CPU, find, held, number, reserved

FOUR = ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("device", "taken", "gpus", "found"),
    [
        # Not known: one job on the GPU and one on the CPU; one that leaves it open takes both.
        ("auto", set(), None, (CPU, ANY_GPU)),
        ("auto", {CPU}, None, None),
        ("cuda", {CPU}, None, (ANY_GPU,)),
        ("cpu", {ANY_GPU}, None, (CPU,)),
        ("cuda", {ANY_GPU}, None, None),
        # No GPU: one job at a time.
        ("auto", set(), [], (CPU,)),
        ("auto", {CPU}, [], None),
        ("cuda", {CPU}, [], None),
        # Four GPUs: one job each, and one on the CPU.
        ("auto", set(), FOUR, ("0",)),
        ("auto", {"0", "1", CPU}, FOUR, ("2",)),
        ("cuda", {"1", "2", "3"}, FOUR, ("0",)),
        ("auto", set(FOUR), FOUR, None),
        ("cpu", set(FOUR), FOUR, (CPU,)),
        ("cpu", {CPU}, FOUR, None),
    ],
)
def test_a_job_starts_where_there_is_a_place(device, taken, gpus, found):
    assert find(device, 1, taken, gpus) == found


def test_a_job_of_several_gpus_takes_as_many():
    assert find("cuda", 3, {"1"}, FOUR) == ("0", "2", "3")
    assert find("cuda", 3, {"1", "2"}, FOUR) is None
    assert find("auto", 9, set(), FOUR) == tuple(FOUR)
    # While it waits, no later job takes the GPUs that become free.
    assert reserved("cuda", FOUR) == set(FOUR)
    assert reserved("cpu", FOUR) == {CPU}
    assert reserved("auto", None) == {CPU, ANY_GPU}


def test_a_worker_that_chose_itself_holds_the_first_gpus():
    assert held("auto", 1, (), FOUR) == {"0"}
    assert held("cuda", 2, (), FOUR) == {"0", "1"}
    assert held("auto", 1, (), []) == {CPU}
    assert held("auto", 1, ("3",), FOUR) == {"3"}
    # A server that does not know the GPUs yet starts nothing beside a worker that was found again.
    assert held("auto", 1, ("3",), None) == {CPU, ANY_GPU}
    assert held("cpu", 1, (), FOUR) == {CPU}


def test_how_many_run_at_once():
    assert (number(None), number([]), number(FOUR)) == (None, 1, 4)

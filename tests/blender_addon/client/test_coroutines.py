"""The runner: which task is advanced when, and when it returns."""

from __future__ import annotations

from collections.abc import Callable

from blender_addon.client.coroutines import Runner


class Countdown:
    """A task of so many steps, each of which could be followed by another at once."""

    def __init__(self, name: str, steps: int, log: list[str]) -> None:
        self.name, self.steps, self.log = name, steps, log
        self.final = False

    def advance(self) -> bool:
        self.log.append(self.name)
        self.steps -= 1
        self.final = self.steps == 0
        return not self.final

    def stop(self) -> None:
        self.final = True


def runner(wait: Callable[[float], object] = lambda seconds: None, clock: Callable[[], float] = lambda: 0.0) -> Runner:
    return Runner(lambda: False, wait, clock)


def test_tasks_take_turns_until_they_are_final():
    log: list[str] = []
    running = runner()
    running.tasks += [Countdown("a", 2, log), Countdown("b", 3, log)]
    running.step(10.0)
    assert log == ["a", "b", "a", "b", "b"]
    assert running.tasks == []
    assert not running.busy


def test_a_step_without_a_budget_is_one_round():
    log: list[str] = []
    running = runner()
    running.tasks.append(Countdown("a", 3, log))
    running.step(0.0)
    assert log == ["a"]
    assert running.busy


def test_a_task_added_by_another_one_is_advanced_in_the_next_round():
    log: list[str] = []
    running = runner()

    class Starter(Countdown):
        def advance(self) -> bool:
            running.tasks.append(Countdown("b", 1, log))
            return super().advance()

    running.tasks.append(Starter("a", 1, log))
    running.step(0.0)
    assert log == ["a"]
    running.step(0.0)
    assert log == ["a", "b"]


def test_run_waits_between_steps_and_ends_in_time():
    now = [0.0]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += 1.0

    running = runner(wait, lambda: now[0])
    assert not running.run(lambda: False, 3.0)
    assert len(waits) == 3
    assert running.run(lambda: now[0] >= 5.0, None)
    assert len(waits) == 5


def test_stop_stops_all_tasks():
    tasks = [Countdown("a", 9, []), Countdown("b", 9, [])]
    running = runner()
    running.tasks += tasks
    running.stop()
    assert all(task.final for task in tasks)
    assert running.tasks == []

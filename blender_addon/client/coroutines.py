"""The coroutines of the client and the runner that advances them. docs/client.md explains why they are generators."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

T = TypeVar("T")
Steps = Generator[bool, None, T]
"""Work in small steps: yields True if it can continue at once, False if it waits; returns the result."""


class Task(Protocol):
    """The interface of tasks that a :class:`Runner` advances."""

    @property
    def final(self) -> bool:
        """Whether the task has ended: with a result, with an error, or because it was stopped."""
        ...

    def advance(self) -> bool:
        """Do one step; return whether another one can be done at once."""
        ...

    def stop(self) -> None:
        """End the task without a result."""
        ...


class Runner:
    """Advances tasks in turn, one step each, in the thread of the caller.

    Args:
        first: called at the start of each round; returns whether it can continue at once.
        wait: waits for a message, for at most the given seconds; called only by :meth:`run`.
        clock: a monotonic clock in seconds.

    Attributes:
        tasks: the tasks that have not ended, in the order in which they were added.
        busy: whether the last round left a task that can continue at once.
    """

    def __init__(self, first: Callable[[], bool], wait: Callable[[float], object], clock: Callable[[], float]) -> None:
        self.tasks: list[Task] = []
        self.busy = False
        self._first = first
        self._wait = wait
        self._clock = clock

    def step(self, budget: float) -> None:
        """Advance all tasks for about ``budget`` seconds, at least once, without blocking."""
        deadline = time.perf_counter() + budget
        while True:
            self.busy = any([self._first(), *[task.advance() for task in list(self.tasks)]])
            self.tasks = [task for task in self.tasks if not task.final]
            if not self.busy or time.perf_counter() >= deadline:
                return

    def run(self, until: Callable[[], bool], timeout: float | None) -> bool:
        """Step until ``until()`` or ``timeout`` seconds have passed; return ``until()``. It blocks."""
        deadline = None if timeout is None else self._clock() + timeout
        while not until():
            if deadline is not None and self._clock() >= deadline:
                return False
            self.step(0.02)
            if not self.busy:
                self._wait(0.02)
        return True

    def stop(self) -> None:
        """Stop all tasks."""
        for task in list(self.tasks):
            task.stop()
        self.tasks.clear()

"""A request to the server other than a job: sent, awaited in steps, answered or failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from protocol.errors import Fault, Unavailable

from .coroutines import Runner, Steps
from .dispatcher import ConnectionLost

T = TypeVar("T")


class Request(Generic[T]):
    """A task that returns the result of ``steps``. Unlike a job it fails when the link is lost.

    Args:
        runner: advances it.
        steps: the work.
        done: called with the request after the last step, unless it was stopped.

    Attributes:
        final: whether it has an answer or an error.
        error: why it failed.
    """

    def __init__(self, runner: Runner, steps: Steps[T], done: Callable[[Request[T]], object] | None) -> None:
        self.final = False
        self.error: Fault | None = None
        self._runner = runner
        self._steps = steps
        self._done = done
        self._answer: T | None = None

    def advance(self) -> bool:
        """Do one step; return whether another one can be done at once."""
        if self.final:
            return False
        try:
            return next(self._steps)
        except StopIteration as end:
            self._answer = end.value
        except ConnectionLost:
            self.error = Unavailable("The connection was lost before the server answered.", "Ask again.")
        except Fault as reason:
            self.error = reason
        self.final = True
        if self._done is not None:
            self._done(self)
        return False

    def stop(self) -> None:
        """End the request without an answer."""
        if not self.final:
            self.final = True
            self.error = Unavailable("The connection was closed before the server answered.", "Ask again.")
            self._steps.close()

    @property
    def answer(self) -> T:
        """The server's answer, once it has arrived.

        Raises:
            Fault: why there is no answer.
        """
        if self.error is not None:
            raise self.error
        assert self.final
        return self._answer  # pyright: ignore[reportReturnType]

    def result(self, timeout: float | None = None) -> T:
        """Wait for the answer. For scripts: it blocks.

        Raises:
            Fault: why there is no answer; Unavailable after ``timeout`` seconds.
        """
        if not self._runner.run(lambda: self.final, timeout):
            raise Unavailable(f"The server did not answer within {timeout:g} s.", "Ask again later.")
        return self.answer

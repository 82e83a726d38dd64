"""One question to the server beside the jobs: asked, waited for step by step, answered or failed."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Generic, TypeVar

from protocol.errors import Fault, Unavailable

from .job import ConnectionLost

if TYPE_CHECKING:
    from .connection import Connection

T = TypeVar("T")


class Request(Generic[T]):
    """What a generator of steps will return. Unlike a job it ends with the link: ask again then.

    Attributes:
        finished: whether it has a result or an error.
        error: why it failed.
    """

    def __init__(
        self, connection: Connection, steps: Generator[bool, None, T], done: Callable[[Request[T]], object] | None
    ) -> None:
        self.finished = False
        self.error: Fault | None = None
        self._connection = connection
        self._steps = steps
        self._done = done
        self._answer: T | None = None

    def advance(self) -> bool:
        """Take a step; say whether another could be taken at once. ``done`` is called after the last."""
        try:
            return next(self._steps)
        except StopIteration as end:
            self._answer = end.value
        except ConnectionLost:
            self.error = Unavailable("The connection was lost before the server answered.", "Ask again.")
        except Fault as reason:
            self.error = reason
        self.finished = True
        if self._done is not None:
            self._done(self)
        return False

    @property
    def answer(self) -> T:
        """The server's answer, once finished.

        Raises:
            Fault: why there is none.
        """
        if self.error is not None:
            raise self.error
        assert self.finished
        return self._answer  # pyright: ignore[reportReturnType]

    def result(self, timeout: float | None = None) -> T:
        """Wait for the answer. For scripts: it blocks.

        Raises:
            Fault: why there is none; Unavailable after ``timeout`` seconds.
        """
        if not self._connection.run(lambda: self.finished, timeout):
            raise Unavailable(f"The server did not answer within {timeout:g} s.", "Ask again later.")
        return self.answer

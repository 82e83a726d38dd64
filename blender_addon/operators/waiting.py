"""Questions about a result that run while Blender does, as the panel shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import bpy

from protocol.errors import Fault, Unavailable

from .. import session
from ..client.connection import Connection
from ..client.coroutines import Steps
from ..client.request import Request
from ..timer import timer
from .reporting import Outcome, push_undo

T = TypeVar("T")


class Waiting(Generic[T]):
    """A running question and what came of the last one.

    Args:
        running: why another one cannot start now, while one runs.
        step: title of the step of undo that an answer becomes.

    Attributes:
        request: the running question, or None.
        fraction, note: its progress.
        lines: what the last one found, or why it failed.
    """

    def __init__(self, running: str, step: str) -> None:
        self.running = running
        self.step = step
        self.request: Request[T] | None = None
        self.fraction = 0.0
        self.note = ""
        self.lines: list[str] = []

    def tell(self, fraction: float, note: str) -> None:
        """Show how far the question is."""
        self.fraction, self.note = fraction, note
        timer.redraw()

    def refusal(self) -> str:
        """Return why no question can start now; empty if one can."""
        known = timer.known_connection
        if not session.scenes():
            return "Import a result first"
        if known is None or known.state != "connected":
            return "Connect to a server first"
        return self.running if self.request is not None else ""

    def ask(self, known: Connection, steps: Steps[T], scene: Any, shown: Callable[[Any, T], list[str]]) -> None:
        """Start a question about an imported scene.

        Without a window, where no timer runs, it waits for the answer.

        Args:
            steps: get the answer.
            shown: called with the scene and the answer; returns :attr:`lines`.

        Raises:
            Fault: why there is no answer, without a window.
        """
        self.lines, self.fraction, self.note = [], 0.0, ""
        if bpy.app.background:
            self.lines = shown(scene, known.start(steps).result())
            push_undo(self.step)
            return
        scene_id = scene.splatlift.scene_id

        def finish(request: Request[T]) -> None:
            self.request = None
            try:
                answer = request.answer
                there = next((each for each in session.scenes() if each.splatlift.scene_id == scene_id), None)
                self.lines = ["The scene was removed"] if there is None else shown(there, answer)
                push_undo(self.step)
            except Fault as fault:
                self.lines = [str(fault)]
            timer.redraw()

        self.request = known.start(steps, finish)
        timer.start()

    def stop(self) -> None:
        """Wait no longer; the server is told."""
        if self.request is not None:
            self.request.stop()
        self.request = None
        timer.redraw()


class Asks:
    """An operator that starts a question.

    Attributes:
        waiting: the question.
    """

    waiting: Waiting[Any]

    @classmethod
    def poll(cls, context: Any) -> bool:
        refusal = cls.waiting.refusal()
        if refusal:
            cls.poll_message_set(refusal)  # pyright: ignore[reportAttributeAccessIssue]  # of bpy.types.Operator
        return not refusal


class Stops:
    """An operator that stops a question.

    Attributes:
        waiting: the question.
    """

    waiting: Waiting[Any]

    @classmethod
    def poll(cls, context: Any) -> bool:
        return cls.waiting.request is not None

    def execute(self, context: Any) -> Outcome:
        self.waiting.stop()
        return {"FINISHED"}


def need_connection() -> Connection:
    """Return the connection.

    Raises:
        Unavailable: if there is none.
    """
    if timer.known_connection is None:
        raise Unavailable("There is no connection to a server.", "Connect to a server first.")
    return timer.known_connection

"""Selections in results that clients ask for, passed on to a process of their own and never waited for."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.server.child_process import ChildProcess
from backend.server.selection_protocol import Answer, Question, pack_question, take_answer
from protocol.errors import Refused, Unavailable
from protocol.messages import Error, Select
from protocol.store import Store

MAX_WAITING = 32
"""Questions under way at most."""
IDLE = 600.0
"""Seconds without a question after which the process is ended, for the memory that it holds."""

Deliver = Callable[[Answer], None]


class Selections:
    """Starts the process at the first question, and again after it has ended.

    Args:
        store: where results are.
        folder: for the process: its log, and what it lays out.
        command: the program and its first arguments; the store and a folder are added to it.
        wake: called, from a thread, when there is an answer for :meth:`tick`.
    """

    def __init__(
        self, store: Store, folder: Path, command: Sequence[str], wake: Callable[[], object] = lambda: None
    ) -> None:
        self.store = store
        self.folder = folder
        self.command = list(command)
        self._wake = wake
        self._process: ChildProcess | None = None
        self._waiting: dict[int, Deliver] = {}
        self._buffer = bytearray()
        self._number = 0
        self._asked_at = 0.0

    def ask(self, manifest: str, select: Select, deliver: Deliver) -> None:
        """Ask for a selection in the result of that manifest; ``deliver`` is called with the answer, from :meth:`tick`.

        Raises:
            Refused: if too many are waited for already.
            Unavailable: if the process cannot be started.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise Refused(f"{MAX_WAITING} selections are already running.", "Wait until one of them is finished.")
        process = self._process or self._start()
        self._number += 1
        self._waiting[self._number] = deliver
        self._asked_at = time.monotonic()
        process.write(pack_question(Question(self._number, manifest, select)))

    def tick(self) -> None:
        """Deliver what has been answered; where the process has died or is frozen, say so to all who wait."""
        if self._process is None:
            return
        data = self._process.read()
        if data is None:
            how = self._process.frozen(expected=bool(self._waiting))
            if how is not None:
                self._end(f"The process that selects {how} and was ended")
            elif not self._waiting and time.monotonic() - self._asked_at > IDLE:
                self._end()
            return
        self._buffer += data
        try:
            while (answer := take_answer(self._buffer)) is not None:
                self._waiting.pop(answer.number)(answer)
        except (ValueError, KeyError):
            data = b""  # nonsense: it is of no more use than one that has ended
        if not data:
            self._end()

    def close(self) -> None:
        self._end()

    def _start(self) -> ChildProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*self.command, str(self.store.root.resolve()), str(self.folder / "opened")]
        self._process = ChildProcess(command, self.folder / "log", self._wake)
        return self._process

    def _end(self, how: str = "The selection failed") -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.close()
        self._buffer.clear()
        shutil.rmtree(self.folder / "opened", ignore_errors=True)
        waiting, self._waiting = self._waiting, {}
        words = process.last_words()
        reason = Error(Unavailable.code, f"{how}{f': {words}' if words else ''}.", "Try again.")
        for number, deliver in waiting.items():
            deliver(Answer(number, error=reason))

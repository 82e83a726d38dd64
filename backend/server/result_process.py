"""A process that answers questions about results. The server passes questions on to it and does not wait."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.server.child_process import ChildProcess
from backend.server.question_protocol import Question, Reply, Withdrawal, pack_line, take_reply
from protocol.errors import Refused, Unavailable
from protocol.messages import Error, Working
from protocol.store import Store

MAX_WAITING = 48
"""Most unanswered questions."""
CLIENT_WAITING = 16
"""The same for one client, so that others can ask meanwhile."""
IDLE = 600.0
"""Seconds without a question after which the process is ended to free its memory."""

Deliver = Callable[[Reply], None]


class ResultProcess:
    """Starts the process at the first question, and again after it has ended.

    Args:
        store: contains the results.
        folder: for the log and the working folder of the process.
        command: the program and its first arguments; the store and a folder are added to it.
        task: what the process does, for error sentences: "selects".
        wake: called from a thread when there is a reply for :meth:`tick`.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        command: Sequence[str],
        task: str,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self.store = store
        self.folder = folder
        self.command = list(command)
        self.task = task
        self._wake = wake
        self._process: ChildProcess | None = None
        self._waiting: dict[int, tuple[str, Deliver]] = {}
        """For each unanswered question, the client that asked it, and what takes the replies."""
        self._buffer = bytearray()
        self._number = 0
        self._asked_at = 0.0

    def ask(self, make: Callable[[int], Question], deliver: Deliver, client: str = "") -> int:
        """Ask the question of a client that ``make`` returns for a number, and return that number.

        :meth:`tick` calls ``deliver`` with each reply.

        Raises:
            Refused: if too many questions wait already.
            Unavailable: if the process cannot be started.
        """
        own = sum(asker == client for asker, _ in self._waiting.values())
        for running, most in ((own, CLIENT_WAITING), (len(self._waiting), MAX_WAITING)):
            if running >= most:
                raise Refused(f"{most} such requests are already running.", "Wait until one of them is finished.")
        process = self._process or self._start()
        self._number += 1
        self._waiting[self._number] = client, deliver
        self._asked_at = time.monotonic()
        process.write(pack_line(make(self._number)))
        return self._number

    def withdraw(self, number: int) -> None:
        """Deliver no further reply to a question, and let the process end its work on it."""
        if number in self._waiting and self._process is not None:
            self._waiting[number] = self._waiting[number][0], lambda reply: None
            self._process.write(pack_line(Withdrawal(number)))

    def tick(self) -> None:
        """Deliver the replies; if the process has ended or is frozen, deliver an error to each unanswered question."""
        if self._process is None:
            return
        data = self._process.read()
        if data is None:
            how = self._process.frozen(expected=bool(self._waiting))
            if how is not None:
                self._end(f"The process that {self.task} {how} and was ended")
            elif not self._waiting and time.monotonic() - self._asked_at > IDLE:
                self._end()
            return
        self._buffer += data
        try:
            while (reply := take_reply(self._buffer)) is not None:
                is_last = not isinstance(reply.said, Working)
                _, deliver = self._waiting.pop(reply.number) if is_last else self._waiting[reply.number]
                deliver(reply)
        except (ValueError, KeyError):
            data = b""  # invalid output: end the process
        self._asked_at = time.monotonic()
        if not data:
            self._end()

    def close(self) -> None:
        self._end()

    def _start(self) -> ChildProcess:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"The folder {self.folder} cannot be used: {error.strerror}.") from error
        command = [*self.command, str(self.store.root.resolve()), str(self.folder / "opened")]
        self._process = ChildProcess(command, self.folder / "log", self._wake)
        return self._process

    def _end(self, how: str | None = None) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.close()
        self._buffer.clear()
        shutil.rmtree(self.folder / "opened", ignore_errors=True)
        waiting, self._waiting = self._waiting, {}
        words = process.last_words()
        how = how or f"The process that {self.task} has failed"
        reason = Error(Unavailable.code, f"{how}{f': {words}' if words else ''}.", "Try again.")
        for number, (_, deliver) in waiting.items():
            deliver(Reply(number, reason))

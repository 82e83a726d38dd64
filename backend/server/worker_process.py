"""One worker process: started, listened to, asked to stop, made to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from backend.server import lock, worker_protocol
from backend.server.child_process import ChildProcess
from backend.server.worker_protocol import Done, Failed, Pictured, Step
from protocol.errors import Unavailable

TERMINATE_AFTER = 0.7
"""Seconds from asking a worker to stop until SIGTERM: enough for work that reports several times a second."""
KILL_AFTER = 1.1
ABANDON_AFTER = 1.6
"""Seconds until a worker counts as ended even if the system has not yet let go of it."""
_OOM_SCORE = 500
"""Out of 1000: where memory runs out, the system is to take a worker and not the server."""
_READS = 4
"""Reads at one go, so that a worker that talks without pause cannot keep the server listening."""


class WorkerProcess(ChildProcess):
    """A running worker.

    It holds the job folder's lock for as long as it or a child of it lives, so that after a crash of the server two
    workers never share a folder.

    Args:
        command: the program and its first arguments; the job's folder is added as the last.
        folder: the job's folder.

    Raises:
        Unavailable: if the program cannot be started, or the folder is held by a worker that does not end.
    """

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._buffer = b""
        self._asked: float | None = None
        with _take_lock(folder / worker_protocol.LOCK) as held:
            log = folder / worker_protocol.LOG
            super().__init__([*command, str(folder)], log, title="The worker", append=True, inherit=[held.fileno()])
            lock.sign(held, self.pid)
        with contextlib.suppress(OSError):  # not Linux, or gone already
            Path(f"/proc/{self.pid}/oom_score_adj").write_text(str(_OOM_SCORE))

    def heard(self) -> list[Step | Pictured | Done | Failed]:
        """Return what the worker has said since the last call; lines that mean nothing go to its log."""
        said: list[Step | Pictured | Done | Failed] = []
        for _ in range(_READS):
            data = self.read(worker_protocol.MAX_LINE)
            if not data:
                break
            *whole, self._buffer = (self._buffer + data).split(b"\n")
            for text in whole:
                line = worker_protocol.unpack(text)
                said.append(line) if line is not None else self.add_to_log(text[: worker_protocol.MAX_LINE])
            if len(self._buffer) > worker_protocol.MAX_LINE:
                self.add_to_log(self._buffer[: worker_protocol.MAX_LINE])
                self._buffer = b""
        return said

    def ask_to_stop(self) -> None:
        if self._asked is None:
            self._asked = time.monotonic()
            self.write(worker_protocol.CANCEL)

    def insist(self) -> bool:
        """Stop a worker that was asked to, the harder the longer it takes; say whether to wait for it no longer."""
        if self._asked is None:
            return False
        waited = time.monotonic() - self._asked
        if waited > KILL_AFTER:
            self.signal(signal.SIGKILL)
        elif waited > TERMINATE_AFTER:
            self.signal(signal.SIGTERM)
        return waited > ABANDON_AFTER


def end_orphan(folder: Path) -> None:
    """End the worker that a server which is gone left running on ``folder``, if there is one.

    Raises:
        Unavailable: if it does not end.
    """
    _take_lock(folder / worker_protocol.LOCK).close()


def _take_lock(path: Path) -> BinaryIO:
    """Take a job folder's lock, from a worker whose server is gone if need be."""
    held = lock.hold(path)
    orphan = lock.signature(path) if held is None else None
    deadline = time.monotonic() + 5.0
    while held is None:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"A worker of an earlier server still uses {path.parent}.", "End that process and submit again."
            )
        if orphan is not None:
            # Whoever holds the lock keeps its process group alive, so the number cannot have become another's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(orphan, signal.SIGKILL)
        time.sleep(0.02)
        held = lock.hold(path)
    return held

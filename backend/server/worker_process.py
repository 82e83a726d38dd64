"""One worker process: started, listened to, asked to stop, made to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from backend.server import lock, worker_protocol
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


class WorkerProcess:
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
        self._log = folder / worker_protocol.LOG
        self._buffer = b""
        self._asked: float | None = None
        held = _take_lock(folder / worker_protocol.LOCK)
        with held, self._log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    [*command, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    start_new_session=True,
                    pass_fds=[held.fileno()],
                )
            except OSError as error:
                raise Unavailable(f"The worker {command[0]} cannot be started: {error.strerror}.") from error
            lock.sign(held, self._process.pid)
        with contextlib.suppress(OSError):  # not Linux, or gone already
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text(str(_OOM_SCORE))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        os.set_blocking(self._stdin.fileno(), False)

    def fileno(self) -> int:
        """Where the worker's words can be waited for."""
        return self._stdout.fileno()

    def heard(self) -> list[Step | Pictured | Done | Failed]:
        """Return what the worker has said since the last call; lines that mean nothing go to its log."""
        said: list[Step | Pictured | Done | Failed] = []
        for _ in range(_READS):
            data = self._read()
            if not data:
                break
            *whole, self._buffer = (self._buffer + data).split(b"\n")
            for text in whole:
                line = worker_protocol.unpack(text)
                said.append(line) if line is not None else self._log_line(text)
            if len(self._buffer) > worker_protocol.MAX_LINE:
                self._log_line(self._buffer)
                self._buffer = b""
        return said

    def _read(self) -> bytes:
        try:
            return os.read(self._stdout.fileno(), worker_protocol.MAX_LINE)
        except BlockingIOError:
            return b""

    def _log_line(self, text: bytes) -> None:
        with self._log.open("ab") as log:
            log.write(text[: worker_protocol.MAX_LINE] + b"\n")

    def status(self) -> int | None:
        """The exit status, negative for a signal; None while the worker runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        if self._asked is None:
            self._asked = time.monotonic()
            with contextlib.suppress(BrokenPipeError, BlockingIOError):  # it has ended, or does not read
                self._stdin.write(worker_protocol.CANCEL)

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

    def signal(self, number: signal.Signals) -> None:
        """Signal the worker and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        """Forget a worker that has ended, and end whatever it left running."""
        self.signal(signal.SIGKILL)
        self._stdin.close()
        self._stdout.close()

    def last_words(self) -> str:
        """The last line of the worker's log that says something."""
        with self._log.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - 4096))
            text = log.read().decode(errors="replace").strip()
        return worker_protocol.clip(text.rpartition("\n")[2].strip(), 300)


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

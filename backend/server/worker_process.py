"""A worker process: starts or finds it, reads its reports, and ends it."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from backend import lock
from backend.server import process_tree, worker_protocol
from backend.server.child_process import CREATION_FLAGS, last_lines
from backend.server.silence import Silence
from backend.server.worker_orders import TakesOrders
from backend.server.worker_protocol import Said
from backend.server.worker_reports import WorkerReports
from protocol.errors import Unavailable

TERMINATE_AFTER = 0.7
"""Seconds from asking a worker to cancel until SIGTERM: enough for work that reports several times a second."""
KILL_AFTER = 1.1
ABANDON_AFTER = 1.6
"""Seconds until a worker counts as ended even if the system still lists it."""
_OOM_SCORE = 500
"""Out of 1000: if memory runs out, the system should kill a worker and not the server."""


class WorkerProcess(TakesOrders):
    """A worker process. It holds the lock of its job's folder until it ends, so two never use the same folder.

    Attributes:
        pid: its process id.
        name: its name in the log.
        known: whether this server started it; only then its exit status is known.
        same_boot: whether the machine has not restarted since the worker started.
    """

    def __init__(self, folder: Path, pid: int, token: str, child: subprocess.Popen[bytes] | None) -> None:
        super().__init__(folder)
        self.pid = pid
        self.name = f"process {pid}"
        self.known = child is not None
        self.same_boot = True
        self._child = child
        self._reports = WorkerReports(folder, token)
        self._log = folder / worker_protocol.LOG
        self._log_from = 0
        self._forced = 0
        self._silence = Silence()
        self._gone = False

    @classmethod
    def start(cls, command: Sequence[str], folder: Path, gpus: Sequence[str] = ()) -> WorkerProcess:
        """Start a worker on a job's folder.

        Args:
            command: the program and its first arguments; the folder and a token are added.
            folder: the job's.
            gpus: the ones that it sees, by CUDA's names; empty for all.

        Raises:
            Unavailable: if the program cannot be started.
            OSError: if the folder cannot be written.
        """
        token = secrets.token_hex(8)
        (folder / worker_protocol.ORDER).unlink(missing_ok=True)
        log = folder / worker_protocol.LOG
        with log.open("ab") as output:
            begins = output.tell()
            try:
                child = subprocess.Popen(
                    [*command, str(folder), token],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=os.environ | {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else None,
                    start_new_session=True,
                    creationflags=CREATION_FLAGS,
                )
            except OSError as error:
                raise Unavailable(f"The worker {command[0]} cannot be started: {error.strerror}.") from error
        worker = cls(folder, child.pid, token, child)
        worker._log_from = begins
        with contextlib.suppress(OSError):  # not Linux, or it has ended already
            Path(f"/proc/{child.pid}/oom_score_adj").write_text(str(_OOM_SCORE))
        return worker

    @classmethod
    def find(cls, folder: Path) -> WorkerProcess | None:
        """Return the worker that uses this folder or used it last; None if there was none.

        It may have ended; its reports can still be read.
        """
        held = lock.hold(folder / worker_protocol.LOCK)
        if held is not None:
            held.close()
        words = (lock.signature(folder / worker_protocol.LOCK) or "").split()
        if len(words) != 3 or not words[0].isdigit():
            return None
        worker = cls(folder, int(words[0]), words[1], None)
        worker._gone = held is not None
        with contextlib.suppress(ValueError):
            worker.same_boot = abs(float(words[2]) - psutil.boot_time()) < worker_protocol.SAME_BOOT
        return worker

    def heard(self) -> list[Said]:
        """Return the worker's reports since the last call; invalid lines are added to its log."""
        said = self._reports.heard()
        if said:
            self._silence.broken()
        return said

    def frozen(self) -> str | None:
        """Return how it is frozen, as the end of a sentence; None if it may still work."""
        return self._silence.frozen(self.pid)

    def insist(self) -> bool:
        """End a worker that was asked to cancel: by SIGTERM, then by SIGKILL; return whether to stop waiting for it."""
        waited = self.waited()
        if waited is None:
            return False
        if waited > KILL_AFTER and self._forced < 2:
            self._forced = 2
            self.kill()
        elif waited > TERMINATE_AFTER and self._forced < 1 and self.runs():
            self._forced = 1
            process_tree.terminate(self.pid)
        return waited > ABANDON_AFTER

    def runs(self) -> bool:
        """Return whether it has not ended."""
        if self._child is not None:
            return self._child.poll() is None
        if not self._gone and not process_tree.runs(self.pid):
            self._gone = True
        return not self._gone

    def status(self) -> int | None:
        """Return the exit status of an ended worker, negative for a signal; None if it is not known."""
        return None if self._child is None else self._child.poll()

    def kill(self) -> None:
        """Kill it and its descendants."""
        if self.runs():
            process_tree.kill(self.pid)
        elif self.known:
            process_tree.kill_group(self.pid)

    def end(self) -> None:
        """Kill it, and wait for its end.

        Raises:
            Unavailable: if it does not end.
        """
        deadline = time.monotonic() + 5.0
        while self.runs():
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"A worker of an earlier server still uses {self.folder}.", "End that process and start again."
                )
            self.kill()
            time.sleep(0.02)

    def last_lines(self, most: int) -> list[str]:
        """Return the last lines of its log that are not empty, each printable."""
        return last_lines(self._log, most, self._log_from)

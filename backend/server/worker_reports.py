"""Reads the reports of a worker from its file; see :mod:`backend.server.worker_protocol`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from backend.server import worker_protocol
from backend.server.worker_protocol import Said

_READ = 4 * worker_protocol.MAX_LINE
"""Most bytes read in one call, so that a worker that reports without pause cannot keep the server reading."""


MOST_LOG = 64 << 20
"""Most bytes of a log: a library may print without end."""
KEPT_LOG = 1 << 20
"""Bytes at the end of a log that are kept if it is longer."""


class WorkerReports:
    """The reports of one start of a worker.

    Args:
        folder: the job's.
        token: of this start of the worker.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self._file = worker_protocol.reports(folder, token)
        self._log = folder / worker_protocol.LOG
        self._read_to = 0
        self._buffer = b""

    def heard(self) -> list[Said]:
        """Return the reports since the last call; invalid lines are added to the worker's log."""
        self._shorten_log()
        try:
            with self._file.open("rb") as file:
                file.seek(self._read_to)
                data = file.read(_READ)
        except FileNotFoundError:  # it has just started
            return []
        self._read_to += len(data)
        *whole, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > worker_protocol.MAX_LINE:
            whole.append(self._buffer)
            self._buffer = b""
        said: list[Said] = []
        for text in filter(None, whole):
            line = worker_protocol.unpack(text)
            said.append(line) if line is not None else self._add_to_log(text[: worker_protocol.MAX_LINE])
        return said

    def _shorten_log(self) -> None:
        with contextlib.suppress(OSError):
            if self._log.stat().st_size <= MOST_LOG:
                return
            with self._log.open("r+b") as log:
                log.seek(-KEPT_LOG, os.SEEK_END)
                end = log.read(KEPT_LOG)
                log.truncate(0)
            # The worker appends, so its next line follows.
            with self._log.open("ab") as log:
                log.write(b"The log was longer than %d MiB; this is its end.\n" % (MOST_LOG >> 20) + end)

    def _add_to_log(self, line: bytes) -> None:
        with contextlib.suppress(OSError), self._log.open("ab") as log:
            log.write(line + b"\n")

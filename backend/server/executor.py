"""Executors run workers: as local processes (:mod:`backend.server.local_executor`) or on a Ray cluster.

The table of jobs decides which job runs; an executor only starts workers, finds them again and ends them. Server and
worker communicate through the files of the job's folder (:mod:`backend.server.worker_protocol`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from backend.server.worker_protocol import Said


class Worker(Protocol):
    """A worker that was started or found. Calls do not block."""

    @property
    def name(self) -> str:
        """Its name in the log."""
        ...

    @property
    def same_boot(self) -> bool:
        """Whether it was started on this machine since the last boot, so that it may have caused the server's end."""
        ...

    def heard(self) -> list[Said]:
        """Return its reports since the last call."""
        ...

    def frozen(self) -> str | None:
        """Return how it is frozen, as the end of a sentence; None if it may still work."""
        ...

    def ask_to_cancel(self) -> None:
        """Ask it to end; :meth:`insist` then makes sure that it does."""
        ...

    def ask_to_stop(self) -> None:
        """Ask it to write a checkpoint and end."""
        ...

    def insist(self) -> bool:
        """End a worker that was asked to cancel, in steps; return whether to stop waiting for it."""
        ...

    def runs(self) -> bool:
        """Return whether it has not ended."""
        ...

    def status(self) -> int | None:
        """Return the exit status of an ended worker, negative for a signal; None if it is not known."""
        ...

    def kill(self) -> None:
        """Kill it and its descendants."""
        ...

    def end(self) -> None:
        """End it, and wait for its end if that is possible.

        Raises:
            Unavailable: if it does not end.
        """
        ...

    def last_lines(self, most: int) -> list[str]:
        """Return the last lines of its log that are not empty, each printable."""
        ...


class Executor(Protocol):
    """Starts workers and finds them again."""

    @property
    def name(self) -> str:
        """Its name in an overview."""
        ...

    @property
    def gpus(self) -> Sequence[str] | None:
        """The names of the GPUs for workers, in order; None while they are not known."""
        ...

    @property
    def only_cpus(self) -> bool:
        """Whether :attr:`gpus` are machines without a GPU; jobs on the CPU then take them as well."""
        ...

    def look_for_gpus(self) -> None:
        """Start to find the GPUs if they are not known."""
        ...

    @property
    def outlives(self) -> bool:
        """Whether workers continue when the server is asked to end; else they write checkpoints and end."""
        ...

    def start(self, job: str, folder: Path, gpus: Sequence[str]) -> Worker:
        """Start a worker on a job's folder, which contains its assignment.

        Args:
            job: its id.
            folder: the job's.
            gpus: the names of the GPUs to use; if empty, the worker chooses.

        Raises:
            Unavailable: if it cannot be started.
            OSError: if the folder cannot be written.
        """
        ...

    def missing(self) -> str | None:
        """Return why no worker can be started now, as the end of a sentence; None if one can."""
        ...

    def find(self, job: str, folder: Path) -> Worker | None:
        """Return the worker that uses this folder or used it last; None if there was none.

        It may have ended; its reports can still be read.
        """
        ...

    def close(self) -> None:
        """Free all resources; workers continue."""
        ...

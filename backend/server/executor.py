"""What runs workers: processes of this machine (:mod:`backend.server.local_executor`), or a Ray cluster.

The table of jobs decides which job runs; an executor only starts workers, finds them again and ends them. Server and
worker always talk through the files of the job's folder (:mod:`backend.server.worker_protocol`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from backend.server.worker_protocol import Said


class Worker(Protocol):
    """A worker that was started or found. No call waits."""

    @property
    def name(self) -> str:
        """What it is called in the log."""
        ...

    @property
    def same_boot(self) -> bool:
        """Whether it has run on this machine since the machine's last start, so that one cause may have ended both."""
        ...

    def heard(self) -> list[Said]:
        """Return what it has said since the last call."""
        ...

    def frozen(self) -> str | None:
        """Return how it is frozen, as the end of a sentence; None where it may still work."""
        ...

    def ask_to_cancel(self) -> None:
        """Ask it to end; :meth:`insist` then makes sure that it does."""
        ...

    def ask_to_stop(self) -> None:
        """Ask it to write a checkpoint and end."""
        ...

    def insist(self) -> bool:
        """Stop one that was asked to, the harder the longer it takes; say whether to wait for it no longer."""
        ...

    def runs(self) -> bool:
        """Say whether it has not ended."""
        ...

    def status(self) -> int | None:
        """Return the exit status of one that has ended, negative for a signal; None where it cannot be known."""
        ...

    def kill(self) -> None:
        """End it, and all that it started."""
        ...

    def end(self) -> None:
        """End it; wait until it is gone, where that can be waited for.

        Raises:
            Unavailable: if it does not end.
        """
        ...

    def last_lines(self, most: int) -> list[str]:
        """Return the last lines of its log that say something, each printable."""
        ...


class Executor(Protocol):
    """Starts workers and finds them again."""

    @property
    def name(self) -> str:
        """What it is called in an overview."""
        ...

    @property
    def gpus(self) -> Sequence[str] | None:
        """The names of the GPUs that workers can be given, in order; None while they are not known."""
        ...

    @property
    def only_cpus(self) -> bool:
        """Whether these GPUs are machines without one, so that jobs on the CPU take them as well."""
        ...

    def look_for_gpus(self) -> None:
        """Begin to find out which GPUs there are, where that is not known."""
        ...

    @property
    def outlives(self) -> bool:
        """Whether workers go on when the server is asked to end; others are asked to write checkpoints and end."""
        ...

    def start(self, job: str, folder: Path, gpus: Sequence[str]) -> Worker:
        """Start a worker on a job's folder, which has its assignment.

        Args:
            job: its id.
            folder: the job's.
            gpus: the names of those that it is to use; none of them leaves the choice to the worker.

        Raises:
            Unavailable: if it cannot be started.
            OSError: if the folder cannot be written.
        """
        ...

    def missing(self) -> str | None:
        """Return why no worker can be started at the moment, as the end of a sentence; None if one can."""
        ...

    def find(self, job: str, folder: Path) -> Worker | None:
        """Return the worker that has this folder or had it last; None where none ever had.

        It may have ended: then it still has said what it said.
        """
        ...

    def close(self) -> None:
        """Let go of everything but the workers."""
        ...

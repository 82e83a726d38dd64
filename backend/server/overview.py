"""Overviews of the server: running and waiting jobs, disk space, and connected clients."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from backend.server.file_loop import FileLoop
from backend.server.jobs import Job, Jobs
from backend.server.sessions import Session, Sessions
from backend.server.worker_protocol import clip
from backend.server.workers import Workers
from protocol.coroutines import FILES_A_STEP
from protocol.errors import Fault
from protocol.messages import Overview, OverviewJob
from protocol.store import Store
from protocol.wire import MAX_HEADER

MOST_JOBS = 50
"""Most jobs in the list."""
MOST_CLIENTS = 50
REMEASURE = 60.0
"""Seconds for which a measurement of the store is reused."""
_MARGIN = 1024
"""Bytes of a header other than the message."""

Disk = tuple[int, int, int]
"""Bytes of the store, bytes free on its disk, and bytes of the disk."""


class Overviews:
    """Makes overviews.

    Args:
        name: the server's, with its version.
        sessions, jobs, workers, files, store: the server's.
    """

    def __init__(
        self,
        name: str,
        sessions: Sessions,
        jobs: Jobs,
        workers: Workers,
        files: FileLoop,
        store: Store,
    ) -> None:
        self.name = name
        self.since = time.time()
        self.sessions = sessions
        self.jobs = jobs
        self.workers = workers
        self.files = files
        self.store = store
        self._stored = 0
        self._measured_at = -REMEASURE

    def ask(self, deliver: Callable[[Overview | Fault], object], client: str | None = None, asker: str = "") -> None:
        """Make the server's loop call ``deliver`` with an overview.

        Args:
            deliver: called once.
            client: list only the jobs of this client, and no names of clients; None for everything.
            asker: the client that asks, see :meth:`backend.server.file_loop.FileLoop.do`; "" for this program.
        """

        def told(disk: Disk | Fault) -> None:
            deliver(disk if isinstance(disk, Fault) else self._overview(disk, client))

        self.files.do(self._measure(), told, asker)

    def _measure(self) -> Generator[None, None, Disk]:
        """Measure the store, in the thread of the files."""
        now = time.monotonic()
        if now - self._measured_at >= REMEASURE:
            self._measured_at = now
            stored = 0
            for count, path in enumerate(self.store.files()):
                with suppress(FileNotFoundError):  # it was evicted
                    stored += path.stat().st_size
                if count % FILES_A_STEP == 0:
                    yield
            self._stored = stored
        disk = shutil.disk_usage(self.store.root)
        return self._stored, disk.free, disk.total

    def _overview(self, disk: Disk, client: str | None) -> Overview:
        running = self.jobs.in_state("running", "cancelling")
        waiting = self.jobs.in_state("queued")
        listed = [job for job in (*running, *waiting) if client in (None, job.client)]
        overview = Overview(
            server=self.name,
            since=self.since,
            executor=self.workers.executor.name,
            places=self.workers.places,
            running=len(running),
            waiting=len(waiting),
            jobs=[_line(job, "" if client is not None else job.client) for job in listed[:MOST_JOBS]],
            sessions=len(self.sessions),
            clients=[] if client is not None else sorted(map(_name, self.sessions))[:MOST_CLIENTS],
            store_bytes=disk[0],
            free_bytes=disk[1],
            disk_bytes=disk[2],
            trouble=clip(self.jobs.trouble, 2000),
        )
        while overview.jobs and len(msgspec.json.encode(overview)) > MAX_HEADER - _MARGIN:
            overview = replace(overview, jobs=overview.jobs[:-1])
        return overview


def _line(job: Job, client: str) -> OverviewJob:
    return OverviewJob(job.id, job.title, client, job.state, job.stage, job.fraction, job.note[:200], job.created)


def _name(session: Session) -> str:
    return clip(f"{session.client}: {session.program}", 200)

"""The jobs of one connection: submitted, restored from a record, and updated by the server's messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import NDArray

from protocol.address import parse
from protocol.errors import Fault
from protocol.job_request import JobRequest
from protocol.messages import FINAL_STATES, Jobs, Picture, Progress, Status

from .cache import Cache
from .connection import Connection
from .coroutines import Steps
from .dispatcher import Dispatcher
from .job import Job
from .record import Entry


class JobList:
    """All jobs of a connection.

    Args:
        connection: the jobs run on its server. A connection has one list.
        cache: where results are stored.

    Attributes:
        jobs: oldest first.
    """

    def __init__(self, connection: Connection, cache: Cache) -> None:
        self.jobs: list[Job] = []
        self.connection = connection
        self.cache = cache
        connection.handlers[Progress] = self._on_progress
        connection.handlers[Picture] = self._on_picture
        connection.on_heartbeat = self._update_queue
        connection.on_other_server = self._fail_unfinished

    def submit(self, folder: Path, request: JobRequest | None = None) -> Job:
        """Submit a scene folder for segmentation, and download the result when it is ready. Returns at once.

        Without a connection the folder is prepared, and uploaded once there is one.

        Raises:
            BadArgument: as :class:`.job.Job`.
        """
        job = Job(self.connection, self.cache, Path(folder).absolute(), request or JobRequest())
        self._add(job)
        self.connection.changed()
        return job

    @property
    def unfinished(self) -> list[Job]:
        return [job for job in self.jobs if not job.final]

    def forget(self, job: Job) -> None:
        """Remove a job that has ended from the list; its result stays in the cache."""
        if job.final:
            self.jobs.remove(job)
            self.connection.changed()

    def restore(self, entries: Sequence[Entry]) -> None:
        """Add the jobs of a record: those with a result in the cache, and those that a server may still have."""
        for entry in entries:
            if entry.finished and not self.cache.result_folder(entry.id).is_dir():
                continue
            try:
                job = Job.recorded(self.connection, self.cache, entry)
                address = parse(entry.address)
            except Fault:  # its scene folder no longer exists, so it could not be uploaded again
                continue
            self._add(job)
            if not job.final:
                self.connection.address, self.connection.started_here = address, entry.started_here
        self.connection.changed()

    def record(self) -> list[Entry]:
        """Return the entries to record, oldest first."""
        return [
            Entry(
                job.id,
                job.title,
                str(job.scene),
                job.request,
                job.folder is not None,
                str(self.connection.address),
                self.connection.started_here,
            )
            for job in self.jobs
            if job.folder is not None or (job.submitted and not job.final)
        ]

    def _add(self, job: Job) -> None:
        self.jobs.append(job)
        if not job.final:
            self.connection.add(job)

    def _on_progress(self, message: Progress, arrays: Sequence[NDArray]) -> None:
        for job in self.jobs:
            if job.id == message.job:
                job.update(message)

    def _on_picture(self, message: Picture, arrays: Sequence[NDArray]) -> None:
        for job in self.jobs:
            if job.id == message.job:
                job.update_picture(arrays)

    def _fail_unfinished(self, reason: Fault) -> None:
        for job in self.unfinished:
            job.fail(reason)

    def _update_queue(self, dispatcher: Dispatcher) -> Steps[None]:
        """Ask how many jobs of this client, from any computer, are queued before each job of this list."""
        if not any(job.state == "queued" for job in self.jobs):
            return
        answer = yield from dispatcher.ask(Status(100), Jobs)
        waiting = [info for info in answer.jobs if info.state not in FINAL_STATES]
        places = {info.job: len(waiting) - 1 - place for place, info in enumerate(waiting)}
        for job in self.jobs:
            job.show(ahead=places.get(job.id, 0))

"""Jobs: one row of SQLite each. What is told about a job has been written there first.

State changes are synced to disk before anybody hears of them. Progress within a stage is written without waiting for
the disk, so the sequence number survives a killed server, and a power cut takes back some progress but no state.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from backend.server.worker_protocol import clip
from protocol.errors import NotFound, Refused, Unavailable
from protocol.job_request import JobRequest
from protocol.messages import FINAL_STATES, Error, JobInfo, JobState, Progress, Submit

LAYOUT = 3
"""Written into the database; a server refuses a later one, and 1. Since 2 what is stored is named by BLAKE3, since 3
retries are counted and forgotten jobs known."""

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    scene TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'cancelling', 'done', 'failed', 'cancelled')),
    stage TEXT NOT NULL DEFAULT '',
    fraction REAL NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT '',
    error TEXT,
    seq INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    manifest TEXT,
    size INTEGER,
    retries INTEGER NOT NULL DEFAULT 0,
    server_ends INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 'done') = (manifest IS NOT NULL AND size IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
)
"""

_FORGOTTEN = "CREATE TABLE IF NOT EXISTS forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID"
"""The ids of jobs whose rows were removed: none of them is ever run again."""

_SINCE_2 = ("retries", "server_ends")
"""Columns that a table of layout 2 does not have yet."""

_NEXT: dict[JobState, frozenset[JobState]] = {
    "queued": frozenset({"running", "cancelled"}),
    "running": frozenset({"queued", "cancelling", "done", "failed"}),
    "cancelling": frozenset({"cancelled"}),
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}


class Job(msgspec.Struct, frozen=True):
    """A row.

    Attributes:
        manifest, size: those of the result's manifest, once the job is done.
        retries: how many times it was queued again because its worker was killed or froze.
        server_ends: how many times a server ended that had it, along with its worker.
    """

    id: str
    title: str
    scene: str
    request: JobRequest
    state: JobState
    stage: str
    fraction: float
    note: str
    error: Error | None
    seq: int
    created: float
    manifest: str | None
    size: int | None
    retries: int
    server_ends: int

    def progress(self) -> Progress:
        return Progress(self.id, self.seq, self.state, self.stage, self.fraction, self.note, self.error)

    def info(self) -> JobInfo:
        return JobInfo(self.id, self.title, self.state, self.stage, self.fraction, self.created)


_COLUMNS = ", ".join(Job.__struct_fields__)


def _nobody(_: Job) -> None:
    pass


class Jobs:
    """The table of jobs.

    Args:
        path: the database file; made if missing.
        changed: called with the job after each change of it, once the change is written.

    Raises:
        Unavailable: if the file is no database of jobs, or of another version.
    """

    def __init__(self, path: Path, changed: Callable[[Job], None] = _nobody) -> None:
        self.changed = changed
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            layout = self._db.execute("PRAGMA user_version").fetchone()[0]
            if layout not in (0, 2, LAYOUT):
                raise Unavailable(
                    f"The jobs in {path} have format {layout}; this server reads format {LAYOUT}.",
                    "Choose another folder with --data, or update the backend.",
                )
            self._db.execute(_TABLE)
            self._db.execute(_FORGOTTEN)
            if layout == 2:
                self._add_columns()
            self._db.execute(f"PRAGMA user_version = {LAYOUT}")
        except sqlite3.Error as error:
            raise Unavailable(
                f"The jobs in {path} cannot be read: {error}.",
                "Choose another folder with --data, or move that file away.",
            ) from error

    def _add_columns(self) -> None:
        present = {row[1] for row in self._db.execute("PRAGMA table_info(jobs)")}
        for name in _SINCE_2:
            if name not in present:
                self._db.execute(f"ALTER TABLE jobs ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")

    def close(self) -> None:
        self._db.close()

    def submit(self, wanted: Submit) -> Job:
        """Add a queued job, or return the one that has this id and content already.

        Raises:
            Refused: if there is a job of this id with another content, or was one that has been forgotten.
        """
        if self._forgotten(wanted.job):
            raise Refused(
                f"The job {wanted.job} ended long ago, and the server has removed its record.",
                "Submit it with a new id to run it again.",
            )
        title = clip(wanted.title, 200)
        request = msgspec.json.encode(wanted.request).decode()
        self._write(
            "INSERT INTO jobs (id, title, scene, request, state, created) VALUES (?, ?, ?, ?, 'queued', ?) "
            "ON CONFLICT (id) DO NOTHING",
            (wanted.job, title, wanted.scene, request, time.time()),
            synced=True,
        )
        job = self.get(wanted.job)
        if (job.title, job.scene, job.request) != (title, wanted.scene, wanted.request):
            raise Refused(f"The job {job.id} was already submitted with different content.", "Submit it with a new id.")
        return job

    def get(self, job: str) -> Job:
        """Return the job.

        Raises:
            NotFound: if it was not submitted.
        """
        found = self._select("WHERE id = ?", job)
        if not found:
            raise NotFound(f"The server has no job {job}.", "Submit it first.")
        return found[0]

    def knows(self, job: str) -> bool:
        """Say whether a job was ever submitted."""
        return bool(self._select("WHERE id = ?", job)) or self._forgotten(job)

    def forget(self, job: str) -> None:
        """Remove the row of a job that has ended, and keep its id, so that a repeated submission does not run it again.

        Raises:
            ValueError: if it has not ended.
        """
        if self.get(job).state not in FINAL_STATES:
            raise ValueError(f"job {job} has not ended")
        with self._db:
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN")
            self._db.execute("INSERT OR IGNORE INTO forgotten (id) VALUES (?)", (job,))
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def _forgotten(self, job: str) -> bool:
        return self._db.execute("SELECT 1 FROM forgotten WHERE id = ?", (job,)).fetchone() is not None

    def newest(self, limit: int) -> list[Job]:
        return self._select("ORDER BY number DESC LIMIT ?", limit)

    def in_state(self, *states: JobState) -> list[Job]:
        """Return the jobs in any of ``states``, oldest first."""
        marks = ", ".join("?" * len(states))
        return self._select(f"WHERE state IN ({marks}) ORDER BY number", *states)

    def step(self, job: str, stage: str, fraction: float, note: str) -> None:
        """Write how far a running job is."""
        self._change(self.get(job), synced=False, stage=stage, fraction=fraction, note=note)

    def run(self, job: str) -> None:
        self._move(job, "running")

    def requeue(self, job: str, note: str) -> None:
        """Put a running job back: its server stopped, and its checkpoint holds what was done."""
        self._move(job, "queued", note=note, stage="", fraction=0.0)

    def retry(self, job: str, note: str) -> None:
        """Put a running job back whose worker was killed or froze."""
        retries = self.get(job).retries + 1
        self._move(job, "queued", note=note, stage="", fraction=0.0, retries=retries)

    def server_ended(self, job: str) -> int:
        """Count a server that ended along with the worker of this job; return how many that were."""
        before = self.get(job)
        self._change(before, synced=True, server_ends=before.server_ends + 1)
        return before.server_ends + 1

    def cancel(self, job: str) -> Job:
        """Ask for the end of a job: a queued one ends here, a running one once its worker is gone."""
        state = self.get(job).state
        if state == "queued":
            self._move(job, "cancelled")
        elif state == "running":
            self._move(job, "cancelling")
        return self.get(job)

    def cancelled(self, job: str) -> None:
        self._move(job, "cancelled")

    def fail(self, job: str, error: Error) -> None:
        self._move(job, "failed", error=msgspec.json.encode(error).decode())

    def finish(self, job: str, manifest: str, size: int) -> None:
        """Say that a job is done: its result is stored under ``manifest``."""
        self._move(job, "done", manifest=manifest, size=size, fraction=1.0)

    def _move(self, job: str, state: JobState, **columns: Any) -> None:
        before = self.get(job)
        if state not in _NEXT[before.state]:
            raise ValueError(f"job {job} cannot go from {before.state} to {state}")
        self._change(before, synced=True, state=state, **columns)

    def _change(self, before: Job, *, synced: bool, **columns: Any) -> None:
        columns["seq"] = before.seq + 1
        sets = ", ".join(f"{name} = ?" for name in columns)
        self._write(f"UPDATE jobs SET {sets} WHERE id = ?", (*columns.values(), before.id), synced=synced)
        self.changed(self.get(before.id))

    def _write(self, statement: str, values: tuple[Any, ...], *, synced: bool) -> None:
        self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
        self._db.execute(statement, values)

    def _select(self, clause: str, *values: Any) -> list[Job]:
        return [_job(row) for row in self._db.execute(f"SELECT {_COLUMNS} FROM jobs {clause}", values)]


def _job(row: tuple[Any, ...]) -> Job:
    fields = dict(zip(Job.__struct_fields__, row, strict=True))
    fields["request"] = msgspec.json.decode(fields["request"], type=JobRequest)
    fields["error"] = msgspec.json.decode(fields["error"], type=Error) if fields["error"] else None
    return Job(**fields)

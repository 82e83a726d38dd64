"""Jobs: one row of SQLite each. What is told about a job has been written there first.

State changes are synced to disk before anybody hears of them. Progress within a stage is written without waiting for
the disk, so the sequence number survives a killed server, and a power cut takes back some progress but no state. A
thread writes (:mod:`backend.server.job_file`); the server's loop never waits for it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from backend.server.clients import DEFAULT_CLIENT
from backend.server.job_file import JobFile, Statement
from backend.server.worker_protocol import clip
from protocol.errors import NotFound, Refused, Unavailable
from protocol.job_request import JobRequest
from protocol.messages import FINAL_STATES, Error, JobInfo, JobState, Progress, Submit

LAYOUT = 4
"""Written into the database; a server refuses a later one, and 1. Since 2 what is stored is named by BLAKE3, since 3
retries are counted, forgotten jobs known and states indexed, since 4 a job belongs to a client."""

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
    client TEXT NOT NULL DEFAULT 'default',
    CHECK ((state = 'done') = (manifest IS NOT NULL AND size IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
)
"""

_FORGOTTEN = "CREATE TABLE IF NOT EXISTS forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID"
"""The ids of jobs whose rows were removed: none of them is ever run again."""

_INDEXES = (
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number)",
    "CREATE INDEX IF NOT EXISTS jobs_by_client ON jobs (client, number)",
)

_LATER_COLUMNS = {
    "retries": "INTEGER NOT NULL DEFAULT 0",
    "server_ends": "INTEGER NOT NULL DEFAULT 0",
    "client": "TEXT NOT NULL DEFAULT 'default'",
}
"""Columns that a table of an earlier layout does not have yet. The jobs in it belong to the client that all shared."""

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
        client: whose it is.
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
    client: str

    def progress(self) -> Progress:
        return Progress(self.id, self.seq, self.state, self.stage, self.fraction, self.note, self.error)

    def info(self) -> JobInfo:
        return JobInfo(self.id, self.title, self.state, self.stage, self.fraction, self.created)


class Contents(NamedTuple):
    """What an ended job holds in the store: whose it is, and the manifests of its scene and its result, if any."""

    client: str
    manifests: tuple[str, ...]


_COLUMNS = ", ".join(Job.__struct_fields__)


def _nobody(_: Job) -> None:
    pass


def _nothing() -> None:
    pass


class Jobs:
    """The table of jobs: held in memory, where it decides, and written to a file, after which it is told.

    Reading never waits for a disk. :meth:`get` and :meth:`in_state` say what has been decided, :meth:`told` and
    :meth:`newest` what is written.

    Args:
        path: the database file; made if missing.
        changed: called from :meth:`deliver` with the job after each change of it, once the change is written.
        wake: called, from a thread, when there is something to deliver.

    Attributes:
        damaged: the ids of the rows that cannot be read.

    Raises:
        Unavailable: if the file is no database of jobs, of another version, or damaged.
    """

    def __init__(
        self, path: Path, changed: Callable[[Job], None] = _nobody, wake: Callable[[], object] = _nothing
    ) -> None:
        self.changed = changed
        self._path = path
        self._table = sqlite3.connect(":memory:", isolation_level=None)
        self._unwritten: dict[str, tuple[int, Job | None]] = {}
        """Of jobs with changes to be written: how many, and the job before them, None where it is new."""
        if _emptied(path):
            raise _unreadable(path, "the file is empty, and there are folders of jobs beside it")
        try:
            self._file = JobFile(path, self._prepare, wake)
        except sqlite3.Error as error:
            raise _unreadable(path, str(error)) from error
        self._file.load(self._table)
        self._live: dict[str, Job] = {}
        """The jobs that have not ended, the oldest first."""
        self.damaged: list[str] = []
        for id in self.ids():
            try:
                job = self.get(id)
            except (ValueError, TypeError):  # msgspec's errors are ValueErrors
                self.damaged.append(id)
            else:
                if job.state not in FINAL_STATES:
                    self._live[id] = job

    def _prepare(self, file: sqlite3.Connection) -> None:
        layout = file.execute("PRAGMA user_version").fetchone()[0]
        tables = file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if layout not in (0, 2, 3, LAYOUT) or (layout == 0 and tables):
            raise Unavailable(
                f"The jobs in {self._path} have format {layout}; this server reads format {LAYOUT}.",
                "Choose another folder with --data, or update the backend.",
            )
        if file.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _unreadable(self._path, "the file is damaged")
        if layout == LAYOUT:
            return
        file.execute("BEGIN IMMEDIATE")
        file.execute(_TABLE)
        file.execute(_FORGOTTEN)
        if layout:
            _add_columns(file)
        for index in _INDEXES:
            file.execute(index)
        file.execute(f"PRAGMA user_version = {LAYOUT}")
        file.execute("COMMIT")

    def deliver(self) -> None:
        """Tell what has been written since the last call.

        Raises:
            Unavailable: if nothing more can be written.
        """
        self._file.deliver()

    def flush(self, patience: float = 60.0) -> None:
        """Wait until all is written, no longer than so many seconds, and deliver."""
        self._file.flush(patience)

    def when_written(self, act: Callable[[], object]) -> None:
        """Do something once all that has been decided so far is written: now, or from :meth:`deliver`."""
        self._file.when_written(act)

    @property
    def trouble(self) -> str:
        """Why changes are not written at the moment; "" if they are."""
        return self._file.trouble

    @property
    def all_written(self) -> bool:
        return self._file.idle

    def close(self) -> None:
        """Write what is left to write, and close the file."""
        self._file.close()
        self._table.close()

    def submit(
        self,
        wanted: Submit,
        accepted: Callable[[Job], object] = _nobody,
        refused: Callable[[str], object] | None = None,
        *,
        client: str = DEFAULT_CLIENT,
    ) -> Job:
        """Add a queued job, or find the one that has this id and content already. It can start once it is written.

        Args:
            client: whose it is.
            accepted: called from :meth:`deliver` with the job once it is written.
            refused: called so with the reason, in place of it, where the disk has no room; the job is then not added.
                Without it the job waits for room.

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
        new = not self._select("WHERE id = ?", wanted.job)
        insert = (
            "INSERT INTO jobs (id, title, scene, request, state, created, client) "
            "VALUES (?, ?, ?, ?, 'queued', ?, ?) ON CONFLICT (id) DO NOTHING",
            (wanted.job, title, wanted.scene, request, time.time(), client),
        )
        self._table.execute(*insert)
        job = self.get(wanted.job)
        if (job.client, job.title, job.scene, job.request) != (client, title, wanted.scene, wanted.request):
            raise Refused(f"The job {job.id} was already submitted with different content.", "Submit it with a new id.")
        if not new and wanted.job not in self._unwritten:
            self.when_written(lambda: accepted(self.get(job.id)))
            return job
        self._await(job.id, None)

        def written() -> None:
            self._table.execute(*insert)  # for the case that an earlier submission of it has been refused meanwhile
            now = self.get(job.id)
            if now.state not in FINAL_STATES:
                self._live[job.id] = now
            self._tell(job.id, job)
            accepted(job)

        def turned_down(reason: str) -> None:
            self._table.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
            self._tell(job.id, None)
            if refused is not None:
                refused(reason)

        self._file.write(insert, synced=True, done=written, refused=turned_down if refused is not None else None)
        return job

    def get(self, job: str) -> Job:
        """Return the job.

        Raises:
            NotFound: if it was not submitted.
        """
        if (live := self._live.get(job)) is not None:
            return live
        found = self._select("WHERE id = ?", job)
        if not found:
            raise NotFound(f"The server has no job {job}.", "Submit it first.")
        return found[0]

    def told(self, job: str, client: str) -> Job:
        """Return a client's job as it is written.

        Raises:
            NotFound: if that client has not submitted it, whether or not another has.
        """
        found = self.get(job)
        _, before = self._unwritten.get(job, (0, found))
        if before is None or before.client != client:
            raise NotFound(f"The server has no job {job}.", "Submit it first.")
        return before

    def unfinished(self, client: str) -> int:
        """Return how many jobs of a client wait or run."""
        rows = self._table.execute(
            "SELECT count(*) FROM jobs INDEXED BY jobs_by_state "
            "WHERE state IN ('queued', 'running', 'cancelling') AND client = ?",
            (client,),
        )
        return rows.fetchone()[0]

    def knows(self, job: str) -> bool:
        """Say whether a job was ever submitted."""
        return bool(self._select("WHERE id = ?", job)) or self._forgotten(job)

    def forget(self, *jobs: str) -> None:
        """Remove the rows of jobs that have ended, and keep their ids, so that a repeated submission runs none again.

        Raises:
            ValueError: if one has not ended.
        """
        for job in jobs:
            if self.get(job).state not in FINAL_STATES:
                raise ValueError(f"job {job} has not ended")
        self._remove(*jobs)

    def ids(self) -> list[str]:
        """Return the ids of all jobs, oldest first, without reading their rows."""
        return [row[0] for row in self._table.execute("SELECT id FROM jobs ORDER BY number")]

    def remove_damaged(self, job: str) -> None:
        """Remove a row that cannot be read, whatever it says, and keep the id."""
        self._remove(job)

    def _remove(self, *jobs: str) -> None:
        statements: list[Statement] = []
        for job in jobs:
            statements.append(("INSERT OR IGNORE INTO forgotten (id) VALUES (?)", (job,)))
            statements.append(("DELETE FROM jobs WHERE id = ?", (job,)))
        for statement in statements:
            self._table.execute(*statement)
        self._file.write(*statements, synced=True)

    def _forgotten(self, job: str) -> bool:
        return self._table.execute("SELECT 1 FROM forgotten WHERE id = ?", (job,)).fetchone() is not None

    def newest(self, limit: int, client: str) -> list[Job]:
        """Return the newest jobs of a client as they are written, the newest first."""
        decided = self._select("WHERE client = ? ORDER BY number DESC LIMIT ?", client, limit)
        written = [self._unwritten.get(job.id, (0, job))[1] for job in decided]
        return [job for job in written if job is not None]

    def in_state(self, *states: JobState) -> list[Job]:
        """Return the jobs in any of ``states``, oldest first."""
        if not FINAL_STATES.intersection(states):
            return [job for job in list(self._live.values()) if job.state in states]
        marks = ", ".join("?" * len(states))
        return self._select(f"WHERE state IN ({marks}) ORDER BY number", *states)

    def oldest_ended(self, keep: int, most: int) -> list[str]:
        """Return the oldest jobs that have ended beyond the newest ``keep`` of them, at most so many."""
        ended = "FROM jobs WHERE state IN ('done', 'failed', 'cancelled')"
        surplus = self._table.execute(f"SELECT count(*) {ended}").fetchone()[0] - keep
        rows = self._table.execute(f"SELECT id {ended} ORDER BY number LIMIT ?", (max(0, min(surplus, most)),))
        return [id for (id,) in rows]

    def contents_of_ended(self) -> list[Contents]:
        """Return what each job that has ended holds in the store, the oldest first."""
        rows = self._table.execute(
            "SELECT client, scene, manifest FROM jobs WHERE state IN ('done', 'failed', 'cancelled') ORDER BY number"
        )
        return [
            Contents(client, (scene, manifest) if manifest is not None else (scene,))
            for client, scene, manifest in rows
        ]

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

    def replace_result(self, job: str, manifest: str, size: int) -> None:
        """Say that a job that is done has a new version of its result, stored under ``manifest``.

        Raises:
            ValueError: if the job is not done.
        """
        before = self.get(job)
        if before.state != "done":
            raise ValueError(f"job {job} is {before.state} and has no result")
        self._change(before, synced=True, manifest=manifest, size=size)

    def _move(self, job: str, state: JobState, **columns: Any) -> None:
        before = self.get(job)
        if state not in _NEXT[before.state]:
            raise ValueError(f"job {job} cannot go from {before.state} to {state}")
        self._change(before, synced=True, state=state, **columns)

    def _change(self, before: Job, *, synced: bool, **columns: Any) -> None:
        columns["seq"] = before.seq + 1
        sets = ", ".join(f"{name} = ?" for name in columns)
        statement = (f"UPDATE jobs SET {sets} WHERE id = ?", (*columns.values(), before.id))
        self._table.execute(*statement)
        (after,) = self._select("WHERE id = ?", before.id)
        if after.state in FINAL_STATES:
            self._live.pop(before.id, None)
        elif before.id in self._live:
            self._live[before.id] = after

        def written() -> None:
            self._tell(after.id, after)
            self.changed(after)

        # A step says all that the step before it said.
        replaced = self._file.write(statement, synced=synced, done=written, replaces=None if synced else after.id)
        if not replaced:
            self._await(before.id, before)

    def _await(self, job: str, before: Job | None) -> None:
        """Note that a change of a job is to be written."""
        count, told = self._unwritten.get(job, (0, before))
        self._unwritten[job] = (count + 1, told)

    def _tell(self, job: str, after: Job | None) -> None:
        """Note that a change of a job is written, or that it never will be."""
        count, _ = self._unwritten.pop(job)
        if count > 1:
            self._unwritten[job] = (count - 1, after)

    def _select(self, clause: str, *values: Any) -> list[Job]:
        return [_job(row) for row in self._table.execute(f"SELECT {_COLUMNS} FROM jobs {clause}", values)]


def _unreadable(path: Path, reason: str) -> Unavailable:
    if "full" in reason or "locked" in reason or "disk I/O" in reason:
        remedy = "Free space there, end the program that uses the file, and start the server again."
    else:
        remedy = "Choose another folder with --data, or move that file away; the jobs in it are then not listed."
    return Unavailable(f"The jobs in {path} cannot be read: {reason}.", remedy)


def _emptied(path: Path) -> bool:
    """Whether the file holds nothing, though a server has had jobs here."""
    folders = path.parent / "jobs"
    return path.is_file() and path.stat().st_size == 0 and folders.is_dir() and any(folders.iterdir())


def _add_columns(file: sqlite3.Connection) -> None:
    present = {row[1] for row in file.execute("PRAGMA table_info(jobs)")}
    for name, kind in _LATER_COLUMNS.items():
        if name not in present:
            file.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")


def shared_by_all(path: Path) -> bool:
    """Whether the jobs in a file are of a server that did not know whose they are, see :data:`LAYOUT`.

    Raises:
        Unavailable: if the file cannot be read.
    """
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path)) as file:
            return 0 < file.execute("PRAGMA user_version").fetchone()[0] < LAYOUT
    except sqlite3.Error as error:
        raise _unreadable(path, str(error)) from error


def _job(row: tuple[Any, ...]) -> Job:
    fields = dict(zip(Job.__struct_fields__, row, strict=True))
    fields["request"] = msgspec.json.decode(fields["request"], type=JobRequest)
    fields["error"] = msgspec.json.decode(fields["error"], type=Error) if fields["error"] else None
    return Job(**fields)

"""Jobs: one row of SQLite each. A change of a job is written before clients are told of it.

State changes are synced to disk before clients are told. Progress within a stage is written without waiting for the
disk: the sequence number survives a killed server, and a power cut loses some progress but no state. A thread writes
(:mod:`backend.server.job_file`); the server's loop never waits for it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
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

LAYOUT = 5
"""Version of the tables, stored in the database; a server refuses later versions, and 1. Version 2 names stored files
by BLAKE3, 3 adds retries, forgotten jobs and an index of states, 4 adds the client of a job, 5 its saved steps."""
LAYOUT_OF_CLIENTS = 4
"""The first version in which jobs have clients."""

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
    saved_steps INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 'done') = (manifest IS NOT NULL AND size IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL))
)
"""

_FORGOTTEN = "CREATE TABLE IF NOT EXISTS forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID"
"""The ids of jobs whose rows were removed; they are never run again."""

_INDEXES = (
    "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number)",
    "CREATE INDEX IF NOT EXISTS jobs_by_client ON jobs (client, number)",
)

_LATER_COLUMNS = {
    "retries": "INTEGER NOT NULL DEFAULT 0",
    "server_ends": "INTEGER NOT NULL DEFAULT 0",
    "client": "TEXT NOT NULL DEFAULT 'default'",
    "saved_steps": "INTEGER NOT NULL DEFAULT 0",
}
"""Columns that tables of earlier layouts lack. Jobs of those layouts belong to the default client."""

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
        client: the name of the client that submitted it.
        manifest, size: hash and size of the result's manifest, once the job is done.
        retries: how many times it was queued again because its worker was killed or froze, since its checkpoint last
            advanced.
        server_ends: how many times its worker and the server ended together, since its checkpoint last advanced.
        saved_steps: number of training steps in its checkpoint at the last failure.
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
    saved_steps: int

    def progress(self) -> Progress:
        return Progress(self.id, self.seq, self.state, self.stage, self.fraction, self.note, self.error)

    def info(self) -> JobInfo:
        return JobInfo(self.id, self.title, self.state, self.stage, self.fraction, self.created)


class Contents(NamedTuple):
    """The client of an ended job, and the manifests of its scene and of its result if it has one."""

    client: str
    manifests: tuple[str, ...]


_COLUMNS = ", ".join(Job.__struct_fields__)


def _nobody(_: Job) -> None:
    pass


def _nothing() -> None:
    pass


class Jobs:
    """The table of jobs: changed in memory first, then written to a file, then reported to clients.

    Reading never waits for a disk. :meth:`get` and :meth:`in_state` return the state in memory, :meth:`told` and
    :meth:`newest` the written one.

    Args:
        path: the database file; made if missing.
        changed: called from :meth:`deliver` with a job once a change of it is written.
        wake: called from a thread when there is something to deliver.
        guarded: see :class:`backend.server.job_file.JobFile`.

    Attributes:
        damaged: the ids of the rows that cannot be read.

    Raises:
        Unavailable: if the file is not a database of jobs, has another version, or is damaged.
    """

    def __init__(
        self,
        path: Path,
        changed: Callable[[Job], None] = _nobody,
        wake: Callable[[], object] = _nothing,
        guarded: Sequence[Path] = (),
    ) -> None:
        self.changed = changed
        self._path = path
        self._table = sqlite3.connect(":memory:", isolation_level=None)
        self._unwritten: dict[str, tuple[int, Job | None]] = {}
        """For each job with unwritten changes: their number, and the written state of the job; None if it is new."""
        self._held: dict[str, set[str]] = {}
        """For each job with unwritten changes: its manifests according to the file, and with the changes."""
        if _emptied(path):
            raise _unreadable(path, "the file is empty, but folders of jobs exist next to it")
        try:
            self._file = JobFile(path, self._prepare, wake, guarded)
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
        if layout not in (0, 2, 3, 4, LAYOUT) or (layout == 0 and tables):
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
        """Report the changes that were written since the last call.

        Raises:
            Unavailable: if nothing more can be written.
        """
        self._file.deliver()

    def flush(self, patience: float = 60.0) -> None:
        """Wait until everything is written, for at most ``patience`` seconds, and deliver."""
        self._file.flush(patience)

    def when_written(self, act: Callable[[], object]) -> None:
        """Call ``act`` once all changes so far are written: now, or from :meth:`deliver`."""
        self._file.when_written(act)

    @property
    def trouble(self) -> str:
        """Why changes are not written at the moment; "" if they are."""
        return self._file.trouble

    @property
    def all_written(self) -> bool:
        return self._file.idle

    def close(self) -> None:
        """Write the remaining changes, and close the file."""
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
        """Add a queued job, or find an existing one with this id and content. It can start once it is written.

        Args:
            wanted: the submission.
            accepted: called from :meth:`deliver` with the job once it is written.
            refused: called from :meth:`deliver` with the reason if the disk is full; the job is then not added. If
                None, the job waits for space.
            client: the name of the client that submits it.

        Raises:
            Refused: if a job of this id has another content, or its row was removed.
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
            self._table.execute(*insert)  # an earlier submission of it may have been refused meanwhile
            now = self.get(job.id)
            if now.state not in FINAL_STATES:
                self._live[job.id] = now
            self._tell(job.id, job)
            accepted(job)

        def not_written(reason: str) -> None:
            self._table.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
            self._tell(job.id, None)
            if refused is not None:
                refused(reason)

        self._file.write(insert, synced=True, done=written, refused=not_written if refused is not None else None)
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
        """Return the written state of a client's job.

        Raises:
            NotFound: if this client has not submitted it, even if another client has.
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
        """Return whether a job was ever submitted."""
        return bool(self._select("WHERE id = ?", job)) or self._forgotten(job)

    def forget(self, *jobs: str) -> None:
        """Remove the rows of ended jobs, and keep their ids, so that a repeated submission does not run them again.

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
        """Remove a row that cannot be read, and keep its id."""
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
        """Return ended jobs to remove, the oldest ones of the client that has the most.

        So a client with many jobs does not remove the records of the others. Call it again until nothing is returned.

        Args:
            keep: number of ended jobs of all clients that are kept.
            most: the most to return.
        """
        ended = "FROM jobs WHERE state IN ('done', 'failed', 'cancelled')"
        surplus = self._table.execute(f"SELECT count(*) {ended}").fetchone()[0] - keep
        if surplus <= 0:
            return []
        counts = self._table.execute(f"SELECT client, count(*) AS n {ended} GROUP BY client ORDER BY n DESC LIMIT 2")
        (client, first), (_, second) = [*counts.fetchall(), ("", 0)][:2]
        rows = self._table.execute(
            f"SELECT id {ended} AND client = ? ORDER BY number LIMIT ?",
            (client, min(surplus, most, max(1, first - second))),
        )
        return [id for (id,) in rows]

    def contents_of_ended(self) -> list[Contents]:
        """Return which manifests each ended job has in the store, the oldest first."""
        rows = self._table.execute(
            "SELECT client, scene, manifest FROM jobs WHERE state IN ('done', 'failed', 'cancelled') ORDER BY number"
        )
        return [
            Contents(client, (scene, manifest) if manifest is not None else (scene,))
            for client, scene, manifest in rows
        ]

    def manifests_in_use(self) -> list[str]:
        """Return the manifests whose files must not be removed; may be called from any thread.

        These are the scenes of unfinished jobs, and the scenes and results of jobs with unwritten changes: after a
        power cut the next server continues from the written state.
        """
        held = [manifest for manifests in list(self._held.values()) for manifest in list(manifests)]
        return [*(job.scene for job in list(self._live.values())), *held]

    def step(self, job: str, stage: str, fraction: float, note: str) -> None:
        """Write the progress of a running job."""
        self._change(self.get(job), synced=False, stage=stage, fraction=fraction, note=note)

    def run(self, job: str) -> None:
        self._move(job, "running")

    def requeue(self, job: str, note: str) -> None:
        """Queue a running job again because its server stopped; it continues from its checkpoint."""
        self._move(job, "queued", note=note, stage="", fraction=0.0)

    def retry(self, job: str, note: str) -> None:
        """Queue a running job again because its worker was killed or froze."""
        retries = self.get(job).retries + 1
        self._move(job, "queued", note=note, stage="", fraction=0.0, retries=retries)

    def note_saved_steps(self, job: str, steps: int) -> bool:
        """Note how many training steps are in the checkpoint of a job that was interrupted.

        If there are more than at its last failure, the counts of its failures start again from 0.

        Returns:
            Whether there are more.
        """
        before = self.get(job)
        if steps <= before.saved_steps:
            return False
        self._change(before, synced=True, saved_steps=steps, retries=0, server_ends=0)
        return True

    def server_ended(self, job: str) -> int:
        """Note that a server and the worker of this job ended together; return how many times that happened."""
        before = self.get(job)
        self._change(before, synced=True, server_ends=before.server_ends + 1)
        return before.server_ends + 1

    def cancel(self, job: str) -> Job:
        """Cancel a job: a queued one ends at once, a running one once its worker has ended."""
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
        """Mark a job as done; its result is stored under ``manifest``."""
        self._move(job, "done", manifest=manifest, size=size, fraction=1.0)

    def replace_result(self, job: str, manifest: str, size: int) -> None:
        """Set a new version of the result of a job that is done, stored under ``manifest``.

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

        # A later step contains everything that an earlier one says.
        replaced = self._file.write(statement, synced=synced, done=written, replaces=None if synced else after.id)
        if not replaced:
            self._await(before.id, before)
        manifests = (before.scene, before.manifest, after.manifest)
        self._held.setdefault(before.id, set()).update(each for each in manifests if each is not None)

    def _await(self, job: str, before: Job | None) -> None:
        """Note that a change of a job is not written yet."""
        count, told = self._unwritten.get(job, (0, before))
        self._unwritten[job] = (count + 1, told)

    def _tell(self, job: str, after: Job | None) -> None:
        """Note that a change of a job is written, or that it never will be."""
        count, _ = self._unwritten.pop(job)
        if count > 1:
            self._unwritten[job] = (count - 1, after)
        else:
            self._held.pop(job, None)

    def _select(self, clause: str, *values: Any) -> list[Job]:
        return [_job(row) for row in self._table.execute(f"SELECT {_COLUMNS} FROM jobs {clause}", values)]


def _unreadable(path: Path, reason: str) -> Unavailable:
    if "full" in reason or "locked" in reason or "disk I/O" in reason:
        remedy = "Free space there, end the program that uses the file, and start the server again."
    else:
        remedy = "Choose another folder with --data, or move that file away; the jobs in it are then not listed."
    return Unavailable(f"The jobs in {path} cannot be read: {reason}.", remedy)


def _emptied(path: Path) -> bool:
    """Whether the file is empty although a server has had jobs here."""
    folders = path.parent / "jobs"
    return path.is_file() and path.stat().st_size == 0 and folders.is_dir() and any(folders.iterdir())


def _add_columns(file: sqlite3.Connection) -> None:
    present = {row[1] for row in file.execute("PRAGMA table_info(jobs)")}
    for name, kind in _LATER_COLUMNS.items():
        if name not in present:
            file.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")


def shared_by_all(path: Path) -> bool:
    """Whether the jobs in a file have no clients because an older server wrote it, see :data:`LAYOUT_OF_CLIENTS`.

    Raises:
        Unavailable: if the file cannot be read.
    """
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path)) as file:
            return 0 < file.execute("PRAGMA user_version").fetchone()[0] < LAYOUT_OF_CLIENTS
    except sqlite3.Error as error:
        raise _unreadable(path, str(error)) from error


def _job(row: tuple[Any, ...]) -> Job:
    fields = dict(zip(Job.__struct_fields__, row, strict=True))
    fields["request"] = msgspec.json.decode(fields["request"], type=JobRequest)
    fields["error"] = msgspec.json.decode(fields["error"], type=Error) if fields["error"] else None
    return Job(**fields)

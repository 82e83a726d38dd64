"""``backend check``: checks the stored files and jobs of a server, and removes damaged ones."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from backend import lock
from backend.server.jobs import LAYOUT, Job, Jobs
from protocol.coroutines import finish
from protocol.errors import Fault, Refused, Unavailable
from protocol.manifest import hash_file
from protocol.messages import FINAL_STATES
from protocol.store import Store, read_manifest

_DIGEST = re.compile(r"[0-9a-f]{64}")

Tell = Callable[[str], object]
"""Takes one sentence."""


def check(folder: Path, tell: Tell) -> int:
    """Check a server's data folder, or a store alone such as Blender's cache, and repair it.

    A stored file whose content does not match the hash in its name is removed; a client that needs it sends it again.
    A job whose row cannot be read is removed and never run again. Damage that cannot be repaired is reported.

    Args:
        folder: the folder of ``backend serve --data``, or a store.
        tell: called with a sentence for each problem, and with one at the end.

    Returns:
        0 if no problem was found, else 1.

    Raises:
        Unavailable: if there is no store, or it or the table of jobs cannot be read or repaired.
        Refused: if a server uses the folder.
    """
    data = (folder / "store").is_dir()
    root = folder / "store" if data else folder
    if not data and not _looks_like_a_store(root):
        raise Unavailable(f"The folder {folder} contains no store.", "Give the folder of backend serve --data.")
    try:
        with _held(folder) if data else closing(_Nothing()):
            store = Store(root)
            files, wrong = _check_files(store, tell)
            if (folder / "files.sqlite").is_file():
                wrong += _check_owners(folder / "files.sqlite", tell)
            jobs = 0
            if (folder / "jobs.sqlite").is_file():
                jobs, more = _check_jobs(folder / "jobs.sqlite", store, tell)
                wrong += more
    except OSError as error:
        raise Unavailable(f"The folder {folder} cannot be checked: {error}.", "Check its permissions.") from error
    tell(f"{files} files and {jobs} jobs checked: {f'{wrong} problems' if wrong else 'no problems'}.")
    return int(wrong > 0)


class _Nothing:
    def close(self) -> None:
        """Do nothing: a store alone has no lock."""


def _looks_like_a_store(root: Path) -> bool:
    return root.is_dir() and any(len(path.name) == 2 and path.is_dir() for path in root.iterdir())


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder, so that no server starts on it."""
    held = lock.hold(folder / "lock")
    if held is None:
        raise Refused(f"The folder {folder} is in use by a server.", "Stop that server first.")
    with held:
        yield


def _check_files(store: Store, tell: Tell) -> tuple[int, int]:
    """Hash the stored files and remove damaged ones; return the number of files and of problems."""
    count = wrong = 0
    for path in sorted(store.files()):
        count += 1
        if not _DIGEST.fullmatch(path.name) or path.parent.name != path.name[:2] or not path.is_file():
            tell(f"{path} is not a stored file and was not changed.")
        elif finish(hash_file(path)) != path.name:
            path.unlink()
            tell(f"{path} is damaged and was removed.")
        else:
            continue
        wrong += 1
    return count, wrong


def _check_owners(table: Path, tell: Tell) -> int:
    """Remove the table of the clients' files if it is damaged; return the number of problems."""
    try:
        with closing(sqlite3.connect(table)) as db:
            if [row[0] for row in db.execute("PRAGMA integrity_check(1)")] == ["ok"]:
                return 0
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise Unavailable(f"The clients' files in {table} cannot be checked: {error}.", "Try again.") from error
    for path in (table, *(table.with_name(table.name + end) for end in ("-wal", "-shm"))):
        path.unlink(missing_ok=True)
    tell(f"{table} was damaged and was removed. Clients send their files again.")
    return 1


def _check_jobs(database: Path, store: Store, tell: Tell) -> tuple[int, int]:
    """Check the table of jobs, and that scenes and results are stored; return the number of jobs and of problems."""
    wrong = _check_database(database, tell)
    with closing(Jobs(database)) as jobs:
        ids = jobs.ids()
        for id in ids:
            try:
                problem = _check_job(jobs.get(id), store)
            except (ValueError, TypeError) as error:  # msgspec's errors are ValueErrors
                jobs.remove_damaged(id)
                problem = f"The row of job {id} cannot be read and was removed: {error}."
            if problem is not None:
                tell(problem)
                wrong += 1
    return len(ids), wrong


def _check_database(database: Path, tell: Tell) -> int:
    """Check the database file itself.

    Raises:
        Unavailable: if it is damaged.
    """
    try:
        with closing(sqlite3.connect(database)) as db:
            layout = db.execute("PRAGMA user_version").fetchone()[0]
            found = [row[0] for row in db.execute("PRAGMA integrity_check(10)")]
            if layout > LAYOUT or found == ["ok"]:
                return 0
            # An index can be rebuilt, a table cannot.
            db.execute("REINDEX")
            if [row[0] for row in db.execute("PRAGMA integrity_check(10)")] == ["ok"]:
                tell(f"An index of {database} was damaged and was rebuilt.")
                return 1
            reason = found[0]
    except sqlite3.Error as error:
        reason = str(error)
    raise Unavailable(
        f"The jobs in {database} are damaged: {reason}.",
        "Move that file away; the server then starts without jobs. The uploaded files stay.",
    )


def _check_job(job: Job, store: Store) -> str | None:
    """Return which files of a job are missing, as a sentence; None if all are stored."""
    name = f"job {job.id} ({job.title})" if job.title else f"job {job.id}"
    if job.state not in FINAL_STATES and not _whole(store, job.scene):
        return f"The scene of {name} is incomplete; send the folder again."
    if job.manifest is not None and store.has(job.manifest) and not _whole(store, job.manifest):
        store.path(job.manifest).unlink()
        return f"The result of {name} is incomplete and cannot be downloaded any more; segment again."
    return None


def _whole(store: Store, manifest: str) -> bool:
    """Say whether a manifest and all files in it are stored."""
    try:
        return all(store.has(entry.digest, entry.size) for entry in read_manifest(store, manifest))
    except Fault:
        return False

"""The database file of the jobs, written by a separate thread, so that the server's loop waits for no disk or lock.

Changes are written in order. A full disk, too many open files or another program's lock delay them for as long as they
last. An error that does not pass, such as a damaged file, ends the writing; :attr:`JobFile.broken` says why.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from protocol.errors import Unavailable

START_PATIENCE = 10.0
"""Longest wait for another program's lock at the start of a server, in seconds."""
CLOSE_PATIENCE = 5.0
"""The same at its end."""
_LOCK_PATIENCE = 1.0
_RETRY = 0.2
_LOOK = 1.0
"""Interval at which the thread checks that the files still exist, in seconds."""

Statement = tuple[str, tuple[Any, ...]]
_WAIT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SHORT = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM)


def _nothing() -> None:
    pass


class _Write:
    """Statements of one transaction, and the functions to call afterwards."""

    def __init__(
        self,
        statements: Sequence[Statement],
        synced: bool,
        done: Callable[[], object],
        refused: Callable[[str], object] | None,
        replaces: str | None,
    ) -> None:
        self.statements = statements
        self.synced = synced
        self.done = done
        self.refused = refused
        self.replaces = replaces


class JobFile:
    """A database file.

    Args:
        path: of the file; made if missing.
        prepare: makes or checks the tables; called with the connection.
        wake: called from the thread when there is something to :meth:`deliver`.
        guarded: other files whose removal or replacement ends the writing as well, such as the lock of the folder.

    Attributes:
        trouble: why the oldest write waits; "" if it does not.
        broken: the error that ended the writing, or None.

    Raises:
        sqlite3.Error: if the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[sqlite3.Connection], None],
        wake: Callable[[], object],
        guarded: Sequence[Path] = (),
    ) -> None:
        self.trouble = ""
        self.broken: Unavailable | None = None
        self._path = path
        self._wake = wake
        self._connection = sqlite3.connect(path, timeout=START_PATIENCE, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        prepare(self._connection)
        self._connection.execute(f"PRAGMA busy_timeout = {round(_LOCK_PATIENCE * 1000)}")
        # Changes are in SQLite's write-ahead log until it copies them into the database.
        watched = {path: _identity(path) for path in (path, path.with_name(f"{path.name}-wal"), *guarded)}
        self._watched = {path: identity for path, identity in watched.items() if identity is not None}
        self._writes: deque[_Write] = deque()
        self._written: deque[Callable[[], object]] = deque()
        self._busy = False
        self._changed = threading.Condition()
        self._until: float | None = None
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def load(self, table: sqlite3.Connection) -> None:
        """Copy the whole database into ``table``, and start the thread."""
        self._connection.backup(table)
        self._thread.start()

    def write(
        self,
        *statements: Statement,
        synced: bool,
        done: Callable[[], object] = _nothing,
        refused: Callable[[str], object] | None = None,
        replaces: str | None = None,
    ) -> bool:
        """Queue ``statements`` as one transaction; return whether it replaced the last one in the queue.

        Args:
            statements: SQL and values.
            synced: whether they must survive a power cut once they count as written.
            done: called from :meth:`deliver` once they are written.
            refused: called from :meth:`deliver` with the reason if the disk is full; if None, the thread waits for
                space.
            replaces: a name; the transaction replaces the last one in the queue if that has the same name.
        """
        write = _Write(statements, synced, done, refused, replaces)
        with self._changed:
            replaced = replaces is not None and bool(self._writes) and self._writes[-1].replaces == replaces
            if replaced:
                self._writes.pop()
            self._writes.append(write)
            self._changed.notify_all()
        return replaced

    def when_written(self, done: Callable[[], object]) -> None:
        """Call ``done`` once everything queued so far is written: at once if it is already."""
        if self.idle and not self._written:
            done()
        else:
            self.write(synced=False, done=done)

    def deliver(self) -> None:
        """Call the functions of finished writes.

        Raises:
            Unavailable: if nothing more can be written.
        """
        while self._written:
            self._written.popleft()()
        if self.broken is not None:
            raise self.broken

    def flush(self, patience: float) -> None:
        """Wait until everything is written, for at most ``patience`` seconds, and deliver."""
        with self._changed:
            self._changed.wait_for(lambda: self.broken is not None or self.idle, patience)
        while self._written:
            self._written.popleft()()

    def close(self) -> None:
        with self._changed:
            self._until = time.monotonic() + CLOSE_PATIENCE
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._connection.close()

    @property
    def idle(self) -> bool:
        """Whether everything is written."""
        return not self._writes and not self._busy

    def _run(self) -> None:
        while (write := self._next()) is not None:
            try:
                self._apply(write)
            except sqlite3.Error as error:
                self._break(self._moved() or str(error))
            with self._changed:
                self._busy = False
                self._changed.notify_all()
            self._wake()
            if self.broken is not None:
                return

    def _next(self) -> _Write | None:
        """Return the next write; None at the end, or if the file was moved."""
        with self._changed:
            while not self._writes:
                if self._until is not None:
                    return None
                if (reason := self._moved()) is not None:
                    self._break(reason)
                    self._wake()
                    return None
                self._changed.wait(_LOOK)
            self._busy = True
            return self._writes.popleft()

    def _apply(self, write: _Write) -> None:
        """Write, and wait as long as an error may pass."""
        while True:
            if (reason := self._moved()) is not None:
                self._break(reason)
                return
            try:
                self._execute(write)
            except sqlite3.OperationalError as error:
                code = error.sqlite_errorcode & 0xFF
                if code not in (*_WAIT, *_SHORT):
                    raise
                if code in _SHORT and write.refused is not None:
                    self._written.append(lambda refused=write.refused, reason=str(error): refused(reason))
                    return
                self.trouble = str(error)
                if self._until is not None and time.monotonic() > self._until:
                    self._break(str(error))
                    return
                time.sleep(_RETRY)
            else:
                self.trouble = ""
                self._written.append(write.done)
                return

    def _execute(self, write: _Write) -> None:
        if not write.statements:
            return
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if write.synced else 'NORMAL'}")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in write.statements:
                self._connection.execute(statement, values)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):  # a full disk has ended the transaction already
                self._connection.execute("ROLLBACK")
            raise

    def _break(self, reason: str) -> None:
        if self._is_there(self._path):
            with contextlib.suppress(sqlite3.Error):  # the next server needs what is only in a removed log
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.broken = Unavailable(
            f"The jobs cannot be written to {self._path}: {reason}.",
            "Free space there or restore the folder, and start the server again.",
        )

    def _moved(self) -> str | None:
        """Return why writes would be lost, or would meet those of another server; None if they are not."""
        for path in self._watched:
            if not self._is_there(path):
                return "it was deleted or replaced" if path == self._path else f"{path.name} was deleted or replaced"
        return None

    def _is_there(self, path: Path) -> bool:
        return self._watched.get(path) in (None, _identity(path))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino

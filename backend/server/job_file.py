"""The database file of the jobs, written by a thread of its own, so that nobody else waits for a disk or a lock.

What is to be written is written in order. A full disk, too many open files or another program's lock delay it for as
long as they last. What cannot be put right by waiting, as a damaged file, ends the writing, and :attr:`JobFile.broken`
says why.
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
"""Seconds for which the start of a server waits for another program's lock."""
CLOSE_PATIENCE = 5.0
"""Seconds for which its end does."""
_LOCK_PATIENCE = 1.0
_RETRY = 0.2
_LOOK = 1.0
"""Seconds between two looks whether the file is still there."""

Statement = tuple[str, tuple[Any, ...]]
_WAIT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SHORT = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM)


def _nothing() -> None:
    pass


class _Write:
    """Statements that are written together, and what is called once they are."""

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
        path: where; made if missing.
        prepare: makes or checks the tables; called with the connection.
        wake: called from the thread when there is something to :meth:`deliver`.

    Attributes:
        trouble: why the oldest write waits; "" where none does.
        broken: why nothing more is written, None while all is well.

    Raises:
        sqlite3.Error: if the file cannot be used.
    """

    def __init__(self, path: Path, prepare: Callable[[sqlite3.Connection], None], wake: Callable[[], object]) -> None:
        self.trouble = ""
        self.broken: Unavailable | None = None
        self._path = path
        self._wake = wake
        self._connection = sqlite3.connect(path, timeout=START_PATIENCE, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        prepare(self._connection)
        self._connection.execute(f"PRAGMA busy_timeout = {round(_LOCK_PATIENCE * 1000)}")
        self._inode = self._present()
        self._writes: deque[_Write] = deque()
        self._written: deque[Callable[[], object]] = deque()
        self._busy = False
        self._changed = threading.Condition()
        self._until: float | None = None
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def load(self, table: sqlite3.Connection) -> None:
        """Copy the whole database into another, and begin to write."""
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
        """Have ``statements`` written as a whole after all earlier ones; return whether one of these was replaced.

        Args:
            synced: whether they have to survive a power cut once they count as written.
            done: called from :meth:`deliver` once they are written.
            refused: called so with the reason where there is no room on the disk; without it that is waited for.
            replaces: a name; the write takes the place of the last one that waits, if that has the same name.
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
        """Have ``done`` called once all that was to be written so far is: at once where it is."""
        if self.idle and not self._written:
            done()
        else:
            self.write(synced=False, done=done)

    def deliver(self) -> None:
        """Call what waits for writes that are done.

        Raises:
            Unavailable: if nothing more can be written.
        """
        while self._written:
            self._written.popleft()()
        if self.broken is not None:
            raise self.broken

    def flush(self, patience: float) -> None:
        """Wait until all is written, no longer than so many seconds, and deliver."""
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
        """Whether nothing is to be written."""
        return not self._writes and not self._busy

    def _run(self) -> None:
        while (write := self._next()) is not None:
            try:
                self._apply(write)
            except sqlite3.Error as error:
                reason = "it was deleted or replaced" if self._moved() else str(error)
                self._break(reason)
            with self._changed:
                self._busy = False
                self._changed.notify_all()
            self._wake()
            if self.broken is not None:
                return

    def _next(self) -> _Write | None:
        """Return what is to be written next; None at the end, or where the file has gone."""
        with self._changed:
            while not self._writes:
                if self._until is not None:
                    return None
                if self._moved():
                    self._break("it was deleted or replaced")
                    self._wake()
                    return None
                self._changed.wait(_LOOK)
            self._busy = True
            return self._writes.popleft()

    def _apply(self, write: _Write) -> None:
        """Write, as soon as that is possible."""
        while True:
            if self._moved():
                self._break("it was deleted or replaced")
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
        self.broken = Unavailable(
            f"The jobs cannot be written to {self._path}: {reason}.",
            "Free space there or restore the folder, and start the server again.",
        )

    def _present(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _moved(self) -> bool:
        """Whether the file is no longer at its place, so that what is written would be lost."""
        return self._inode is not None and self._present() != self._inode

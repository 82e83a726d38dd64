"""Which client owns which stored files, in a table of the data folder.

A file belongs to each client that has sent all of it, or whose job made it. For other clients it does not exist, so
they cannot learn from its hash that another client has it. A lost row only causes another transfer of its file, so
only the end of an upload waits until its rows are on the disk.

Only the thread of the file loop uses this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path

from protocol.errors import Unavailable
from protocol.store import Store

LAYOUT = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS files (
    client TEXT NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (client, digest)
) WITHOUT ROWID
"""
_ADD = "INSERT OR IGNORE INTO files (client, digest, size) VALUES (?, ?, ?)"
_STEP = 500
"""Rows checked between two yields."""


class Owners:
    """The table.

    Args:
        path: of its file; made if missing.

    Raises:
        Unavailable: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unwritten: dict[tuple[str, str], int] = {}
        try:
            self._table = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
            self._prepare()
            sums = self._table.execute("SELECT client, sum(size) FROM files GROUP BY client").fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        self._bytes: dict[str, int] = dict(sums)

    def _prepare(self) -> None:
        self._table.execute("PRAGMA journal_mode = WAL")
        self._table.execute("PRAGMA synchronous = NORMAL")
        layout = self._table.execute("PRAGMA user_version").fetchone()[0]
        if layout > LAYOUT:
            raise Unavailable(
                f"The clients' files in {self._path} have format {layout}; this server reads format {LAYOUT}.",
                "Choose another folder with --data, or update the backend.",
            )
        if layout < LAYOUT:
            self._table.execute(_TABLE)
            self._table.execute(f"PRAGMA user_version = {LAYOUT}")

    def has(self, client: str, digest: str) -> bool:
        """Whether a file belongs to a client; it need not be stored.

        Raises:
            Unavailable: if the table cannot be read.
        """
        if (client, digest) in self._unwritten:
            return True
        try:
            found = self._table.execute(
                "SELECT 1 FROM files WHERE client = ? AND digest = ?", (client, bytes.fromhex(digest))
            ).fetchone()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return found is not None

    def add(self, client: str, digest: str, size: int) -> None:
        """Make a client an owner of a file. Raises as :meth:`has`."""
        if not self.has(client, digest):
            self._unwritten[client, digest] = size
            self._bytes[client] = self.bytes_of(client) + size

    def remove(self, client: str, digest: str) -> int:
        """Remove a client from the owners of a file; return the size of the file, 0 if it was not an owner.

        Raises:
            Unavailable: if the table cannot be read or written now.
        """
        size = self._unwritten.pop((client, digest), 0)
        if not size:
            try:
                row = self._table.execute(
                    "DELETE FROM files WHERE client = ? AND digest = ? RETURNING size", (client, bytes.fromhex(digest))
                ).fetchone()
            except sqlite3.Error as error:
                raise self._unreadable(error) from error
            size = row[0] if row is not None else 0
        self._bytes[client] = self.bytes_of(client) - size
        return size

    def anybody_has(self, digest: str) -> bool:
        """Whether a file belongs to any client. Raises as :meth:`has`."""
        return any(self.has(client, digest) for client in list(self._bytes))

    def bytes_of(self, client: str) -> int:
        """Return the size of a client's files in bytes; a file of several clients counts for each."""
        return self._bytes.get(client, 0)

    def write(self, *, synced: bool = False) -> None:
        """Write added rows. If that is impossible now, they stay in memory until the next call.

        Args:
            synced: whether to wait until these and all rows written before are on the disk.
        """
        if not self._unwritten and not synced:
            return
        rows = [(client, bytes.fromhex(digest), size) for (client, digest), size in self._unwritten.items()]
        try:
            self._table.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._table.execute("BEGIN IMMEDIATE")
            try:
                self._table.executemany(_ADD, rows)
                if synced:
                    # A transaction that changes nothing is not synced.
                    self._table.execute(f"PRAGMA user_version = {LAYOUT}")
                self._table.execute("COMMIT")
            except sqlite3.Error:
                if self._table.in_transaction:
                    self._table.execute("ROLLBACK")
                raise
        except sqlite3.Error:
            return
        self._unwritten.clear()

    def adopt(self, client: str, store: Store) -> None:
        """Make a client the owner of all stored files, those of an older server that did not record owners.

        Raises:
            Unavailable: as :meth:`has`.
            OSError: if the store cannot be read.
        """
        for path in store.files():
            if store.is_hash(path.name):
                self.add(client, path.name, path.stat().st_size)
        self.write()

    def forgetting_removed(self, store: Store) -> Generator[None, None, None]:
        """Remove the rows of files that are no longer stored; yields often. Raises as :meth:`remove`."""
        after: Sequence[object] = ("", b"")
        while True:
            try:
                rows = self._table.execute(
                    "SELECT client, digest FROM files WHERE (client, digest) > (?, ?) ORDER BY client, digest LIMIT ?",
                    (*after, _STEP),
                ).fetchall()
            except sqlite3.Error as error:
                raise self._unreadable(error) from error
            if not rows:
                return
            after = rows[-1]
            for client, digest in rows:
                if not store.has(digest.hex()):
                    self.remove(client, digest.hex())
            yield

    def close(self) -> None:
        self.write()
        self._table.close()

    def _unreadable(self, error: sqlite3.Error) -> Unavailable:
        return Unavailable(
            f"The clients' files in {self._path} cannot be read or written: {error}.",
            "End the program that uses that file, or move it away; clients then send their files again.",
        )

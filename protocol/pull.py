"""Downloading the files that a store lacks: which ranges to request, and how received data is stored.

Files that are already in the receiver's :class:`~protocol.store.Store` are not transferred, interrupted files are
resumed, and a file gets its final name only after its hash was checked. This module has no sockets: :class:`Pull`
returns the requests and accepts the chunks.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from blake3 import blake3

from protocol.coroutines import FILES_A_STEP
from protocol.errors import BadFrames, Unavailable
from protocol.messages import FileEntry, Get

CHUNK = 1 << 20
WINDOW = 16
"""Ranges requested but not yet received: the credit that bounds memory on both sides."""
CATCH_UP = 4 << 20
"""Bytes of a part file hashed at a time before it is resumed: about 5 ms, so that a large file does not block."""


class Receiver(Protocol):
    """Where the files of a pull go, as :class:`~protocol.store.Store` does it.

    Attributes:
        root: a folder on the same disk.
        durable: whether a file is synced to disk before it counts as stored.
        writers: what is being written: the stems of the part files.
    """

    root: Path
    durable: bool
    writers: set[str]

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the file need not be sent."""
        ...

    def part(self, digest: str) -> Path:
        """Return the path of what has arrived of a file."""
        ...

    def complete(self, digest: str) -> None:
        """Store a part file that is whole."""
        ...

    def free_bytes(self) -> int: ...


class Pull:
    """Fetches the files that a store lacks, with a bounded number of outstanding ranges.

    Call :meth:`requests` and send the result, pass each chunk to :meth:`accept`, and repeat until :attr:`done`. After a
    lost connection create a new object: it resumes the part files. Call :meth:`close` to give up. A second pull of a
    file that is already arriving waits for the first, or resumes it once that one is closed.

    Args:
        store: where the files go.
        missing: the files to fetch, with distinct hashes; :meth:`preparing` finds them.
        window: most outstanding ranges.
    """

    def __init__(self, store: Receiver, missing: Collection[FileEntry], window: int = WINDOW) -> None:
        self.store = store
        self.window = window
        self.queue: deque[FileEntry] = deque(missing)
        self.files_total = len(missing)
        self.bytes_total = sum(entry.size for entry in missing)
        self.bytes_done = 0
        self.incoming: dict[str, _Incoming] = {}
        self.expected: deque[Get] = deque()
        self.closed = False

    @classmethod
    def preparing(
        cls, store: Receiver, entries: Iterable[FileEntry], window: int = WINDOW
    ) -> Generator[None, None, Pull]:
        """Look up which of the ``entries`` are missing; yields often, and returns the pull that fetches them.

        Raises:
            Unavailable: if there is not enough disk space for the missing files.
        """
        missing: dict[str, FileEntry] = {}
        resumed = 0
        for count, entry in enumerate(entries, 1):
            if entry.digest not in missing and not store.has(entry.digest, entry.size):
                missing[entry.digest] = entry
                part = store.part(entry.digest)
                resumed += min(part.stat().st_size, entry.size) if part.is_file() else 0
            if count % FILES_A_STEP == 0:
                yield
        pull = cls(store, missing.values(), window)
        if pull.bytes_total - resumed > store.free_bytes():
            raise Unavailable(
                f"The disk of {store.root} is full; {pull.bytes_total / 1e6:.0f} MB are needed.",
                "Free some space there.",
            )
        return pull

    @property
    def done(self) -> bool:
        """Whether every file is stored; never after :meth:`close`."""
        return not (self.queue or self.incoming or self.closed)

    @property
    def catching_up(self) -> bool:
        """Whether :meth:`requests` has more data of an earlier attempt to read now."""
        return any(incoming.unread for incoming in self.incoming.values())

    def requests(self) -> list[Get]:
        """Return the ranges to request now.

        Empty if the window is full, another pull fetches the remaining files, or a large part file is still being
        hashed: call again a moment later. Check :attr:`done` again too, because empty files and completely received
        part files are finished here.

        Raises:
            BadFrames: if a file is declared empty but its hash is not that of empty content. Closes the pull.
            Unavailable: if the disk fails.
        """
        gets: list[Get] = []
        with self._disk():
            self._catch_up()
            while len(self.expected) < self.window and (get := self._next_range()):
                self.expected.append(get)
                gets.append(get)
        return gets

    def accept(self, digest: str, offset: int, data: bytes | memoryview) -> None:
        """Take a chunk.

        Raises:
            BadFrames: if it was not requested, or if it completes a file with a wrong hash, which closes the pull.
            Unavailable: if the disk is full or fails.
        """
        wanted = next((g for g in self.expected if g.digest == digest and g.offset == offset), None)
        view = memoryview(data)
        if wanted is None or wanted.length != view.nbytes:
            raise BadFrames(f"{view.nbytes} bytes of {digest[:12]}… at {offset} arrived without a request.")
        self.expected.remove(wanted)
        incoming = self.incoming[digest]
        with self._disk():
            incoming.write(offset, view.cast("B"))
            self.bytes_done += view.nbytes
            if incoming.complete:
                self._finish(incoming)

    def close(self) -> None:
        """Close the part files; they stay on disk for the next attempt."""
        self.closed = True
        for incoming in self.incoming.values():
            incoming.file.close()
            self.store.writers.discard(incoming.name)
        self.incoming.clear()
        self.queue.clear()
        self.expected.clear()

    def _next_range(self) -> Get | None:
        for incoming in self.incoming.values():
            if get := incoming.next_range():
                return get
        get = None
        arriving_elsewhere: list[FileEntry] = []
        while get is None and self.queue:
            entry = self.queue.popleft()
            if self.store.has(entry.digest, entry.size):
                self.bytes_done += entry.size
            elif self.store.part(entry.digest).stem in self.store.writers:
                arriving_elsewhere.append(entry)
            else:
                get = self._begin(entry)
        self.queue.extend(arriving_elsewhere)
        return get

    def _begin(self, entry: FileEntry) -> Get | None:
        incoming = _Incoming(entry, self.store.part(entry.digest))
        self.store.writers.add(incoming.name)
        self.incoming[entry.digest] = incoming
        self._read_part(incoming)
        return incoming.next_range()

    def _catch_up(self) -> None:
        behind = next((incoming for incoming in self.incoming.values() if incoming.unread), None)
        if behind:
            self._read_part(behind)

    def _read_part(self, incoming: _Incoming) -> None:
        self.bytes_done += incoming.read_part()
        if incoming.complete:
            self._finish(incoming)

    def _finish(self, incoming: _Incoming) -> None:
        digest = incoming.entry.digest
        got = incoming.hasher.hexdigest()
        if self.store.durable:
            os.fsync(incoming.file.fileno())
        incoming.file.close()
        del self.incoming[digest]
        self.store.writers.discard(incoming.name)
        part = self.store.part(digest)
        if got != digest:
            part.unlink()
            if incoming.resumed:
                # A crash may have corrupted the part file of an earlier attempt, so do not blame the sender.
                self.bytes_done -= incoming.entry.size
                self.queue.append(incoming.entry)
                return
            self.close()
            raise BadFrames(
                f"The file {incoming.entry.path} arrived with different content than its hash says.",
                "The file may have changed while it was being sent. Send it again.",
            )
        self.store.complete(digest)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
            raise Unavailable(
                f"Received data cannot be written to {self.store.root}: {error.strerror}.",
                "Free some space there." if full else "Check that disk and the permissions of the folder.",
            ) from error


class _Incoming:
    """A file that is arriving: written in order, hashed while it is written, resumed from its part file."""

    def __init__(self, entry: FileEntry, part: Path) -> None:
        self.entry = entry
        self.name = part.stem
        self.hasher = blake3()
        self.file: BinaryIO = part.open("ab+")
        self.unread = self.file.seek(0, os.SEEK_END)
        if self.unread > entry.size:
            self.file.truncate(0)
            self.unread = 0
        self.resumed = self.unread > 0
        self.written = 0
        self.asked = self.unread
        self.file.seek(0)

    def read_part(self) -> int:
        """Hash a block of the part file; return its number of bytes."""
        block = self.file.read(min(CATCH_UP, self.unread))
        self.hasher.update(block)
        self.unread -= len(block)
        self.written += len(block)
        if not block:  # the file was truncated meanwhile: continue from its current end
            self.unread, self.asked = 0, self.written
        return len(block)

    @property
    def complete(self) -> bool:
        return self.written == self.entry.size

    def next_range(self) -> Get | None:
        length = min(CHUNK, self.entry.size - self.asked)
        if length == 0 or self.unread:
            return None
        get = Get(self.entry.digest, self.asked, length)
        self.asked += length
        return get

    def write(self, offset: int, data: memoryview) -> None:
        if offset != self.written:
            raise BadFrames(
                f"Bytes at {offset} of {self.entry.path} arrived out of order; offset {self.written} was expected."
            )
        self.file.write(data)
        self.file.flush()
        self.hasher.update(data)
        self.written += len(data)

"""Files by content: a folder is a manifest of hashes, and the side that lacks a file pulls it in chunks.

What is already in the receiver's :class:`Store` costs no bytes, an interrupted file goes on where it stopped, and
nothing carries its final name before its hash has been checked. No sockets here: :class:`Pull` says what to ask for
and takes what arrives.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from protocol.errors import BadFrames, BadResult, BadScene, NotFound, Unavailable
from protocol.messages import FileEntry, Get, Manifest

CHUNK = 1 << 20
WINDOW = 8
"""Ranges asked for and not yet received: the credit that bounds memory on both sides."""
MAX_MANIFEST = 64 << 20
MAX_FILES = 100_000

_manifest = msgspec.json.Decoder(Manifest, strict=True)


def safe_path(path: str) -> PurePosixPath:
    """Return ``path`` if it names something inside a folder on any system.

    Raises:
        BadFrames: if it is absolute, leaves its folder, or holds a character that some system treats specially.
    """
    parts = path.split("/")
    forbidden = set('\\:*?"<>|')
    if any(
        part in ("", ".", "..") or part[-1] in ". " or forbidden & set(part) or not part.isprintable() for part in parts
    ):
        raise BadFrames(f"The path {path!r} in a manifest does not name a file inside its folder.")
    return PurePosixPath(path)


def pack_manifest(files: Iterable[FileEntry]) -> bytes:
    """Return the manifest file of ``files``: JSON, sorted by path, so that equal folders have equal hashes."""
    return msgspec.json.encode(Manifest(sorted(files, key=lambda entry: entry.path)))


def unpack_manifest(data: bytes) -> list[FileEntry]:
    """Return the entries of a manifest file.

    Raises:
        BadFrames: if it is not a manifest, names a path twice, or a path is not :func:`safe_path`.
    """
    try:
        files = _manifest.decode(data).files
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadFrames(f"A manifest that cannot be read was received: {error}.") from error
    if len(files) > MAX_FILES:
        raise BadFrames(f"A manifest of {len(files)} files was received; {MAX_FILES} are allowed.")
    names = {str(safe_path(entry.path)).casefold() for entry in files}
    if len(names) != len(files):
        raise BadFrames("A manifest names one path twice.")
    if any(str(parent).casefold() in names for entry in files for parent in PurePosixPath(entry.path).parents):
        raise BadFrames("A manifest names one path as a file and as a folder.")
    return files


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> Iterator[int]:
    """Hash a file a chunk at a time: yields the bytes read so far; the generator's return value is the hash."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
            done += len(block)
            yield done
    return digest.hexdigest()


def scan(folder: Path, files: Iterable[Path]) -> Iterator[int]:
    """Hash ``files`` of ``folder`` a chunk at a time, so that the caller can stop or breathe in between.

    Yields the bytes read so far over all files; the generator's return value is the list of :class:`FileEntry`.

    Raises:
        BadScene: if a file cannot be read or its name cannot be sent.
    """
    entries: list[FileEntry] = []
    before = 0
    for path in files:
        name = path.relative_to(folder).as_posix()
        done = 0
        try:
            safe_path(name)
            hashing = hash_file(path)
            while True:
                done = next(hashing)
                yield before + done
        except StopIteration as end:
            entries.append(FileEntry(name, done, end.value))
        except (OSError, BadFrames) as error:
            raise BadScene(f"The file {path} cannot be sent: {error}") from error
        before += done
    return entries


class Store:
    """Files kept under their SHA-256 in a folder.

    Args:
        root: the folder; made if missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.writers: set[str] = set()
        root.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def read(self, sha256: str, offset: int, length: int) -> bytes:
        """Return a range of a stored file.

        Raises:
            NotFound: if the file is not stored or the range is not inside it.
        """
        try:
            with self.path(sha256).open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except FileNotFoundError as error:
            raise NotFound(f"The file {sha256[:12]}… is not stored here.", "Send the folder again.") from error
        if len(data) != length:
            raise NotFound(f"The file {sha256[:12]}… has no bytes {offset} to {offset + length}.")
        return data

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its hash."""
        sha256 = sha256_of(data)
        if not self.has(sha256):
            part = self._part(sha256)
            part.write_bytes(data)
            part.replace(self._final(sha256))
        return sha256

    def adopt(self, path: Path, sha256: str) -> None:
        """Store the file ``path``, whose hash the caller knows, by a hard link where the disk allows it."""
        if self.has(sha256):
            return
        part = self._part(sha256)
        part.unlink(missing_ok=True)
        link_or_copy(path, part)
        part.replace(self._final(sha256))

    def checkout(self, entries: Iterable[FileEntry], folder: Path) -> None:
        """Lay out stored files under their own names in ``folder``."""
        for entry in entries:
            target = folder / safe_path(entry.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                link_or_copy(self.path(entry.sha256), target)

    def _part(self, sha256: str) -> Path:
        return self.root / f"{sha256}.part"

    def _final(self, sha256: str) -> Path:
        final = self.path(sha256)
        final.parent.mkdir(exist_ok=True)
        return final

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free


def link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, or a copy where hard links are not to be had."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class Pull:
    """Fetches what a store lacks of a list of files, within a window of outstanding ranges.

    Call :meth:`requests` and send what it returns, hand each chunk to :meth:`accept`, and repeat until :attr:`done`.
    After a lost connection make a new one: it goes on where the files stopped. Call :meth:`close` when giving up.

    Args:
        store: where the files go.
        entries: what is wanted.
        window: outstanding ranges at most.

    Raises:
        Unavailable: if the disk has no room for what is missing.
    """

    def __init__(self, store: Store, entries: Iterable[FileEntry], window: int = WINDOW) -> None:
        missing = {entry.sha256: entry for entry in entries if not store.has(entry.sha256)}
        self.store = store
        self.window = window
        self.queue: deque[FileEntry] = deque(missing.values())
        self.files_total = len(missing)
        self.bytes_total = sum(entry.size for entry in missing.values())
        self.bytes_done = 0
        self.incoming: dict[str, _Incoming] = {}
        self.expected: deque[Get] = deque()
        if self.bytes_total > store.free_bytes():
            raise Unavailable(
                f"The disk of {store.root} has no room for {self.bytes_total / 1e6:.0f} MB.", "Free some space there."
            )

    @property
    def done(self) -> bool:
        return not self.queue and not self.incoming

    def requests(self) -> list[Get]:
        """Return the ranges to ask for now; empty where the window is full."""
        gets: list[Get] = []
        while len(self.expected) < self.window:
            get = self._next_range()
            if get is None:
                break
            self.expected.append(get)
            gets.append(get)
        return gets

    def accept(self, sha256: str, offset: int, data: bytes | memoryview) -> None:
        """Take a chunk.

        Raises:
            BadFrames: if it was not asked for, or completes a file whose hash is not the promised one.
        """
        wanted = next((g for g in self.expected if g.sha256 == sha256 and g.offset == offset), None)
        if wanted is None or wanted.length != len(data):
            raise BadFrames(f"{len(data)} bytes of {sha256[:12]}… at {offset} arrived that nobody asked for.")
        self.expected.remove(wanted)
        incoming = self.incoming[sha256]
        incoming.write(offset, data)
        self.bytes_done += len(data)
        if incoming.complete:
            self._finish(incoming)

    def close(self) -> None:
        """Let go of the half-written files; they stay on disk for the next attempt."""
        for incoming in self.incoming.values():
            incoming.file.close()
            self.store.writers.discard(incoming.entry.sha256)
        self.incoming.clear()
        self.queue.clear()
        self.expected.clear()

    def _next_range(self) -> Get | None:
        for incoming in self.incoming.values():
            if get := incoming.next_range():
                return get
        for _ in range(len(self.queue)):
            entry = self.queue.popleft()
            if self.store.has(entry.sha256):
                self.bytes_done += entry.size
            elif entry.sha256 in self.store.writers:
                self.queue.append(entry)
            else:
                incoming = _Incoming(entry, self.store._part(entry.sha256))
                self.store.writers.add(entry.sha256)
                self.incoming[entry.sha256] = incoming
                self.bytes_done += incoming.asked
                get = incoming.next_range()
                if get is not None:
                    return get
                self._finish(incoming)
        return None

    def _finish(self, incoming: _Incoming) -> None:
        sha256 = incoming.entry.sha256
        got = incoming.digest.hexdigest()
        os.fsync(incoming.file.fileno())
        incoming.file.close()
        del self.incoming[sha256]
        self.store.writers.discard(sha256)
        part = self.store._part(sha256)
        if got != sha256:
            part.unlink()
            raise BadFrames(
                f"The file {incoming.entry.path} arrived with another content than promised.",
                "It may have changed while it was sent; send it again.",
            )
        part.replace(self.store._final(sha256))


class _Incoming:
    """A file that is arriving: written in order, hashed as it is written, resumed from its part file."""

    def __init__(self, entry: FileEntry, part: Path) -> None:
        self.entry = entry
        self.digest = hashlib.sha256()
        self.file: BinaryIO = part.open("ab+")
        self.file.seek(0)
        while block := self.file.read(CHUNK):
            self.digest.update(block)
        self.written = self.file.tell()
        if self.written > entry.size:
            self.file.truncate(0)
            self.written = 0
            self.digest = hashlib.sha256()
        self.asked = self.written

    @property
    def complete(self) -> bool:
        return self.written == self.entry.size

    def next_range(self) -> Get | None:
        length = min(CHUNK, self.entry.size - self.asked)
        if length == 0:
            return None
        get = Get(self.entry.sha256, self.asked, length)
        self.asked += length
        return get

    def write(self, offset: int, data: bytes | memoryview) -> None:
        if offset != self.written:
            raise BadFrames(f"Bytes at {offset} of {self.entry.path} arrived before those at {self.written}.")
        self.file.write(data)
        self.file.flush()
        self.digest.update(data)
        self.written += len(data)


def read_manifest(store: Store, sha256: str) -> list[FileEntry]:
    """Return the entries of a stored manifest.

    Raises:
        BadResult: if it is too large to be one; NotFound, BadFrames: as :meth:`Store.read`, :func:`unpack_manifest`.
    """
    path = store.path(sha256)
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_MANIFEST:
        raise BadResult(f"The manifest {sha256[:12]}… has {size} bytes; {MAX_MANIFEST} are allowed.")
    return unpack_manifest(store.read(sha256, 0, size))

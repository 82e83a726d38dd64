"""Files by content: a folder is a manifest of hashes, and the side that lacks a file pulls it in chunks.

What is already in the receiver's :class:`Store` costs no bytes, an interrupted file goes on where it stopped, and
nothing carries its final name before its hash has been checked. No sockets here: :class:`Pull` says what to ask for
and takes what arrives.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
import unicodedata
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec
from blake3 import blake3

from protocol.errors import BadFrames, BadResult, BadScene, NotFound, Unavailable
from protocol.messages import FileEntry, Get, Manifest

CHUNK = 1 << 20
WINDOW = 16
"""Ranges asked for and not yet received: the credit that bounds memory on both sides."""
CATCH_UP = 4 << 20
"""Bytes of a part file hashed at a time before it goes on: some 5 ms, so that a large one blocks nobody."""
MAX_MANIFEST = 64 << 20
MAX_FILES = 100_000
MAX_NAME = 255
"""Bytes of one name in a path, as the usual file systems have it."""
STALE = 24 * 3600.0
"""Seconds after which a temporary file of a store is taken for one that a crash has left."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORBIDDEN = frozenset('\\:*?"<>|')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
"""What Windows takes for a device, with any ending."""

_manifest = msgspec.json.Decoder(Manifest, strict=True)


def safe_path(path: str) -> PurePosixPath:
    """Return ``path`` if it names something inside a folder on any system.

    Raises:
        BadFrames: if it is absolute, leaves its folder, or holds a character that some system treats specially.
    """
    if not all(map(_safe_name, path.split("/"))):
        raise BadFrames(f"The path {path!r} in a manifest does not name a file inside its folder.")
    return PurePosixPath(path)


def _safe_name(name: str) -> bool:
    if name in ("", ".", "..") or name[-1] in ". " or not name.isprintable() or _FORBIDDEN & set(name):
        return False
    return len(name.encode()) <= MAX_NAME and name.partition(".")[0].strip().lower() not in _DEVICES


def check_entries(files: list[FileEntry]) -> None:
    """Check that ``files`` can be laid out side by side in one folder on any system.

    Raises:
        BadFrames: if they are too many, a path is not :func:`safe_path` or is named twice, once as a file and once as a
            folder, or one content is given two sizes.
    """
    if len(files) > MAX_FILES:
        raise BadFrames(f"A manifest of {len(files)} files was received; {MAX_FILES} are allowed.")
    names = {_folded(str(safe_path(entry.path))) for entry in files}
    if len(names) != len(files):
        raise BadFrames("A manifest names one path twice.", "Some systems do not tell capital letters from small ones.")
    if names & {parent for name in names for parent in _folders(name)}:
        raise BadFrames("A manifest names one path as a file and as a folder.")
    if len({entry.digest for entry in files}) != len({(entry.digest, entry.size) for entry in files}):
        raise BadFrames("A manifest gives one content two sizes.")


def _folders(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _folded(path: str) -> str:
    """Return ``path`` as a file system sees it that tells neither case nor the composition of accents."""
    return unicodedata.normalize("NFC", path).casefold()


def pack_manifest(files: Iterable[FileEntry]) -> bytes:
    """Return the manifest file of ``files``: JSON, sorted by path, so that equal folders have equal hashes."""
    return msgspec.json.encode(Manifest(sorted(files, key=lambda entry: entry.path)))


def unpack_manifest(data: bytes) -> list[FileEntry]:
    """Return the entries of a manifest file.

    Raises:
        BadFrames: if it is not a manifest, or :func:`check_entries` refuses it.
    """
    try:
        files = _manifest.decode(data).files
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrames(f"A manifest that cannot be read was received: {error}.") from error
    check_entries(files)
    return files


def digest_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def hash_file(path: Path) -> Generator[int, None, str]:
    """Hash a file a chunk at a time: yields the bytes read so far; the generator's return value is the hash."""
    hasher = blake3()
    done = 0
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
            done += count
            yield done
    return hasher.hexdigest()


def scan(folder: Path, files: Iterable[Path]) -> Generator[int, None, list[FileEntry]]:
    """Hash ``files`` of ``folder`` a chunk at a time, so that the caller can stop or breathe in between.

    Yields the bytes read so far over all files; the generator's return value is the list of :class:`FileEntry`.

    Raises:
        BadScene: if a file cannot be read, or its name cannot be sent or stand beside the others on every system.
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
    try:
        check_entries(entries)
    except BadFrames as error:
        raise BadScene(f"The folder {folder} cannot be sent: {error}") from error
    return entries


class Store:
    """Files kept under their BLAKE3 hash in a folder. Several processes may put and adopt; one of them pulls.

    Beside the stored files lie ``*.part``, what arrived of a file so far, and for moments ``*.tmp``. Those that a crash
    left are removed when the store is next opened, once they are :data:`STALE`.

    Args:
        root: the folder; made if missing.
        durable: whether a pulled file is surely on the disk before it counts as stored. That may take seconds, for
            which a cache inside a program with a window should not wait.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self.durable = durable
        self.writers: set[str] = set()
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob("*.tmp"):
            _remove_stale(left)

    def path(self, digest: str) -> Path:
        """Return where the file of that hash lies or will lie.

        Raises:
            NotFound: if ``digest`` is no hash, and so might name something outside the store.
        """
        if not _DIGEST.fullmatch(digest):
            raise NotFound(f"{digest[:80]!r} is no BLAKE3 hash of a stored file.")
        return self.root / digest[:2] / digest

    def has(self, digest: str, size: int | None = None) -> bool:
        """Say whether that file is stored, and, where ``size`` is given, has it: a power cut may have cut it short."""
        path = self.path(digest)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def read(self, digest: str, offset: int, length: int) -> bytes:
        """Return a range of a stored file.

        Raises:
            NotFound: if the file is not stored or the range is not inside it.
        """
        try:
            with self.path(digest).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                if not 0 <= offset <= offset + length <= size:
                    raise NotFound(f"The file {digest[:12]}… has no bytes {offset} to {offset + length}.")
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError as error:
            raise NotFound(f"The file {digest[:12]}… is not stored here.", "Send the folder again.") from error

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its hash."""
        digest = digest_of(data)
        if not self.has(digest):
            temporary = self._temporary()
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _settle(temporary, self._final(digest))
        return digest

    def adopt(self, path: Path, digest: str) -> None:
        """Store the file ``path``, whose hash the caller knows, by a hard link where the disk allows it.

        The file must not be changed in place afterwards. A receiver would notice, as it checks the hash again.
        """
        if not self.has(digest):
            temporary = self._temporary()
            link_or_copy(path, temporary)
            _settle(temporary, self._final(digest))

    def take(self, source: Path, entry: FileEntry) -> Generator[int, None, bool]:
        """Store a file of somebody else's store, by a hard link, if it is there and is what it should be.

        The file can only be read from then on: a program that wrote into it here would spoil it there.

        Yields the bytes hashed so far; the generator's return value says whether the file is stored now. Where it is
        not, as where the other store is on another disk or another user's, it can be pulled.
        """
        temporary = self._temporary()
        try:
            os.link(source, temporary, follow_symlinks=False)
            status = temporary.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
                return False
            if (yield from hash_file(temporary)) != entry.digest:
                return False
            temporary.chmod(stat.S_IMODE(status.st_mode) & ~0o222)
            _settle(temporary, self._final(entry.digest))
            self.part(entry.digest).unlink(missing_ok=True)
            return True
        except OSError:
            return False
        finally:
            temporary.unlink(missing_ok=True)

    def checkout(self, entries: Iterable[FileEntry], folder: Path) -> None:
        """Lay out stored files under their own names in ``folder``, in place of what has these names there.

        Raises:
            NotFound: if one of the files is not stored.
        """
        for entry in entries:
            source = self.path(entry.digest)
            if not source.is_file():
                raise NotFound(f"The file {entry.path} is not stored here.", "Send the folder again.")
            target = folder / safe_path(entry.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
            link_or_copy(source, temporary)
            _settle(temporary, target)

    def part(self, digest: str) -> Path:
        """Return where the file of that hash grows while it is pulled."""
        return self.root / f"{self.path(digest).name}.part"

    def _temporary(self) -> Path:
        # Never the part file: a pull of the same hash may be writing there.
        return self.root / f"{secrets.token_hex(16)}.tmp"

    def _final(self, digest: str) -> Path:
        final = self.path(digest)
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


def _settle(temporary: Path, final: Path) -> None:
    """Give a whole file its final name."""
    temporary.replace(final)
    # Renaming one hard link of a file onto another does nothing, and says that it did (POSIX rename).
    temporary.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    try:
        status = path.stat()
        # The time of change too: a link just made has the contents' old time of modification.
        if time.time() - max(status.st_mtime, status.st_ctime) > STALE:
            path.unlink()
    except FileNotFoundError:
        return  # another process was faster


class Pull:
    """Fetches what a store lacks of a list of files, within a window of outstanding ranges.

    Call :meth:`requests` and send what it returns, hand each chunk to :meth:`accept`, and repeat until :attr:`done`.
    After a lost connection make a new one: it goes on where the files stopped. Call :meth:`close` when giving up.
    A second pull of a file that is already arriving waits for the first, or goes on where that one was closed.

    Args:
        store: where the files go.
        entries: what is wanted.
        window: outstanding ranges at most.

    Raises:
        Unavailable: if the disk has no room for what is missing.
    """

    def __init__(self, store: Store, entries: Iterable[FileEntry], window: int = WINDOW) -> None:
        missing = {entry.digest: entry for entry in entries if not store.has(entry.digest, entry.size)}
        self.store = store
        self.window = window
        self.queue: deque[FileEntry] = deque(missing.values())
        self.files_total = len(missing)
        self.bytes_total = sum(entry.size for entry in missing.values())
        self.bytes_done = 0
        self.incoming: dict[str, _Incoming] = {}
        self.expected: deque[Get] = deque()
        self.closed = False
        if self.bytes_total - self._bytes_resumed() > store.free_bytes():
            raise Unavailable(
                f"The disk of {store.root} has no room for {self.bytes_total / 1e6:.0f} MB.", "Free some space there."
            )

    @property
    def done(self) -> bool:
        """Whether every file is stored; never after :meth:`close`."""
        return not (self.queue or self.incoming or self.closed)

    def requests(self) -> list[Get]:
        """Return the ranges to ask for now.

        None where the window is full, another pull fetches what is left, or a large part file is still being read: come
        back a moment later. Ask :attr:`done` again too: files that are empty or had wholly arrived before end here.

        Raises:
            BadFrames: if a file is promised to be empty, and its hash is not that of nothing. Closes the pull.
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
            BadFrames: if it was not asked for; or if it completes a file whose hash is not the promised one, which
                closes the pull.
            Unavailable: if the disk is full or fails.
        """
        wanted = next((g for g in self.expected if g.digest == digest and g.offset == offset), None)
        view = memoryview(data)
        if wanted is None or wanted.length != view.nbytes:
            raise BadFrames(f"{view.nbytes} bytes of {digest[:12]}… at {offset} arrived that nobody asked for.")
        self.expected.remove(wanted)
        incoming = self.incoming[digest]
        with self._disk():
            incoming.write(offset, view.cast("B"))
            self.bytes_done += view.nbytes
            if incoming.complete:
                self._finish(incoming)

    def close(self) -> None:
        """Let go of the half-written files; they stay on disk for the next attempt."""
        self.closed = True
        for incoming in self.incoming.values():
            incoming.file.close()
            self.store.writers.discard(incoming.entry.digest)
        self.incoming.clear()
        self.queue.clear()
        self.expected.clear()

    def _bytes_resumed(self) -> int:
        parts = [(entry, self.store.part(entry.digest)) for entry in self.queue]
        return sum(min(part.stat().st_size, entry.size) for entry, part in parts if part.is_file())

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
            elif entry.digest in self.store.writers:
                arriving_elsewhere.append(entry)
            else:
                get = self._begin(entry)
        self.queue.extend(arriving_elsewhere)
        return get

    def _begin(self, entry: FileEntry) -> Get | None:
        incoming = _Incoming(entry, self.store.part(entry.digest))
        self.store.writers.add(entry.digest)
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
        self.store.writers.discard(digest)
        part = self.store.part(digest)
        if got != digest:
            part.unlink()
            if incoming.resumed:
                # What an earlier attempt left may have been torn by a crash, which is no fault of the sender.
                self.bytes_done -= incoming.entry.size
                self.queue.append(incoming.entry)
                return
            self.close()
            raise BadFrames(
                f"The file {incoming.entry.path} arrived with another content than promised.",
                "It may have changed while it was sent; send it again.",
            )
        _settle(part, self.store._final(digest))

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"The disk of {self.store.root} cannot take what arrives: {error.strerror}.", "Free some space there."
            ) from error


class _Incoming:
    """A file that is arriving: written in order, hashed as it is written, resumed from its part file."""

    def __init__(self, entry: FileEntry, part: Path) -> None:
        self.entry = entry
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
        """Hash some of what arrived before; return how many bytes."""
        block = self.file.read(min(CATCH_UP, self.unread))
        self.hasher.update(block)
        self.unread -= len(block)
        self.written += len(block)
        if not block:  # somebody has shortened the file: go on from where it ends now
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
            raise BadFrames(f"Bytes at {offset} of {self.entry.path} arrived before those at {self.written}.")
        self.file.write(data)
        self.file.flush()
        self.hasher.update(data)
        self.written += len(data)


def read_manifest(store: Store, digest: str) -> list[FileEntry]:
    """Return the entries of a stored manifest.

    Raises:
        BadResult: if it is too large to be one; NotFound, BadFrames: as :meth:`Store.read`, :func:`unpack_manifest`.
    """
    path = store.path(digest)
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_MANIFEST:
        raise BadResult(f"The manifest {digest[:12]}… has {size} bytes; {MAX_MANIFEST} are allowed.")
    return unpack_manifest(store.read(digest, 0, size))

"""A content-addressed file store: each file on disk is named by the hash of its content."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from operator import add
from pathlib import Path

from protocol.coroutines import FILES_A_STEP, finish, map_steps
from protocol.errors import BadResult, NotFound
from protocol.manifest import MAX_MANIFEST, digest_of, hash_file, unpacking
from protocol.messages import FileEntry
from protocol.safe_path import safe_path
from protocol.synced import sync_file, sync_folder

STALE = 24 * 3600.0
"""Seconds after which a temporary file is considered left over from a crash."""


_DIGEST = re.compile(r"[0-9a-f]{64}")


class Store:
    """Files stored under their BLAKE3 hash in a folder. Several processes may put and adopt; only one may pull.

    The folder also contains ``*.part``, partially received files, and briefly ``*.tmp``. Such files left over from a
    crash are removed when the store is next opened, if they are older than :data:`STALE`.

    Args:
        root: the folder; created if missing.
        durable: whether the content of a file is synced to disk before the file gets its name. That may take seconds,
            so programs with a window do not use it. The name is on the disk only after :meth:`settling`.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.root = root
        self.durable = durable
        self.writers: set[str] = set()
        self._checked: dict[str, _Version] = {}
        self._settled: dict[str, _Version] = {}
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob("*.tmp"):
            _remove_stale(left)

    @staticmethod
    def is_hash(name: str) -> bool:
        """Whether a stored file can have this name."""
        return _DIGEST.fullmatch(name) is not None

    def path(self, digest: str) -> Path:
        """Return the path of the file with that hash, stored or not.

        Raises:
            NotFound: if ``digest`` is not a hash, and so might name a file outside the store.
        """
        if not self.is_hash(digest):
            raise NotFound(f"{digest[:80]!r} is not a BLAKE3 hash of a stored file.")
        return self.root / digest[:2] / digest

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the file is stored and has ``size``, if given: a power failure may have truncated it."""
        path = self.path(digest)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def verify(self, entries: Iterable[FileEntry]) -> Generator[int, None, list[FileEntry]]:
        """Remove those stored files of ``entries`` whose size or content is not what it should be.

        A power cut, a full disk or another program may have spoilt them. A file is hashed once; later only its size,
        its date and its place on the disk are compared, until it changes.

        Yields the bytes hashed so far; the generator's return value is the entries whose files were removed.
        """
        removed: list[FileEntry] = []
        before = 0
        for count, entry in enumerate(entries, 1):
            if count % FILES_A_STEP == 0:
                yield before
            path = self.path(entry.digest)
            if not path.is_file():
                continue
            version = _version(path)
            sound = version[0] == entry.size
            if sound and self._checked.get(entry.digest) != version:
                sound = (yield from map_steps(partial(add, before), hash_file(path))) == entry.digest
            before += entry.size
            if sound:
                self._checked[entry.digest] = version
            else:
                path.unlink(missing_ok=True)
                removed.append(entry)
        return removed

    def settling(self, digests: Iterable[str]) -> Generator[None, None, None]:
        """Wait until stored files and their names are on the disk, so that they survive a power cut; yields often.

        Files that are not stored are skipped, and those that are on the disk already take no time.

        Raises:
            OSError: if the disk fails.
        """
        versions: dict[str, _Version] = {}
        folders: set[Path] = set()
        for digest in digests:
            path = self.path(digest)
            if path.is_file() and self._settled.get(digest) != (version := _version(path)):
                # Another process, or an earlier one, may have stored it without a sync.
                sync_file(path)
                versions[digest] = version
                folders.add(path.parent)
            yield
        for folder in sorted(folders):
            sync_folder(folder)
            yield
        if folders:
            sync_folder(self.root)
        self._settled.update(versions)

    def read(self, digest: str, offset: int, length: int) -> bytes:
        """Return a range of a stored file.

        Raises:
            NotFound: if the file is not stored or the range is not inside it.
        """
        try:
            with self.path(digest).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                if not 0 <= offset <= offset + length <= size:
                    raise NotFound(
                        f"The file {digest[:12]}… is too short: bytes {offset} to {offset + length} were requested."
                    )
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError as error:
            raise NotFound(f"The file {digest[:12]}… is not stored here.", "Send the folder again.") from error

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its hash."""
        digest = digest_of(data)
        finish(self.verify([FileEntry("", len(data), digest)]))
        if not self.has(digest):
            temporary = self._temporary()
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._keep(temporary, digest)
        return digest

    def adopt(self, path: Path, digest: str) -> None:
        """Store the file ``path``, whose hash the caller knows, by a hard link if the disk supports it.

        The file must not be modified in place afterwards. A receiver would detect this, because it checks the hash.
        A stored file that is not damaged stays.
        """
        finish(self.verify([FileEntry("", path.stat().st_size, digest)]))
        if not self.has(digest):
            temporary = self._temporary()
            link_or_copy(path, temporary)
            if self.durable:
                sync_file(temporary)
            self._keep(temporary, digest)

    def take(self, source: Path, entry: FileEntry) -> Generator[int, None, bool]:
        """Store a file of another store by a hard link, if it exists and has the right hash.

        The file becomes read-only, because a program that modified it here would corrupt the other store.

        Yields the bytes hashed so far; returns whether the file is stored now. If not, for example because the other
        store is on another disk or belongs to another user, the file can be pulled.
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
            self._keep(temporary, entry.digest)
            self.part(entry.digest).unlink(missing_ok=True)
            return True
        except (OSError, NotImplementedError):  # not every system can link without following
            return False
        finally:
            temporary.unlink(missing_ok=True)

    def checkout(self, entries: Iterable[FileEntry], folder: Path) -> None:
        """Link or copy stored files under their own names into ``folder``, replacing existing files.

        Raises:
            NotFound: if one of the files is not stored, or was damaged, and so has been removed.
        """
        for entry in entries:
            source = self.path(entry.digest)
            if finish(self.verify([entry])):
                raise NotFound(f"The file {entry.path} was damaged and has been removed.", "Send the folder again.")
            if not source.is_file():
                raise NotFound(f"The file {entry.path} is not stored here.", "Send the folder again.")
            target = folder / safe_path(entry.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
            link_or_copy(source, temporary)
            _rename(temporary, target)

    def part(self, digest: str) -> Path:
        """Return the path of the partially received file with that hash."""
        return self.root / f"{self.path(digest).name}.part"

    def complete(self, digest: str, part: Path | None = None) -> None:
        """Store the part file of that hash, or ``part`` on the same disk; the caller has checked that it is whole."""
        self._keep(part or self.part(digest), digest)

    def files(self) -> Iterator[Path]:
        """Yield the stored files, unordered."""
        for folder in self.root.iterdir():
            if len(folder.name) == 2 and folder.is_dir():
                yield from folder.iterdir()

    def parts(self) -> Iterator[Path]:
        """Yield what arrived of files so far, in no order."""
        return self.root.glob("*.part")

    def _temporary(self) -> Path:
        # Not the part file: a pull of the same hash may be writing it.
        return self.root / f"{secrets.token_hex(16)}.tmp"

    def _keep(self, temporary: Path, digest: str) -> None:
        """Give a file that is known to be whole its name in the store."""
        final = self.path(digest)
        final.parent.mkdir(exist_ok=True)
        _rename(temporary, final)
        self._checked[digest] = _version(final)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.root).free


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard-link ``target`` to ``source``, or copy where hard links are not supported."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


_Version = tuple[int, int, int]
"""Size, date of the last change in ns, and number on the disk of a file that was hashed."""


def _version(path: Path) -> _Version:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _rename(temporary: Path, final: Path) -> None:
    """Give a complete file its final name."""
    try:
        temporary.replace(final)
    except PermissionError:
        # Windows does not replace a file that a program reads. It stays if it has the same size.
        if not final.is_file() or final.stat().st_size != temporary.stat().st_size:
            raise
    # POSIX rename() does nothing if both names are hard links of one file, and reports success.
    temporary.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    try:
        status = path.stat()
        # The change time counts too: a new link has the old modification time of its content.
        if time.time() - max(status.st_mtime, status.st_ctime) > STALE:
            path.unlink()
    except FileNotFoundError:
        return  # another process has removed it


def read_manifest(store: Store, digest: str) -> list[FileEntry]:
    """Return the entries of a stored manifest; raises as :func:`reading_manifest`."""
    return finish(reading_manifest(store, digest))


def reading_manifest(store: Store, digest: str) -> Generator[None, None, list[FileEntry]]:
    """Read a stored manifest; yields often. The generator's return value is the list of its entries.

    Raises:
        BadResult: if it is too large for a manifest; NotFound, BadFrames: as :meth:`Store.read`, :func:`unpacking`.
    """
    path = store.path(digest)
    size = path.stat().st_size if path.is_file() else 0
    if size > MAX_MANIFEST:
        raise BadResult(f"The manifest {digest[:12]}… has {size} bytes; at most {MAX_MANIFEST} are allowed.")
    return (yield from unpacking(store.read(digest, 0, size)))

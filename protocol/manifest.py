"""Manifests: the path, size and BLAKE3 hash of each file of a folder, and the checks of such a list."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from protocol.coroutines import finish
from protocol.errors import BadFrames, BadScene
from protocol.messages import FileEntry, Manifest
from protocol.safe_path import safe_path

MAX_MANIFEST = 64 << 20
MAX_FILES = 100_000
MAX_DEPTH = 32
"""Folders that a file may be in, one inside another."""
MAX_FOLDERS = 20_000
"""Folders that all files together may be in."""

_MOST_COMMAS = 10 * MAX_FILES
"""An entry has three commas at most, besides those in its path. The list of a manifest without real entries would take
twenty times the memory of the manifest."""

_BLOCK = 1 << 20
"""Bytes hashed at a time."""

_STEP = 500
"""Entries checked between two moments at which the caller can do other things."""


class _Unread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A :class:`Manifest` whose entries are not decoded yet."""

    files: list[msgspec.Raw]


_unread = msgspec.json.Decoder(_Unread, strict=True)
_entry = msgspec.json.Decoder(FileEntry, strict=True)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def checking(files: Sequence[FileEntry]) -> Generator[None, None, None]:
    """Check that ``files`` can exist together in one folder on any system; yields often.

    Raises:
        BadFrames: if there are too many files or folders, a path is not :func:`safe_path`, is too deep, is listed twice
            or is both a file and a folder, or one hash is listed with two sizes.
    """
    _check_number(len(files))
    names: set[str] = set()
    folders: set[str] = set()
    sizes: dict[str, int] = {}
    for count, entry in enumerate(files, 1):
        name = _folded(str(safe_path(entry.path)))
        if name.count("/") > MAX_DEPTH:
            raise BadFrames(
                f"A path in a manifest has more than {MAX_DEPTH} folders: {entry.path[:60]!r}…",
                "Use fewer folders inside folders.",
            )
        names.add(name)
        if len(names) != count:
            raise BadFrames(
                "A manifest lists the same path twice.",
                "Rename one of the two files; some systems ignore case in file names.",
            )
        for folder in _folders(name):
            if folder in folders:
                break  # and with it those around it
            folders.add(folder)
        if len(folders) > MAX_FOLDERS:
            raise BadFrames(f"A manifest has more than {MAX_FOLDERS} folders.", "Use fewer folders.")
        if sizes.setdefault(entry.digest, entry.size) != entry.size:
            raise BadFrames("A manifest lists two sizes for the same content.")
        if count % _STEP == 0:
            yield
    if names & folders:
        raise BadFrames("A manifest lists the same path as a file and as a folder.")


def _check_number(files: int) -> None:
    if files > MAX_FILES:
        raise BadFrames(f"The received manifest has {files} files; at most {MAX_FILES} are allowed.")


def _folders(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _folded(path: str) -> str:
    """Return ``path`` as seen by a file system that ignores case and Unicode normal form."""
    return unicodedata.normalize("NFC", path).casefold()


def pack_manifest(files: Iterable[FileEntry]) -> bytes:
    """Return the manifest file of ``files``: JSON, sorted by path, so that equal folders have equal hashes."""
    return msgspec.json.encode(Manifest(sorted(files, key=lambda entry: entry.path)))


def unpack_manifest(data: bytes) -> list[FileEntry]:
    """Return the entries of a manifest file; raises as :func:`unpacking`."""
    return finish(unpacking(data))


def unpacking(data: bytes) -> Generator[None, None, list[FileEntry]]:
    """Read a manifest file; yields often. The generator's return value is the list of its entries.

    Raises:
        BadFrames: if it is not a manifest, or :func:`checking` refuses it.
    """
    files: list[FileEntry] = []
    if data.count(b",") > _MOST_COMMAS:
        raise BadFrames(f"The received manifest has too many entries; at most {MAX_FILES} files are allowed.")
    try:
        unread = _unread.decode(data).files
        _check_number(len(unread))
        for count, entry in enumerate(unread, 1):
            files.append(_entry.decode(entry))
            if count % _STEP == 0:
                yield
    except _NOT_JSON as error:
        raise BadFrames(f"The received manifest cannot be read: {error}.") from error
    yield from checking(files)
    return files


def digest_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def hash_file(path: Path) -> Generator[int, None, str]:
    """Hash a file in chunks: yields the number of bytes read so far; returns the hash."""
    hasher = blake3()
    done = 0
    buffer = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
            done += count
            yield done
    return hasher.hexdigest()


def scan(folder: Path, files: Iterable[Path]) -> Generator[int, None, list[FileEntry]]:
    """Hash ``files`` of ``folder`` in chunks, so that the caller can pause or stop in between.

    Yields the number of bytes read so far over all files; returns the list of :class:`FileEntry`.

    Raises:
        BadScene: if a file cannot be read, its name cannot be sent, or the names collide on some system.
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
        finish(checking(entries))
    except BadFrames as error:
        raise BadScene(f"The folder {folder} cannot be sent: {error}") from error
    return entries

"""Manifests: the path, size and BLAKE3 hash of each file of a folder, and the checks of such a list."""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import msgspec
from blake3 import blake3

from protocol.errors import BadFrames, BadScene
from protocol.messages import FileEntry, Manifest
from protocol.safe_path import safe_path

MAX_MANIFEST = 64 << 20
MAX_FILES = 100_000

_BLOCK = 1 << 20
"""Bytes hashed at a time."""

_manifest = msgspec.json.Decoder(Manifest, strict=True)


def check_entries(files: list[FileEntry]) -> None:
    """Check that ``files`` can exist together in one folder on any system.

    Raises:
        BadFrames: if there are too many, a path is not :func:`safe_path`, a path is listed twice, a path is both a file
            and a folder, or one hash is listed with two sizes.
    """
    if len(files) > MAX_FILES:
        raise BadFrames(f"The received manifest has {len(files)} files; at most {MAX_FILES} are allowed.")
    names = {_folded(str(safe_path(entry.path))) for entry in files}
    if len(names) != len(files):
        raise BadFrames(
            "A manifest lists the same path twice.",
            "Rename one of the two files; some systems ignore case in file names.",
        )
    if names & {parent for name in names for parent in _folders(name)}:
        raise BadFrames("A manifest lists the same path as a file and as a folder.")
    if len({entry.digest for entry in files}) != len({(entry.digest, entry.size) for entry in files}):
        raise BadFrames("A manifest lists two sizes for the same content.")


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
    """Return the entries of a manifest file.

    Raises:
        BadFrames: if it is not a manifest, or :func:`check_entries` refuses it.
    """
    try:
        files = _manifest.decode(data).files
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrames(f"The received manifest cannot be read: {error}.") from error
    check_entries(files)
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
        check_entries(entries)
    except BadFrames as error:
        raise BadScene(f"The folder {folder} cannot be sent: {error}") from error
    return entries

"""A scene folder on its way to the server: listed, hashed, offered, and sent a range at a time as the server asks."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from protocol.errors import BadFrames, NotFound
from protocol.manifest import digest_of, pack_manifest, scan
from protocol.messages import Chunk, FileEntry, Get, Offer, Stored, Wanted

from .scene_files import find_files

if TYPE_CHECKING:
    from .connection import Connection
    from .job import Job

T = TypeVar("T")
Steps = Generator[bool, None, T]


class Outgoing:
    """A folder on offer. Only what :func:`protocol.manifest.scan` found in it is ever sent, nothing else of the disk.

    Attributes:
        offer: the message that offers it.
        total_bytes: of its different contents, the manifest apart.
    """

    def __init__(self, folder: Path, entries: list[FileEntry]) -> None:
        self._manifest = pack_manifest(entries)
        self.offer = Offer(digest_of(self._manifest), len(self._manifest))
        self._paths = {entry.digest: folder / entry.path for entry in entries}
        self.total_bytes = sum({entry.digest: entry.size for entry in entries}.values())

    def has(self, digest: str) -> bool:
        return digest == self.offer.manifest or digest in self._paths

    def read(self, get: Get) -> bytes:
        """Return a range of the manifest or of a file.

        Raises:
            BadFrames: if it is not on offer.
            NotFound: if the file has gone or grown shorter since it was hashed.
        """
        if get.digest == self.offer.manifest:
            return _whole(self._manifest[get.offset : get.offset + get.length], get, "manifest")
        path = self._paths.get(get.digest)
        if path is None:
            raise BadFrames(f"The server asked for a file {get.digest[:12]}… that was not offered to it.")
        try:
            with path.open("rb") as file:
                file.seek(get.offset)
                return _whole(file.read(get.length), get, str(path))
        except OSError as error:
            raise NotFound(
                f"The file {path} can no longer be read: {error.strerror}.", "Start the job again."
            ) from error


def _whole(data: bytes, get: Get, name: str) -> bytes:
    if len(data) != get.length:
        raise NotFound(
            f"The file {name} has no bytes {get.offset} to {get.offset + get.length} any more.", "Start the job again."
        )
    return data


def prepare(job: Job, also: tuple[str, ...]) -> Steps[Outgoing]:
    """List and hash the files of the job's scene folder, and those ``also``.

    Raises:
        BadScene: if there is nothing to send, or a file that cannot be.
    """
    finding = find_files(job.scene, also)
    while True:
        try:
            job.show(note=f"{next(finding)} files found")
            yield True
        except StopIteration as end:
            found = end.value
            break
    job.show(left_out=found.links_left_out)
    hashing = scan(job.scene, found.files)
    while True:
        try:
            job.transferred(next(hashing), found.bytes)
            yield True
        except StopIteration as end:
            return Outgoing(job.scene, end.value)


def upload(job: Job, connection: Connection, outgoing: Outgoing) -> Steps[None]:
    """Offer a folder and send what the server lacks of it; one job at a time does.

    Raises:
        Lost: with the link.
        Fault: the server's, or NotFound if a file changed meanwhile.
    """
    while connection.uploading or connection.withdrawing:
        yield False
    connection.uploading = True
    connection.gets.clear()
    over = False
    try:
        with connection.conversation("bulk") as talk:
            yield from talk.say(outgoing.offer)
            while not over:
                if heard := talk.hear():
                    over = not isinstance(heard[0], Wanted)
                    _take(job, heard[0])
                elif connection.gets:
                    get, id = connection.gets.popleft()
                    if outgoing.has(get.digest) or not connection.withdrew:
                        data = outgoing.read(get)
                        yield from talk.answer(Chunk(get.digest, get.offset), id, [np.frombuffer(data, np.uint8)])
                        if get.digest != outgoing.offer.manifest:
                            job.transferred(job.bytes_done + len(data), job.bytes_total)
                yield bool(heard or connection.gets)
    finally:
        connection.uploading = False
        if not over:
            connection.withdraw()


def _take(job: Job, message: Any) -> None:
    """Take what the server says of an offer."""
    from .connection import expect

    if isinstance(message, Wanted):
        there = message.total_bytes - message.bytes
        job.show(bytes_total=message.bytes, note=f"{there / 1e6:.1f} MB are there already" if there else "")
    else:
        expect(message, Stored)

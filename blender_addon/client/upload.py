"""Uploads a scene folder: lists, hashes and offers it, and sends the ranges that the server requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from protocol.coroutines import map_steps
from protocol.errors import BadFrames, NotFound
from protocol.manifest import digest_of, pack_manifest, scan
from protocol.messages import Chunk, FileEntry, Get, Offer, Stored, Wanted

from .coroutines import Steps
from .dispatcher import Dispatcher, expect
from .scene_files import find_files


class Observer(Protocol):
    """The interface of objects that are told the progress of a transfer; a job is one."""

    def show(self, **shown: Any) -> None:
        """Set these attributes."""
        ...

    def transferred(self, done: int, total: int) -> None:
        """Set the bytes done and their total."""
        ...


class OfferedFolder:
    """A folder offered for upload. Only files found by :func:`protocol.manifest.scan` are ever sent.

    Attributes:
        offer: the message that offers it.
        total_bytes: of its distinct contents, without the manifest.
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
            BadFrames: if it was not offered.
            NotFound: if the file was removed or truncated since it was hashed.
        """
        if get.digest == self.offer.manifest:
            return _whole(self._manifest[get.offset : get.offset + get.length], get, "manifest")
        path = self._paths.get(get.digest)
        if path is None:
            raise BadFrames(f"The server asked for a file {get.digest[:12]}… that was not offered.")
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
            f"The file {name} became shorter: bytes {get.offset} to {get.offset + get.length} are missing.",
            "Start the job again.",
        )
    return data


def prepare(scene: Path, also: tuple[str, ...], observer: Observer) -> Steps[OfferedFolder]:
    """List and hash the files of a scene, including the paths ``also``.

    Raises:
        BadScene: if there is nothing to upload, or a file cannot be uploaded.
    """

    def show_count(files: int) -> bool:
        observer.show(note=f"{files} files found")
        return True

    def show_hashed(done: int) -> bool:
        observer.transferred(done, found.bytes)
        return True

    found = yield from map_steps(show_count, find_files(scene, also))
    observer.show(left_out=len(found.links))
    entries = yield from map_steps(show_hashed, scan(found.root, found.files))
    return OfferedFolder(found.root, entries)


def upload(offered: OfferedFolder, dispatcher: Dispatcher, observer: Observer) -> Steps[None]:
    """Offer a folder and send the files that the server lacks, once no other job is uploading.

    Raises:
        ConnectionLost: if the link is closed.
        Fault: the server's, or NotFound if a file changed meanwhile.
    """
    state = dispatcher.upload
    while not state.free:
        dispatcher.check()
        yield False
    state.begin()
    over = False
    sent = total = 0
    try:
        with dispatcher.conversation("bulk") as talk:
            yield from talk.ask(offered.offer)
            while not over:
                received = talk.receive()
                if received is not None and isinstance(received[0], Wanted):
                    total = received[0].bytes
                    there = received[0].total_bytes - total
                    note = f"{there / 1e6:.1f} MB already on the server" if there else ""
                    observer.show(bytes_total=total, note=note)
                elif received is not None:
                    over = True
                    expect(received[0], Stored)
                elif state.gets:
                    get, id = state.gets.popleft()
                    # After an upload was withdrawn, the server may still request ranges of it.
                    if offered.has(get.digest) or not state.withdrawn:
                        data = offered.read(get)
                        yield from talk.answer(Chunk(get.digest, get.offset), id, [np.frombuffer(data, np.uint8)])
                        if get.digest != offered.offer.manifest:
                            sent += len(data)
                            observer.transferred(sent, total)
                yield bool(received or state.gets)
    finally:
        state.end(withdraw=not over)

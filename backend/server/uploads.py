"""The bulk socket: pulls scene folders from clients, and sends results to them.

A client offers a manifest. The server pulls the manifest file, then the files in it that its store lacks, a few ranges
at a time per upload, so that clients share the socket fairly and memory is bounded. Received data of an interrupted
upload is kept, and the next offer of the same folder resumes it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import cast

import numpy as np

from backend.server.counts import Counts
from backend.server.log import Log
from backend.server.router_socket import Received, RouterSocket
from backend.server.sessions import Sessions
from protocol.coroutines import finish, map_steps
from protocol.errors import BadFrames, Fault, NotFound, Refused, Unavailable
from protocol.manifest import MAX_MANIFEST
from protocol.messages import (
    Attach,
    Attached,
    Chunk,
    Error,
    FileEntry,
    Get,
    Message,
    Offer,
    Stored,
    Wanted,
)
from protocol.pull import Pull
from protocol.store import Store, reading_manifest

MAX_UPLOADS = 4
"""Most concurrent uploads of one session."""
ALL_UPLOADS = 48
"""Most concurrent uploads of all sessions: each may have as many open files as its window has ranges."""
MAX_GETS = 256
"""Most ranges that one client may have requested and not received."""
RANGES = 4
"""Most ranges that one client is sent per turn."""
CHECK_SLICE = 0.005
"""Seconds of checking a manifest and hashing stored files per turn."""
RECENT = 3600.0
"""Seconds for which a scene is kept before a job is submitted."""
RESERVE = 256 << 20
"""Bytes of disk space that uploads leave free for jobs."""


class Upload:
    """A folder being uploaded: first its manifest, then the files that the store lacks."""

    def __init__(self, peer: bytes, offer: Offer, id: int, pull: Pull) -> None:
        self.peer = peer
        self.manifest = offer.manifest
        self.id = id
        self.pull = pull
        self.unfolding: Generator[None, None, list[FileEntry]] | None = None
        self.files_known = False

    def expects(self, chunk: Chunk) -> bool:
        return any(get.digest == chunk.digest and get.offset == chunk.offset for get in self.pull.expected)

    @property
    def missing(self) -> int:
        """Bytes that have not arrived yet."""
        return self.pull.bytes_total - self.pull.bytes_done


class Uploads:
    """Answers messages on the bulk socket, and requests the ranges of offered folders.

    Args:
        sessions, store: the server's.

    Attributes:
        log: where to say what was stored, and what was not.
        counts: what has been done since the start.
    """

    def __init__(self, sessions: Sessions, store: Store) -> None:
        self.log = Log()
        self.counts = Counts()
        self.sessions = sessions
        self.store = store
        self.uploads: list[Upload] = []
        self._asked = 0
        self._offered: dict[str, float] = {}
        self._gets: dict[bytes, deque[tuple[Get, int]]] = {}
        """Per client, the ranges it has asked for that it could not take yet: they are read when it can."""

    @property
    def busy(self) -> bool:
        """Whether :meth:`tick` goes on at once."""
        return any(
            (upload.unfolding is not None and not upload.files_known) or upload.pull.catching_up
            for upload in self.uploads
        )

    def waiting(self) -> list[bytes]:
        """Return the clients that are to be sent ranges as soon as they can take them."""
        return list(self._gets)

    def keep(self, manifest: str) -> None:
        """Count a manifest as offered just now."""
        self._offered[manifest] = time.monotonic()

    def recent(self) -> list[str]:
        """Return the manifests offered in the last hour, because jobs on them may follow."""
        now = time.monotonic()
        self._offered = {each: at for each, at in self._offered.items() if now - at < RECENT}
        return list(self._offered)

    def handle(self, received: Received, socket: RouterSocket) -> None:
        """Process a message and answer it."""
        try:
            answer, arrays = self._answer(received, socket)
        except Fault as fault:
            self._refuse(received.peer, fault, received.id, socket)
        except OSError as error:
            full = Unavailable(f"The server cannot read or write its store: {error.strerror}.")
            self._refuse(received.peer, full, received.id, socket)
        else:
            if answer is not None:
                socket.send(received.peer, answer, arrays, id=received.id)

    def _answer(self, received: Received, socket: RouterSocket) -> tuple[Message | None, list[np.ndarray]]:
        now = time.monotonic()
        message = received.message
        if received.arrays and not isinstance(message, Chunk):
            raise BadFrames(f"A {type(message).__name__} message must not contain arrays.")
        if isinstance(message, Attach):
            self._attach(message, received.peer, now)
            return Attached(), []
        session = self.sessions.on_bulk(received.peer)
        if session is None and isinstance(message, Error):
            return None, []
        self.sessions.require(session, now)
        match message:
            case Offer():
                self._offer(message, received)
            case Chunk():
                self._chunk(message, received, socket)
            case Get():
                gets = self._gets.setdefault(received.peer, deque())
                if len(gets) >= MAX_GETS:
                    raise Refused(f"{MAX_GETS} ranges of files are already waited for.", "Receive some first.")
                gets.append((message, received.id))
                self._hand_out(received.peer, socket)
            case Error():
                self._cannot_send(message, received, socket)
            case _:
                raise BadFrames(f"A {type(message).__name__} message must not be sent on the bulk socket.")
        return None, []

    def _attach(self, attach: Attach, peer: bytes, now: float) -> None:
        self.forget(peer)
        session = self.sessions.of_token(attach.session)
        if session is not None and session.bulk is not None:
            self.forget(session.bulk)
        self.sessions.attach(attach.session, peer, now)

    def _offer(self, offer: Offer, received: Received) -> None:
        if offer.size > MAX_MANIFEST:
            raise Refused(
                f"The offered manifest has {offer.size} bytes; at most {MAX_MANIFEST} are allowed.", "Send fewer files."
            )
        self.keep(offer.manifest)
        for upload in [u for u in self.uploads if u.peer == received.peer and u.manifest == offer.manifest]:
            self._end(upload)
        if sum(u.peer == received.peer for u in self.uploads) >= MAX_UPLOADS:
            raise Refused(f"{MAX_UPLOADS} uploads are already running.", "Wait until one of them is finished.")
        if len(self.uploads) >= ALL_UPLOADS:
            raise Unavailable(f"The server already takes {ALL_UPLOADS} uploads.", "Try again in a moment.")
        entry = FileEntry("manifest", offer.size, offer.manifest)
        finish(self.store.verify([entry]))
        self.uploads.append(Upload(received.peer, offer, received.id, self._pull([entry])))

    def _pull(self, entries: list[FileEntry]) -> Pull:
        pull = Pull(self.store, entries)
        promised = sum(upload.missing for upload in self.uploads)
        if pull.bytes_total and pull.bytes_total + promised + RESERVE > self.store.free_bytes():
            raise Unavailable(
                f"The server's disk is full; {pull.bytes_total / 1e6:.0f} MB are needed.",
                f"Free some space at {self.store.root} on the server.",
            )
        return pull

    def _chunk(self, chunk: Chunk, received: Received, socket: RouterSocket) -> None:
        upload = next((u for u in self.uploads if u.peer == received.peer and u.expects(chunk)), None)
        if upload is None:
            return  # requested by an upload that has ended meanwhile
        try:
            if len(received.arrays) != 1 or received.arrays[0].dtype != np.uint8 or received.arrays[0].ndim != 1:
                raise BadFrames("A chunk of a file must contain exactly one array of bytes.")
            self.counts.received_bytes += received.arrays[0].nbytes
            upload.pull.accept(chunk.digest, chunk.offset, cast(memoryview, received.arrays[0].data))
        except (Fault, OSError) as error:
            self._fail(upload, error, socket)

    def _cannot_send(self, error: Error, received: Received, socket: RouterSocket) -> None:
        """Handle a client that no longer has an offered file, because the folder changed during the upload."""
        for upload in [u for u in self.uploads if u.peer == received.peer]:
            self._fail(upload, NotFound(f"The upload ended: {error.sentence}"[:2000], error.remedy), socket)

    def _fail(self, upload: Upload, error: Fault | OSError, socket: RouterSocket) -> None:
        if isinstance(error, OSError):
            error = Unavailable(f"The server cannot store the upload: {error.strerror}.", "Free some space there.")
        self._end(upload)
        self._refuse(upload.peer, error, upload.id, socket)

    def _refuse(self, peer: bytes, fault: Fault, id: int, socket: RouterSocket) -> None:
        self.log.say("refused", level="warning", client=self._client(peer), code=fault.code, sentence=fault.sentence)
        socket.send_fault(peer, fault, id)

    def _client(self, peer: bytes) -> str | None:
        session = self.sessions.on_bulk(peer)
        return session.client if session is not None else None

    def _end(self, upload: Upload) -> None:
        upload.pull.close()
        self.uploads.remove(upload)

    def _hand_out(self, peer: bytes, socket: RouterSocket) -> None:
        """Send a client the ranges it has asked for, as far as it can take them."""
        gets = self._gets.get(peer, deque())
        for _ in range(min(RANGES, len(gets))):
            if not socket.takes(peer):
                break
            get, id = gets.popleft()
            try:
                data = self.store.read(get.digest, get.offset, get.length)
            except Fault as fault:
                socket.send_fault(peer, fault, id)
            except OSError as error:
                socket.send_fault(peer, Unavailable(f"The server cannot read its store: {error.strerror}."), id)
            else:
                self.counts.sent_bytes += len(data)
                socket.send(peer, Chunk(get.digest, get.offset), [np.frombuffer(data, np.uint8)], id=id)
        if not gets:
            self._gets.pop(peer, None)

    def forget(self, peer: bytes) -> None:
        """End the uploads and downloads of a peer; received data is kept for the next offer."""
        self._gets.pop(peer, None)
        for upload in [u for u in self.uploads if u.peer == peer]:
            self._end(upload)

    def close(self) -> None:
        for upload in list(self.uploads):
            self._end(upload)

    def tick(self, socket: RouterSocket) -> None:
        """Request the next ranges of each upload, and finish complete uploads."""
        for upload in list(self.uploads):
            try:
                self._ask(upload, socket)
            except (Fault, OSError) as error:
                self._fail(upload, error, socket)
        for peer in list(self._gets):
            self._hand_out(peer, socket)

    def _ask(self, upload: Upload, socket: RouterSocket) -> None:
        if upload.pull.done and not upload.files_known and not self._unfold(upload, socket):
            return
        for get in upload.pull.requests():
            self._asked += 1
            socket.send(upload.peer, get, id=self._asked)
        if upload.pull.done and upload.files_known and upload in self.uploads:
            self._end(upload)
            self.log.say(
                "stored",
                client=self._client(upload.peer),
                manifest=upload.manifest[:12],
                files=upload.pull.files_total,
                bytes=upload.pull.bytes_total,
            )
            socket.send(upload.peer, Stored(upload.manifest), id=upload.id)

    def _unfold(self, upload: Upload, socket: RouterSocket) -> bool:
        """Continue from the stored manifest to the files in it; return whether that is done."""
        upload.unfolding = upload.unfolding or self._sound_entries(upload.manifest)
        until = time.monotonic() + CHECK_SLICE
        try:
            while time.monotonic() < until:
                next(upload.unfolding)
            return False
        except StopIteration as end:
            entries = end.value
        upload.pull = self._pull(entries)
        upload.files_known = True
        unique = {entry.digest: entry.size for entry in entries}
        wanted = Wanted(
            upload.manifest,
            files=upload.pull.files_total,
            bytes=upload.pull.bytes_total,
            total_files=len(unique),
            total_bytes=sum(unique.values()),
        )
        socket.send(upload.peer, wanted, id=upload.id)
        return True

    def _sound_entries(self, manifest: str) -> Generator[None, None, list[FileEntry]]:
        """Read a stored manifest and remove the damaged ones among the files in it; yields often."""
        entries = yield from reading_manifest(self.store, manifest)
        yield from map_steps(lambda _: None, self.store.verify(entries))
        return entries

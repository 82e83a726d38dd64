"""The bulk socket: pulls scene folders from clients, and sends results to them.

A client offers a manifest. The server pulls the manifest file, then the files in it that this client has not sent
before, even if another client has (:mod:`backend.server.owners`). It pulls a few ranges at a time per upload, so that
clients share the socket fairly and memory is limited. Received data of an interrupted upload is kept, and the next
offer of the same folder resumes it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import cast

import numpy as np
from msgspec.structs import replace

from backend.server.client_files import ClientFiles
from backend.server.counts import Counts
from backend.server.disk_space import release
from backend.server.log import Log
from backend.server.owners import Owners
from backend.server.router_socket import Received, RouterSocket
from backend.server.sessions import Sessions
from protocol.coroutines import FILES_A_STEP, advance, map_steps
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
CLIENT_UPLOADS = 16
"""Most concurrent uploads of one client, so that others can upload meanwhile."""
ALL_UPLOADS = 48
"""Most concurrent uploads of all sessions: each may have as many open files as its window has ranges."""
MAX_GETS = 256
"""Most ranges that one client may have requested and not received."""
RANGES = 4
"""Most ranges that one client is sent per turn."""
CHECK_SLICE = 0.005
"""Seconds of checking a manifest and hashing stored files per turn."""
GIVES_WAY = 30.0
"""Seconds without data after which an upload gives way to a new one if there are too many."""
RECENT = 3600.0
"""Seconds for which a scene is kept before a job is submitted."""
MOST_RECENT = 100
"""Most scenes of one client that are kept so."""
RESERVE = 256 << 20
"""Bytes of disk space that uploads leave free for jobs."""


Prepared = tuple[list[FileEntry], Pull]
"""The entries of an upload, and what fetches those that are missing."""


class Upload:
    """A folder being uploaded: first its manifest, then the files that the client has not sent yet.

    Attributes:
        files: the store as the client sees it.
        preparing: work before the next files are requested; its value is their entries and their pull.
        settling: after they have arrived, waits until they are on the disk.
        pull: the requests of the current files; None before the first.
        files_known: whether these are the files of the folder, and not its manifest.
        heard: time at which data of it last arrived.
    """

    def __init__(self, peer: bytes, offer: Offer, id: int, files: ClientFiles) -> None:
        self.peer = peer
        self.manifest = offer.manifest
        self.id = id
        self.files = files
        self.preparing: Generator[None, None, Prepared] | None = None
        self.settling: Generator[None, None, None] | None = None
        self.pull: Pull | None = None
        self.files_known = False
        self.heard = time.monotonic()

    def expects(self, chunk: Chunk) -> bool:
        expected = () if self.pull is None else self.pull.expected
        return any(get.digest == chunk.digest and get.offset == chunk.offset for get in expected)

    @property
    def missing(self) -> int:
        """Bytes that have not arrived yet."""
        return 0 if self.pull is None else self.pull.bytes_total - self.pull.bytes_done


class Uploads:
    """Answers messages on the bulk socket, and requests the ranges of offered folders.

    Args:
        sessions, store, owners: the server's.
        limit: size limit of one client's files in bytes; None for no limit but that of the store.
        dispensable: returns the manifests of a client that may be removed, the oldest first, as tuples.
        in_use: returns the manifests that jobs still need.

    Attributes:
        log: gets a line for each stored folder and each error.
        counts: what was done since the start.
    """

    def __init__(
        self,
        sessions: Sessions,
        store: Store,
        owners: Owners,
        limit: int | None = None,
        dispensable: Callable[[str], Sequence[tuple[str, ...]]] = lambda client: (),
        in_use: Callable[[], Iterable[str]] = lambda: (),
    ) -> None:
        self.log = Log()
        self.counts = Counts()
        self.sessions = sessions
        self.store = store
        self.owners = owners
        self.uploads: list[Upload] = []
        self._limit = limit
        self._dispensable = dispensable
        self._in_use = in_use
        self._asked = 0
        self._offered: dict[str, dict[str, float]] = {}
        """For each client, the time at which it last offered or used a stored manifest."""
        self._gets: dict[bytes, deque[tuple[Get, int]]] = {}
        """Per peer, the requested ranges that it cannot receive yet; they are read from disk when it can."""

    def files_of(self, client: str) -> ClientFiles:
        """Return the store as a client sees it."""
        return ClientFiles(self.store, self.owners, client)

    @property
    def busy(self) -> bool:
        """Whether :meth:`tick` has work to do now."""
        return any(
            upload.preparing is not None
            or upload.settling is not None
            or (upload.pull is not None and upload.pull.catching_up)
            for upload in self.uploads
        )

    def waiting(self) -> list[bytes]:
        """Return the peers that wait for ranges."""
        return list(self._gets)

    def keep(self, client: str, manifest: str) -> None:
        """Treat a stored manifest of a client as offered now."""
        offered = self._offered.setdefault(client, {})
        offered.pop(manifest, None)
        offered[manifest] = time.monotonic()
        while len(offered) > MOST_RECENT:
            del offered[next(iter(offered))]

    def recent(self) -> list[str]:
        """Return the manifests offered in the last hour, because jobs on them may follow."""
        now = time.monotonic()
        for client, offered in list(self._offered.items()):
            self._offered[client] = {each: at for each, at in offered.items() if now - at < RECENT}
        return [manifest for offered in self._offered.values() for manifest in offered]

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
            self._attach(message, received, now)
            return Attached(), []
        session = self.sessions.on_bulk(received.peer, received.connection)
        if session is None and isinstance(message, Error):
            return None, []
        session = self.sessions.require(session, now)
        match message:
            case Offer():
                self._offer(message, received, session.client, socket)
            case Chunk():
                self._chunk(message, received, socket)
            case Get():
                gets = self._gets.setdefault(received.peer, deque())
                if len(gets) >= MAX_GETS:
                    raise Refused(f"{MAX_GETS} requested ranges of files are already waiting.", "Receive some first.")
                gets.append((message, received.id))
                self._hand_out(received.peer, socket)
            case Error():
                self._cannot_send(message, received, socket)
            case _:
                raise BadFrames(f"A {type(message).__name__} message must not be sent on the bulk socket.")
        return None, []

    def _attach(self, attach: Attach, received: Received, now: float) -> None:
        self.forget(received.peer)
        session = self.sessions.of_token(attach.session)
        earlier = session.bulk if session is not None else None
        self.sessions.attach(attach.session, received.key, received.peer, received.connection, now)
        if earlier is not None:
            self.forget(earlier)

    def _offer(self, offer: Offer, received: Received, client: str, socket: RouterSocket) -> None:
        if offer.size > MAX_MANIFEST:
            raise Refused(
                f"The offered manifest has {offer.size} bytes; at most {MAX_MANIFEST} are allowed.", "Send fewer files."
            )
        for upload in [u for u in self.uploads if u.peer == received.peer and u.manifest == offer.manifest]:
            self._end(upload)
        if self._too_many([u for u in self.uploads if u.peer == received.peer], MAX_UPLOADS, socket):
            raise Refused(f"{MAX_UPLOADS} uploads are already running.", "Wait until one of them is finished.")
        if self._too_many([u for u in self.uploads if u.files.client == client], CLIENT_UPLOADS, socket):
            raise Refused(
                f"The client {client} already has {CLIENT_UPLOADS} uploads, which is the limit.",
                "Wait until one of them is finished.",
            )
        if self._too_many(self.uploads, ALL_UPLOADS, socket):
            raise Unavailable(
                f"The server already has {ALL_UPLOADS} uploads, which is the limit.", "Try again in a moment."
            )
        upload = Upload(received.peer, offer, received.id, self.files_of(client))
        upload.preparing = self._prepared(upload, [FileEntry("manifest", offer.size, offer.manifest)])
        self.uploads.append(upload)

    def _too_many(self, uploads: Sequence[Upload], most: int, socket: RouterSocket) -> bool:
        """Return whether there is no room for another upload, after ending one that sends nothing."""
        if len(uploads) < most:
            return False
        waiting = [each for each in uploads if each.preparing is None and each.settling is None]
        silent = min(waiting, key=lambda upload: upload.heard, default=None)
        if silent is None or time.monotonic() - silent.heard < GIVES_WAY:
            return True
        fault = Unavailable("The upload ended because no data arrived and others wait.", "Send the folder again.")
        self._fail(silent, fault, socket)
        return False

    def _check_space(self, upload: Upload, pull: Pull) -> None:
        promised = sum(other.missing for other in self.uploads if other is not upload)
        if pull.bytes_total and pull.bytes_total + promised + RESERVE > self.store.free_bytes():
            raise Unavailable(
                f"The server's disk is full; {pull.bytes_total / 1e6:.0f} MB are needed.",
                f"Free some space at {self.store.root} on the server.",
            )

    def _chunk(self, chunk: Chunk, received: Received, socket: RouterSocket) -> None:
        upload = next((u for u in self.uploads if u.peer == received.peer and u.expects(chunk)), None)
        if upload is None:
            return  # requested by an upload that has ended
        try:
            if len(received.arrays) != 1 or received.arrays[0].dtype != np.uint8 or received.arrays[0].ndim != 1:
                raise BadFrames("A chunk of a file must contain exactly one array of bytes.")
            assert upload.pull is not None
            upload.heard = time.monotonic()
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
        if upload.pull is not None:
            upload.pull.close()
        self.uploads.remove(upload)

    def _hand_out(self, peer: bytes, socket: RouterSocket) -> None:
        """Send a client requested ranges until it can receive no more."""
        gets = self._gets.get(peer, deque())
        for _ in range(min(RANGES, len(gets))):
            if not socket.takes(peer):
                break
            get, id = gets.popleft()
            session = self.sessions.on_bulk(peer)
            try:
                if session is None or not self.owners.has(session.client, get.digest):
                    raise not_stored(get.digest)
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
        if upload.preparing is not None and not self._prepare(upload, upload.preparing, socket):
            return
        assert upload.pull is not None
        if upload.pull.done and not upload.files_known:
            upload.files_known = True
            self.keep(upload.files.client, upload.manifest)
            upload.preparing = self._unfolded(upload)
            return
        for get in upload.pull.requests():
            self._asked += 1
            socket.send(upload.peer, get, id=self._asked)
        if upload.pull.done and upload in self.uploads and self._settle(upload):
            self._end(upload)
            self.owners.write(synced=True)
            self.log.say(
                "stored",
                client=self._client(upload.peer),
                manifest=upload.manifest[:12],
                files=upload.pull.files_total,
                bytes=upload.pull.bytes_total,
            )
            socket.send(upload.peer, Stored(upload.manifest), id=upload.id)

    def _settle(self, upload: Upload) -> bool:
        """Spend a time slice on syncing an upload to the disk; return whether that is finished."""
        if upload.settling is None:
            upload.settling = self._settling(upload.manifest)
        return advance(upload.settling, CHECK_SLICE) is not None

    def _settling(self, manifest: str) -> Generator[None, None, None]:
        """Sync a manifest and its files to the disk; yields often."""
        # A list of files that was kept during the upload would take many times the memory of the manifest.
        entries = yield from reading_manifest(self.store, manifest)
        yield from self.store.settling([manifest, *(entry.digest for entry in entries)])

    def _prepare(self, upload: Upload, work: Generator[None, None, Prepared], socket: RouterSocket) -> bool:
        """Do some of the work before files are requested; return whether it is finished."""
        prepared = advance(work, CHECK_SLICE)
        if prepared is None:
            return False
        entries, pull = prepared.value
        upload.preparing = None
        self._check_space(upload, pull)
        upload.pull = pull
        if upload.files_known:
            unique = {entry.digest: entry.size for entry in entries}
            wanted = Wanted(
                upload.manifest,
                files=pull.files_total,
                bytes=pull.bytes_total,
                total_files=len(unique),
                total_bytes=sum(unique.values()),
            )
            socket.send(upload.peer, wanted, id=upload.id)
        return True

    def _unfolded(self, upload: Upload) -> Generator[None, None, Prepared]:
        """Read a stored manifest, and prepare the upload of its files; yields often."""
        entries = yield from reading_manifest(self.store, upload.manifest)
        return (yield from self._prepared(upload, entries))

    def _prepared(self, upload: Upload, entries: list[FileEntry]) -> Generator[None, None, Prepared]:
        """Remove damaged files of the client, and make room for the files that it has not sent; yields often."""
        known: list[FileEntry] = []
        new: dict[str, int] = {}
        for count, entry in enumerate(entries):
            if not self.owners.has(upload.files.client, entry.digest):
                new[entry.digest] = entry.size
            elif self.store.has(entry.digest):
                known.append(entry)
            if count % FILES_A_STEP == 0:
                yield
        yield from self._check(known)
        yield from self._make_room(upload, new)
        pull = yield from Pull.preparing(upload.files, entries)
        # Checking a large folder takes long, and meanwhile no data can arrive.
        upload.heard = time.monotonic()
        return entries, pull

    def _check(self, known: list[FileEntry]) -> Generator[None, None, None]:
        """Remove damaged stored files; yields often.

        Raises:
            BadFrames: if an undamaged file has another size than its entry. It stays: other clients may own it.
        """
        present = (replace(entry, size=self.store.path(entry.digest).stat().st_size) for entry in known)
        yield from map_steps(lambda _: None, self.store.verify(present))
        for count, entry in enumerate(known):
            if self.store.has(entry.digest) and not self.store.has(entry.digest, entry.size):
                raise BadFrames(f"The offered folder lists {entry.path} with a wrong size.", "Send the folder again.")
            if count % FILES_A_STEP == 0:
                yield

    def _make_room(self, upload: Upload, new: Mapping[str, int]) -> Generator[None, None, None]:
        """Remove the oldest files of a client if it would exceed its limit otherwise; yields often.

        Interrupted uploads of other files are removed first.

        Args:
            new: the sizes of the files that will be uploaded, by their hashes.

        Raises:
            Refused: if it would still exceed the limit.
        """
        client, needed = upload.files.client, sum(new.values())
        if self._limit is None or needed == 0:
            return
        others = [other for other in self.uploads if other is not upload and other.files.client == client]
        promised = sum(other.missing for other in others)
        promised += upload.files.trim_parts(self._limit - self.owners.bytes_of(client) - needed - promised, set(new))
        if (excess := self._excess(client, needed + promised)) <= 0:
            return
        dispensable = self._dispensable(client)
        ended = {manifest for group in dispensable for manifest in group}
        needed_manifests = {
            upload.manifest,
            *(other.manifest for other in others),
            *self._in_use(),
            *(set(self.recent()) - ended),
        }
        yield from release(self.owners, self.store, client, excess, dispensable, needed_manifests)
        if self._excess(client, needed + promised) > 0:
            raise Refused(
                f"The folder needs {_size(needed)} on the server, and the client {client} may use "
                f"{_size(self._limit)} there, of which {_size(self.owners.bytes_of(client))} are in use.",
                "Send fewer or smaller files, or wait until jobs have ended; the server then removes their files if "
                "needed.",
            )

    def _excess(self, client: str, needed: int) -> int:
        """Return by how many bytes a client would exceed its limit with ``needed`` bytes more."""
        return 0 if self._limit is None else self.owners.bytes_of(client) + needed - self._limit

    def granting(self, client: str, manifest: str, entries: Iterable[FileEntry]) -> Generator[None, None, None]:
        """Make a client the owner of a result, so that it can request its files; yields often."""
        self.owners.add(client, manifest, self.store.path(manifest).stat().st_size)
        for count, entry in enumerate(entries):
            self.owners.add(client, entry.digest, entry.size)
            if count % FILES_A_STEP == 0:
                yield
        self.owners.write()


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def not_stored(digest: str) -> NotFound:
    """Return the error for a file that a client does not own, the same if another client owns it."""
    return NotFound(f"The file {digest[:12]}… is not stored here.", "Send the folder again.")

"""The loop that works on the store, in a separate thread: uploads, downloads, checks of scenes, and eviction.

A slow disk delays files and nothing else. Long work is a generator that runs in short slices, so that the files of one
client do not delay those of another for long.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

import zmq

from backend.server.disk_space import free_space
from backend.server.jobs import Contents
from backend.server.owners import Owners
from backend.server.router_socket import RouterSocket
from backend.server.sessions import Sessions
from backend.server.shortage import shortage
from backend.server.uploads import Uploads
from backend.server.wakeup import Wakeup
from protocol.coroutines import advance
from protocol.errors import Fault, Unavailable
from protocol.store import Store, reading_manifest

TURN = 16
"""Messages taken from the socket in one turn of the loop."""
SLICE = 0.005
"""Length of a slice of long work, in seconds."""
MAX_WORK = 1024
"""Most pieces of long work in the queue."""
CLIENT_WORK = 64
"""The same for one client, so that it cannot displace the others."""
MAX_HELD = 64 << 20
"""Most bytes of arrays of messages whose work is in the queue."""
CLIENT_HELD = 16 << 20
"""The same for one client."""

T = TypeVar("T")
Deliver = Callable[[Any], object]


class FileLoop:
    """Runs from :meth:`start` to :meth:`stop`; other methods may be called from any thread.

    Args:
        sessions, store, owners: the server's; the thread alone uses ``owners``.
        keep: size limit of the store in bytes.
        keep_each: size limit of the files of one client in bytes; None for no limit but that of the store.
        in_use: returns the manifests that jobs still need; called from the thread.
        post: makes the server's loop call a function.
        failed: called from the thread if an error ends it.

    Attributes:
        uploads: the files that are being sent.
        socket: the bulk socket; set before the start.
    """

    def __init__(
        self,
        sessions: Sessions,
        store: Store,
        owners: Owners,
        keep: int,
        keep_each: int | None,
        in_use: Callable[[], Iterable[str]],
        post: Callable[[Callable[[], object]], object],
        failed: Callable[[], object],
    ) -> None:
        self.uploads = Uploads(sessions, store, owners, keep_each, self._ended_of, in_use)
        self.socket: RouterSocket | None = None
        self._sessions = sessions
        self._store = store
        self._owners = owners
        self._keep = keep
        self._in_use = in_use
        self._post = post
        self._failed = failed
        self._wake = Wakeup()
        self._letters: deque[Callable[[], object]] = deque()
        self._work: deque[tuple[Generator[None, None, Any], Deliver]] = deque()
        self._queued: Counter[str] = Counter()
        """For each client, the number of pieces of its work that are not delivered. Used by the server's loop only."""
        self._held: Counter[str] = Counter()
        """For each client, the bytes of arrays of these."""
        self._evicting: Generator[None, None, None] | None = None
        self._ended: Sequence[Contents] = ()
        self._next_eviction = False
        self._first_eviction = True
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="files", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Afterwards the bulk socket can be closed."""
        self._stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
        self.uploads.close()

    def close(self) -> None:
        self._wake.close()

    def do(
        self, steps: Generator[None, None, T], deliver: Callable[[T | Fault], object], client: str = "", held: int = 0
    ) -> None:
        """Do work on the store; the server's loop, which calls this, calls ``deliver`` with its value or its error.

        Args:
            client: for which the work is done; "" for this program.
            held: bytes of the arrays that ``deliver`` holds until then.
        """
        many = self._queued[client] >= CLIENT_WORK or self._queued.total() >= MAX_WORK
        if many or self._held[client] + held > CLIENT_HELD or self._held.total() + held > MAX_HELD:
            deliver(Unavailable("The server is busy.", "Try again in a moment."))
            return
        self._queued[client] += 1
        self._held[client] += held

        def done(found: T | Fault) -> None:
            self._queued[client] -= 1
            self._held[client] -= held
            if not self._queued[client]:
                del self._queued[client], self._held[client]
            deliver(found)

        self._letter(lambda: self._work.append((steps, done)))

    def grant(self, client: str, manifest: str) -> None:
        """Make a client the owner of a stored result of its job."""

        def granting() -> Generator[None, None, None]:
            entries = yield from reading_manifest(self._store, manifest)
            yield from self.uploads.granting(client, manifest, entries)

        # If it fails, the files are granted when the client asks for the result.
        self._letter(lambda: self._work.append((granting(), lambda _: None)))

    def forget(self, peer: bytes) -> None:
        """End the uploads and downloads of a peer."""
        self._letter(lambda: self._forget(peer))

    def evict(self, ended: Sequence[Contents]) -> None:
        """Evict files until the store is within its limit.

        Args:
            ended: the manifests of each job that has ended, the oldest first.
        """
        self._ended = ended
        self._next_eviction = True
        self._wake()

    def _ended_of(self, client: str) -> list[tuple[str, ...]]:
        """Return the manifests of the jobs of a client that have ended, the oldest first."""
        return [each.manifests for each in self._ended if each.client == client]

    @property
    def evicting(self) -> bool:
        return self._evicting is not None or self._next_eviction

    def lost(self, peer: bytes) -> None:
        """Handle a peer of the bulk socket that has disconnected or does not read."""
        session = self._sessions.on_bulk(peer)
        self.uploads.forget(peer)
        if session is not None:
            self._sessions.end(session.bulk_connection)
            self._sessions.detach(session)

    def _letter(self, act: Callable[[], object]) -> None:
        self._letters.append(act)
        self._wake()

    def _forget(self, peer: bytes) -> None:
        self.uploads.forget(peer)
        assert self.socket is not None
        self.socket.forget(peer)

    def _run(self) -> None:
        whole = False
        socket = self.socket
        assert socket is not None
        poller = zmq.Poller()
        for each in (self._wake.socket, socket.socket, socket.monitor):
            poller.register(each, zmq.POLLIN)
        try:
            while not self._stopping:
                poller.poll(round(self._pause(socket) * 1000))
                self._wake.clear()
                self._turn(socket)
            whole = True
        finally:
            if not whole:
                self._failed()

    def _pause(self, socket: RouterSocket) -> float:
        if self._work or self.evicting or self.uploads.busy:
            return 0.0
        asking = self.uploads.waiting()
        if any(map(socket.takes, asking)):
            return 0.0
        return 0.005 if socket.waiting or asking else 1.0

    def _turn(self, socket: RouterSocket) -> None:
        socket.turn_away()
        while self._letters:
            self._letters.popleft()()
        for received in socket.receive(TURN):
            self.uploads.handle(received, socket)
        self.uploads.tick(socket)
        self._do_some_work()
        self._evict_some()
        self._owners.write()
        socket.flush()

    def _do_some_work(self) -> None:
        until = time.monotonic() + SLICE
        while self._work and time.monotonic() < until:
            steps, deliver = self._work.popleft()
            try:
                next(steps)
            except StopIteration as end:
                self._post(lambda deliver=deliver, value=end.value: deliver(value))
            except Fault as fault:
                self._post(lambda deliver=deliver, fault=fault: deliver(fault))
            except OSError as error:
                remedy = "Try again in a moment." if shortage(error) else "Check the permissions of the data folder."
                fault = Unavailable(f"The server cannot read its store: {error.strerror}.", remedy)
                self._post(lambda deliver=deliver, fault=fault: deliver(fault))
            else:
                self._work.append((steps, deliver))

    def _evict_some(self) -> None:
        if self._evicting is None:
            if not self._next_eviction:
                return
            self._next_eviction = False
            self._evicting = self._evict([each.manifests for each in self._ended])
        try:
            if advance(self._evicting, SLICE):
                self._evicting = None
        except (OSError, Fault):  # the server works without eviction
            self._evicting = None

    def _evict(self, ended: Sequence[tuple[str, ...]]) -> Generator[None, None, None]:
        removed = yield from free_space(self._store, self._keep, ended, self._needed, time.time())
        # "backend check" may have removed files before the start.
        if removed or self._first_eviction:
            self._first_eviction = False
            yield from self._owners.forgetting_removed(self._store)

    def _needed(self) -> Iterable[str]:
        """Return the manifests of the scenes that are in use, and of those that were sent or requested recently."""
        return [*self._in_use(), *self.uploads.recent()]

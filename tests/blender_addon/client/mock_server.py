"""A server to test the client with: stepped by hand, one thread, and every answer can be scripted."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from blender_addon.client.cache import Cache
from blender_addon.client.connection import Connection
from blender_addon.client.job_list import JobList
from protocol.address import parse
from protocol.errors import Fault, NotFound
from protocol.local_token import SERVER_PROOF, prove_server
from protocol.manifest import digest_of, pack_manifest, unpack_manifest
from protocol.messages import (
    MAJOR,
    MINOR,
    Accepted,
    Attach,
    Attached,
    Cancel,
    Challenge,
    Chunk,
    Describe,
    DescribeMasks,
    DescribeMethod,
    Error,
    Facts,
    FileEntry,
    Get,
    GetResult,
    Heartbeat,
    Hello,
    JobInfo,
    Jobs,
    Locate,
    Located,
    MaskModels,
    Message,
    MethodInfo,
    MethodSettings,
    Offer,
    Progress,
    Proof,
    Result,
    Status,
    Stored,
    Submit,
    Sync,
    Wanted,
    Welcome,
)
from protocol.pull import CHUNK
from protocol.settings import Setting
from protocol.wire import decode, encode
from tests.user_token import user_token

PATIENCE = 60.0

Answer = Callable[[Any], "Message | list[tuple[Message, list[NDArray]]] | None"]


class Clock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class MockServer:
    """Two ROUTER sockets and a store in memory.

    Attributes:
        heard: what was received, in order, bulk and control together.
        answers: per kind of message, a function that gives another answer than the usual one, or None for none, or
            several with their arrays.
        content: what is stored, by hash; offers pull what it lacks.
        asked: how often each range was asked for.
        jobs: the present state of each job.
        facts, methods, settings: what it declares, the first and the last where its welcome has the feature "facts".
        masks: its models for masks, where its welcome has the feature "masks".
        features: what its welcome has.
        store: where it says that its files are, if it is asked.
    """

    def __init__(self, port: int | None = None, instance: str = "a" * 32) -> None:
        self.context = zmq.Context()
        self.control = self._bind(port)
        self.bulk = self._bind(None)
        self.instance = instance
        self.heard: list[Message] = []
        self.answers: dict[type, Answer] = {}
        self.content: dict[str, bytes] = {}
        self.asked: Counter[tuple[str, int]] = Counter()
        self.jobs: dict[str, Progress] = {}
        self.results: dict[str, Result] = {}
        self.facts = Facts("cpu", "Mock processor", 3 << 30, 8 << 30)
        self.masks = MaskModels(False)
        self.methods = [MethodInfo("quick", "Quick", "Guesses.")]
        self.settings: dict[str, list[Setting]] = {}
        self.features: list[str] = []
        self.store = ""
        self.peer = b""
        self._bulk_peer = b""
        self._offer: tuple[Offer, int] | None = None
        self._wanted: deque[Get] = deque()
        self._arriving: dict[str, bytes] = {}
        self._files_known = False
        self._next = 0

    @property
    def address(self) -> str:
        return self.control.getsockopt_string(zmq.LAST_ENDPOINT)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def kinds(self, *only: type) -> list[str]:
        """The names of the kinds of messages heard, or of those among ``only``."""
        return [type(m).__name__ for m in self.heard if not only or isinstance(m, only)]

    def close(self) -> None:
        self.context.destroy(linger=0)

    def step(self) -> None:
        """Receive what is there and answer it."""
        for socket in (self.control, self.bulk):
            while socket.poll(0):
                peer, *frames = socket.recv_multipart()
                message, arrays, id = decode(frames)
                self.heard.append(message)
                if socket is self.control:
                    self.peer = peer
                    self._reply(socket, peer, message, id)
                elif isinstance(message, Chunk):
                    self._arrived(message, arrays[0].tobytes())
                elif not isinstance(message, Error):
                    self._bulk_peer = peer
                    self._reply(socket, peer, message, id)
                else:
                    self._offer = None
        self._pull()

    # The usual answers

    def _reply(self, socket: zmq.Socket, peer: bytes, message: Message, id: int) -> None:
        give = self.answers.get(type(message), self._usual)
        try:
            answer = give(message)
        except Fault as fault:
            answer = Error(fault.code, fault.sentence, fault.remedy)
        if isinstance(answer, list):
            for said, arrays in answer:
                socket.send_multipart([peer, *encode(said, arrays, id=id)])
        elif isinstance(message, Offer) and answer is message:
            self._offer, self._files_known = (message, id), False
            self._want([FileEntry("manifest", message.size, message.manifest)])
        elif answer is not None:
            arrays = [np.frombuffer(self._range(message), np.uint8)] if isinstance(answer, Chunk) else []
            socket.send_multipart([peer, *encode(answer, arrays, id=id)])

    def _usual(self, message: Message) -> Message | None:
        match message:
            case Hello():
                return self.welcome()
            case Challenge(nonce):
                return Proof(prove_server(user_token(), nonce, parse(self.address)))
            case Attach():
                return Attached()
            case Describe():
                return self.facts
            case DescribeMasks():
                return self.masks
            case DescribeMethod(method):
                return MethodSettings(method, self.settings.get(method, []))
            case Locate():
                return Located(self.store)
            case Heartbeat():
                return Heartbeat()
            case Status():
                infos = [JobInfo(p.job, "", p.state, p.stage, p.fraction, 0.0) for p in self.jobs.values()]
                return Jobs(infos[::-1])
            case Offer():
                return message
            case Get(digest, offset):
                return Chunk(digest, offset)
            case Submit(job):
                self.jobs.setdefault(job, Progress(job, 0, "queued"))
                return Accepted(job, self.jobs[job].state, self.jobs[job].seq)
            case Sync(job):
                if job not in self.jobs:
                    raise NotFound(f"There is no job {job}.")
                return self.jobs[job]
            case Cancel(job):
                self.jobs[job] = msgspec.structs.replace(self.jobs[job], seq=self.jobs[job].seq + 1, state="cancelling")
                return self.jobs[job]
            case GetResult(job):
                return self.results[job]
        return None

    def welcome(self, **changes: Any) -> Welcome:
        usual = Welcome(
            protocol=(MAJOR, MINOR),
            server="Mock 1",
            instance=self.instance,
            session="b" * 32,
            features=[SERVER_PROOF, *self.features],
            methods=self.methods,
            device="cpu",
            bulk=self.bulk.getsockopt_string(zmq.LAST_ENDPOINT),
        )
        return msgspec.structs.replace(usual, **changes)

    def _range(self, message: Message) -> bytes:
        assert isinstance(message, Get)
        return self.content[message.digest][message.offset : message.offset + message.length]

    # What a test has the server do

    def push(self, job: str, **changes: Any) -> None:
        """Change a job and tell the client."""
        now = self.jobs[job]
        self.jobs[job] = msgspec.structs.replace(now, **{"seq": now.seq + 1, **changes})
        self.send(self.jobs[job])

    def send(self, message: Message, arrays: Any = ()) -> None:
        self.control.send_multipart([self.peer, *encode(message, arrays)])

    def ask(self, get: Get) -> None:
        """Ask the client for a range."""
        self._next += 1
        self.asked[get.digest, get.offset] += 1
        self.bulk.send_multipart([self._bulk_peer, *encode(get, id=self._next)])

    def finish(self, job: str, files: dict[str, bytes]) -> None:
        """Give a job a result and report it as finished."""
        self.content |= {digest_of(data): data for data in files.values()}
        self.offer_result(job, [FileEntry(name, len(data), digest_of(data)) for name, data in files.items()])
        self.push(job, state="done", fraction=1.0)

    def offer_result(self, job: str, entries: Iterable[FileEntry]) -> None:
        manifest = pack_manifest(entries)
        self.content[digest_of(manifest)] = manifest
        self.results[job] = Result(job, digest_of(manifest), len(manifest))

    # Uploads, one range at a time

    def _want(self, entries: list[FileEntry]) -> list[FileEntry]:
        lacking = [each for each in {e.digest: e for e in entries}.values() if each.digest not in self.content]
        self._wanted = deque()
        for each in lacking:
            begun = len(self._arriving.setdefault(each.digest, b""))
            offsets = range(begun, max(each.size, 1), CHUNK) if each.size else ()
            self._wanted += [Get(each.digest, at, min(CHUNK, each.size - at)) for at in offsets]
            if not each.size:
                self.content[each.digest] = b""
        if self._wanted:
            self.ask(self._wanted[0])
        return lacking

    def _arrived(self, chunk: Chunk, data: bytes) -> None:
        if not self._wanted or (chunk.digest, chunk.offset) != (self._wanted[0].digest, self._wanted[0].offset):
            return
        self._wanted.popleft()
        self._arriving[chunk.digest] += data
        if digest_of(self._arriving[chunk.digest]) == chunk.digest:
            self.content[chunk.digest] = self._arriving.pop(chunk.digest)
        if self._wanted and self._offer:
            self.ask(self._wanted[0])

    def _pull(self) -> None:
        if self._offer is None or self._wanted:
            return
        offer, id = self._offer
        if not self._files_known:
            self._files_known = True
            entries = unpack_manifest(self.content[offer.manifest])
            lacking = self._want(entries)
            sizes = {entry.digest: entry.size for entry in entries}
            wanted = Wanted(offer.manifest, len(lacking), sum(e.size for e in lacking), len(sizes), sum(sizes.values()))
            self.bulk.send_multipart([self._bulk_peer, *encode(wanted, id=id)])
        else:
            self._offer = None
            self.bulk.send_multipart([self._bulk_peer, *encode(Stored(offer.manifest), id=id)])

    def _bind(self, port: int | None) -> zmq.Socket:
        socket = self.context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.rcvhwm = 16  # so that what it does not read soon waits at the client
        socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        return socket


class Stage:
    """A client, a server and a clock, and what the client showed."""

    def __init__(self, cache: Path) -> None:
        self.clock = Clock()
        self.server: MockServer | None = MockServer()
        self.states: list[str] = []
        self.shown: list[tuple[str, str, float]] = []
        self.cache = cache
        self.restart()

    def restart(self) -> None:
        """Make the client anew, as a Blender that starts does."""
        self.connection = Connection(changed=self._changed, clock=self.clock)
        self.job_list = JobList(self.connection, Cache(self.cache))

    def _changed(self) -> None:
        if self.connection.state not in self.states[-1:]:
            self.states.append(self.connection.state)
        for job in self.job_list.jobs:
            if (job.id, job.state, job.fraction) not in self.shown[-1:]:
                self.shown.append((job.id, job.state, job.fraction))

    def job_states(self, job: Any) -> list[str]:
        """The states that a job showed, in order."""
        states = [state for id, state, _ in self.shown if id == job.id]
        return [state for n, state in enumerate(states) if states[n - 1 : n] != [state]]

    def play(self, until: Callable[[], Any]) -> None:
        """Step both sides by turns until something is so."""
        end = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < end, f"still waiting: {self.connection.state}, {self.shown[-1:]}"
            if self.server is not None:
                self.server.step()
            self.connection.step(0.002)
            if not self.connection.busy:
                time.sleep(0.0005)

    def connect(self) -> None:
        assert self.server is not None
        self.connection.connect(self.server.address)
        self.play(lambda: self.connection.state == "connected")

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in steps as small as a running Blender's."""
        for _ in range(round(seconds / step)):
            self.clock.now += step
            for _ in range(3):
                if self.server is not None:
                    self.server.step()
                self.connection.step(0.002)
                time.sleep(0.001)

    def pass_time_until(self, until: Callable[[], Any], most: float) -> None:
        """Let time pass until something is so, at most ``most`` seconds of the clock."""
        for _ in range(round(most)):
            if until():
                return
            self.pass_time(1)
        assert until(), f"not after {most} s: {self.connection.state}"

    def vanish(self) -> int:
        """The server is gone; return its port."""
        assert self.server is not None
        port = self.server.port
        self.server.close()
        self.server = None
        return port

    def close(self) -> None:
        self.connection.destroy()
        if self.server is not None:
            self.server.close()

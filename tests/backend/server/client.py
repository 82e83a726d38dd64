"""A plain client over raw DEALER sockets, for the tests of the server: it does what it is told and hides nothing."""

from __future__ import annotations

import contextlib
import time
import uuid
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import zmq

from protocol.address import parse
from protocol.errors import fault
from protocol.job_request import JobRequest
from protocol.local_token import prove, read_token, token_file
from protocol.manifest import digest_of, pack_manifest, scan
from protocol.messages import (
    FINAL_STATES,
    MAJOR,
    MINOR,
    Accepted,
    Attach,
    Attached,
    Cancel,
    Challenge,
    Chunk,
    Error,
    FileEntry,
    Get,
    GetResult,
    Heartbeat,
    Hello,
    Message,
    Offer,
    Progress,
    Proof,
    Result,
    Stored,
    Submit,
    Sync,
    Wanted,
    Welcome,
    Working,
)
from protocol.pairing import Pairing
from protocol.store import Store, read_manifest
from protocol.wire import decode, encode

PATIENCE = 10.0
"""Seconds after which a test gives up on an answer."""

M = TypeVar("M", bound=Message)


class Client:
    """Two DEALER sockets and what came in on them."""

    def __init__(
        self,
        address: str,
        *,
        hello: bool = True,
        receive_high_water: int = 1000,
        receive_buffer: int = -1,
        pairing: Pairing | None = None,
        routing_id: bytes | None = None,
    ) -> None:
        self.context = zmq.Context()
        self.address = address
        self.pairing = pairing
        self.routing_id = routing_id
        self.receive_high_water = receive_high_water
        self.receive_buffer = receive_buffer
        self.control = self.connect(address)
        self.bulk: zmq.Socket | None = None
        self.progress: list[Progress] = []
        self.sent_bytes = 0
        self._id = 0
        if hello:
            try:
                self.hello()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.context.destroy(linger=0)

    def connect(self, address: str) -> zmq.Socket:
        socket = self.context.socket(zmq.DEALER)
        socket.linger = 0
        socket.rcvhwm = self.receive_high_water
        socket.rcvbuf = self.receive_buffer
        if self.routing_id is not None:
            socket.setsockopt(zmq.ROUTING_ID, self.routing_id)
        if self.pairing is not None:
            secret = self.pairing.client.encode()
            socket.curve_serverkey = self.pairing.server.encode()
            socket.curve_secretkey = secret
            socket.curve_publickey = zmq.curve_public(secret)
        socket.connect(address)
        return socket

    def hello(self, *features: str) -> Welcome:
        answer = self.ask(Hello((MAJOR, MINOR), "test client", ["proof", *features]), Message)
        if isinstance(answer, Challenge):
            token = read_token(token_file())
            assert token is not None
            answer = self.ask(Proof(prove(token, answer.nonce, parse(self.address))), Welcome)
        assert isinstance(answer, Welcome)
        self.welcome = answer
        return answer

    def attach(self) -> None:
        self.bulk = self.connect(self.welcome.bulk)
        self.ask(Attach(self.welcome.session), Attached, self.bulk)

    # Talking

    def send(self, message: Message, socket: zmq.Socket | None = None, arrays: Any = ()) -> int:
        self._id += 1
        (socket or self.control).send_multipart(encode(message, arrays, id=self._id))
        return self._id

    def receive(self, socket: zmq.Socket | None = None, patience: float = PATIENCE) -> tuple[Message, list, int]:
        """Return the next message on a socket, whatever it is but a heartbeat that the server sent by itself."""
        socket = socket or self.control
        deadline = time.monotonic() + patience
        while True:
            if not socket.poll(max(0, round((deadline - time.monotonic()) * 1000))):
                raise TimeoutError(f"nothing came within {patience} s")
            message, arrays, id = decode(socket.recv_multipart())
            if isinstance(message, Progress):
                self.progress.append(message)
            if not (isinstance(message, Heartbeat) and id == 0):
                return message, arrays, id
            # The server may have hung up since, and then nobody is there to send to.
            with contextlib.suppress(zmq.Again):
                socket.send_multipart(encode(Heartbeat()), zmq.NOBLOCK)

    def ask(self, message: Message, answer: type[M], socket: zmq.Socket | None = None) -> M:
        """Send a message and return its answer; an error message is raised as a fault."""
        id = self.send(message, socket)
        while True:
            got, _, of = self.receive(socket)
            if of != id or isinstance(got, Working):
                continue
            if isinstance(got, Error):
                raise fault(got.code, got.sentence, got.remedy)
            assert isinstance(got, answer), got
            return got

    # Jobs

    def submit(self, scene: str, *, job: str | None = None, title: str = "a job", **request: Any) -> Accepted:
        return self.ask(Submit(job or uuid.uuid4().hex, title, scene, JobRequest(**request)), Accepted)

    def sync(self, job: str) -> Progress:
        return self.ask(Sync(job), Progress)

    def cancel(self, job: str) -> Progress:
        return self.ask(Cancel(job), Progress)

    def result(self, job: str) -> Result:
        return self.ask(GetResult(job), Result)

    def until(self, job: str, *states: str, stage: str | None = None, patience: float = PATIENCE) -> Progress:
        """Wait for the push that shows ``job`` in one of ``states`` (any final one if none is given) and ``stage``."""
        deadline = time.monotonic() + patience
        while True:
            seen = [p for p in self.progress if p.job == job and p.state in (states or FINAL_STATES)]
            if seen and (stage is None or seen[-1].stage == stage):
                return seen[-1]
            self.receive(patience=deadline - time.monotonic())

    # Files

    def offer(self, folder: Path, *, stop_after: int | None = None) -> tuple[str, Wanted | None]:
        """Send a folder and return its manifest's hash; with ``stop_after``, fall silent after so many bytes."""
        files = {entry.digest: folder / entry.path for entry in entries_of(folder)}
        manifest = pack_manifest(entries_of(folder))
        wanted = None
        assert self.bulk is not None
        id = self.send(Offer(digest_of(manifest), len(manifest)), self.bulk)
        while True:
            message, _, of = self.receive(self.bulk)
            match message:
                case Get(digest, offset, length):
                    if stop_after is not None and self.sent_bytes >= stop_after:
                        return digest_of(manifest), wanted
                    if digest == digest_of(manifest):
                        data = manifest[offset : offset + length]
                    else:
                        with files[digest].open("rb") as file:
                            file.seek(offset)
                            data = file.read(length)
                    self.send_chunk(digest, offset, data, of)
                case Wanted():
                    wanted = message
                case Stored():
                    assert of == id
                    return message.manifest, wanted
                case Error():
                    raise fault(message.code, message.sentence, message.remedy)

    def send_chunk(self, digest: str, offset: int, data: bytes, id: int) -> None:
        assert self.bulk is not None
        self.sent_bytes += len(data)
        self.bulk.send_multipart(encode(Chunk(digest, offset), [np.frombuffer(data, np.uint8)], id=id))

    def fetch(self, digest: str, size: int) -> bytes:
        """Download a file whole, a range at a time."""
        data = b""
        while len(data) < size:
            id = self.send(Get(digest, len(data), min(1 << 20, size - len(data))), self.bulk)
            message, arrays, of = self.receive(self.bulk)
            if isinstance(message, Error):
                raise fault(message.code, message.sentence, message.remedy)
            assert isinstance(message, Chunk)
            assert of == id
            data += arrays[0].tobytes()
        return data

    def download(self, job: str, store: Store) -> dict[str, bytes]:
        """Return the files of a job's result, each checked against its hash."""
        result = self.result(job)
        assert store.put(self.fetch(result.manifest, result.size)) == result.manifest
        files = {}
        for entry in read_manifest(store, result.manifest):
            files[entry.path] = self.fetch(entry.digest, entry.size)
            assert digest_of(files[entry.path]) == entry.digest
        return files


def entries_of(folder: Path) -> list[FileEntry]:
    """The files of a folder, as its manifest lists them."""
    hashing = scan(folder, sorted(path for path in folder.rglob("*") if path.is_file()))
    while True:
        try:
            next(hashing)
        except StopIteration as end:
            return end.value

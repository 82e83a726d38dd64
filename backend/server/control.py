"""The control socket: hello, submit, cancel, sync, status, result, heartbeat, and the progress pushed to followers."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from backend.server.capabilities import CapabilityProbe, Found, check_settings
from backend.server.file_loop import FileLoop
from backend.server.jobs import Job, Jobs
from backend.server.router_socket import Received, RouterSocket
from backend.server.selection_protocol import Answer
from backend.server.selections import Selections
from backend.server.sessions import Session, Sessions
from backend.server.workers import Workers
from protocol.errors import BadArgument, BadFrames, Fault, JobFailed, NotFound, Refused, Unavailable, VersionMismatch
from protocol.job_request import TEXTURES, JobRequest, check, check_paths
from protocol.messages import (
    MAJOR,
    MINOR,
    Accepted,
    Bye,
    Cancel,
    Describe,
    DescribeMethod,
    Error,
    FileEntry,
    GetResult,
    Heartbeat,
    Hello,
    JobInfo,
    Locate,
    Located,
    Message,
    MethodInfo,
    MethodSettings,
    Picture,
    Result,
    Select,
    Selected,
    Status,
    Submit,
    Sync,
    Welcome,
)
from protocol.messages import Jobs as JobList
from protocol.store import Store, reading_manifest
from protocol.wire import MAX_ARRAY, MAX_ARRAYS, MAX_HEADER

T = TypeVar("T")

HEARTBEAT_INTERVAL = 1.0
"""Seconds between two heartbeats that the server sends."""
FEATURES = ("facts", "options", "picture", "select", TEXTURES)
"""Optional protocol features that this server supports."""
NEARBY = "nearby"
"""Additional feature of servers that are only reachable from this machine."""


class Control:
    """Answers messages on the control socket.

    Args:
        sessions, jobs, workers, files, store, selections, capabilities: the server's.
        drop: called with a session to remove.
        name: the server's name and version, shown to users.
        methods: the available lifting methods.

    Attributes:
        bulk_address: of the bulk socket.
        nearby: whether only this machine can reach the server.
    """

    def __init__(
        self,
        sessions: Sessions,
        jobs: Jobs,
        workers: Workers,
        files: FileLoop,
        store: Store,
        selections: Selections,
        capabilities: CapabilityProbe,
        drop: Callable[[Session], None],
        name: str,
        methods: Sequence[MethodInfo],
    ) -> None:
        self.sessions = sessions
        self.jobs = jobs
        self.workers = workers
        self.files = files
        self.store = store
        self.selections = selections
        self.capabilities = capabilities
        self.drop = drop
        self.name = name
        self.methods = list(methods)
        self.instance = secrets.token_hex(16)
        self.bulk_address = ""
        self.nearby = False
        self._heartbeat_at = 0.0

    def handle(self, received: Received, socket: RouterSocket) -> None:
        """Process a message and answer it."""
        try:
            answer = self._answer(received, socket)
        except Fault as fault:
            socket.send_fault(received.peer, fault, received.id)
        except OSError as error:
            fault = Unavailable(f"The server cannot use its data folder: {error.strerror}.", "Free some space there.")
            socket.send_fault(received.peer, fault, received.id)
        else:
            if answer is not None:
                socket.send(received.peer, answer, id=received.id)

    def _answer(self, received: Received, socket: RouterSocket) -> Message | None:
        message = received.message
        if isinstance(message, Error):
            return None  # answering an error with an error could loop forever
        if received.arrays:
            raise BadFrames(f"A {type(message).__name__} message must not contain arrays.")
        now = time.monotonic()
        session = self.sessions.on_control(received.peer)
        if isinstance(message, Hello):
            return self._hello(message, received.peer, session, now)
        session = self.sessions.require(session, now)
        match message:
            case Heartbeat():
                # A heartbeat without an id is the answer to the server's own, or needs no answer.
                return Heartbeat() if received.id else None
            case Submit():
                self._submit(message, session, received, socket)
                return None
            case Sync():
                job = self.jobs.told(message.job)
                session.following.add(job.id)
                if job.id in self.workers.pictures and "picture" in session.features:
                    session.unpictured.add(job.id)
                return job.progress()
            case Cancel():
                job = self.workers.cancel(message.job)
                self.jobs.when_written(lambda: socket.send(received.peer, job.progress(), id=received.id))
                return None
            case Status():
                return JobList(_that_fit([job.info() for job in self.jobs.newest(message.limit)]))
            case GetResult():
                self._after(self._stored_result(message.job), received, socket, lambda result: result)
                return None
            case Describe() | DescribeMethod():
                self._describe(message, received, socket)
                return None
            case Locate() if self.nearby:
                # A path that is not UTF-8 cannot be sent unchanged; the client then does not find it.
                return Located(os.fsencode(self.store.root.resolve()).decode(errors="replace"))
            case Select():
                self._select(message, received, socket)
                return None
            case Bye():
                self.drop(session)
                return None
        raise BadFrames(f"A {type(message).__name__} message must not be sent on the control socket.")

    def _hello(self, hello: Hello, peer: bytes, earlier: Session | None, now: float) -> Welcome:
        if hello.protocol[0] != MAJOR:
            raise VersionMismatch(
                f"{hello.client} uses protocol {hello.protocol[0]}.{hello.protocol[1]}, "
                f"{self.name} uses protocol {MAJOR}.{MINOR}.",
                "Update the add-on or the backend, whichever is older.",
            )
        if earlier is not None:
            self.drop(earlier)
        session = self.sessions.open(peer, now)
        if (surplus := self.sessions.surplus()) is not None:
            self.drop(surplus)
        session.features = frozenset(hello.features)
        return Welcome(
            protocol=(MAJOR, MINOR),
            server=self.name,
            instance=self.instance,
            session=session.token,
            features=[*FEATURES, *([NEARBY] if self.nearby else [])],
            methods=self.methods,
            device=self.capabilities.known.facts.device if self.capabilities.known else self.workers.device,
            bulk=self.bulk_address,
        )

    def _after(
        self,
        steps: Generator[None, None, T],
        received: Received,
        socket: RouterSocket,
        then: Callable[[T], Message | None],
    ) -> None:
        """Answer with what ``then`` makes of the value of work on the store, or with what is wrong."""

        def deliver(found: T | Fault) -> None:
            try:
                if isinstance(found, Fault):
                    raise found
                answer = then(found)
            except Fault as fault:
                socket.send_fault(received.peer, fault, received.id)
            else:
                if answer is not None:
                    socket.send(received.peer, answer, id=received.id)

        self.files.do(steps, deliver)

    def _submit(self, submit: Submit, session: Session, received: Received, socket: RouterSocket) -> None:
        """Take a job; it is answered once its scene is checked and it is written."""

        def accepted(job: Job) -> None:
            session.following.add(job.id)
            socket.send(received.peer, Accepted(job.id, job.state, job.seq), id=received.id)

        def refused(reason: str) -> None:
            full = Unavailable(f"The server cannot write to its data folder: {reason}.", "Free some space there.")
            socket.send_fault(received.peer, full, received.id)

        def take(paths: set[str] | None) -> None:
            if paths is not None:
                _check_paths_in(submit.request, paths)
            self.jobs.submit(submit, accepted, refused)

        if self.jobs.knows(submit.job):
            take(None)
            return
        self._check(submit.request)
        self._after(self._stored_scene(submit.scene), received, socket, take)

    def _stored_result(self, job: str) -> Generator[None, None, Result]:
        result = _result(self.jobs.told(job))
        return _if_stored(self.store, result)

    def _describe(self, question: Describe | DescribeMethod, received: Received, socket: RouterSocket) -> None:
        """Send the machine's description or a method's settings, once they are known."""

        def deliver(found: Found | Error) -> None:
            socket.send(received.peer, _described(found, question), id=received.id)

        self.capabilities.ask(deliver)

    def _select(self, select: Select, received: Received, socket: RouterSocket) -> None:
        """Start a selection in a job's result; the answer is sent when it is ready."""

        def deliver(answer: Answer) -> None:
            if answer.error is not None:
                socket.send(received.peer, answer.error, id=received.id)
            elif len(answer.bits) > MAX_ARRAYS * MAX_ARRAY:
                reason = f"The result has {answer.total} Gaussians; selections are limited to 2^26 Gaussians."
                socket.send(received.peer, Error(Refused.code, reason), id=received.id)
            else:
                bits = np.frombuffer(answer.bits, np.uint8)
                parts = [bits[at : at + MAX_ARRAY] for at in range(0, len(bits), MAX_ARRAY)]
                selected = Selected(select.job, answer.count, answer.total, answer.label)
                socket.send(received.peer, selected, parts, id=received.id)

        def ask(result: Result) -> None:
            self.selections.ask(result.manifest, select, deliver)

        self._after(self._stored_result(select.job), received, socket, ask)

    def _check(self, request: JobRequest) -> None:
        """Refuse requests that would certainly fail later."""
        check(request)
        check_paths(request)
        names = [method.name for method in self.methods]
        if request.method is not None and request.method not in names:
            raise BadArgument(f"The method {request.method!r} does not exist.", f"Choose one of {', '.join(names)}.")
        if self.workers.device not in ("auto", request.device) and request.device != "auto":
            raise Refused(
                f"This server only supports the device {self.workers.device}.", "Submit the job with device 'auto'."
            )
        if request.settings and self.capabilities.known:
            method = request.method or names[0]
            check_settings(method, request.settings, self.capabilities.known.methods.get(method, []))

    def _stored_scene(self, scene: str) -> Generator[None, None, set[str]]:
        """Return the paths of a stored scene, which is then kept for a while."""
        self.files.uploads.keep(scene)
        entries = yield from reading_manifest(self.store, scene)
        missing = yield from _missing(self.store, entries)
        if missing:
            raise NotFound(
                f"{missing} files of the scene {scene[:12]}… are damaged or missing on the server.",
                "Send the folder again.",
            )
        return {entry.path for entry in entries}

    def publish(self, job: Job) -> None:
        """Queue a job's state for its followers; it replaces earlier unsent states of the job."""
        for session in self.sessions.followers(job.id):
            session.unsent[job.id] = job.progress()

    def publish_picture(self, job: str) -> None:
        """Queue a job's new preview for followers that support previews."""
        for session in self.sessions.followers(job):
            if "picture" in session.features:
                session.unpictured.add(job)

    def send_heartbeats(self, socket: RouterSocket) -> None:
        """Send each client a heartbeat from time to time.

        Only a failed send reveals that a peer is gone, so that another client can continue its unfinished files.
        """
        now = time.monotonic()
        if now < self._heartbeat_at:
            return
        self._heartbeat_at = now + HEARTBEAT_INTERVAL
        for session in self.sessions:
            socket.offer(session.control, Heartbeat())

    def push(self, socket: RouterSocket) -> None:
        """Send queued messages, as far as each follower's socket accepts them."""
        for session in self.sessions:
            for job, progress in list(session.unsent.items()):
                if not socket.offer(session.control, progress):
                    break
                del session.unsent[job]
            for job in sorted(session.unpictured):
                picture = self.workers.pictures.get(job)
                if picture is not None and not socket.offer(session.control, Picture(job), [picture]):
                    break
                session.unpictured.discard(job)

    @property
    def unsent(self) -> bool:
        return any(session.unsent or session.unpictured for session in self.sessions)


def _check_paths_in(request: JobRequest, paths: set[str]) -> None:
    """Refuse a request for files that the scene with these paths does not have."""
    if request.splats is not None and request.splats not in paths:
        raise BadArgument(
            f"The scene folder has no file {request.splats!r}.", "Give a splat file inside the scene folder."
        )
    if request.masks is not None and not any(path.startswith(f"{request.masks}/") for path in paths):
        raise BadArgument(
            f"The scene folder has no folder {request.masks!r}.", "Give a folder inside the scene folder."
        )


def _if_stored(store: Store, result: Result) -> Generator[None, None, Result]:
    if not store.has(result.manifest, result.size):
        raise NotFound("The server removed the result to free space for newer ones.", "Segment again.")
    entries = yield from reading_manifest(store, result.manifest)
    missing = yield from _missing(store, entries)
    if missing:
        raise NotFound(f"{missing} files of the result are damaged or missing on the server.", "Segment again.")
    return result


def _missing(store: Store, entries: Sequence[FileEntry]) -> Generator[None, None, int]:
    """Count the files that are not stored, or not with their size."""
    missing = 0
    for count, entry in enumerate(entries):
        missing += not store.has(entry.digest, entry.size)
        if count % 200 == 0:
            yield
    return missing


def _described(found: Found | Error, question: Describe | DescribeMethod) -> Message:
    if isinstance(found, Error):
        return found
    if isinstance(question, Describe):
        return found.facts
    if question.method not in found.methods:
        known = f"Known methods: {', '.join(found.methods)}."
        return Error(BadArgument.code, f"The method {question.method[:100]!r} does not exist.", known[:2000])
    return MethodSettings(question.method, found.methods[question.method])


def _result(job: Job) -> Result:
    match job.state:
        case "done":
            assert job.manifest is not None
            assert job.size is not None
            return Result(job.id, job.manifest, job.size)
        case "failed":
            assert job.error is not None
            raise JobFailed(job.error.sentence, job.error.remedy)
        case "cancelled":
            raise Refused(f"The job {job.id} was cancelled and has no result.", "Submit it again with a new id.")
    raise Refused(f"The job {job.id} is {job.state} and has no result yet.", "Try again when it is finished.")


def _that_fit(infos: list[JobInfo]) -> list[JobInfo]:
    """Return the first of ``infos``, as many as fit in a header."""
    room = MAX_HEADER - 1024
    for count, info in enumerate(infos):
        room -= len(msgspec.json.encode(info)) + 1
        if room < 0:
            return infos[:count]
    return infos

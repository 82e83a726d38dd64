"""The control socket: hello, submit, cancel, sync, status, result, heartbeat, and the progress pushed to followers."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace
from numpy.typing import NDArray

from backend.server.capabilities import CapabilityProbe, Found, check_settings
from backend.server.clients import DEFAULT_CLIENT
from backend.server.counts import Counts
from backend.server.file_loop import FileLoop
from backend.server.jobs import Job, Jobs
from backend.server.local_gate import LocalGate
from backend.server.log import Log
from backend.server.overview import Overviews
from backend.server.question_protocol import Wanted
from backend.server.result_questions import FEATURES as RESULT_FEATURES
from backend.server.result_questions import ResultQuestions, Stored, check_arrays
from backend.server.router_socket import Received, RouterSocket
from backend.server.sessions import Session, Sessions
from backend.server.shortage import shortage
from backend.server.uploads import not_stored
from backend.server.workers import Workers
from protocol.endings import RLE_ENDING, is_one_of
from protocol.errors import BadArgument, BadFrames, Fault, JobFailed, NotFound, Refused, Unavailable, VersionMismatch
from protocol.job_request import TEXTURES, JobRequest, check, check_paths
from protocol.local_token import SERVER_PROOF
from protocol.messages import (
    FINAL_STATES,
    MAJOR,
    MINOR,
    Accepted,
    Bye,
    Cancel,
    Challenge,
    Correct,
    Corrected,
    Describe,
    DescribeMasks,
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
    Named,
    NameObjects,
    Overview,
    Picture,
    Proof,
    Result,
    Select,
    SelectText,
    Status,
    Submit,
    Survey,
    Sync,
    Welcome,
    Withdraw,
)
from protocol.messages import Jobs as JobList
from protocol.store import Store, reading_manifest
from protocol.wire import MAX_HEADER

T = TypeVar("T")

HEARTBEAT_INTERVAL = 1.0
"""Seconds between two heartbeats that the server sends."""
FEATURES = ("facts", "masks", "options", "overview", "picture", *RESULT_FEATURES, TEXTURES)
"""Optional protocol features that this server supports."""
NEARBY = "nearby"
"""Additional feature of servers that are only reachable from this machine, for the user who started them."""
CLIENT_JOBS = 1000
"""Default limit of the jobs of one client that wait or run."""


class Control:
    """Answers messages on the control socket.

    Args:
        sessions, jobs, workers, files, store, questions, capabilities: the server's.
        drop: called with a session to remove.
        name: the server's name and version, shown to users.
        methods: the available lifting methods.
        jobs_each: limit of the jobs of one client that wait or run.

    Attributes:
        gate: lets programs of the same user connect if the server does not encrypt; None if it does.
        bulk_address: of the bulk socket.
        nearby: whether only this machine can reach the server.
        log: gets a line for what clients do.
        submitted: the jobs that were submitted since the start and have not ended.
        counts: what was done since the start.
        overviews: makes the answers to :class:`protocol.messages.Survey`.
        token: a client that sends it is told of the jobs of all clients.
    """

    def __init__(
        self,
        sessions: Sessions,
        jobs: Jobs,
        workers: Workers,
        files: FileLoop,
        store: Store,
        questions: ResultQuestions,
        capabilities: CapabilityProbe,
        drop: Callable[[Session], None],
        name: str,
        methods: Sequence[MethodInfo],
        jobs_each: int = CLIENT_JOBS,
    ) -> None:
        self.sessions = sessions
        self.jobs = jobs
        self.workers = workers
        self.files = files
        self.store = store
        self.questions = questions
        self.capabilities = capabilities
        self.drop = drop
        self.name = name
        self.methods = list(methods)
        self.jobs_each = jobs_each
        self.gate: LocalGate | None = None
        self.instance = secrets.token_hex(16)
        self.bulk_address = ""
        self.nearby = False
        self.log = Log()
        self.submitted: set[str] = set()
        self.counts = Counts()
        self.overviews = Overviews(name, sessions, jobs, workers, files, store)
        self.token = secrets.token_hex(16)
        self._heartbeat_at = 0.0

    def handle(self, received: Received, socket: RouterSocket) -> None:
        """Process a message and answer it."""
        self._reply(received, socket, lambda: self._answer(received, socket))

    def _reply(self, received: Received, socket: RouterSocket, work: Callable[[], Message | None]) -> None:
        """Send what ``work`` returns, or its error, as the answer to a message; nothing for None."""
        try:
            answer = work()
        except Fault as fault:
            self._refuse(fault, received, socket)
        except OSError as error:
            self._refuse(_unusable(error), received, socket)
        else:
            if answer is not None:
                socket.send(received.peer, answer, id=received.id)

    def _refuse(self, fault: Fault, received: Received, socket: RouterSocket) -> None:
        self.counts.refusals += 1
        self.questions.withdraw(received.peer, received.id)
        session = self.sessions.on_control(received.peer)
        self.log.say(
            "refused",
            level="warning",
            job=getattr(received.message, "job", None),
            client=session.client if session is not None else None,
            message=type(received.message).__name__,
            code=fault.code,
            sentence=fault.sentence,
        )
        socket.send_fault(received.peer, fault, received.id)

    def _answer(self, received: Received, socket: RouterSocket) -> Message | None:
        message = received.message
        if isinstance(message, Error):
            return None  # answering an error with an error could loop forever
        check_arrays(message, received.arrays)
        now = time.monotonic()
        if isinstance(message, Hello):
            return self._hello(message, received, now)
        if isinstance(message, Proof) and self.gate is not None:
            hello, token = self.gate.admitted(message, received.connection)
            return self._welcome(hello, DEFAULT_CLIENT, received, now, token)
        # A client that says goodbye has closed its connection before the message is read.
        connection = None if isinstance(message, Bye) and received.connection == 0 else received.connection
        session = self.sessions.require(self.sessions.on_control(received.peer, connection), now)
        match message:
            case Heartbeat():
                # A heartbeat without an id is the answer to the server's own, or needs no answer.
                return Heartbeat() if received.id else None
            case Challenge() if self.gate is not None:
                return self.gate.proof(message, session.local_token)
            case Submit():
                self._submit(message, session, received, socket)
                return None
            case Sync():
                job = self.jobs.told(message.job, session.client)
                session.following.add(job.id)
                if job.id in self.workers.pictures and "picture" in session.features:
                    session.unpictured.add(job.id)
                return job.progress()
            case Cancel():
                self.jobs.told(message.job, session.client)
                job = self.workers.cancel(message.job)
                self.jobs.when_written(lambda: socket.send(received.peer, job.progress(), id=received.id))
                return None
            case Status():
                return JobList(_that_fit([job.info() for job in self.jobs.newest(message.limit, session.client)]))
            case Survey():
                self._survey(message, session, received, socket)
                return None
            case GetResult():
                result = self._stored_result(message.job, session.client)
                self._after(result, session.client, received, socket, lambda result: result)
                return None
            case Describe() | DescribeMasks() | DescribeMethod():
                self._describe(message, received, socket)
                return None
            case Locate() if self._is_near(session.client):
                # A path that is not UTF-8 cannot be sent unchanged; the client then does not find it.
                return Located(os.fsencode(self.store.root.resolve()).decode(errors="replace"))
            case Select() | SelectText() | NameObjects() | Correct():
                self._ask(message, session, received, socket)
                return None
            case Withdraw():
                self.questions.withdraw(received.peer, message.request)
                return None
            case Bye():
                self.drop(session)
                return None
        raise BadFrames(f"A {type(message).__name__} message must not be sent on the control socket.")

    def _hello(self, hello: Hello, received: Received, now: float) -> Message:
        if hello.protocol[0] != MAJOR:
            raise VersionMismatch(
                f"{hello.client} uses protocol {hello.protocol[0]}.{hello.protocol[1]}, "
                f"{self.name} uses protocol {MAJOR}.{MINOR}.",
                "Update the add-on or the backend, whichever is older.",
            )
        if self.gate is not None:
            return self.gate.challenge(hello, received.connection)
        return self._welcome(hello, received.client, received, now)

    def _welcome(self, hello: Hello, client: str, received: Received, now: float, local_token: str = "") -> Welcome:
        """Open a session for a client that may connect."""
        if (earlier := self.sessions.on_control(received.peer)) is not None:
            self.drop(earlier)
        if (in_the_way := self.sessions.in_the_way(client, now)) is not None:
            self.drop(in_the_way)
        session = self.sessions.open(client, received.key, received.peer, received.connection, now)
        session.features = frozenset(hello.features)
        session.program = hello.client
        session.local_token = local_token
        self.counts.connections += 1
        self.log.say("connected", client=client, program=session.program)
        return Welcome(
            protocol=(MAJOR, MINOR),
            server=self.name,
            instance=self.instance,
            session=session.token,
            features=[
                *FEATURES,
                *([SERVER_PROOF] if self.gate is not None else []),
                *([NEARBY] if self._is_near(client) else []),
            ],
            methods=self.methods,
            device=self.capabilities.known.facts.device if self.capabilities.known else self.workers.device,
            bulk=self.bulk_address,
        )

    def _is_near(self, client: str) -> bool:
        """Whether a client may know where the store is: only that of the user who started the server can read it."""
        return self.nearby and client == DEFAULT_CLIENT

    def _after(
        self,
        steps: Generator[None, None, T],
        client: str,
        received: Received,
        socket: RouterSocket,
        then: Callable[[T], Message | None],
    ) -> None:
        """Run work on the store for a client, and answer with ``then`` of its value, or with its error."""

        def deliver(found: T | Fault) -> None:
            def work() -> Message | None:
                if isinstance(found, Fault):
                    raise found
                return then(found)

            self._reply(received, socket, work)

        self.files.do(steps, deliver, client, sum(array.nbytes for array in received.arrays))

    def _submit(self, submit: Submit, session: Session, received: Received, socket: RouterSocket) -> None:
        """Add a job; the answer is sent once its scene is checked and the job is written."""

        def accepted(job: Job) -> None:
            if job.state not in FINAL_STATES and job.id not in self.submitted:
                self.submitted.add(job.id)
                self.log.say("submitted", job=job.id, client=session.client, title=job.title, scene=job.scene[:12])
            session.following.add(job.id)
            socket.send(received.peer, Accepted(job.id, job.state, job.seq), id=received.id)

        def refused(reason: str) -> None:
            full = Unavailable(f"The server cannot write to its data folder: {reason}.", "Free some space there.")
            self._refuse(full, received, socket)

        def take(paths: set[str] | None) -> None:
            if paths is not None:
                _check_paths_in(submit.request, paths)
                self._check_number(session.client)  # others may have been submitted meanwhile
            self.jobs.submit(submit, accepted, refused, client=session.client)

        if self.jobs.knows(submit.job):
            take(None)
            return
        self._check(submit.request)
        self._check_number(session.client)
        self._after(self._stored_scene(submit.scene, session.client), session.client, received, socket, take)

    def _check_number(self, client: str) -> None:
        """Refuse another job of a client that has too many."""
        if (unfinished := self.jobs.unfinished(client)) >= self.jobs_each:
            raise Refused(
                f"The client {client} has {unfinished} jobs that wait or run, which is the limit.",
                "Wait until one of them has ended, or cancel some.",
            )

    def _stored_result(self, job: str, client: str) -> Generator[None, None, Result]:
        """Return the result of a client's job, and make the client an owner of its files."""
        return self._granted(_result(self.jobs.told(job, client)), client)

    def _granted(self, result: Result, client: str) -> Generator[None, None, Result]:
        if not self.store.has(result.manifest, result.size):
            raise NotFound("The server removed the result to free space for newer ones.", "Segment again.")
        entries = yield from reading_manifest(self.store, result.manifest)
        missing = yield from _missing(self.store.has, entries)
        if missing:
            raise NotFound(f"{missing} files of the result are damaged or missing on the server.", "Segment again.")
        yield from self.files.uploads.granting(client, result.manifest, entries)
        return result

    def _survey(self, survey: Survey, session: Session, received: Received, socket: RouterSocket) -> None:
        whole = survey.token is not None and secrets.compare_digest(survey.token, self.token)

        def deliver(found: Overview | Fault) -> None:
            if isinstance(found, Fault):
                self._refuse(found, received, socket)
            else:
                socket.send(received.peer, found, id=received.id)

        self.overviews.ask(deliver, None if whole else session.client, session.client)

    def _describe(
        self, question: Describe | DescribeMasks | DescribeMethod, received: Received, socket: RouterSocket
    ) -> None:
        """Send what is asked of the machine or of a method, once it is known."""

        def deliver(found: Found | Error) -> None:
            socket.send(received.peer, _described(found, question), id=received.id)

        self.capabilities.ask(deliver)

    def _ask(self, wanted: Wanted, session: Session, received: Received, socket: RouterSocket) -> None:
        """Ask about a job's result; replies are sent at once, those with a new version once that is written."""

        client = session.client
        # What waits for the answer must not hold the arrays of the question.
        asked = replace(received, arrays=[])
        base = wanted.base if isinstance(wanted, Correct | NameObjects) else None

        def ask(result: Result) -> None:
            stored = Stored(base or result.manifest, result.manifest, self.jobs.told(wanted.job, client).scene)

            def send(message: Message, arrays: Sequence[NDArray]) -> None:
                def send_now() -> None:
                    socket.send(asked.peer, message, arrays, id=asked.id)

                if not isinstance(message, Corrected | Named) or message.version is None:
                    send_now()
                    return
                if self.jobs.get(wanted.job).manifest != result.manifest:
                    busy = Refused("Another client has changed the result.", "Try again.")
                    self._refuse(busy, asked, socket)
                    return
                self.jobs.replace_result(wanted.job, message.version, message.size)
                version = Result(wanted.job, message.version, message.size)
                granted = self._granted(version, client)
                self._after(granted, client, asked, socket, lambda _: self.jobs.when_written(send_now))

            self.questions.ask(stored, wanted, received.arrays, send, client, received.peer, received.id)

        self.questions.expect(received.peer, received.id)
        result = self._stored_result(wanted.job, client)
        self._after(self._with_version(result, base, client), client, received, socket, ask)

    def _with_version(
        self, result: Generator[None, None, Result], base: str | None, client: str
    ) -> Generator[None, None, Result]:
        """Return a client's result. If ``base`` is given, it must be a version that the client owns."""
        found = yield from result
        if base is not None and not self.files.uploads.files_of(client).has(base):
            raise NotFound("The job has no such version of its result.", "Import the result again.")
        return found

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

    def _stored_scene(self, scene: str, client: str) -> Generator[None, None, set[str]]:
        """Return the paths of a scene that a client has sent; its files are then kept for a while."""
        files = self.files.uploads.files_of(client)
        if not files.has(scene):
            raise not_stored(scene)
        self.files.uploads.keep(client, scene)
        entries = yield from reading_manifest(self.store, scene)
        missing = yield from _missing(files.has, entries)
        if missing:
            raise NotFound(
                f"{missing} files of the scene {scene[:12]}… are damaged or missing on the server.",
                "Send the folder again.",
            )
        # A client may submit before its upload has ended, or without one if the server has all files.
        yield from self.store.settling([scene, *(entry.digest for entry in entries)])
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
        """Send each client a heartbeat every :data:`HEARTBEAT_INTERVAL`.

        Only a failed send reveals that a peer has disconnected; then another client can continue its unfinished files.
        """
        now = time.monotonic()
        if now < self._heartbeat_at:
            return
        self._heartbeat_at = now + HEARTBEAT_INTERVAL
        for session in self.sessions:
            socket.offer(session.control, Heartbeat())

    def push(self, socket: RouterSocket) -> None:
        """Send queued messages until the follower's socket accepts no more."""
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


def _unusable(error: OSError) -> Unavailable:
    remedy = "Try again in a moment." if shortage(error) else "Check the permissions and the space of that folder."
    return Unavailable(f"The server cannot use its data folder: {error.strerror}.", remedy)


def _check_paths_in(request: JobRequest, paths: set[str]) -> None:
    """Refuse a request for files that the scene with these paths does not have."""
    if request.splats is not None and request.splats not in paths:
        raise BadArgument(
            f"The scene folder has no file {request.splats!r}.", "Give a splat file inside the scene folder."
        )
    if request.masks is not None and not _has_masks(request.masks, paths):
        raise BadArgument(
            f"The scene folder has no folder {request.masks!r}.", "Give a folder inside the scene folder."
        )


def _has_masks(masks: str, paths: set[str]) -> bool:
    """Whether the paths have a folder of this name, or a JSON file, which may hold the masks of many photographs."""
    is_file = masks in paths and is_one_of(masks, (RLE_ENDING,))
    return is_file or any(path.startswith(f"{masks}/") for path in paths)


def _missing(has: Callable[[str, int], bool], entries: Sequence[FileEntry]) -> Generator[None, None, int]:
    """Return the number of files that are missing or have another size; yields often."""
    missing = 0
    for count, entry in enumerate(entries):
        missing += not has(entry.digest, entry.size)
        if count % 200 == 0:
            yield
    return missing


def _described(found: Found | Error, question: Describe | DescribeMasks | DescribeMethod) -> Message:
    if isinstance(found, Error):
        return found
    if isinstance(question, Describe):
        return found.facts
    if isinstance(question, DescribeMasks):
        return found.masks
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
    """Return as many of the first ``infos`` as fit in a header."""
    room = MAX_HEADER - 1024
    for count, info in enumerate(infos):
        room -= len(msgspec.json.encode(info)) + 1
        if room < 0:
            return infos[:count]
    return infos

"""The server: a loop that never waits for a client, a worker, a disk or a lock.

The loop has the control socket. Threads of their own have the connections (:mod:`backend.server.front`), the bulk
socket and the store (:mod:`backend.server.file_loop`) and the database (:mod:`backend.server.job_file`).

It ends in order on SIGINT and SIGTERM. Whichever way it ended, the next server on the same data folder has every job:
finished ones with their results, waiting ones still waiting, and those that ran are run again from their checkpoints.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import zmq

from backend.lift_methods import METHODS
from backend.server import contact, lock
from backend.server import keys as key_file
from backend.server.capabilities import CapabilityProbe
from backend.server.clients import DEFAULT_CLIENT
from backend.server.control import CLIENT_JOBS, Control
from backend.server.counts import Counts
from backend.server.file_limit import raise_file_limit
from backend.server.file_loop import FileLoop
from backend.server.front import Front
from backend.server.jobs import Job, Jobs, shared_by_all
from backend.server.known_keys import KnownKeys
from backend.server.local_executor import LocalExecutor
from backend.server.local_gate import LocalGate, load_or_make_token
from backend.server.log import Log, LogFormat
from backend.server.metrics import MetricsServer, parse_metrics_address
from backend.server.owners import Owners
from backend.server.private import make_private
from backend.server.ray_cluster import RayCluster, token_of_user
from backend.server.ray_executor import RayExecutor
from backend.server.result_questions import ResultQuestions
from backend.server.router_socket import BULK_HIGH_WATER, RouterSocket
from backend.server.sessions import CLIENT_SESSIONS, LIFETIME, Session, Sessions
from backend.server.wakeup import Wakeup
from backend.server.workers import Workers
from backend.server.zap_auth import ZapAuthenticator
from protocol.address import DEFAULT, parse_bind
from protocol.errors import Fault, Refused, Unavailable
from protocol.messages import FINAL_STATES, MethodInfo, Overview
from protocol.store import Store
from protocol.wire import MAX_FRAME

WORKER = (sys.executable, "-m", "backend.server.worker")
"""The command that carries out a job; the job's folder is added to it."""
SELECTOR = (sys.executable, "-m", "backend.server.selection_worker")
"""The command that selects in results; the store and a folder are added to it."""
SEARCHER = (sys.executable, "-m", "backend.server.words_worker")
"""The command that finds objects by words; the device that the server is to use, the store and a folder are added."""
CORRECTOR = (sys.executable, "-m", "backend.server.correction_worker")
"""The command that corrects results; the store and a folder are added to it."""
PROBE = (sys.executable, "-m", "backend.server.probe")
"""The command that looks at the machine; the device that the server is to use is added to it."""

KEEP = 200_000_000_000
"""Bytes that the store may hold unless told otherwise."""
SWITCH = 0.001
"""Seconds that a thread may keep Python to itself: one that checks a manifest otherwise adds 5 ms to each step of the
others, of which an answer needs several."""
KEPT_JOBS = 10_000
"""Jobs that have ended whose records are kept; older ones are removed, but never run again."""
FORGOTTEN_AT_ONCE = 100
"""Records that are removed in one turn of the loop."""
RECOVERY_PATIENCE = 10.0
"""Seconds for which clients wait until what the end of the last server means to its jobs is written."""

STUCK_AFTER = 10.0
"""Seconds that a turn of the loop takes at most, while the server is up."""

CONTROL_TURN = 64
"""Messages taken from the socket in one turn of the loop."""


def serve(
    bind: str = DEFAULT,
    data: Path = Path("splatlift-data"),
    device: Literal["auto", "cuda", "cpu"] = "auto",
    announce: Callable[[str], object] = print,
    *,
    encrypted: bool = False,
    end_with_input: bool = False,
    keep: int = KEEP,
    limits: ClientLimits | None = None,
    worker_memory: int | None = None,
    log_format: LogFormat = "text",
    metrics: str | None = None,
    ray_address: str | None = None,
    worker_command: Sequence[str] = WORKER,
    searcher_command: Sequence[str] = SEARCHER,
    methods: Sequence[MethodInfo] = METHODS,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        bind: ``tcp://HOST:PORT`` of the control socket; the bulk socket takes the next port. Port 0 or ``*`` takes two
            free ports.
        data: folder of the jobs, scenes and results; made if missing.
        device: what jobs use that leave it open; "auto" leaves it to the worker.
        announce: called when clients may connect, with a line that ends in the control socket's address, and where
            the server encrypts with a second one, which is or tells how to get the pairing string.
        encrypted: whether to encrypt on loopback too; elsewhere it always is.
        end_with_input: whether to end when standard input does too: a pipe from the program that started this process
            closes however that program ends.
        keep: bytes that the store may hold; past that, what jobs that have ended were sent and made goes, the oldest
            first.
        limits: what one client may have.
        worker_memory: bytes that a worker may use; None for 90 % of the memory of this machine or container.
        log_format: of the log, which goes to standard error; see :class:`backend.server.log.Log`.
        metrics: ``PORT`` or ``HOST:PORT`` of the HTTP server of :mod:`backend.server.metrics`; None for none.
        ray_address: of the Ray cluster that runs the workers, see :mod:`backend.server.ray_executor`; None for
            processes of this machine.
        worker_command: the program that carries out a job, see :mod:`backend.server.worker_protocol`.
        searcher_command: the program that finds objects by words, see :mod:`backend.server.question_protocol`.
        methods: the lifting methods on offer.

    Raises:
        BadArgument: if ``bind``, ``metrics`` or ``ray_address`` is no address.
        Refused: if another server uses ``data``.
        Unavailable: if the port is in use, ``data`` cannot be used or is full, or its keys are not for use.
    """
    log = Log(sys.stderr, log_format)
    with (
        contextlib.closing(log),
        _disk_in_sentences(data),
        Server(
            bind,
            data,
            device,
            encrypted=encrypted,
            keep=keep,
            limits=limits,
            worker_memory=worker_memory,
            worker_command=worker_command,
            searcher_command=searcher_command,
            methods=methods,
            log=log,
            metrics=metrics,
            ray_address=ray_address,
        ) as server,
        _ended_by_signals(server),
    ):
        announce(f"SplatLift serves at {server.address}")
        if server.paired_anew and server.keys is not None:
            announce(f"Pairing string, a secret, for the add-on's preferences: {server.keys.pairing.text()}")
        elif server.keys is not None:
            announce(f"The pairing string has not changed. To print it: backend pairing --data {data}")
        sys.setswitchinterval(SWITCH)
        # Whoever started this process may wait for that line at the other end of a pipe.
        sys.stdout.flush()
        if end_with_input:
            threading.Thread(target=_stop_with_input, args=(server,), daemon=True).start()
        server.run()


class ClientLimits(NamedTuple):
    """What one client may have: bytes in the store, jobs that wait or run, and connections."""

    bytes: int | None = None
    jobs: int = CLIENT_JOBS
    sessions: int = CLIENT_SESSIONS


class Server:
    """A server that is bound and owns its data folder from construction to :meth:`close`.

    Args: as :func:`serve`, ``selector_command`` and ``corrector_command``, the programs that select in results and
    correct them, see :mod:`backend.server.question_protocol`, ``probe_command``, the one that looks at the machine,
    see :mod:`backend.server.capabilities`, and ``session_lifetime``, seconds of silence that a session survives.

    Attributes:
        address: of the control socket, as clients connect to it.
        keys: what it encrypts with, None where it does not.
        known_keys: the keys that are let in, None where nothing is encrypted.
        paired_anew: whether they were made just now.
    """

    def __init__(
        self,
        bind: str,
        data: Path,
        device: Literal["auto", "cuda", "cpu"] = "auto",
        *,
        encrypted: bool = False,
        keep: int = KEEP,
        limits: ClientLimits | None = None,
        worker_memory: int | None = None,
        worker_command: Sequence[str] = WORKER,
        selector_command: Sequence[str] = SELECTOR,
        searcher_command: Sequence[str] = SEARCHER,
        corrector_command: Sequence[str] = CORRECTOR,
        probe_command: Sequence[str] = PROBE,
        methods: Sequence[MethodInfo] = METHODS,
        session_lifetime: float = LIFETIME,
        log: Log | None = None,
        metrics: str | None = None,
        ray_address: str | None = None,
    ) -> None:
        where = parse_bind(bind)
        watched_at = None if metrics is None else parse_metrics_address(metrics)
        cluster = None if ray_address is None else RayCluster(ray_address, token_of_user())
        limits = limits or ClientLimits()
        self._stopping = self._broken = False
        self._old_left = True
        self._letters: deque[Callable[[], object]] = deque()
        self.log = log or Log()
        self.counts = Counts()
        self._logged: dict[str, tuple[str, str]] = {}
        self._turned_at = time.monotonic()
        with contextlib.ExitStack() as opened:
            opened.enter_context(_data_folder(data))
            self.keys, self.paired_anew = (
                key_file.load_or_make(data) if encrypted or not where.is_loopback else (None, False)
            )
            self._wake = Wakeup()
            opened.callback(self._wake.close)
            self.store = Store(data / "store")
            owners = Owners(data / "files.sqlite")
            opened.callback(owners.close)
            if shared_by_all(data / "jobs.sqlite"):
                owners.adopt(DEFAULT_CLIENT, self.store)
            self.jobs = Jobs(data / "jobs.sqlite", self._changed, self._wake)
            opened.callback(self.jobs.close)
            if self.jobs.damaged:
                raise Unavailable(
                    f"{len(self.jobs.damaged)} jobs in {data / 'jobs.sqlite'} cannot be read.",
                    f"Run backend check {data}, which removes them.",
                )
            make_private(data)
            self.sessions = Sessions(session_lifetime, limits.sessions)
            self.files = FileLoop(
                self.sessions,
                self.store,
                owners,
                keep,
                limits.bytes,
                self._scenes_in_use,
                self._post,
                self._thread_failed,
            )
            opened.callback(self.files.close)
            self.questions = ResultQuestions(
                self.store, data, selector_command, [*searcher_command, device], corrector_command, self._wake
            )
            self.capabilities = CapabilityProbe(data / "facts.log", [*probe_command, device], self._wake)
            if cluster is None:
                executor = LocalExecutor(worker_command, self.capabilities)
            else:
                executor = RayExecutor(cluster, worker_command, self._wake, self._thread_failed, self.log)
            opened.callback(executor.close)
            self.workers = Workers(self.jobs, self.store, data / "jobs", executor, device, worker_memory)
            self.control = Control(
                self.sessions,
                self.jobs,
                self.workers,
                self.files,
                self.store,
                self.questions,
                self.capabilities,
                self._drop,
                _name(),
                methods,
                limits.jobs,
            )
            for each in (self.control, self.workers, self.files.uploads):
                each.log = self.log
                each.counts = self.counts
            self.workers.pictured = self.control.publish_picture
            self.workers.wake = self._wake
            self._front = Front(MAX_FRAME, raise_file_limit(), self._thread_failed)
            opened.callback(self._front.close)
            self.sessions.alive = self._front.alive
            context = opened.enter_context(zmq.Context())
            self.known_keys = known = KnownKeys(data, self._revoke) if self.keys is not None else None
            self._zap_auth = ZapAuthenticator(context, known) if known is not None else None
            if self._zap_auth is not None:
                opened.callback(self._zap_auth.close)
            self.control_socket = RouterSocket(context, self._front, where, self._lost_control, self.keys, known)
            opened.callback(self.control_socket.close)
            bulk = self.control_socket.address.next() if where.port else where
            self.bulk_socket = RouterSocket(
                context, self._front, bulk, self.files.lost, self.keys, known, high_water=BULK_HIGH_WATER
            )
            opened.callback(self.bulk_socket.close)
            self.files.socket = self.bulk_socket
            opened.callback(self.files.stop)
            self._front.start()
            if known is not None:
                known.start()
                opened.callback(known.close)
            else:
                self.control.gate = LocalGate((load_or_make_token(), self.control.token), self.control_socket.address)
            self.control.bulk_address = str(self.bulk_socket.address)
            self.control.nearby = where.is_loopback
            self.address = str(self.control_socket.address)
            opened.callback(self.questions.close)
            opened.callback(self.capabilities.close)
            self.workers.recover()
            self.jobs.flush(RECOVERY_PATIENCE)
            opened.callback(self._finish)
            self.files.start()
            self._evict()
            opened.enter_context(contact.told(data, self.address, self.control.token, encrypts=self.keys is not None))
            self.metrics_server = None
            if watched_at is not None:
                self.metrics_server = MetricsServer(watched_at, self._look, self.counts, lambda: self.alive)
                opened.callback(self.metrics_server.close)
            self._close = opened.pop_all().close
        self.log.say("serving", address=self.address, data=str(data), process=os.getpid(), version=_name())

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> None:
        """Make :meth:`run` return; may be called from a signal handler or another thread."""
        self._stopping = True
        self._wake()

    def close(self) -> None:
        """Have the workers write checkpoints and end, put their jobs back into the queue, and let go of everything."""
        self.log.say("stopping")
        self._close()
        self.log.say("stopped")

    def run(self) -> None:
        """Serve until :meth:`stop`."""
        poller = zmq.Poller()
        poller.register(self._wake.socket, zmq.POLLIN)
        poller.register(self.control_socket.socket, zmq.POLLIN)
        poller.register(self.control_socket.monitor, zmq.POLLIN)
        if self._zap_auth is not None:
            poller.register(self._zap_auth.socket, zmq.POLLIN)
        while not self._stopping:
            poller.poll(round(self._pause() * 1000))
            self._wake.clear()
            self._turn()
            self._turned_at = time.monotonic()

        if self._broken:
            raise RuntimeError("a thread ended by an error; its traceback is above")

    @property
    def alive(self) -> bool:
        """Whether the loop runs, which turns at least once a second."""
        return time.monotonic() - self._turned_at < STUCK_AFTER

    def _look(self, deliver: Callable[[Overview | Fault], object]) -> None:
        self._post(lambda: self.control.overviews.ask(deliver))

    def _thread_failed(self) -> None:
        self._broken = True
        self.stop()

    def _turn(self) -> None:
        if self._zap_auth is not None:
            self._zap_auth.answer()
        self.control_socket.turn_away()
        for received in self.control_socket.receive(CONTROL_TURN):
            self.control.handle(received, self.control_socket)
        while self._letters:
            self._letters.popleft()()
        self.workers.tick()
        self.jobs.deliver()
        if self._old_left:
            self._old_left = self.workers.forget_old(KEPT_JOBS, FORGOTTEN_AT_ONCE)
        self.questions.tick()
        self.capabilities.tick()
        self.control.push(self.control_socket)
        self.control.send_heartbeats(self.control_socket)
        self.control_socket.flush()
        for session in self.sessions.silent(time.monotonic()):
            self._drop(session)

    def _pause(self) -> float:
        """Seconds to wait for news at most; short where a slow peer is to be tried again."""
        held_back = self.control.unsent or self.control_socket.waiting or self._old_left
        return min(self.workers.pause(), 0.02 if held_back else 1.0)

    def _finish(self) -> None:
        self.workers.stop()
        self.control.push(self.control_socket)

    def _changed(self, job: Job) -> None:
        self._log_change(job)
        self.control.publish(job)
        if job.state in FINAL_STATES:
            if job.manifest is not None:
                self.files.grant(job.client, job.manifest)
            self._old_left = True
            self._evict()

    def _log_change(self, job: Job) -> None:
        """Log a new state or stage of a job; a step within a stage is too little."""
        before = self._logged.get(job.id, ("queued", ""))
        self._logged[job.id] = (job.state, job.stage)
        client = job.client
        if job.state in FINAL_STATES:
            self.counts.jobs_ended[job.state] += 1
            del self._logged[job.id]
            self.control.submitted.discard(job.id)
        if before == (job.state, job.stage):
            return
        if job.error is not None:
            code, sentence = job.error.code, job.error.sentence
            self.log.say("failed", level="error", job=job.id, client=client, code=code, sentence=sentence)
        elif job.state == "running" and job.stage:
            self.log.say("stage", job=job.id, client=client, stage=job.stage)
        elif job.state == "queued":
            self.counts.worker_losses += 1
            self.log.say("queued-again", level="warning", job=job.id, client=client, note=job.note)
        else:
            self.log.say(job.state, job=job.id, client=client)

    def _evict(self) -> None:
        self.files.evict(self.jobs.contents_of_ended())

    def _scenes_in_use(self) -> list[str]:
        """Return the manifests of the scenes that jobs wait for or work on; called from another thread."""
        return [job.scene for job in self.jobs.in_state("queued", "running", "cancelling")]

    def _post(self, act: Callable[[], object]) -> None:
        """Have something called by the loop; from any thread."""
        self._letters.append(act)
        self._wake()

    def _revoke(self, keys: frozenset[str]) -> None:
        """Close the connections of keys that have become invalid; from any thread."""

        def drop() -> None:
            for session in self.sessions.of_keys(keys):
                self._drop(session)
            self._front.drop(keys)

        self._post(drop)

    def _drop(self, session: Session) -> None:
        self.log.say("disconnected", client=session.client)
        if session.bulk is not None:
            self.files.forget(session.bulk)
        self.control_socket.forget(session.control)
        self.sessions.drop(session)

    def _lost_control(self, peer: bytes) -> None:
        session = self.sessions.on_control(peer)
        if session is not None:
            self._drop(session)


@contextlib.contextmanager
def _disk_in_sentences(data: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with the data folder."""
    try:
        yield
    except OSError as error:
        raise _unusable(data, error) from error


def _unusable(data: Path, error: OSError) -> Unavailable:
    full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
    remedy = "Free some space there and start the server again." if full else "Choose another folder with --data."
    return Unavailable(f"The data folder {data} cannot be used: {error.strerror or error}.", remedy)


@contextlib.contextmanager
def _data_folder(data: Path) -> Iterator[None]:
    """Make the data folder, close it to other users, and hold it."""
    try:
        make_private(data)
        held = lock.hold(data / "lock")
    except OSError as error:
        raise _unusable(data, error) from error
    if held is None:
        owner = lock.signature(data / "lock")
        raise Refused(
            f"The data folder {data} is in use by another server (process {owner}).",
            "Stop that server, or choose another folder with --data.",
        )
    with held:
        lock.sign(data / "lock", str(os.getpid()))
        yield


def _stop_with_input(server: Server) -> None:
    while os.read(0, 4096):
        pass
    server.stop()


@contextlib.contextmanager
def _ended_by_signals(server: Server) -> Iterator[None]:
    """SIGINT, SIGTERM and Windows' Ctrl-Break stop the server; only a process's main thread is told of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    earlier = {number: signal.signal(number, lambda *_: server.stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _name() -> str:
    return f"SplatLift {version('splatlift')}"

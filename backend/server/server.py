"""The server: a loop that never waits for a client, a worker, a disk or a lock.

The loop handles the control socket. Separate threads handle the connections (:mod:`backend.server.front`), the bulk
socket and the store (:mod:`backend.server.file_loop`) and the database (:mod:`backend.server.job_file`).

SIGINT and SIGTERM stop it in an orderly way. However it ended, the next server on the same data folder has all jobs:
finished jobs with their results, queued jobs in the queue, and running jobs, which continue from their checkpoints.
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
from typing import NamedTuple

import zmq

from backend import lock
from backend.lift_methods import METHODS
from backend.server import contact
from backend.server import keys as key_file
from backend.server.capabilities import CapabilityProbe
from backend.server.clients import DEFAULT_CLIENT
from backend.server.control import CLIENT_JOBS, Control
from backend.server.counts import Counts
from backend.server.executor import Executor
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
from backend.server.worker_protocol import Device
from backend.server.workers import Workers
from backend.server.zap_auth import ZapAuthenticator
from protocol.address import DEFAULT, Address, parse_bind
from protocol.errors import Fault, Refused, Unavailable
from protocol.messages import FINAL_STATES, MethodInfo, Overview
from protocol.store import Store

WORKER = (sys.executable, "-m", "backend.server.worker")
"""The command that runs a job; the job's folder and a token are added to it."""
SELECTOR = (sys.executable, "-m", "backend.server.selection_worker")
"""The command that selects in results; the store and a folder are added to it."""
SEARCHER = (sys.executable, "-m", "backend.server.words_worker")
"""The command that finds objects by words; the device of the server, the store and a folder are added to it."""
CORRECTOR = (sys.executable, "-m", "backend.server.correction_worker")
"""The command that corrects results; the store and a folder are added to it."""
PROBE = (sys.executable, "-m", "backend.server.probe")
"""The command that finds the capabilities of the machine; the device of the server is added to it."""

KEEP = 200_000_000_000
"""Default size limit of the store in bytes."""
SWITCH = 0.001
"""Python's switch interval in seconds. With the default, a thread that checks a manifest delays each step of the others
by 5 ms, and an answer needs several steps."""
KEPT_JOBS = 10_000
"""Number of ended jobs whose records are kept; older records are removed, and those jobs are never run again."""
FORGOTTEN_AT_ONCE = 100
"""Most records that are removed in one turn of the loop."""
RECOVERY_PATIENCE = 10.0
"""Longest wait at the start for writing the new states of jobs that the last server left, in seconds."""

STUCK_AFTER = 10.0
"""Seconds without a turn of the loop after which the server counts as down."""

CONTROL_TURN = 64
"""Most messages read from the socket in one turn of the loop."""


def serve(
    bind: str = DEFAULT,
    data: Path = Path("splatlift-data"),
    device: Device = "auto",
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
        device: of jobs that do not name one; "auto" lets the worker choose.
        announce: called when clients may connect, with a line that ends with the control socket's address. With
            encryption it is called again, with a line that contains the pairing string or says how to get it.
        encrypted: whether to encrypt on loopback too; other connections are always encrypted.
        end_with_input: whether to stop when standard input ends. A pipe from the program that started this process
            closes when that program exits or is killed.
        keep: size limit of the store in bytes; beyond it, scenes and results of ended jobs are removed, oldest first.
        limits: of one client.
        worker_memory: memory limit of a worker in bytes; None for 90 % of the memory of this machine or container.
        log_format: of the log, which goes to standard error; see :class:`backend.server.log.Log`.
        metrics: ``PORT`` or ``HOST:PORT`` of the HTTP server of :mod:`backend.server.metrics`; None for no such server.
        ray_address: of the Ray cluster that runs the workers, see :mod:`backend.server.ray_executor`; None for
            processes of this machine.
        worker_command: the program that runs a job, see :mod:`backend.server.worker_protocol`.
        searcher_command: the program that finds objects by words, see :mod:`backend.server.question_protocol`.
        methods: the lifting methods that clients can choose.

    Raises:
        BadArgument: if ``bind``, ``metrics`` or ``ray_address`` is invalid.
        Refused: if another server uses ``data``.
        Unavailable: if the port is in use, or ``data`` or the keys in it cannot be used.
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
        # The program that started this process may read that line from a pipe.
        sys.stdout.flush()
        if end_with_input:
            threading.Thread(target=_stop_with_input, args=(server,), daemon=True).start()
        server.run()


class ClientLimits(NamedTuple):
    """Limits of one client: bytes in the store, jobs that wait or run, and connections."""

    bytes: int | None = None
    jobs: int = CLIENT_JOBS
    sessions: int = CLIENT_SESSIONS


class Server:
    """A server that listens and owns its data folder from construction to :meth:`close`.

    Args:
        selector_command, corrector_command: the programs that select in results and correct them, see
            :mod:`backend.server.question_protocol`.
        probe_command: the program that finds the capabilities, see :mod:`backend.server.capabilities`.
        session_lifetime: seconds of silence after which a session is removed.
        Otherwise as :func:`serve`.

    Attributes:
        address: of the control socket, for clients.
        keys: to encrypt with; None without encryption.
        known_keys: the keys of clients that may connect; None without encryption.
        paired_anew: whether ``keys`` were just created.
    """

    def __init__(
        self,
        bind: str,
        data: Path,
        device: Device = "auto",
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
        self._too_much_kept = False
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
            self.sessions = Sessions(session_lifetime, limits.sessions)
            self._open_data(opened, data, keep, limits.bytes)
            self.questions = ResultQuestions(
                self.store, data, selector_command, [*searcher_command, device], corrector_command, self._wake
            )
            self.capabilities = CapabilityProbe(data / "facts.log", [*probe_command, device], self._wake)
            executor = self._executor(worker_command, cluster)
            opened.callback(executor.close)
            self.workers = Workers(self.jobs, self.store, data / "jobs", executor, device, worker_memory)
            self._answer_with(methods, limits.jobs)
            self._open_sockets(opened, data, where)
            self._start(opened, data, watched_at)
            self._close = opened.pop_all().close
        self.log.say("serving", address=self.address, data=str(data), process=os.getpid(), version=_name())

    def _open_data(self, opened: contextlib.ExitStack, data: Path, keep: int, keep_each: int | None) -> None:
        """Open the store, and the databases of jobs and of the owners of files.

        Args:
            opened: closes what is opened here.
            data: the data folder.
            keep, keep_each: limits of :class:`backend.server.file_loop.FileLoop`.

        Raises:
            Unavailable: if there are jobs that cannot be read.
        """
        self.store = Store(data / "store")
        owners = Owners(data / "files.sqlite")
        opened.callback(owners.close)
        if shared_by_all(data / "jobs.sqlite"):
            owners.adopt(DEFAULT_CLIENT, self.store)
        # Without its lock, another server could use the folder.
        self.jobs = Jobs(data / "jobs.sqlite", self._changed, self._wake, [data / "lock"])
        opened.callback(self.jobs.close)
        if self.jobs.damaged:
            raise Unavailable(
                f"{len(self.jobs.damaged)} jobs in {data / 'jobs.sqlite'} cannot be read.",
                f"Run backend check {data}, which removes them.",
            )
        make_private(data)
        self.files = FileLoop(
            self.sessions,
            self.store,
            owners,
            keep,
            keep_each,
            self.jobs.manifests_in_use,
            self._post,
            self._thread_failed,
        )
        opened.callback(self.files.close)

    def _executor(self, worker_command: Sequence[str], cluster: RayCluster | None) -> Executor:
        """Return what runs the workers: processes of this machine, or jobs of a Ray cluster."""
        if cluster is None:
            return LocalExecutor(worker_command, self.capabilities)
        return RayExecutor(cluster, worker_command, self._wake, self._thread_failed, self.log)

    def _answer_with(self, methods: Sequence[MethodInfo], jobs_each: int) -> None:
        """Make what answers clients, and connect it with the parts that it tells about.

        Args:
            methods: the lifting methods that clients can choose.
            jobs_each: limit of the jobs of one client.
        """
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
            jobs_each,
        )
        for each in (self.control, self.workers, self.files.uploads):
            each.log = self.log
            each.counts = self.counts
        self.workers.pictured = self.control.publish_picture
        self.workers.wake = self._wake

    def _open_sockets(self, opened: contextlib.ExitStack, data: Path, where: Address) -> None:
        """Listen for clients, who are answered once :meth:`run` is called.

        Args:
            opened: closes what is opened here.
            data: the data folder.
            where: address of the control socket; port 0 takes two free ports.
        """
        self._front = Front(raise_file_limit(), self._thread_failed)
        opened.callback(self._front.close)
        self.sessions.alive, self.sessions.end = self._front.alive, self._front.end
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

    def _start(self, opened: contextlib.ExitStack, data: Path, watched_at: Address | None) -> None:
        """Continue the jobs of the last server, and publish how to reach this one.

        Args:
            opened: ends what is started here.
            data: the data folder.
            watched_at: address of the metrics; None for no metrics.
        """
        opened.callback(self.questions.close)
        opened.callback(self.capabilities.close)
        self.workers.recover()
        self.jobs.flush(RECOVERY_PATIENCE)
        opened.callback(self._finish)
        self.files.start()
        self._evict()
        opened.enter_context(contact.told(data, self.address, self.control.token, encrypts=self.keys is not None))
        self.metrics_server: MetricsServer | None = None
        if watched_at is not None:
            self.metrics_server = MetricsServer(watched_at, self._look, self.counts, lambda: self.alive)
            opened.callback(self.metrics_server.close)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> None:
        """Make :meth:`run` return; may be called from a signal handler or another thread."""
        self._stopping = True
        self._wake()

    def close(self) -> None:
        """Make the workers write checkpoints and end, queue their jobs again, and free all resources."""
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
            raise RuntimeError("a thread has failed; its traceback is above")

    @property
    def alive(self) -> bool:
        """Whether the loop runs; it turns at least once a second."""
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
        if self._too_much_kept and not self.files.evicting:
            self._evict()
        self.questions.tick()
        self.capabilities.tick()
        self.control.push(self.control_socket)
        self.control.send_heartbeats(self.control_socket)
        self.control_socket.flush()
        for session in self.sessions.silent(time.monotonic()):
            self._drop(session)

    def _pause(self) -> float:
        """Return the longest wait for events in seconds; short if messages to a slow peer wait."""
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
            self._old_left = self._too_much_kept = True

    def _log_change(self, job: Job) -> None:
        """Log a new state or stage of a job; progress within a stage is not logged."""
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
        self._too_much_kept = False
        self.files.evict(self.jobs.contents_of_ended())

    def _post(self, act: Callable[[], object]) -> None:
        """Make the loop call a function; may be called from any thread."""
        self._letters.append(act)
        self._wake()

    def _revoke(self, keys: frozenset[str]) -> None:
        """Close the connections of keys that have become invalid; may be called from any thread."""

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
        self.control.questions.withdraw(session.control)
        self.sessions.drop(session)

    def _lost_control(self, peer: bytes) -> None:
        session = self.sessions.on_control(peer)
        if session is not None:
            self.sessions.end(session.connection)
            self._drop(session)


@contextlib.contextmanager
def _disk_in_sentences(data: Path) -> Iterator[None]:
    """Turn an OSError of the data folder into an error with a sentence."""
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
    """Make the data folder, remove the rights of other users, and hold its lock."""
    try:
        str(data.resolve()).encode()
    except UnicodeEncodeError as error:
        # Workers and logs get the path as JSON.
        raise Unavailable(
            f"The path of the data folder {data} is not Unicode.", "Choose another with --data."
        ) from error
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
    """Stop the server on SIGINT, SIGTERM and Windows' Ctrl-Break; only the main thread can handle signals."""
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

"""Workers as jobs of a Ray cluster; see docs/scaling.md.

A worker has the same command line as a local one and is submitted under the id of its job, so Ray refuses to run it
twice. The id of a job's second worker ends with ``-2``, because Ray is slow to free an id. The nodes share the data
folder at the same path: a worker reads its scene from the store, and reports, checkpoints and the result are files of
the job's folder, as with local workers. A thread asks Ray; the server's loop never waits for it. Ray only says whether
a worker runs and how it ended; a worker that Ray does not know counts as killed. While Ray does not answer, the state
of workers does not change.
"""

from __future__ import annotations

import secrets
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from backend.server import worker_protocol
from backend.server.child_process import last_lines
from backend.server.log import Log
from backend.server.ray_cluster import Node, RayCluster, RayJob, UnreachableError
from backend.server.silence import Silence
from backend.server.worker_orders import TakesOrders
from backend.server.worker_protocol import Said, Step
from backend.server.worker_reports import WorkerReports
from protocol.whole_file import write_whole

ASK_EVERY = 1.0
"""Interval at which Ray is asked about each worker, in seconds."""
COUNT_EVERY = 30.0
"""Interval at which Ray is asked for the nodes, in seconds: clusters grow and shrink."""
STOP_AFTER = 5.0
"""Seconds from asking a worker to cancel until Ray is told to end it: files on a shared disk arrive late."""
ABANDON_AFTER = 30.0
"""Seconds until a worker counts as ended even if Ray says that it runs."""
UNSTARTED_AFTER = 5.0
"""Seconds until a worker that Ray has not started and was told to end counts as ended: Ray keeps such jobs for a while.
If Ray starts it later, it finds no assignment."""
NOTE = "ray.json"
"""The file of the job's folder with the tokens of its workers, in the order of their starts."""
EARLIER = 3
"""Number of earlier workers of a job that Ray is asked about before another is submitted."""


class _Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tokens: list[str]


_note = msgspec.json.Decoder(_Note, strict=True)


class RayWorker(TakesOrders):
    """A worker in the cluster. The executor's thread calls :meth:`advance`, the server's loop everything else.

    Args:
        job: its id.
        folder: the job's, as an absolute path.
        tokens: of the job's workers, this one's last.
        command: to submit; None if an earlier server has submitted it.
        gpus: their number; 0 for a worker on a CPU.
    """

    same_boot = False

    def __init__(self, job: str, folder: Path, tokens: list[str], command: Sequence[str] | None, gpus: int) -> None:
        super().__init__(folder)
        ids = [job if number == 1 else f"{job}-{number}" for number in range(1, len(tokens) + 1)]
        self.name = f"Ray job {ids[-1]}"
        self._id = ids[-1]
        self._earlier = ids[-EARLIER - 1 : -1]
        self._token = token = tokens[-1]
        self._command = command
        self._gpus = gpus
        self._reports = WorkerReports(folder, token)
        self._adopted: str | None = None
        """The token of an earlier worker of the job that Ray still runs; the server's loop then reads its reports."""
        self._pending = ""
        self._told_pending = ""
        self._silence = Silence()
        self._unwanted: float | None = None
        """Time since which Ray is asked to end it."""
        self._stopped = False
        self._ended = False
        self._status: int | None = None

    # The server's loop

    def heard(self) -> list[Said]:
        if (token := self._adopted) is not None:
            self._reports, self._adopted = WorkerReports(self.folder, token), None
        said = self._reports.heard()
        if said or self._pending:
            self._silence.broken()
        if not said and self._pending != self._told_pending:
            self._told_pending = self._pending
            if self._pending:
                return [Step("waiting for Ray", 0.0, self._pending)]
        return said

    def frozen(self) -> str | None:
        return self._silence.frozen(None)

    def insist(self) -> bool:
        waited = self.waited()
        if waited is None:
            return False
        if self._pending or waited > STOP_AFTER:
            self.kill()
        return waited > ABANDON_AFTER

    def runs(self) -> bool:
        return not self._ended

    def status(self) -> int | None:
        return self._status

    def kill(self) -> None:
        if self._unwanted is None:
            self._unwanted = time.monotonic()

    def end(self) -> None:
        self.kill()

    def last_lines(self, most: int) -> list[str]:
        return last_lines(self.folder / worker_protocol.LOG, most)

    # The executor's thread

    def advance(self, cluster: RayCluster, cpus: int) -> bool:
        """Ask Ray about it, and submit or end it if needed; return whether it has ended.

        Args:
            cluster: runs it.
            cpus: number that a worker without a GPU reserves.

        Raises:
            UnreachableError: if Ray does not answer.
        """
        found = cluster.job(self._id)
        if found is None:
            found = self._adopt(cluster)
        if found is not None and not found.ended:
            self._follow(found, cluster)
        elif found is None and self._command is not None and self._unwanted is None:
            cluster.submit(
                self._id,
                _shell(self._command, self.folder, self._token),
                {"token": self._token},
                gpus=self._gpus or None,
                cpus=None if self._gpus else cpus,
            )
            self._command = None
        else:
            self._pending = ""
            status = found.driver_exit_code if found is not None else None
            # HELD means that another worker still has the folder; that says nothing about the job.
            self._status = None if status == worker_protocol.HELD else status
            self._ended = True
        return self._ended

    def _adopt(self, cluster: RayCluster) -> RayJob | None:
        """Find an earlier worker of the job that still runs: its server ended before the job was written as running."""
        for id in self._earlier:
            found = cluster.job(id)
            if found is not None and not found.ended and (token := (found.metadata or {}).get("token")):
                self._id, self._adopted = id, token
                return found
        self._earlier = []
        return None

    def not_reached(self, reason: str) -> None:
        """Note why Ray did not answer."""
        if self._command is not None:
            self._pending = f"The server waits: {reason}."[:2000]

    def _follow(self, found: RayJob, cluster: RayCluster) -> None:
        """Handle a job that Ray has and that has not ended."""
        self._command = None
        if found.status == "PENDING":
            self._pending = (found.message or "The job has not started yet.")[:500]
        else:
            self._pending = ""
        if self._unwanted is not None:
            if not self._stopped:
                cluster.stop(self._id)
                self._stopped = True
            if found.status == "PENDING" and time.monotonic() - self._unwanted > UNSTARTED_AFTER:
                self._ended = True


class RayExecutor:
    """See :class:`backend.server.executor.Executor`.

    Args:
        cluster: runs the workers.
        command: the worker's program and first arguments on the nodes.
        wake: called from a thread when a worker or the cluster has changed.
        failed: called from the thread if an error ends it.
        log: gets a line when Ray stops or starts to answer.
    """

    outlives = True

    def __init__(
        self,
        cluster: RayCluster,
        command: Sequence[str],
        wake: Callable[[], object],
        failed: Callable[[], object],
        log: Log | None = None,
    ) -> None:
        self.name = f"Ray at {cluster.address}"
        self._cluster = cluster
        self._command = list(command)
        self._wake = wake
        self._failed = failed
        self._log = log or Log()
        self._nodes: list[Node] | None = None
        self._counted_at = 0.0
        self._trouble: str | None = "the Ray cluster has not answered yet"
        self._workers: list[RayWorker] = []
        self._news = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="ray", daemon=True)
        self._thread.start()

    @property
    def gpus(self) -> Sequence[str] | None:
        """One name for each GPU of the cluster, or for each node where there are no GPUs."""
        nodes = self._nodes
        if nodes is None:
            return None
        count = sum(node.gpus for node in nodes) or len(nodes)
        return [f"ray-{number}" for number in range(count)]

    @property
    def only_cpus(self) -> bool:
        return not any(node.gpus for node in self._nodes or ())

    def look_for_gpus(self) -> None:
        """Do nothing: the thread counts them regularly."""

    def missing(self) -> str | None:
        return self._trouble

    def start(self, job: str, folder: Path, gpus: Sequence[str]) -> RayWorker:
        folder = folder.resolve()
        tokens = [*_tokens(folder), secrets.token_hex(8)]
        (folder / worker_protocol.ORDER).unlink(missing_ok=True)
        write_whole(folder / NOTE, msgspec.json.encode(_Note(tokens)), durable=False)
        return self._follow(RayWorker(job, folder, tokens, self._command, 0 if self.only_cpus else len(gpus)))

    def find(self, job: str, folder: Path) -> RayWorker | None:
        folder = folder.resolve()
        tokens = _tokens(folder)
        return self._follow(RayWorker(job, folder, tokens, None, 0)) if tokens else None

    def close(self) -> None:
        self._closing = True
        self._news.set()
        self._thread.join(2.0)

    def _follow(self, worker: RayWorker) -> RayWorker:
        self._workers.append(worker)
        self._news.set()
        return worker

    def _run(self) -> None:
        whole = False
        try:
            while not self._closing:
                self._news.clear()
                try:
                    self._turn()
                except UnreachableError as error:
                    trouble = f"the Ray cluster at {self._cluster.address} cannot be used: {error}"
                    for worker in self._workers:
                        worker.not_reached(trouble)
                    self._say(trouble)
                else:
                    self._say(None)
                self._news.wait(ASK_EVERY)
            whole = True
        finally:
            if not whole:
                self._failed()

    def _turn(self) -> None:
        now = time.monotonic()
        if self._nodes is None or now - self._counted_at > COUNT_EVERY:
            self._nodes = self._cluster.nodes()
            self._counted_at = now
        cpus = min((node.cpus for node in self._nodes if node.cpus), default=1)
        for worker in list(self._workers):
            if worker.advance(self._cluster, cpus):
                self._workers.remove(worker)
                self._wake()

    def _say(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is None:
            self._log.say("ray-answers", address=self._cluster.address)
        else:
            self._log.say("ray-unreachable", level="warning", address=self._cluster.address, reason=trouble)
        self._wake()


def _tokens(folder: Path) -> list[str]:
    try:
        return _note.decode((folder / NOTE).read_bytes()).tokens
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):  # no worker was submitted
        return []


def _shell(command: Sequence[str], folder: Path, token: str) -> str:
    """Return the worker's command line for a shell; the job's log is its output."""
    log = shlex.quote(str(folder / worker_protocol.LOG))
    return f"exec {shlex.join([*command, str(folder), token])} >>{log} 2>&1"

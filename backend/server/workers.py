"""Starts the workers of jobs, at most one on each GPU, and follows each until its job has ended.

The state of a job becomes "done" when its result is stored, and "cancelled" when its worker has ended. If a worker is
killed or frozen, its job continues from its checkpoint, up to :data:`RETRIES` times; these are counted again from 0
whenever the checkpoint has advanced, so that a job of days survives any number of rare failures.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from backend.server import places, worker_protocol
from backend.server.checkpoint_steps import completed_steps
from backend.server.counts import Counts
from backend.server.executor import Executor, Worker
from backend.server.jobs import Job, Jobs
from backend.server.log import Log
from backend.server.shortage import shortage
from backend.server.store_result import store_result
from backend.server.worker_protocol import Assignment, Device, Done, Failed, Pictured, Step, Stopping, clip
from protocol.errors import Fault, JobFailed, Unavailable
from protocol.messages import Error
from protocol.store import Store

STEP_INTERVAL = 0.1
"""Least time between two reports of progress within one stage, in seconds."""
WAIT = 0.5
"""Seconds until a job is tried again if disk space, memory or file descriptors were lacking."""
STORE_AFTER = 60.0
"""Longest time to store a finished result when the server ends, in seconds; after it, the next server stores it."""
HEAR_AFTER = 1.0
"""Longest wait for a worker to confirm that it stops, when the server ends, in seconds."""
STOP_AFTER = 8.0
"""Longest wait for the checkpoint of such a worker, in seconds. Container runtimes kill a server after 10."""
RETRIES = 3
"""How many times a job is started again from the same checkpoint after its worker was killed or froze."""
RETRY_AFTER = (0.0, 10.0, 60.0)
"""Seconds from the end of a worker to the first, second and third restart of its job: the program that used the memory
may have ended by then."""
LACKS_AFTER = (10.0, 30.0, 120.0, 600.0, 3600.0, 3600.0)
"""Seconds after which a job is started again whose worker lacked disk space, memory or file descriptors."""
LOOK_AFTER = 1.0
"""Seconds that a job waits before the GPUs are counted, because that starts a process that loads torch."""
LAST_LINES = 5
"""Number of lines quoted from the log of a worker that was killed."""
SERVER_ENDS = 2
"""A job fails when its worker and the server have ended together this many times at the same checkpoint: the job may be
the cause."""

_STOPPED = "The server was stopped; the job continues from its last checkpoint."


class RunningJob:
    """A job whose worker runs, or whose result is being stored.

    Args:
        device: that the worker uses; "auto" if the worker chooses.
        gpus: names of the GPUs that the worker may use.
        folder: the job's.
        process: the worker.

    Attributes:
        job: the job's id.
        wanted: number of requested GPUs.
        news: the newest reported step that is not written yet.
        stage, told_at: of the last written step, and its time.
        stopping: whether the worker has confirmed that it stops.
        frozen: how the worker was frozen, as a part of a sentence; None if it was not.
        verdict: the worker's final report.
        storing: the hash and size of the result's manifest, once it is stored; None before the worker is done.
        unwanted: set if storing the result must end.
        wait_until: time before which nothing is done for the job, because something was lacking.
        settled: whether the job has its next state, so that the worker's end does not change it.
        began: time at which this server started or found the worker.
    """

    def __init__(self, job: Job, device: Device, gpus: Sequence[str], folder: Path, process: Worker) -> None:
        self.job = job.id
        self.device: Device = device
        self.wanted = job.request.gpus
        self.gpus = tuple(gpus)
        self.folder = folder
        self.process = process
        self.news: Step | None = None
        self.stage = ""
        self.told_at = 0.0
        self.stopping = False
        self.frozen: str | None = None
        self.verdict: Done | Failed | None = None
        self.storing: Future[tuple[str, int]] | None = None
        self.unwanted = threading.Event()
        self.wait_until = 0.0
        self.settled = False
        self.began = time.monotonic()


class Workers:
    """Starts queued jobs and follows each to a final state.

    Args:
        jobs: the table of jobs.
        store: for scenes and results.
        root: contains a folder per job.
        executor: starts the workers.
        device: of jobs with the device "auto": "auto" (the worker chooses), "cuda" or "cpu".
        memory: limit of a worker in bytes; None for the default of this machine.

    Attributes:
        pictures: the newest picture of each running job.
        pictured: called with a job that has a new picture.
        wake: called from a thread when a result is stored.
        log: gets a line for each worker.
        counts: what was done since the start.
    """

    def __init__(
        self,
        jobs: Jobs,
        store: Store,
        root: Path,
        executor: Executor,
        device: Device,
        memory: int | None = None,
    ) -> None:
        self.jobs = jobs
        self.store = store
        self.root = root
        self.executor = executor
        self.device: Device = device
        self.memory = memory
        self.runs: list[RunningJob] = []
        self._not_before: dict[str, float] = {}
        self._lacked: dict[str, int] = {}
        """For each job, how many times its worker lacked something at the same checkpoint, since the start of this
        server."""
        self._look_at = 0.0
        self._waited = False
        self.pictures: dict[str, NDArray[np.uint8]] = {}
        self.pictured: Callable[[str], object] = lambda job: None
        self.wake: Callable[[], object] = lambda: None
        self.log = Log()
        self.counts = Counts()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="results")

    def recover(self) -> None:
        """Continue the jobs that an earlier server left unfinished.

        A worker that still runs is followed, and a finished result is stored. The other jobs are queued again, except
        those that may have ended their servers, see :data:`SERVER_ENDS`.
        """
        for job in self.jobs.in_state("running", "cancelling"):
            folder = self._folder(job.id)
            process = self.executor.find(job.id, folder)
            if job.state == "cancelling":
                if process is not None:
                    process.end()
                self.jobs.cancelled(job.id)
                self._tidy(folder)
            elif process is None:  # its server ended before a worker had started
                self.jobs.requeue(job.id, _STOPPED)
            else:
                run = RunningJob(job, self._device(job), _gpus(folder), folder, process)
                self.runs.append(run)
                self.log.say("worker-found", job=job.id, worker=process.name, runs=process.runs())
                if not process.runs() or _was_being_stored(folder):
                    self._take_over(run)

    def _take_over(self, run: RunningJob) -> None:
        """Handle a job whose worker ended while no server ran, or together with the server."""
        self._listen_to_all(run)
        # A worker with a final report did not end together with the server, unless its result was being stored.
        if (run.process.same_boot and run.verdict is None) or _was_being_stored(run.folder):
            self._note_saved_steps(run)
            ends = self.jobs.server_ended(run.job)
            if ends >= SERVER_ENDS:
                sentence = f"The server ended {ends} times while this job ran, so the job is not run again."
                remedy = f"See {run.folder / worker_protocol.LOG}; submit the job again if it was not the cause."
                self._settle_failed(run, JobFailed.code, sentence, remedy)
                self._remove(run)
                return
        if run.verdict is None and not run.process.runs():
            self.jobs.requeue(run.job, _STOPPED)
            self._remove(run)

    def tick(self) -> None:
        """Do for each job what can be done now. An error of one job does not affect the others."""
        now = time.monotonic()
        for run in list(self.runs):
            if now < run.wait_until:
                continue
            try:
                self._attend(run)
            except OSError as error:
                if (missing := shortage(error)) is not None:
                    run.wait_until = now + WAIT
                    self._say_waiting(run.job, missing)
                else:
                    self._give_up(run, error)
        self._look_for_gpus(now)
        if (missing := self.executor.missing()) is not None:
            for job in self.jobs.in_state("queued")[:1]:
                self._say_waiting(job.id, missing)
            return
        for job, gpus in self._startable():
            self._start(job, gpus)

    def _look_for_gpus(self, now: float) -> None:
        """Count the GPUs once a job has waited for a while, because it might run at the same time as others."""
        if self.executor.gpus is not None or now < self._look_at:
            return
        self._look_at = now + LOOK_AFTER
        waits = bool(self.runs) and any(self._device(job) != "cpu" for job in self.jobs.in_state("queued"))
        if waits and self._waited:
            self.executor.look_for_gpus()
        self._waited = waits

    def _give_up(self, run: RunningJob, error: OSError) -> None:
        """End a job whose folder cannot be used."""
        run.process.kill()
        if not run.settled:
            sentence = f"The job's folder {run.folder} cannot be used: {error.strerror}."
            self._settle_failed(run, Unavailable.code, sentence, "Submit the job again.")
        self._remove(run)

    def _say_waiting(self, job: str, missing: str) -> None:
        """Tell the followers of a job what it waits for."""
        now = self.jobs.get(job)
        note = clip(f"The server waits: {missing}.", 2000)
        if now.state in ("queued", "running") and now.note != note:
            self.log.say("waiting", level="warning", job=job, reason=missing)
            self.jobs.step(job, now.stage, now.fraction, note)

    def pause(self) -> float:
        """Return the longest time to the next :meth:`tick` in seconds."""
        return 0.05 if self.runs else 1.0

    def cancel(self, job: str) -> Job:
        """Cancel a job: a queued one at once, a running one within two seconds."""
        after = self.jobs.cancel(job)
        for run in self.runs:
            if run.job == job:
                run.process.ask_to_cancel()
        return after

    def forget_old(self, keep: int, most: int) -> bool:
        """Remove records and folders of ended jobs until ``keep`` are left, at most ``most`` of them at once.

        Which ones, :meth:`backend.server.jobs.Jobs.oldest_ended` says. Their ids are kept, so that they are not run
        again. Their scenes and results stay until the store needs space. Returns whether more jobs may remain to be
        removed.
        """
        if not self.jobs.all_written:
            return True  # changes that clients wait for are written first
        old = self.jobs.oldest_ended(keep, most)
        if old:
            self.jobs.forget(*old)
            self.jobs.when_written(lambda: self._pool.submit(_remove_folders, [self.root / job for job in old]))
        return bool(old)

    def stop(self) -> None:
        """Make workers write checkpoints and end, unless they outlive the server.

        Their jobs are queued again; jobs with a result are finished.
        """
        waiting = [run for run in self.runs if run.storing is None and not self.executor.outlives]
        for run in waiting:
            run.process.ask_to_stop()
        began = time.monotonic()
        while any(self._may_still_stop(run, time.monotonic() - began) for run in waiting):
            time.sleep(0.02)
        for run in waiting:
            run.process.kill()
            self._listen_to_all(run)
            if isinstance(run.verdict, Done) and self.jobs.get(run.job).state == "running":
                self._begin_to_store(run)
        for run in list(self.runs):
            if run.storing is not None:
                wait([run.storing], STORE_AFTER)
                self._store(run)
            if not run.settled:
                run.unwanted.set()
                if not self.executor.outlives:
                    self._leave(run)
        self.runs.clear()
        self.jobs.flush(STOP_AFTER)
        self._pool.shutdown()

    def _may_still_stop(self, run: RunningJob, waited: float) -> bool:
        self._listen(run)
        return run.process.runs() and waited < (STOP_AFTER if run.stopping else HEAR_AFTER)

    def _leave(self, run: RunningJob) -> None:
        if self.jobs.get(run.job).state == "cancelling":
            self.jobs.cancelled(run.job)
            self._tidy(run.folder)
        else:
            self.jobs.requeue(run.job, _STOPPED)

    def _startable(self) -> Iterator[tuple[Job, list[str]]]:
        """Yield the queued jobs that can start now and their GPUs, oldest first."""
        gpus = self.executor.gpus
        taken: set[str] = set()
        for run in self.runs:
            taken |= places.held(self._place(run.device), run.wanted, run.gpus, gpus)
        everything = {places.CPU, *([places.ANY_GPU] if gpus is None else gpus)}
        now = time.monotonic()
        for job in self.jobs.in_state("queued") if not everything <= taken else ():
            if now < self._not_before.get(job.id, now):
                continue
            device = self._place(self._device(job))
            found = places.find(device, job.request.gpus, taken, gpus)
            if found is None:
                taken |= places.reserved(device, gpus)
            else:
                taken |= set(found)
                yield job, [place for place in found if gpus and place in gpus]
            if everything <= taken:
                return

    @property
    def places(self) -> int | None:
        """How many jobs can run at the same time; None while it is not known."""
        return places.number(self.executor.gpus)

    def _device(self, job: Job) -> Device:
        return self.device if job.request.device == "auto" else job.request.device

    def _place(self, device: Device) -> Device:
        """Return the device whose places a job on ``device`` takes."""
        return "auto" if device == "cpu" and self.executor.only_cpus else device

    def _folder(self, job: str) -> Path:
        folder = self.root / job
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _start(self, job: Job, gpus: list[str]) -> None:
        device = self._device(job)
        try:
            folder = self._folder(job.id)
            store = str(self.store.root.resolve())
            assignment = Assignment(store, job.title, job.scene, job.request, device, self.memory, gpus)
            (folder / worker_protocol.STORING).unlink(missing_ok=True)
            worker_protocol.write_assignment(folder, assignment)
            process = self.executor.start(job.id, folder, gpus)
        except (Fault, OSError) as error:
            if (missing := shortage(error)) is not None:
                self._not_before[job.id] = time.monotonic() + WAIT
                self._say_waiting(job.id, missing)
                return
            if not isinstance(error, Fault):
                error = Unavailable(f"The job's folder cannot be written: {error.strerror}.")
            self.jobs.run(job.id)
            self._fail(job.id, error.code, error.sentence, error.remedy)
            return
        # If the server ends here, a worker of a queued job runs; the next server finds it when it starts the job.
        self._not_before.pop(job.id, None)
        self.jobs.run(job.id)
        self.runs.append(RunningJob(job, device, gpus, folder, process))
        self.counts.worker_starts += 1
        self.log.say("worker-started", job=job.id, worker=process.name, device=device, gpus=",".join(gpus))

    def _attend(self, run: RunningJob) -> None:
        if run.storing is not None:
            self._store(run)
            return
        self._listen(run)
        abandoned = run.process.insist()
        if run.process.runs():
            if abandoned and not run.settled:
                self._conclude(run, None)
            elif run.frozen is None and (how := run.process.frozen()) is not None:
                run.frozen = how
                self.log.say("worker-frozen", level="warning", job=run.job, worker=run.process.name)
                run.process.kill()
            return
        self._listen_to_all(run)
        run.process.kill()
        if not run.settled:
            self._conclude(run, run.process.status())
        if run.storing is None:
            self._remove(run)

    def _listen_to_all(self, run: RunningJob) -> None:
        """Read the remaining reports of a worker that has ended."""
        while self._listen(run):
            continue

    def _listen(self, run: RunningJob) -> bool:
        """Read some reports of a worker; return whether there were any."""
        lines = run.process.heard()
        for line in lines:
            if isinstance(line, Step):
                run.news = line
            elif isinstance(line, Pictured):
                if (picture := worker_protocol.read_picture(run.folder)) is not None:
                    self.pictures[run.job] = picture
                    self.pictured(run.job)
            elif isinstance(line, Stopping):
                run.stopping = True
            else:
                run.verdict = line
                # The worker has finished; if it hangs at its exit, it would keep the device.
                run.process.ask_to_cancel()
        self._tell(run, at_once=run.verdict is not None)
        return bool(lines)

    def _tell(self, run: RunningJob, at_once: bool) -> None:
        now = time.monotonic()
        news = run.news
        if news is None or not (at_once or news.stage != run.stage or now - run.told_at >= STEP_INTERVAL):
            return
        run.news, run.stage, run.told_at = None, news.stage, now
        if self.jobs.get(run.job).state == "running":
            stage, note = clip(news.stage, 200), clip(news.note, 2000)
            self.jobs.step(run.job, stage, news.fraction, note)

    def _conclude(self, run: RunningJob, status: int | None) -> None:
        """Set the state of a job whose worker has ended, or start to store its result."""
        if self.jobs.get(run.job).state == "cancelling":
            self._settle_cancelled(run)
        elif isinstance(run.verdict, Done):
            (run.folder / worker_protocol.STORING).touch()
            self._begin_to_store(run)
        elif isinstance(run.verdict, Failed):
            verdict = run.verdict
            self._settle_failed(run, verdict.code, verdict.sentence, verdict.remedy)
        elif status == worker_protocol.HELD and not run.frozen:
            self._follow_other(run)
        else:
            self._conclude_without_report(run, status)

    def _conclude_without_report(self, run: RunningJob, status: int | None) -> None:
        self._note_saved_steps(run)
        if status == worker_protocol.LACKS and self._lacked.get(run.job, 0) < len(LACKS_AFTER):
            self._start_later(run)
            return
        manner, retry = _manner(run, status)
        if retry:
            self._retry(run, manner)
        else:
            self._settle_ended(run, f"{manner}{_quote(run, 1)}.")

    def _note_saved_steps(self, run: RunningJob) -> None:
        """Count the failures of a job again from 0 if its checkpoint has advanced since the last one."""
        if self.jobs.note_saved_steps(run.job, completed_steps(run.folder / worker_protocol.CHECKPOINT)):
            self._lacked.pop(run.job, None)

    def _follow_other(self, run: RunningJob) -> None:
        """Follow the worker that holds the lock of the folder: an earlier server started it just before it ended."""
        run.settled = True
        other = self.executor.find(run.job, run.folder)
        if other is not None and other.runs():
            self.runs.append(RunningJob(self.jobs.get(run.job), run.device, run.gpus, run.folder, other))
        else:
            self._retry(run, "Another process still holds the job's folder")

    def _retry(self, run: RunningJob, manner: str) -> None:
        """Queue a job again whose worker was killed or froze; fail it if that has happened too often."""
        job = self.jobs.get(run.job)
        if job.retries >= RETRIES:
            quoted = f"{manner}{_quote(run, LAST_LINES)}"
            self._settle_ended(run, f"{quoted}. The job was started {RETRIES + 1} times without a new checkpoint.")
            return
        run.settled = True
        self._not_before[run.job] = time.monotonic() + RETRY_AFTER[job.retries]
        note = f"{manner}; the job continues from its last checkpoint (attempt {job.retries + 2} of {RETRIES + 1})."
        self.jobs.retry(run.job, clip(note, 2000))

    def _start_later(self, run: RunningJob) -> None:
        """Queue a job again whose worker lacked something, and remove its files except the checkpoint."""
        run.settled = True
        times = self._lacked.get(run.job, 0)
        self._lacked[run.job] = times + 1
        self._not_before[run.job] = time.monotonic() + LACKS_AFTER[times]
        self._pool.submit(_remove_folders, [run.folder / worker_protocol.SCENE, run.folder / worker_protocol.RESULT])
        note = f"The worker waits{_quote(run, 1)}; the job continues from its last checkpoint."
        self.jobs.requeue(run.job, clip(note, 2000))

    def _settle_ended(self, run: RunningJob, sentence: str) -> None:
        remedy = f"See the whole log in {run.folder / worker_protocol.LOG}."
        self._settle_failed(run, JobFailed.code, sentence, remedy)

    def _begin_to_store(self, run: RunningJob) -> None:
        def store() -> tuple[str, int]:
            steps = store_result(self.store, run.folder / worker_protocol.RESULT)
            while not run.unwanted.is_set():
                try:
                    next(steps)
                except StopIteration as end:
                    return end.value
            raise CancelledError

        run.storing = self._pool.submit(store)
        run.storing.add_done_callback(lambda _: self.wake())

    def _store(self, run: RunningJob) -> None:
        """Check whether a result is stored; the job is done then."""
        assert run.storing is not None
        if self.jobs.get(run.job).state == "cancelling":
            run.unwanted.set()
            self._settle_cancelled(run)
        elif not run.storing.done():
            return
        else:
            try:
                stored = run.storing.result()
            except (Fault, OSError) as error:
                if (missing := shortage(error)) is not None:
                    run.wait_until = time.monotonic() + WAIT
                    self._say_waiting(run.job, missing)
                    self._begin_to_store(run)
                    return
                if not isinstance(error, Fault):
                    error = Unavailable(f"The result cannot be stored: {error.strerror}.")
                self._settle_failed(run, error.code, error.sentence, error.remedy)
            else:
                self.jobs.finish(run.job, *stored)
                self.counts.job_seconds += time.monotonic() - run.began
                run.settled = True
                self._tidy(run.folder)
        self._remove(run)

    def _tidy(self, folder: Path) -> None:
        """Remove the files of an ended job once its end is written."""
        self._lacked.pop(folder.name, None)
        self.jobs.when_written(lambda: self._pool.submit(_tidy, folder))

    def _remove(self, run: RunningJob) -> None:
        self.runs.remove(run)
        self.pictures.pop(run.job, None)

    def _settle_cancelled(self, run: RunningJob) -> None:
        run.settled = True
        self.jobs.cancelled(run.job)
        self._tidy(run.folder)

    def _settle_failed(self, run: RunningJob, code: str, sentence: str, remedy: str) -> None:
        run.settled = True
        self._fail(run.job, code, sentence, remedy)
        self._tidy(run.folder)

    def _fail(self, job: str, code: str, sentence: str, remedy: str) -> None:
        self.jobs.fail(
            job,
            Error(
                clip(code, 200),
                clip(sentence, 2000),
                clip(remedy, 2000),
            ),
        )


def _was_being_stored(folder: Path) -> bool:
    """Whether a server started to store the result of a job since the last boot of the machine."""
    try:
        return (folder / worker_protocol.STORING).stat().st_mtime > psutil.boot_time() - worker_protocol.SAME_BOOT
    except OSError:
        return False


def _gpus(folder: Path) -> list[str]:
    """Return the GPUs of the worker in a job's folder."""
    try:
        return worker_protocol.read_assignment(folder).gpus
    except (OSError, ValueError):  # msgspec's errors are ValueErrors; the worker reports them
        return []


def _manner(run: RunningJob, status: int | None) -> tuple[str, bool]:
    """Return how a worker without a final report ended, as the beginning of a sentence, and whether to try again.

    A normal exit without a result is a defect of the worker or of its input, which would occur again.
    """
    if run.frozen:
        return f"The worker {run.frozen} and was ended", True
    if status is None:
        return "The worker ended unexpectedly", True
    if status >= _CRASH:
        return f"The worker crashed with status 0x{status:X}", True
    if status >= 0:
        return f"The worker ended with status {status} and without a result", False
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name == "SIGKILL":
        return "The worker was killed by SIGKILL, probably because memory ran out", True
    return f"The worker was killed by {name}", True


_CRASH = 0x80000000
"""The least exit status of a crash on Windows."""


def _quote(run: RunningJob, most: int) -> str:
    """Return the last lines of a worker's log, ``most`` or fewer, as the end of a sentence."""
    lines = run.process.last_lines(most)
    if not lines:
        return ""
    words = "the last line of its log is" if len(lines) == 1 else "the last lines of its log are"
    return f"; {words} {' / '.join(lines)!r}"


def _remove_folders(folders: Sequence[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _tidy(folder: Path) -> None:
    """Remove the files of an ended job, except the log and the lock."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            # A worker that still ends may write here; that only costs disk space.
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (worker_protocol.LOG, worker_protocol.LOCK):
            with contextlib.suppress(PermissionError):  # Windows does not remove open files
                path.unlink(missing_ok=True)

"""Which jobs run: one worker process each, one at a time per device, each followed to its end.

A job's end is told only when it is true: "done" when the result is in the store, "cancelled" when the worker is gone.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.server import worker_protocol
from backend.server.jobs import Job, Jobs
from backend.server.store_result import store_result
from backend.server.worker_process import WorkerProcess, end_orphan
from backend.server.worker_protocol import Assignment, Device, Done, Failed, Pictured, Step, clip
from protocol.errors import Fault, JobFailed, Unavailable
from protocol.messages import Error
from protocol.store import Store

STEP_INTERVAL = 0.1
"""Seconds between two reports of progress within one stage."""
STORE_SLICE = 0.01
"""Seconds of hashing at one go."""
STOP_AFTER = 1.0
"""Seconds that workers have to end when the server stops."""

_STOPPED = "The server was stopped; the job continues from its last checkpoint."


class RunningJob:
    """A job whose worker runs, or has ended and left a result that is being stored."""

    def __init__(self, job: Job, device: str, folder: Path, process: WorkerProcess) -> None:
        self.job = job.id
        self.device = device
        self.folder = folder
        self.process = process
        self.news: Step | None = None
        self.stage = ""
        self.told_at = 0.0
        self.verdict: Done | Failed | None = None
        self.storing: Generator[None, None, tuple[str, int]] | None = None
        self.settled = False


class Workers:
    """Starts the queued jobs and carries each to a final state.

    Args:
        jobs: the table of jobs.
        store: where scenes are and results go.
        root: holds a folder per job.
        command: the worker's program and first arguments.
        device: what "auto" means to the jobs: "auto" (the worker decides), "cuda" or "cpu".

    Attributes:
        pictures: of the jobs that run, the newest each.
        pictured: called with a job whose picture is new.
    """

    def __init__(self, jobs: Jobs, store: Store, root: Path, command: Sequence[str], device: Device) -> None:
        self.jobs = jobs
        self.store = store
        self.root = root
        self.command = list(command)
        self.device: Device = device
        self.runs: list[RunningJob] = []
        self.pictures: dict[str, NDArray[np.uint8]] = {}
        self.pictured: Callable[[str], object] = lambda job: None

    def recover(self) -> None:
        """Take up the jobs that an earlier server left unfinished: end its workers, and queue their jobs again."""
        for job in self.jobs.in_state("running", "cancelling"):
            folder = self._folder(job.id)
            end_orphan(folder)
            if job.state == "running":
                self.jobs.requeue(job.id, _STOPPED)
            else:
                self.jobs.cancelled(job.id)
                _tidy(folder)

    def tick(self) -> None:
        """Move every job on by what can be done now."""
        for run in list(self.runs):
            self._attend(run)
        for job in self._startable():
            self._start(job)

    def pause(self) -> float:
        """Seconds that may pass before the next tick, unless a worker speaks."""
        if any(run.storing for run in self.runs):
            return 0.0
        return 0.05 if self.runs else 1.0

    def cancel(self, job: str) -> Job:
        """End a job: at once where it waits, within two seconds where it runs."""
        after = self.jobs.cancel(job)
        for run in self.runs:
            if run.job == job:
                run.process.ask_to_stop()
        return after

    def stop(self) -> None:
        """End all workers. Their jobs are queued again, for the next server; those with a result are finished."""
        waiting = [run for run in self.runs if run.storing is None]
        for run in waiting:
            run.process.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_AFTER
        while time.monotonic() < deadline and any(run.process.status() is None for run in waiting):
            time.sleep(0.02)
        for run in waiting:
            run.process.close()
        for run in list(self.runs):
            while run.storing is not None and not run.settled:
                self._store(run)
            if not run.settled:
                self._leave(run)
        self.runs.clear()

    def _leave(self, run: RunningJob) -> None:
        if self.jobs.get(run.job).state == "cancelling":
            self.jobs.cancelled(run.job)
            _tidy(run.folder)
        else:
            self.jobs.requeue(run.job, _STOPPED)

    def _startable(self) -> Iterator[Job]:
        """Yield the queued jobs whose device no running and no earlier job is to use, oldest first."""
        taken = [run.device for run in self.runs]
        for job in self.jobs.in_state("queued"):
            device = self._device(job)
            if not any(device == other or "auto" in (device, other) for other in taken):
                yield job
            taken.append(device)

    def _device(self, job: Job) -> Device:
        return self.device if job.request.device == "auto" else job.request.device

    def _folder(self, job: str) -> Path:
        folder = self.root / job
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _start(self, job: Job) -> None:
        device = self._device(job)
        self.jobs.run(job.id)
        try:
            folder = self._folder(job.id)
            store = str(self.store.root.resolve())
            worker_protocol.write_assignment(folder, Assignment(store, job.title, job.scene, job.request, device))
            process = WorkerProcess(self.command, folder)
        except Fault as fault:
            self._fail(job.id, fault.code, fault.sentence, fault.remedy)
        except OSError as error:
            self._fail(job.id, Unavailable.code, f"The job's folder cannot be written: {error.strerror}.", "")
        else:
            self.runs.append(RunningJob(job, device, folder, process))

    def _attend(self, run: RunningJob) -> None:
        if run.storing is not None:
            self._store(run)
            return
        self._listen(run)
        abandoned = run.process.insist()
        if run.process.status() is None:
            if abandoned and not run.settled:
                self._conclude(run, None)
            return
        self._listen(run)
        run.process.close()
        if not run.settled:
            self._conclude(run, run.process.status())
        if run.storing is None:
            self._remove(run)

    def _listen(self, run: RunningJob) -> None:
        for line in run.process.heard():
            if isinstance(line, Step):
                run.news = line
            elif isinstance(line, Pictured):
                if (picture := worker_protocol.read_picture(run.folder)) is not None:
                    self.pictures[run.job] = picture
                    self.pictured(run.job)
            else:
                run.verdict = line
                # Nothing is left for it to do; one that hangs at its exit would hold the device.
                run.process.ask_to_stop()
        self._tell(run, at_once=run.verdict is not None)

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
        """Settle the job of a worker that has ended, or begin to store its result."""
        if self.jobs.get(run.job).state == "cancelling":
            self._settle_cancelled(run)
        elif isinstance(run.verdict, Done):
            run.storing = store_result(self.store, run.folder / worker_protocol.RESULT)
        elif isinstance(run.verdict, Failed):
            verdict = run.verdict
            self._settle_failed(run, verdict.code, verdict.sentence, verdict.remedy)
        else:
            sentence = f"{_manner(status)}{_quote(run.process.last_words())}."
            self._settle_failed(
                run, JobFailed.code, sentence, f"See the whole log in {run.folder / worker_protocol.LOG}."
            )

    def _store(self, run: RunningJob) -> None:
        """Store some more of a result; the job is done with the last of it."""
        assert run.storing is not None
        if self.jobs.get(run.job).state == "cancelling":
            self._settle_cancelled(run)
        else:
            until = time.monotonic() + STORE_SLICE
            try:
                while time.monotonic() < until:
                    next(run.storing)
                return
            except StopIteration as end:
                self.jobs.finish(run.job, *end.value)
                run.settled = True
                _tidy(run.folder)
            except Fault as fault:
                self._settle_failed(run, fault.code, fault.sentence, fault.remedy)
            except OSError as error:
                self._settle_failed(run, Unavailable.code, f"The result cannot be stored: {error.strerror}.", "")
        self._remove(run)

    def _remove(self, run: RunningJob) -> None:
        self.runs.remove(run)
        self.pictures.pop(run.job, None)

    def _settle_cancelled(self, run: RunningJob) -> None:
        run.settled = True
        self.jobs.cancelled(run.job)
        _tidy(run.folder)

    def _settle_failed(self, run: RunningJob, code: str, sentence: str, remedy: str) -> None:
        run.settled = True
        self._fail(run.job, code, sentence, remedy)
        _tidy(run.folder)

    def _fail(self, job: str, code: str, sentence: str, remedy: str) -> None:
        self.jobs.fail(
            job,
            Error(
                clip(code, 200),
                clip(sentence, 2000),
                clip(remedy, 2000),
            ),
        )


def _manner(status: int | None) -> str:
    """How a worker without a last word ended, as the beginning of a sentence."""
    if status is None or status >= 0:
        return f"The worker ended with status {status} and without a result"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name == "SIGKILL":
        return "The worker was killed by SIGKILL, probably because memory ran out"
    return f"The worker was killed by {name}"


def _quote(words: str) -> str:
    return f"; the last line of its log is {words!r}" if words else ""


def _tidy(folder: Path) -> None:
    """Remove what a job that has ended leaves in its folder, all but the log."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            # A worker that the system has not let go of may still write here; what it leaves is only disk space.
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (worker_protocol.LOG, worker_protocol.LOCK):
            path.unlink(missing_ok=True)

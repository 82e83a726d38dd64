"""How jobs end: cancelled, failed, killed, and taken up again by the next server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend import lock
from backend.server import silence, worker_protocol, workers
from backend.server.worker_protocol import Assignment
from protocol.job_request import JobRequest
from protocol.messages import Jobs, Status
from protocol.store import Store
from tests.backend.server.client import PATIENCE
from tests.backend.server.conftest import WORKER, Serving, until_tidy, worker_of

STAGES = ("step lift 0.5",)


def test_a_queued_job_is_cancelled_at_once(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene(*STAGES, "until-cancelled"))
    first, second = (client.submit(manifest).job for _ in range(2))
    client.until(first, "running")
    assert client.cancel(second).state == "cancelled"
    client.cancel(first)
    assert client.until(first).state == "cancelled"
    assert not [p for p in client.progress if p.job == second and p.state == "running"]


WAYS = {
    "it listens": (*STAGES, "until-cancelled"),
    "it listens to signals alone": (*STAGES, "sleep 60"),
    "it listens to nothing": ("stubborn", *STAGES, "sleep 60"),
    "it has a child": ("stubborn", "child", *STAGES, "sleep 60"),
    "it is stopped": ("stubborn", *STAGES, "kill SIGSTOP"),
    "it talks without pause": ("stubborn", *STAGES, "many 100000000"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_running_job_is_cancelled_within_two_seconds(serving, connect, scene, way):
    client = connect(serving)
    manifest, _ = client.offer(scene(*WAYS[way]))
    job = client.submit(manifest).job
    client.until(job, "running", stage="lift")
    pid = worker_of(serving.data / "jobs" / job)

    begin = time.monotonic()
    assert client.cancel(job).state == "cancelling"
    assert client.until(job).state == "cancelled"
    assert time.monotonic() - begin < 2.0
    assert client.cancel(job).state == "cancelled"
    assert _gone(pid)
    until_tidy(serving.data / "jobs" / job)


def _gone(pid: int) -> bool:
    """Whether a process has ended; one that waits for its parent's notice has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


ENDS = {
    "out of memory": (("log loading", "kill SIGKILL"), "killed by SIGKILL, probably .* memory ran out; .* 'loading'"),
    "a crash": (("log *** boom ***", "kill SIGSEGV"), r"killed by SIGSEGV; the last line of its log is '\*\*\* boom"),
    "an exit": (("log KeyError: 'x'", "status 1"), "ended with status 1 and without a result; .*KeyError"),
    "an exit without words": (("status 3",), r"ended with status 3 and without a result\. See the whole log"),
    "an end without a result": (("status 0",), "ended with status 0 and without a result"),
    "done with nothing": (("done",), "without writing a result"),
    "lines that mean nothing": (("raw hello", "raw {}", 'raw {"type":"done","x":1}', "status 0"), '"x":1'),
    "a fraction beyond one": (('raw {"type":"progress","stage":"lift","fraction":7}', "status 0"), "fraction"),
    "control characters": (("log \x1b[31mred", "status 1"), r" \[31mred"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_worker_that_ends_badly_fails_its_job(serving, connect, scene, end, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.0, 0.0, 0.0))
    script, words = ENDS[end]
    client = connect(serving)
    job = client.submit(client.offer(scene(*script))[0]).job
    failed = client.until(job)
    assert failed.state == "failed"
    assert failed.error is not None
    with pytest.raises(Exception, match=words):
        client.result(job)
    # The server goes on to the next job.
    job = client.submit(client.offer(scene("write out 1", "done"))[0]).job
    assert client.until(job).state == "done"


def test_a_worker_that_cannot_be_started_fails_its_job(tmp_path, connect, scene):
    serving = Serving(tmp_path / "data", worker_command=["/nowhere/worker"])
    try:
        client = connect(serving)
        job = client.submit(client.offer(scene("done"))[0]).job
        failed = client.until(job)
        assert failed.error is not None
        assert failed.error.sentence == "The worker /nowhere/worker cannot be started: No such file or directory."
    finally:
        serving.stop()


def test_a_worker_that_hangs_after_its_result_holds_nobody_up(serving, connect, scene):
    client = connect(serving)
    job = client.submit(client.offer(scene("stubborn", "write out 5", "done", "sleep 60"))[0]).job
    assert client.until(job).state == "done"


def test_a_result_that_holds_a_link_is_refused(serving, connect, scene, tmp_path):
    client = connect(serving)
    manifest, _ = client.offer(scene(*STAGES, "write out 5", "sleep 0.3", "done"))
    job = client.submit(manifest).job
    client.until(job, "running", stage="lift")
    result = serving.data / "jobs" / job / "result"
    deadline = time.monotonic() + 5
    while not (result / "out").exists():
        assert time.monotonic() < deadline
    (result / "passwords").symlink_to("/etc/passwd")
    failed = client.until(job)
    assert failed.error is not None
    assert failed.error.sentence == "The result holds passwords, which is not a regular file."


def test_after_sigkill_the_next_server_has_every_job(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    finished = client.submit(client.offer(scene("write out 1000", "done"))[0]).job
    client.until(finished)
    manifest, _ = client.offer(scene("checkpoint", "wait-unless-resumed", "until-there go", "write out 7", "done"))
    running, waiting = (client.submit(manifest).job for _ in range(2))
    before = client.until(running, "running", stage="fresh")
    pid = worker_of(tmp_path / "data" / "jobs" / running)
    first = client.welcome
    served.end(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)

    client = connect(start())
    assert client.welcome.instance != first.instance
    assert _gone(pid)
    assert client.sync(finished).state == "done"
    assert client.download(finished, Store(tmp_path / "mine"))["out"][:6] == b"outout"
    assert client.sync(running).seq > before.seq
    client.until(running, "running", stage="resumed")
    (tmp_path / "data" / "jobs" / running / "go").touch()
    assert client.until(running).state == "done"
    assert client.cancel(waiting).state in ("queued", "running", "cancelling", "cancelled")


def test_a_worker_outlives_its_server_and_is_found_again(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    job = client.submit(
        client.offer(scene(*STAGES, "until-there go", "step lift 0.75", "until-there end", "done"))[0]
    ).job
    before = client.until(job, "running", stage="lift")
    folder = tmp_path / "data" / "jobs" / job
    pid = worker_of(folder)
    served.end(signal.SIGKILL)
    (folder / "go").touch()
    _wait_for(lambda: b"0.75" in b"".join(path.read_bytes() for path in folder.glob("reports-*")))

    client = connect(start())
    assert worker_of(folder) == pid
    assert not _gone(pid)
    _wait_for(lambda: client.sync(job).fraction == 0.75)
    assert client.sync(job).seq > before.seq
    (folder / "result").mkdir()
    (folder / "result" / "out").write_text("made by the first worker")
    (folder / "end").touch()
    assert client.until(job).state == "done"
    assert client.download(job, Store(tmp_path / "mine")) == {"out": b"made by the first worker"}


def test_a_worker_that_was_found_again_is_cancelled(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    job = client.submit(client.offer(scene("stubborn", *STAGES, "sleep 60"))[0]).job
    client.until(job, "running", stage="lift")
    pid = worker_of(tmp_path / "data" / "jobs" / job)
    served.end(signal.SIGKILL)
    client = connect(start())
    assert client.sync(job).state == "running"
    client.cancel(job)
    assert client.until(job).state == "cancelled"
    assert _gone(pid)


def test_a_worker_that_began_unnoticed_is_followed(serving, connect, scene):
    """Its server was killed between its start and its first word, and the next server has started the job anew."""
    client = connect(serving)
    manifest, _ = client.offer(scene(*STAGES, "until-there go", "write out 7", "done"))
    job = "5" * 32
    folder = serving.data / "jobs" / job
    folder.mkdir(parents=True)
    assignment = Assignment(str((serving.data / "store").resolve()), "", manifest, JobRequest(), "auto")
    worker_protocol.write_assignment(folder, assignment)
    with subprocess.Popen([*WORKER, str(folder), "earlier"]) as earlier:
        _wait_for(lambda: (folder / "worker.pid").exists())
        client.submit(manifest, job=job)
        client.until(job, "running", stage="lift")
        assert worker_of(folder) == earlier.pid
        (folder / "go").touch()
        assert client.until(job).state == "done"


def test_a_folder_that_another_process_holds_is_tried_again(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.5, 0.5, 0.5))
    client = connect(serving)
    manifest, _ = client.offer(scene("write out 7", "done"))
    job = "5" * 32
    folder = serving.data / "jobs" / job
    folder.mkdir(parents=True)
    held = lock.hold(folder / worker_protocol.LOCK)
    assert held is not None
    with held:
        client.submit(manifest, job=job)
        assert "still holds the job's folder" in client.until(job, "queued").note
    assert client.until(job).state == "done"


def test_a_result_that_was_finished_without_a_server_is_taken(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    job = client.submit(client.offer(scene(*STAGES, "until-there go", "write out 7", "done"))[0]).job
    client.until(job, "running", stage="lift")
    folder = tmp_path / "data" / "jobs" / job
    pid = worker_of(folder)
    served.end(signal.SIGKILL)
    (folder / "go").touch()
    _wait_for(lambda: _gone(pid))
    client = connect(start())
    _wait_for(lambda: client.sync(job).state == "done")
    assert client.download(job, Store(tmp_path / "mine")) == {"out": b"outouto"}


def test_a_job_that_ended_its_server_twice_is_set_aside(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    job = client.submit(client.offer(scene(*STAGES, "sleep 60"))[0]).job
    for times in (1, 2):
        if client.sync(job).stage != "lift":
            client.until(job, "running", stage="lift")
        pid = worker_of(tmp_path / "data" / "jobs" / job)
        served.end(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        served = start()
        client = connect(served)
        assert (client.sync(job).state == "failed") == (times == 2)
    error = client.sync(job).error
    assert error is not None
    assert error.sentence == "The server ended 2 times while this job ran, so the job is not run again."
    assert "submit the job again" in error.remedy


def test_a_job_that_advances_survives_any_number_of_servers(start, connect, scene, tmp_path):
    job = None
    for _ in range(3):
        served = start()
        client = connect(served)
        if job is None:
            job = client.submit(client.offer(scene("train 5", *STAGES, "sleep 60"))[0]).job
        if client.sync(job).stage != "lift":
            client.until(job, "running", stage="lift")
        pid = worker_of(tmp_path / "data" / "jobs" / job)
        served.end(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    assert job is not None
    assert connect(start()).sync(job).state != "failed"


def _wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_that_was_being_cancelled_stays_cancelled(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    job = client.submit(client.offer(scene("stubborn", *STAGES, "sleep 60"))[0]).job
    client.until(job, "running", stage="lift")
    pid = worker_of(tmp_path / "data" / "jobs" / job)
    assert client.cancel(job).state == "cancelling"
    served.end(signal.SIGKILL)
    client = connect(start())
    assert client.sync(job).state == "cancelled"
    assert _gone(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_ends_in_order(start, connect, scene, tmp_path, number):
    served = start()
    client = connect(served)
    job = client.submit(client.offer(scene("stubborn", *STAGES, "sleep 60"))[0]).job
    client.until(job, "running", stage="lift")
    pid = worker_of(tmp_path / "data" / "jobs" / job)
    begin = time.monotonic()
    assert served.end(number) == 0
    assert time.monotonic() - begin < 3.0
    assert _gone(pid)
    told = client.until(job, "queued")
    assert "continues from its last checkpoint" in told.note


def test_a_server_that_is_asked_to_end_has_checkpoints_written_first(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    job = client.submit(client.offer(scene(*STAGES, "until-stopped 2"))[0]).job
    client.until(job, "running", stage="lift")
    assert served.end(signal.SIGTERM) == 0
    assert (tmp_path / "data" / "jobs" / job / "checkpoint").read_text() == "half"
    assert client.until(job, "queued").note.endswith("continues from its last checkpoint.")


def test_a_killed_worker_costs_its_job_only_time(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.5, 0.0, 0.0))
    client = connect(serving)
    job = client.submit(client.offer(scene("checkpoint", "wait-unless-resumed", "write out 7", "done"))[0]).job
    client.until(job, "running", stage="fresh")
    os.kill(worker_of(serving.data / "jobs" / job), signal.SIGKILL)
    told = client.until(job, "queued")
    assert "killed by SIGKILL, probably because memory ran out; the job continues" in told.note
    assert "attempt 2 of 4" in told.note
    client.until(job, "running", stage="resumed")
    assert client.until(job).state == "done"


def test_a_worker_that_is_killed_again_and_again_fails_its_job(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.5, 0.5, 0.5))
    client = connect(serving)
    job = client.submit(client.offer(scene("log 29.8 dB", "log 30.1 dB", *STAGES, "kill SIGKILL"))[0]).job
    failed = client.until(job)
    told = {p.note.rpartition("(")[2] for p in client.progress if p.state == "queued" and p.note}
    assert told == {f"attempt {n} of 4)." for n in (2, 3, 4)}
    assert failed.error is not None
    assert failed.error.sentence == (
        "The worker was killed by SIGKILL, probably because memory ran out; the last lines of its log are "
        "'29.8 dB / 30.1 dB'. The job was started 4 times without a new checkpoint."
    )
    assert str(serving.data / "jobs" / job / "worker.log") in failed.error.remedy
    assert client.ask(Status(), Jobs).jobs[0].state == "failed"


def test_a_job_that_advances_between_its_failures_is_never_given_up(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.0, 0.0, 0.0))
    client = connect(serving)
    job = client.submit(client.offer(scene("train 100", "count-down 5", "write out 7", "done"))[0]).job
    assert client.until(job).state == "done"
    told = {p.note.rpartition("(")[2] for p in client.progress if p.state == "queued" and p.note}
    assert told == {"attempt 2 of 4)."}


def test_a_checkpoint_that_is_written_again_is_no_progress(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.0, 0.0, 0.0))
    client = connect(serving)
    job = client.submit(client.offer(scene("train 0", "count-down 9", "done"))[0]).job
    assert client.until(job).state == "failed"
    assert serving.server.counts.worker_starts == 4


def test_a_worker_that_lacks_something_now_and_then_is_started_again(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "LACKS_AFTER", (0.0,))
    client = connect(serving)
    job = client.submit(client.offer(scene("train 5", "lack 3", "write out 7", "done"))[0]).job
    assert client.until(job).state == "done"


@pytest.fixture
def impatient(monkeypatch):
    """Frozen processes are noticed after a second."""
    monkeypatch.setattr(silence, "IDLE_AFTER", 1.0)
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.5, 0.5, 0.5))


def test_a_frozen_worker_costs_its_job_only_time(impatient, serving, connect, scene):
    client = connect(serving)
    job = client.submit(client.offer(scene("checkpoint", "wait-unless-resumed", "write out 7", "done"))[0]).job
    client.until(job, "running", stage="fresh")
    frozen = worker_of(serving.data / "jobs" / job)
    os.kill(frozen, signal.SIGSTOP)
    told = client.until(job, "queued")
    assert "The worker was frozen for" in told.note
    assert client.until(job).state == "done"
    assert _gone(frozen)


def test_a_main_thread_that_waits_for_ever_is_frozen_too(impatient, serving, connect, scene):
    client = connect(serving)
    job = client.submit(client.offer(scene("checkpoint", "wait-unless-resumed", "write out 7", "done"))[0]).job
    assert client.until(job).state == "done"
    assert any("was frozen" in p.note for p in client.progress)


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="not Linux")
def test_memory_is_taken_from_workers_first(serving, connect, scene):
    client = connect(serving)
    job = client.submit(client.offer(scene(*STAGES, "until-cancelled"))[0]).job
    client.until(job, "running", stage="lift")
    pid = worker_of(serving.data / "jobs" / job)
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) == 500
    client.cancel(job)


def test_a_server_killed_at_any_moment_loses_no_job_and_runs_none_twice(start, connect, scene):
    random = np.random.default_rng(1)
    script = ("step scene 0.5", "sleep 0.1", "step lift 0.5", "sleep 0.1", "write out 100000", "done")
    folder = scene(*script)
    jobs = [f"{n:032x}" for n in range(3)]
    seqs: dict[str, int] = {}
    for _ in range(4):
        served = start()
        client = connect(served)
        manifest, _ = client.offer(folder)
        for job in jobs:
            assert client.submit(manifest, job=job).seq >= seqs.get(job, 0)
        with contextlib.suppress(TimeoutError):
            client.until(jobs[-1], patience=random.uniform(0.0, 0.3))
        for progress in client.progress:
            seqs[progress.job] = max(progress.seq, seqs.get(progress.job, 0))
        served.end(signal.SIGKILL)

    client = connect(start())
    for job in jobs:
        state = client.sync(job)
        assert state.seq >= seqs.get(job, 0)
        assert (state if state.state == "done" else client.until(job)).state == "done"
        result = client.result(job)
        assert len(client.fetch(result.manifest, result.size)) == result.size
    assert sorted(info.job for info in client.ask(Status(), Jobs).jobs) == jobs

"""One job on each GPU, with a probe that reports GPUs and workers that say which of them they see."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from backend.server import workers
from backend.server.capabilities import Found
from backend.server.probe import _gpus
from backend.server.status import of_folder
from protocol.messages import Facts
from tests.backend.server.client import PATIENCE, Client
from tests.backend.server.conftest import Serving, worker_of

SEES = "CUDA_VISIBLE_DEVICES"


def probe(*gpus: str, after: float = 0.0) -> list[str]:
    found = Found(Facts("cuda" if gpus else "cpu", "a device", 1 << 30, 1 << 33), {"consensus": []}, list(gpus))
    said = msgspec.json.encode(found)
    return [sys.executable, "-c", f"import sys, time; time.sleep({after}); sys.stdout.buffer.write({said!r})"]


@pytest.fixture
def serve(tmp_path, monkeypatch) -> Iterator[Callable[..., Serving]]:
    """Start a server, again and again on one data folder, with GPUs of these names."""
    monkeypatch.setattr(workers, "LOOK_AFTER", 0.05)
    monkeypatch.delenv(SEES, raising=False)
    served: list[Serving] = []

    def serve(*gpus: str, **settings) -> Serving:
        served.append(Serving(tmp_path / "data", probe_command=probe(*gpus), **settings))
        return served[-1]

    yield serve
    for each in served:
        if not each._ended.done():
            each.stop()


def seen(client: Client, jobs: list[str]) -> list[str]:
    """Wait until all jobs run, and return what each worker sees."""
    stages = [client.until(job, "running") for job in jobs]
    deadline = time.monotonic() + PATIENCE
    while not all(each.stage.startswith(SEES) for each in stages):
        assert time.monotonic() < deadline
        stages = [client.sync(job) for job in jobs]
    return [each.stage.removeprefix(f"{SEES}=") for each in stages]


def states(client: Client, jobs: list[str]) -> list[str]:
    return [client.sync(job).state for job in jobs]


def go(serving: Serving, job: str) -> None:
    (serving.data / "jobs" / job / "go").touch()


SCRIPT = (f"environment {SEES}", "until-there go", "write out 5", "done")


def test_eight_gpus_run_eight_jobs(serve, connect, scene):
    serving = serve(*map(str, range(8)))
    client = connect(serving)
    manifest, _ = client.offer(scene(*SCRIPT))
    jobs = [client.submit(manifest).job for _ in range(9)]
    sees = seen(client, jobs[:8])
    # The first was started before the GPUs were known, and uses the first of all.
    assert sorted(sees) == [*map(str, range(1, 8)), "None"]
    assert sees[0] == "None"
    assert states(client, jobs[8:]) == ["queued"]
    assert of_folder(serving.data)["places"] == 8
    # The place of the one that ends is that of the next.
    go(serving, jobs[3])
    assert client.until(jobs[3]).state == "done"
    assert seen(client, jobs[8:]) == [sees[3]]
    for job in (*jobs[:3], *jobs[4:]):
        go(serving, job)
        client.until(job)


def test_workers_that_outlive_their_server_keep_their_gpus(start, serve, connect, scene, tmp_path):
    serving = serve("GPU-a", "GPU-b", "GPU-c")
    client = connect(serving)
    manifest, _ = client.offer(scene("checkpoint", *SCRIPT))
    jobs = [client.submit(manifest).job for _ in range(3)]
    assert sorted(seen(client, jobs)) == ["GPU-b", "GPU-c", "None"]
    pids = [worker_of(serving.data / "jobs" / job) for job in jobs]
    _abandon(serving)

    serving = serve("GPU-a", "GPU-b", "GPU-c")
    client = connect(serving)
    assert [worker_of(serving.data / "jobs" / job) for job in jobs] == pids
    assert states(client, jobs) == ["running"] * 3
    waiting = [client.submit(manifest).job for _ in range(2)]
    _until(lambda: serving.server.workers.places == 3)
    assert states(client, waiting) == ["queued"] * 2
    sees = {job: client.sync(job).stage.removeprefix(f"{SEES}=") for job in jobs}
    last = next(job for job in jobs if sees[job] == "GPU-c")
    go(serving, last)
    assert client.until(last).state == "done"
    assert seen(client, waiting[:1]) == ["GPU-c"]
    # One that was killed frees its GPU as well.
    other = next(job for job in jobs if sees[job] == "GPU-b")
    client.cancel(other)
    assert client.until(other).state == "cancelled"
    assert seen(client, waiting[1:]) == ["GPU-b"]
    for job in (*jobs, *waiting):
        client.cancel(job)


def _abandon(serving: Serving) -> None:
    """End a server as if it were killed: its workers are not asked to end."""
    serving.server.workers.runs.clear()
    serving.stop()


def test_a_job_of_several_gpus_gets_its_turn(serve, connect, scene):
    serving = serve("0", "1")
    client = connect(serving)
    manifest, _ = client.offer(scene(*SCRIPT))
    first, second = (client.submit(manifest).job for _ in range(2))
    assert seen(client, [first, second]) == ["None", "1"]
    both, later = client.submit(manifest, gpus=2).job, client.submit(manifest).job
    go(serving, first)
    client.until(first)
    time.sleep(0.3)
    assert states(client, [both, later]) == ["queued", "queued"]
    go(serving, second)
    assert seen(client, [both]) == ["0,1"]
    assert states(client, [later]) == ["queued"]
    go(serving, both)
    assert seen(client, [later]) == ["0"]
    go(serving, later)
    client.until(later)


def test_jobs_on_the_cpu_run_beside_those_on_gpus(serve, connect, scene):
    serving = serve("0", "1")
    client = connect(serving)
    manifest, _ = client.offer(scene(*SCRIPT))
    jobs = [client.submit(manifest, device=device).job for device in ("cuda", "cuda", "cpu", "cpu")]
    assert seen(client, jobs[:3])[1:] == ["1", "None"]
    assert states(client, jobs[3:]) == ["queued"]
    for job in jobs[:3]:
        go(serving, job)
    assert seen(client, jobs[3:]) == ["None"]
    go(serving, jobs[3])
    client.until(jobs[3])


@pytest.mark.parametrize("command", [probe(), [sys.executable, "-c", "raise SystemExit('no')"]])
def test_without_a_gpu_there_is_one_job_at_a_time(tmp_path, connect, scene, monkeypatch, command):
    monkeypatch.setattr(workers, "LOOK_AFTER", 0.05)
    serving = Serving(tmp_path / "data", probe_command=command)
    try:
        client = connect(serving)
        manifest, _ = client.offer(scene(*SCRIPT))
        first, second = (client.submit(manifest).job for _ in range(2))
        client.until(first, "running")
        _until(lambda: serving.server.capabilities._looked_at and serving.server.capabilities._process is None)
        time.sleep(0.3)
        assert states(client, [first, second]) == ["running", "queued"]
        go(serving, first)
        client.until(second, "running")
        go(serving, second)
        assert client.until(second).state == "done"
    finally:
        serving.stop()


def test_a_job_that_waits_for_nothing_has_nobody_look(serve, connect, scene):
    serving = serve("0", "1")
    client = connect(serving)
    job = client.submit(client.offer(scene(*SCRIPT))[0]).job
    client.until(job, "running")
    time.sleep(0.5)
    assert serving.server.workers.places is None
    go(serving, job)
    client.until(job)


def test_a_killed_worker_gets_a_gpu_again(serve, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.0, 0.0, 0.0))
    serving = serve("0", "1")
    client = connect(serving)
    manifest, _ = client.offer(scene(*SCRIPT))
    jobs = [client.submit(manifest).job for _ in range(3)]
    assert seen(client, jobs[:2]) == ["None", "1"]
    os.kill(worker_of(serving.data / "jobs" / jobs[1]), signal.SIGKILL)
    # The oldest that waits goes first: it is the one whose worker was killed.
    _until(lambda: serving.server.jobs.get(jobs[1]).retries == 1)
    _until(lambda: client.sync(jobs[1]).state == "running")
    assert states(client, jobs[2:]) == ["queued"]
    for job in jobs:
        go(serving, job)
        assert client.until(job).state == "done"


def _until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_probe_names_gpus_as_cuda_does(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv(SEES, raising=False)
    assert _gpus("cuda") == ["0", "1", "2"]
    assert _gpus("cpu") == []
    monkeypatch.setenv(SEES, "GPU-a, 5,MIG-b,-1,7")
    assert _gpus("cuda") == ["GPU-a", "5", "MIG-b"]


def test_the_log_says_which_gpus(serve, connect, scene, tmp_path: Path):
    serving = serve("0", "1")
    said: list[dict] = []
    serving.server.log.say = lambda event, **details: said.append({"event": event, **details})
    client = connect(serving)
    manifest, _ = client.offer(scene(*SCRIPT))
    jobs = [client.submit(manifest).job for _ in range(2)]
    seen(client, jobs)
    started = [(line["job"], line["gpus"]) for line in said if line["event"] == "worker-started"]
    assert started == [(jobs[0], ""), (jobs[1], "1")]
    for job in jobs:
        go(serving, job)
        client.until(job)

"""Workers in a true Ray cluster of one node, whose two GPUs do not exist."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backend.server import workers
from protocol.store import Store
from tests.backend.server.client import Client
from tests.backend.server.conftest import Serving, worker_of
from tests.ports import free_pair

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'splatlift[ray]'"),
]
HERE = Path(__file__).parent
PATIENCE = 120.0
SEES = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a cluster and give the address of its dashboard."""
    token = secrets.token_hex(16)
    # Not below the folder of the tests: Ray has sockets there, whose paths must be short.
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    command = [sys.executable, str(HERE / "run_ray.py"), "2", "2", str(free_pair())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", token)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, start_new_session=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        address = next((line.strip() for line in lines if line.startswith("http://")), None)
        try:
            assert address is not None, "Ray did not start"
            yield address
        finally:
            started = psutil.Process(process.pid).children(recursive=True)
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            for each in (*started, process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()


def until_stage(client: Client, job: str, stage: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while client.sync(job).stage != stage:
        assert time.monotonic() < deadline, client.sync(job)
        time.sleep(0.1)


def test_jobs_run_are_lost_are_cancelled_and_outlive_their_server(cluster, tmp_path, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.0, 0.0, 0.0))
    serving = Serving(tmp_path / "data", ray_address=cluster)
    client = connect(serving)
    script = ("checkpoint", "until-there go", f"environment {SEES}", "until-there end", "write out 7", "done")
    manifest, _ = client.offer(scene(*script))
    first, second, third = (client.submit(manifest).job for _ in range(3))
    for job in (first, second):
        until_stage(client, job, "fresh")
    assert client.sync(third).state == "queued"
    assert serving.server.workers.places == 2

    # A killed worker costs its job only time, and Ray gives each job a GPU.
    psutil.Process(worker_of(serving.data / "jobs" / first)).kill()
    until_stage(client, first, "resumed")
    sees = set()
    for job in (first, second):
        folder = serving.data / "jobs" / job
        (folder / "go").touch()
        deadline = time.monotonic() + PATIENCE
        while not (stage := client.sync(job).stage).startswith(SEES):
            assert time.monotonic() < deadline, client.sync(job)
            time.sleep(0.1)
        sees.add(stage)
    assert sees == {f"{SEES}=0", f"{SEES}=1"}

    # Cancelling frees a GPU for the next job.
    client.cancel(second)
    assert client.until(second, patience=PATIENCE).state == "cancelled"
    until_stage(client, third, "fresh")

    # Workers go on without the server. The next one follows them, and takes a result that was finished meanwhile.
    pid = worker_of(serving.data / "jobs" / third)
    serving.stop()
    (tmp_path / "data" / "jobs" / first / "end").touch()
    serving = Serving(tmp_path / "data", ray_address=cluster)
    try:
        client = connect(serving)
        assert client.sync(third).state == "running"
        assert worker_of(tmp_path / "data" / "jobs" / third) == pid
        deadline = time.monotonic() + PATIENCE
        while client.sync(first).state != "done":
            assert time.monotonic() < deadline, client.sync(first)
            time.sleep(0.1)
        assert client.download(first, Store(tmp_path / "mine")) == {"out": b"outouto"}
        client.cancel(third)
        assert client.until(third, patience=PATIENCE).state == "cancelled"
    finally:
        serving.stop()

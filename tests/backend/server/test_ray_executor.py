"""Workers in a Ray cluster: the server's side, against the made-up cluster of :mod:`tests.backend.server.fake_ray`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.server import ray_executor, silence, workers
from backend.server.ray_cluster import RayCluster, UnreachableError, token_of_user
from backend.server.status import of_folder
from protocol.errors import BadArgument
from protocol.store import Store
from tests.backend.server.client import PATIENCE, Client
from tests.backend.server.conftest import Serving, until_tidy, worker_of
from tests.backend.server.fake_ray import FakeRay

GO = ("step lift 0.5", "until-there go", "write out 7", "done")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ray_executor, "ASK_EVERY", 0.05)
    monkeypatch.setattr(ray_executor, "STOP_AFTER", 0.5)
    monkeypatch.setattr(ray_executor, "UNSTARTED_AFTER", 0.2)
    monkeypatch.setattr(workers, "RETRY_AFTER", (0.5, 0.5, 0.5))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/nowhere")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)


@pytest.fixture
def ray() -> Iterator[FakeRay]:
    ray = FakeRay([2, 0])
    yield ray
    ray.close()


@pytest.fixture
def serve(tmp_path: Path, ray: FakeRay) -> Iterator[Callable[[], Serving]]:
    served: list[Serving] = []

    def serve() -> Serving:
        served.append(Serving(tmp_path / "data", ray_address=ray.address))
        return served[-1]

    yield serve
    for each in served:
        if not each._ended.done():
            each.stop()


def go(serving: Serving, job: str) -> None:
    (serving.data / "jobs" / job / "go").touch()


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def said_by_ray(ray: FakeRay, job: str) -> str:
    found = RayCluster(ray.address).job(job)
    assert found is not None
    return found.status


def running(serving: Serving, client: Client, scene, *script: str) -> str:
    job = client.submit(client.offer(scene(*script))[0]).job
    client.until(job, "running", stage="lift")
    return job


def test_a_job_runs_under_our_id_and_its_result_comes_back(ray, serve, connect, scene, tmp_path):
    serving = serve()
    client = connect(serving)
    job = running(serving, client, scene, *GO)
    (submitted,) = ray.submissions
    assert submitted["submission_id"] == job
    folder = (serving.data / "jobs" / job).resolve()
    token = submitted["metadata"]["token"]
    assert f" {folder} {token} >>{folder}/worker.log 2>&1" in submitted["entrypoint"]
    assert (submitted["entrypoint_num_gpus"], submitted.get("entrypoint_num_cpus")) == (1, None)
    go(serving, job)
    assert client.until(job).state == "done"
    assert client.download(job, Store(tmp_path / "mine")) == {"out": b"outouto"}
    until_tidy(folder)


def test_as_many_jobs_as_the_cluster_has_gpus(ray, serve, connect, scene):
    serving = serve()
    client = connect(serving)
    manifest, _ = client.offer(scene(*GO))
    jobs = [client.submit(manifest).job for _ in range(3)]
    for job in jobs[:2]:
        client.until(job, "running", stage="lift")
    assert client.sync(jobs[2]).state == "queued"
    status = of_folder(serving.data)
    assert (status["places"], status["executor"]) == (2, f"Ray at {ray.address}")
    go(serving, jobs[0])
    client.until(jobs[0])
    client.until(jobs[2], "running", stage="lift")
    both = client.submit(manifest, gpus=2).job
    for job in jobs[1:]:
        go(serving, job)
    client.until(both, "running", stage="lift")
    assert ray.submissions[-1]["entrypoint_num_gpus"] == 2
    go(serving, both)
    client.until(both)


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_gpus_each_node_has_a_job(tmp_path, connect, scene, device):
    ray = FakeRay([0, 0], cpus=8)
    serving = Serving(tmp_path / "data", ray_address=ray.address)
    try:
        client = connect(serving)
        manifest, _ = client.offer(scene(*GO))
        jobs = [client.submit(manifest, device=device).job for _ in range(3)]
        for job in jobs[:2]:
            client.until(job, "running", stage="lift")
        assert client.sync(jobs[2]).state == "queued"
        assert [(each.get("entrypoint_num_gpus"), each["entrypoint_num_cpus"]) for each in ray.submissions] == [
            (None, 8),
            (None, 8),
        ]
        for job in jobs:
            go(serving, job)
            client.until(job)
    finally:
        serving.stop()
        ray.close()


@pytest.mark.parametrize("how", ["killed", "vanished", "stopped"])
def test_a_worker_that_is_lost_costs_its_job_only_time(ray, serve, connect, scene, how):
    serving = serve()
    client = connect(serving)
    job = client.submit(client.offer(scene("checkpoint", *GO[1:]))[0]).job
    client.until(job, "running", stage="fresh")
    if how == "killed":
        ray.end(job)
    elif how == "vanished":
        ray.vanish(job)
    else:
        RayCluster(ray.address).stop(job)
    note = client.until(job, "queued").note
    assert ("SIGKILL" in note) == (how == "killed")
    assert "continues from its last checkpoint (attempt 2 of 4)" in note
    client.until(job, "running", stage="resumed")
    go(serving, job)
    assert client.until(job).state == "done"
    assert [each["submission_id"] for each in ray.submissions] == [job, f"{job}-2"]


def test_an_exit_by_itself_fails_the_job(ray, serve, connect, scene):
    client = connect(serve())
    job = client.submit(client.offer(scene("log KeyError: x", "status 3"))[0]).job
    error = client.until(job).error
    assert error is not None
    assert "ended with status 3 and without a result; the last line of its log is 'KeyError: x'" in error.sentence
    assert len(ray.submissions) == 1


WAYS = {"it listens": ("until-cancelled",), "it listens to nothing": ("stubborn", "sleep 60")}


@pytest.mark.parametrize("way", WAYS)
def test_a_job_is_cancelled(ray, serve, connect, scene, way):
    serving = serve()
    client = connect(serving)
    job = running(serving, client, scene, "step lift 0.5", *WAYS[way])
    client.cancel(job)
    assert client.until(job).state == "cancelled"
    assert ray.jobs[job]["process"].poll() is not None
    assert ray.jobs[job]["stopped"] == (way == "it listens to nothing")


def test_what_ray_does_not_start_waits_and_can_be_cancelled(ray, serve, connect, scene):
    serving = serve()
    client = connect(serving)
    ray.places = 0
    job = client.submit(client.offer(scene("done"))[0]).job
    told = client.until(job, "running", stage="waiting for Ray")
    assert told.note == "It may be waiting for resources."
    client.cancel(job)
    assert client.until(job).state == "cancelled"
    until(lambda: not list((serving.data / "jobs" / job).iterdir()))
    until(lambda: not serving.server.workers.runs)
    # Ray starts it after all: it finds nothing to do.
    ray.places = 2
    until(lambda: said_by_ray(ray, job) == "FAILED")
    assert client.sync(job).state == "cancelled"


@pytest.mark.parametrize("orderly", [True, False])
def test_workers_outlive_the_server_and_are_followed_by_the_next(ray, serve, connect, scene, tmp_path, orderly):
    serving = serve()
    client = connect(serving)
    first, second = (running(serving, client, scene, *GO) for _ in range(2))
    pid = worker_of(serving.data / "jobs" / first)
    if not orderly:
        serving.server.workers.runs.clear()
    serving.stop()
    go(serving, second)
    until(lambda: ray._status(second) == "SUCCEEDED")

    serving = serve()
    client = connect(serving)
    assert client.sync(first).state == "running"
    assert worker_of(serving.data / "jobs" / first) == pid
    until(lambda: client.sync(second).state == "done")
    go(serving, first)
    client.sync(first)
    until(lambda: client.sync(first).state == "done")
    assert client.download(first, Store(tmp_path / "mine")) == {"out": b"outouto"}
    assert len(ray.submissions) == 2


def test_a_job_that_was_being_cancelled_ends_with_the_next_server(ray, serve, connect, scene):
    serving = serve()
    client = connect(serving)
    job = running(serving, client, scene, "stubborn", *GO)
    ray.answers = False
    client.cancel(job)
    serving.server.workers.runs.clear()
    serving.stop()
    ray.answers = True
    client = connect(serve())
    assert client.sync(job).state == "cancelled"
    until(lambda: ray._status(job) == "STOPPED")


def test_a_worker_that_was_submitted_and_not_written_down_is_followed(ray, serve, connect, scene):
    """The server ended between Ray's answer and the row's change: the job is queued, and Ray runs it."""
    serving = serve()
    client = connect(serving)
    job = running(serving, client, scene, *GO)
    pid = worker_of(serving.data / "jobs" / job)
    began = client.sync(job).seq

    def forget() -> None:
        serving.server.workers.runs.clear()
        serving.server.jobs.requeue(job, "as if it had never run")

    serving.server._post(forget)
    until(lambda: client.sync(job).seq > began + 2 and client.sync(job).stage == "lift")
    assert worker_of(serving.data / "jobs" / job) == pid
    go(serving, job)
    assert client.until(job).state == "done"
    assert len(ray.submissions) == 1


def test_while_ray_does_not_answer_nothing_is_lost_and_nothing_started(ray, serve, connect, scene):
    serving = serve()
    client = connect(serving)
    job = running(serving, client, scene, "step lift 0.5", "until-there on", "step lift 0.7", *GO[1:])
    ray.answers = False
    waiting = client.submit(client.offer(scene("write out 3", "done"))[0]).job
    until(lambda: "it says 'upstream connect error'" in client.sync(waiting).note)
    (serving.data / "jobs" / job / "on").touch()
    until(lambda: client.sync(job).fraction == 0.7)
    assert client.sync(job).state == "running"
    assert client.sync(waiting).state in ("queued", "running")
    assert len(ray.submissions) == 1
    go(serving, job)
    ray.answers = True
    assert client.until(job).state == "done"
    assert client.until(waiting).state == "done"
    assert len(ray.submissions) == 2


def test_an_answer_that_is_lost_starts_nothing_twice(ray, serve, connect, scene, monkeypatch):
    submit, lost = RayCluster.submit, []

    def losing(self, *arguments, **named):
        submit(self, *arguments, **named)
        if not lost:
            lost.append(True)
            time.sleep(0.5)  # the worker ends meanwhile
            raise UnreachableError("it does not answer: timed out")

    monkeypatch.setattr(RayCluster, "submit", losing)
    client = connect(serve())
    job = client.submit(client.offer(scene("write out 3", "done"))[0]).job
    assert client.until(job).state == "done"
    assert lost
    assert len(ray.submissions) == 1


def test_a_silent_worker_counts_as_frozen_in_the_end(ray, serve, connect, scene, monkeypatch):
    monkeypatch.setattr(silence, "BUSY_AFTER", 1.0)
    serving = serve()
    client = connect(serving)
    job = client.submit(client.offer(scene("checkpoint", "wait-unless-resumed", "write out 7", "done"))[0]).job
    assert "made no progress" in client.until(job, "queued").note
    assert client.until(job).state == "done"


def test_a_server_starts_without_its_cluster(tmp_path, connect, scene):
    serving = Serving(tmp_path / "data", ray_address="http://127.0.0.1:1")
    try:
        client = connect(serving)
        job = client.submit(client.offer(scene("done"))[0]).job
        until(lambda: "cannot be used: it does not answer: Connection refused" in client.sync(job).note)
        assert client.cancel(job).state == "cancelled"
    finally:
        serving.stop()


def test_a_token_is_sent_where_ray_wants_one(ray, monkeypatch, tmp_path):
    ray.token = "secret"
    with pytest.raises(UnreachableError, match="RAY_AUTH_TOKEN"):
        RayCluster(ray.address, token_of_user()).nodes()
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    assert [node.gpus for node in RayCluster(ray.address, token_of_user()).nodes()] == [2, 0]
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    assert token_of_user() == "another"


@pytest.mark.parametrize("address", ["", "127.0.0.1:8265", "ray://head:10001", "http://", "http://head:8265/jobs"])
def test_what_is_no_address_of_a_cluster(address):
    with pytest.raises(BadArgument, match="not of the form http"):
        RayCluster(address)


def test_an_answer_of_another_program_is_said(ray):
    class Odd(RayCluster):
        def _request(self, method: str, path: str, body: dict | None = None) -> object:
            return {"data": 3}

    with pytest.raises(UnreachableError, match="cannot be read"):
        Odd(ray.address).nodes()

"""Too few descriptors, memory or room make a job wait; what is wrong with one job's folder touches no other."""

from __future__ import annotations

import errno
import os
import shutil
import time

import pytest

from backend.server import worker_protocol, workers
from backend.server.shortage import shortage
from backend.server.worker_process import WorkerProcess
from protocol.errors import BadScene, Unavailable
from protocol.messages import Heartbeat, Select, Selected
from protocol.store import Store


def failing(number: int, times: int, then):
    """A function that fails so often with an error of the system, and then does what it should."""
    left = [times]

    def call(*arguments, **named):
        if left[0] > 0:
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        return then(*arguments, **named)

    return call


def test_what_passes_by_itself_is_told_from_what_does_not():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert shortage(full) == "No space left on device"
    assert shortage(OSError(errno.ENOENT, "No such file or directory")) is None
    assert shortage(None) is None
    caused = BadScene("The file cannot be sent.")
    caused.__cause__ = full
    assert shortage(caused) == "No space left on device"
    assert shortage(Unavailable("The program is not there.")) is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC], ids=["descriptors", "disk"])
def test_a_job_waits_to_be_started(serving, connect, scene, monkeypatch, number):
    monkeypatch.setattr(workers, "WAIT", 0.1)
    monkeypatch.setattr(
        workers.worker_protocol, "write_assignment", failing(number, 3, workers.worker_protocol.write_assignment)
    )
    client = connect(serving)
    job = client.submit(client.offer(scene("write out 1", "done"))[0]).job
    assert client.until(job, "queued").note == f"The server waits: {os.strerror(number)}."
    assert client.until(job).state == "done"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EDQUOT], ids=["descriptors", "quota"])
def test_a_result_waits_to_be_stored(serving, connect, scene, monkeypatch, tmp_path, number):
    monkeypatch.setattr(workers, "WAIT", 0.1)
    monkeypatch.setattr(Store, "adopt", failing(number, 2, Store.adopt))
    client = connect(serving)
    job = client.submit(client.offer(scene("step lift 0.5", "write out 1000", "done"))[0]).job
    assert client.until(job).state == "done"
    assert set(client.download(job, Store(tmp_path / "mine"))) == {"out"}


def test_a_tick_that_fails_is_repeated_and_stops_neither_the_server_nor_the_job(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "WAIT", 0.05)
    client = connect(serving)
    job = client.submit(client.offer(scene("step lift 0.5", "sleep 0.5", "write out 1", "done"))[0]).job
    client.until(job, "running", stage="lift")
    monkeypatch.setattr(WorkerProcess, "heard", failing(errno.EMFILE, 20, WorkerProcess.heard))
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
    assert client.until(job).state == "done"


def test_a_removed_job_folder_fails_that_job_alone(serving, connect, scene):
    client = connect(serving)
    job = client.submit(client.offer(scene("step lift 0.5", "sleep 0.7", "status 3"))[0]).job
    other = client.submit(client.offer(scene("write out 1", "done"))[0]).job
    client.until(job, "running", stage="lift")
    shutil.rmtree(serving.data / "jobs" / job)
    ended = client.until(job)
    assert ended.state == "failed"
    assert ended.error.sentence.endswith(".")
    assert client.until(other).state == "done"
    time.sleep(0.2)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()


def test_a_question_whose_folder_cannot_be_made_is_answered(serving, connect, scene):
    client = connect(serving)
    job = client.submit(client.offer(scene("write out 10", "done"))[0]).job
    client.until(job, "done")
    folder = serving.data / "select"
    folder.rmdir()
    folder.write_text("no folder")
    with pytest.raises(Unavailable, match="select cannot be used"):
        client.ask(Select(job, gaussian=0), Selected)
    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()


def test_a_job_whose_worker_lacks_something_is_started_again(serving, connect, scene, monkeypatch):
    monkeypatch.setattr(workers, "LACKS_AFTER", (0.05, 0.05))
    client = connect(serving)
    script = scene("step lift 0.5", "write part 10", "log No space left on device", f"status {worker_protocol.LACKS}")
    job = client.submit(client.offer(script)[0]).job
    assert client.until(job).state == "failed"
    waits = [each for each in client.progress if each.state == "queued" and "The worker waits" in each.note]
    assert len({each.seq for each in waits}) == 2
    assert "No space left on device" in waits[0].note
    assert serving.server.counts.worker_starts == 3

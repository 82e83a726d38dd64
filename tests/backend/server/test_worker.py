"""The true worker process, around a pipeline that is a few lines long."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.server import memory_limit, worker, worker_process, worker_protocol, worker_reports
from backend.server.worker import worded_for_client, work
from backend.server.worker_channel import Channel
from backend.server.worker_protocol import Assignment, Done, Failed, Pictured, Step, Stopping
from backend.server.worker_reports import WorkerReports
from protocol.errors import Unavailable
from protocol.job_request import JobRequest
from protocol.manifest import digest_of, pack_manifest
from protocol.store import Store
from tests.backend.server.client import PATIENCE, entries_of
from tests.backend.server.conftest import HERE, Serving

COMMAND = [sys.executable, "-m", "tests.backend.server.own_worker"]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.chdir(HERE.parents[2])
    served = Serving(tmp_path / "data", worker_command=COMMAND)
    yield served
    served.stop()


def write(folder: Path, script: str) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "script").write_text(script)
    (folder / "images" / "a.png").write_bytes(b"photograph")
    return folder


def test_a_job_is_done(served, connect, tmp_path):
    client = connect(served)
    manifest, _ = client.offer(write(tmp_path / "scene", "good"))
    job = client.submit(manifest, seed=9, masks="images").job
    assert client.until(job).state == "done"
    notes = [(p.stage, p.fraction, p.note) for p in client.progress if p.stage == "reconstruct"]
    assert ("reconstruct", 1.0, "") in notes
    report = client.download(job, Store(tmp_path / "mine"))["report.txt"].decode()
    assert report == "['a.png', 'script'] 9 auto images"
    assert "a library that prints" in served.log(job)
    # The stored scene is as it was.
    assert client.submit(manifest).state == "queued"


def test_a_fault_keeps_its_sentence_and_a_bug_its_traceback(served, connect, tmp_path):
    client = connect(served)
    bad = client.submit(client.offer(write(tmp_path / "bad", "bad"))[0]).job
    error = client.until(bad).error
    assert (error.code, error.sentence, error.remedy) == (
        "bad-scene",
        "The scene scene has no view.",
        "Take photographs.",
    )
    lost = client.submit(client.offer(write(tmp_path / "lost", "lost"))[0]).job
    error = client.until(lost).error
    assert error.sentence == "The file images/0.png is broken.", "as its owner knows it"
    assert error.remedy == "Look at images/ of the capture."
    bug = client.submit(client.offer(write(tmp_path / "bug", "bug"))[0]).job
    error = client.until(bug).error
    assert error.sentence == (
        "The worker ended with status 1 and without a result; the last line of its log is \"KeyError: 'means'\"."
    )
    assert "Traceback" in served.log(bug)


def test_a_job_that_reports_is_cancelled_without_force(served, connect, tmp_path, monkeypatch):
    for limit in ("TERMINATE_AFTER", "KILL_AFTER", "ABANDON_AFTER"):
        monkeypatch.setattr(worker_process, limit, 1e9)
    client = connect(served)
    job = client.submit(client.offer(write(tmp_path / "scene", "wait"))[0]).job
    client.until(job, "running", stage="lift")
    client.cancel(job)
    assert client.until(job).state == "cancelled"


def test_a_job_that_hangs_is_cancelled_within_two_seconds(served, connect, tmp_path):
    client = connect(served)
    job = client.submit(client.offer(write(tmp_path / "scene", "hang"))[0]).job
    client.until(job, "running", stage="lift")
    begin = time.monotonic()
    client.cancel(job)
    assert client.until(job).state == "cancelled"
    assert time.monotonic() - begin < 2.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job's folder with an assignment to wait for ever."""
    scene = write(tmp_path / "scene", "wait")
    entries = entries_of(scene)
    store = Store(tmp_path / "store")
    for entry in entries:
        store.adopt(scene / entry.path, entry.digest)
    folder = tmp_path / "job"
    folder.mkdir()
    manifest = store.put(pack_manifest(entries))
    worker_protocol.write_assignment(folder, Assignment(str(store.root), "kitchen", manifest, JobRequest(), "cpu"))
    return folder


def started(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, str(folder), "token"], cwd=HERE.parents[2])


def until_it_lifts(folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    file = worker_protocol.reports(folder, "token")
    while not (file.exists() and b'"lift"' in file.read_bytes()):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_second_worker_on_a_folder_ends_at_once(folder):
    first = started(folder)
    until_it_lifts(folder)
    assert started(folder).wait(PATIENCE) == worker_protocol.HELD
    first.kill()
    first.wait()


@pytest.mark.parametrize("order", [worker_protocol.CANCEL, worker_protocol.STOP])
def test_a_worker_obeys_orders(folder, order):
    worker = started(folder)
    until_it_lifts(folder)
    worker_protocol.write_order(folder, order)
    assert worker.wait(PATIENCE) == 1
    last = worker_protocol.unpack(worker_protocol.reports(folder, "token").read_bytes().split(b"\n")[-2])
    assert isinstance(last, Stopping) == (order == worker_protocol.STOP)


def test_what_an_interrupted_worker_left_is_laid_out_anew(folder):
    (folder / "scene" / "images").mkdir(parents=True)
    (folder / "scene" / "images" / "a.png").write_bytes(b"half a pho")
    (folder / "scene" / "script").write_text("good")
    (folder / "scene" / "more").write_text("")
    (folder / "result").mkdir()
    worker = started(folder)
    until_it_lifts(folder)
    worker.kill()
    worker.wait()
    assert (folder / "scene" / "images" / "a.png").read_bytes() == b"photograph"
    assert not (folder / "scene" / "more").exists()


@pytest.mark.parametrize("line", [Step("lift", 0.5, "half"), Stopping(), Done(), Failed("bad-scene", "No.", "Yes.")])
def test_lines_are_read_as_they_were_written(line):
    packed = worker_protocol.pack(line)
    assert packed.endswith(b"\n")
    assert worker_protocol.unpack(packed) == line


@pytest.mark.parametrize(
    "line",
    [b"", b"hello", b"{}", b'{"type":"done","x":1}', b'{"type":"progress","stage":"lift","fraction":NaN}', b"[" * 9999],
)
def test_what_is_no_line_is_none(line):
    assert worker_protocol.unpack(line) is None


def test_text_is_clipped_to_one_printable_line():
    assert worker_protocol.clip("a\nb\x1b[0m", 20) == "a b [0m"
    assert worker_protocol.clip("x" * 30, 10) == "x" * 9 + "…"


def test_the_folder_of_the_scene_is_named_in_words() -> None:
    scene = Path("/jobs/1/scene")
    assert worded_for_client("/jobs/1/scene holds 3 photographs.", scene) == "The capture holds 3 photographs."
    assert worded_for_client("Look at /jobs/1/scene/images/a.png of /jobs/1/scene.", scene) == (
        "Look at images/a.png of the capture."
    )


def test_a_damaged_scene_is_removed_and_said(served, connect, tmp_path):
    client = connect(served)
    folder = write(tmp_path / "scene", "good")
    manifest, _ = client.offer(folder)
    job = client.submit(client.offer(write(tmp_path / "other", "wait"))[0]).job
    waits = client.submit(manifest).job
    photograph = Store(served.data / "store").path(digest_of(b"photograph"))
    client.until(job, "running", stage="lift")
    photograph.unlink()
    photograph.write_bytes(b"PHOTOGRAPH")
    client.cancel(job)
    error = client.until(waits).error
    assert (error.sentence, error.remedy) == (
        "The file images/a.png was damaged and has been removed.",
        "Send the folder again.",
    )
    client.offer(folder)
    assert client.until(client.submit(manifest).job).state == "done"


def test_a_worker_that_takes_too_much_memory_ends_with_a_sentence(tmp_path, connect, monkeypatch):
    monkeypatch.chdir(HERE.parents[2])
    served = Serving(tmp_path / "data", worker_command=COMMAND, worker_memory=400 << 20)
    try:
        client = connect(served)
        job = client.submit(client.offer(write(tmp_path / "scene", "greedy"))[0]).job
        error = client.until(job, patience=60).error
        assert error.sentence == "The job needs more than 0.4 GiB of memory, the limit of a worker on this server."
        assert "--worker-memory" in error.remedy
    finally:
        served.stop()


def test_a_log_that_grows_without_end_is_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_reports, "MOST_LOG", 10_000)
    monkeypatch.setattr(worker_reports, "KEPT_LOG", 100)
    reports = WorkerReports(tmp_path, "token")
    log = tmp_path / worker_protocol.LOG
    with log.open("ab", buffering=0) as worker:
        worker.write(b"x" * 9_000)
        reports.heard()
        assert log.stat().st_size == 9_000
        worker.write(b"y" * 2_000)
        reports.heard()
        worker.write(b"z")
    text = log.read_text()
    assert len(text) < 300
    assert text.startswith("The log was longer than")
    assert text.endswith("y" * 100 + "z")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize("as_fault", [False, True])
def test_a_worker_that_lacks_something_asks_for_a_later_start(folder, monkeypatch, capsys, number, as_fault):
    def segment(*_: object, **__: object) -> None:
        error = OSError(number, os.strerror(number))
        if as_fault:
            raise Unavailable("The mask cannot be written.") from error
        raise error

    monkeypatch.setattr("faulthandler.enable", lambda: None)  # pytest has taken standard error
    monkeypatch.setattr(memory_limit, "watch", lambda limit, exceeded: None)
    assert work(folder, "token", segment) == worker_protocol.LACKS
    assert os.strerror(number) in capsys.readouterr().err
    assert worker_protocol.read_order(folder) == b""


def test_a_preview_that_cannot_be_written_is_only_missing(tmp_path):
    channel = Channel(tmp_path, "a" * 16)
    reporter = worker._Reporter(channel)
    (tmp_path / worker_protocol.PICTURE).mkdir()  # so that the file cannot get its name
    reporter.picture(np.zeros((2, 3, 3), np.uint8))
    assert WorkerReports(tmp_path, "a" * 16).heard() == []
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]
    (tmp_path / worker_protocol.PICTURE).rmdir()
    reporter.picture(np.zeros((2, 3, 3), np.uint8))
    assert WorkerReports(tmp_path, "a" * 16).heard() == [Pictured()]

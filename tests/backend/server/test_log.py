"""The log: what it says, in which form, and that it holds up nobody."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import pytest

from backend.server import log as log_module
from backend.server.log import Log
from protocol.errors import Fault
from tests.backend.server.conftest import Serving, until_tidy

JOB = "1" * 32


def lines_of(log: Log, stream: io.StringIO) -> list[dict]:
    log.close()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_line_is_a_json_object_with_job_and_client():
    stream = io.StringIO()
    log = Log(stream, "json")
    log.say("connected", client='Blender "5.3"\nand a second line')
    log.say("failed", level="error", job=JOB, client="anna", code="bad-scene", files=3)
    first, second = lines_of(log, stream)
    assert (first["event"], first["level"], first["job"]) == ("connected", "info", None)
    assert first["client"] == 'Blender "5.3" and a second line'
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    del second["time"]
    assert second == {
        "level": "error",
        "event": "failed",
        "job": JOB,
        "client": "anna",
        "code": "bad-scene",
        "files": 3,
    }


def test_text_is_one_line_an_event():
    stream = io.StringIO()
    log = Log(stream)
    log.say("stage", job=JOB, stage="lift")
    log.say("refused", level="warning", client="a b", sentence="No.\x1b[31m Or = yes.")
    log.close()
    first, second = stream.getvalue().splitlines()
    assert first.split(" ", 1)[1] == f"info    stage job={JOB} stage=lift"
    assert second.split(" ", 1)[1] == 'warning refused client="a b" sentence="No. [31m Or = yes."'


def test_a_flood_is_cut_short_and_counted(monkeypatch):
    monkeypatch.setattr(log_module, "MOST_A_SECOND", 5)
    now = [1000.0]
    monkeypatch.setattr(log_module.time, "time", lambda: now[0])
    stream = io.StringIO()
    log = Log(stream, "json")
    for number in range(50):
        log.say("refused", number=number)
    now[0] = 1001.0
    log.say("stopping")
    lines = lines_of(log, stream)
    assert [line["event"] for line in lines] == [*["refused"] * 5, "lines-left-out", "stopping"]
    assert lines[5]["lines"] == 45


class Stuck(io.StringIO):
    """A pipe that nobody reads."""

    def write(self, text: str) -> int:
        time.sleep(60)
        return len(text)


def test_a_pipe_that_nobody_reads_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(log_module, "MOST_WAITING", 10)
    monkeypatch.setattr(log_module, "CLOSE_PATIENCE", 0.1)
    log = Log(Stuck())
    begin = time.monotonic()
    for _ in range(100):
        log.say("stage")
    log.close()
    assert time.monotonic() - begin < 2.0


class Full(io.StringIO):
    """A disk without room."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_ends_nothing():
    log = Log(Full())
    log.say("stage")
    log.close()
    assert not log._thread.is_alive()


def test_a_server_says_what_becomes_of_a_job_and_who_sent_it(tmp_path: Path, connect, scene):
    stream = io.StringIO()
    log = Log(stream, "json")
    serving = Serving(tmp_path / "data", log=log)
    client = connect(serving)
    manifest, _ = client.offer(scene("step lift 0.5", "step lift 0.6", "write out 5", "done", a=100))
    good = client.submit(manifest, title="kitchen").job
    client.until(good)
    until_tidy(serving.data / "jobs" / good)
    bad = client.submit(client.offer(scene("error bad-scene"))[0]).job
    client.until(bad)
    with pytest.raises(Fault):
        client.sync("9" * 32)
    serving.stop()
    lines = lines_of(log, stream)

    def of(job: str) -> list[str]:
        assert all(line["client"] in ("default", None) for line in lines if line["job"] == job)
        return [line["event"] for line in lines if line["job"] == job]

    assert sorted(of(good)) == ["done", "running", "stage", "submitted", "worker-started"]
    assert of(bad)[-1] == "failed"
    (failed,) = [line for line in lines if line["event"] == "failed"]
    assert (failed["client"], failed["code"], failed["level"]) == ("default", "bad-scene", "error")
    (refused,) = [line for line in lines if line["event"] == "refused"]
    assert (refused["client"], refused["job"], refused["message"]) == ("default", "9" * 32, "Sync")
    stored = [line for line in lines if line["event"] == "stored"]
    assert [(line["client"], line["files"]) for line in stored] == [("default", 2), ("default", 1)]
    assert [lines[0]["event"], lines[-1]["event"]] == ["serving", "stopped"]
    assert "connected" in [line["event"] for line in lines]

"""What a server that cannot be trusted can do to the add-on: end its own link or job, and nothing else.

No step may take Blender's window longer than :data:`LONGEST_STEP`, no file may be written outside the cache, and the
memory must stay bounded. Processor time is measured, because other programs share the machine.
"""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from blender_addon.client.connection import CONNECT_TIMEOUT
from blender_addon.client.coroutines import Steps
from blender_addon.client.correction import correct
from blender_addon.client.dispatcher import MAX_UNREAD
from blender_addon.client.job import Job
from blender_addon.client.naming import ask_names
from blender_addon.client.selection import select
from blender_addon.client.upload_state import MAX_GETS
from protocol.errors import BadFrames, Fault, JobFailed
from protocol.manifest import digest_of
from protocol.messages import (
    MAX_SIDE,
    Accepted,
    Chunk,
    Correct,
    Corrected,
    Error,
    FileEntry,
    Get,
    Message,
    Named,
    NameObjects,
    Offer,
    Picture,
    Progress,
    Result,
    Select,
    Selected,
    Stored,
    Wanted,
)
from protocol.result.report import MOST_WARNINGS
from protocol.wire import MAX_ARRAY, encode
from tests.blender_addon.client.mock_server import PATIENCE, MockServer, Stage

T = TypeVar("T")
LONGEST_STEP = 0.05
"""Seconds of processor time that one step of the client may take: Blender's timer waits for it."""
JOB = "1" * 32


class Watched:
    """A stage whose steps are timed.

    Attributes:
        longest: processor time of the longest step so far, in seconds.
    """

    def __init__(self, stage: Stage) -> None:
        assert stage.server is not None
        self.stage = stage
        self.server: MockServer = stage.server
        self.longest = 0.0
        step = stage.connection.step

        def timed(budget: float = 0.005) -> None:
            began = time.thread_time()
            step(budget)
            self.longest = max(self.longest, time.thread_time() - began)

        stage.connection.step = timed

    def submitted(self, folder: Path) -> Job:
        job = self.stage.job_list.submit(folder)
        self.stage.play(lambda: job.id in self.server.jobs and job.state == "queued")
        self.longest = 0.0
        return job

    def finished(self, steps: Steps[T]) -> T:
        request = self.stage.connection.start(steps)
        self.stage.play(lambda: request.final)
        return request.answer

    def manifest(self, job: Job, manifest: bytes) -> None:
        """Give a job a result with these bytes as its manifest."""
        self.server.content[digest_of(manifest)] = manifest
        self.server.results[job.id] = Result(job.id, digest_of(manifest), len(manifest))
        self.server.push(job.id, state="done")


@pytest.fixture
def watched(stage: Stage) -> Iterator[Watched]:
    watched = Watched(stage)
    watched.server.features = ["select", "corrections", "names"]
    stage.connect()
    yield watched
    assert watched.longest < LONGEST_STEP


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Check the memory that Python's objects take at the same time, in bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


WRONG_TYPES = {
    "a number as a name": b'{"v":2,"id":0,"message":{"type":"progress","job":"%b","seq":1,"state":7}}',
    "a text as a number": b'{"v":2,"id":0,"message":{"type":"progress","job":"%b","seq":"1","state":"done"}}',
    "a number that is too large": b'{"v":2,"id":0,"message":{"type":"progress","job":"%b","seq":1e300,"state":"done"}}',
    "an unknown message": b'{"v":2,"id":0,"message":{"type":"format","job":"%b"}}',
    "a field of another message": b'{"v":2,"id":0,"message":{"type":"picture","job":"%b","shell":"ls"}}',
    "lists without an end": b'{"v":2,"id":0,"message":{"type":"picture","job":"%b"},"arrays":' + b"[" * 60_000,
    "no JSON": b"\x80\x04\x95%b",
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_fields_of_the_wrong_type_end_the_link_alone(watched, capture, name):
    job = watched.submitted(capture())
    watched.server.control.send_multipart([watched.server.peer, WRONG_TYPES[name] % job.id.encode()])
    watched.stage.play(lambda: watched.stage.connection.state == "disconnected")
    assert isinstance(watched.stage.connection.error, BadFrames)
    assert not job.final, "it goes on after the next connection"


def test_a_manifest_of_millions_of_nothings_is_refused_before_it_is_a_list(watched, capture):
    job = watched.submitted(capture())
    watched.manifest(job, b'{"files":[' + b"0," * (4 << 20) + b"0]}")
    with at_most(40 << 20):  # the manifest has 8 MiB, and the mock server sends it
        watched.stage.play(lambda: job.final)
    assert isinstance(job.error, BadFrames)
    assert "too many entries" in job.error.sentence


def test_a_result_of_very_many_files_is_looked_up_in_small_steps(watched, capture):
    job = watched.submitted(capture())
    watched.server.offer_result(job.id, [FileEntry(f"{n}", 1, f"{n:064x}") for n in range(20_000)])
    watched.server.answers[Get] = lambda get: (
        Chunk(get.digest, get.offset) if get.digest in watched.server.content else None
    )
    watched.server.push(job.id, state="done")
    watched.stage.play(lambda: any(isinstance(m, Get) and int(m.digest, 16) < 20_000 for m in watched.server.heard))
    job.cancel()
    assert job.state == "cancelled"


PATHS_OUT = [
    "../evil",
    "a/../../evil",
    "/etc/evil",
    "C:/evil",
    "C:evil",
    "\\\\host\\share\\evil",
    "a\\..\\..\\evil",
    "a//evil",
    "./evil",
    "evil/.",
    "nul.ply",
    "COM1.txt",
    "LPT\u00b9",
    "evil.",
    "evil ",
    "evil:stream",
    "ev\u202eil",
    "ev\nil",
    "e" * 256,
    "/".join("e" * 40),
]


@pytest.mark.parametrize("path", PATHS_OUT, ids=ascii)
def test_no_path_of_a_result_leaves_its_folder(watched, capture, tmp_path, path):
    job = watched.submitted(capture())
    before = {each for each in tmp_path.rglob("*") if "cache" not in each.parts}
    watched.server.finish(job.id, {path: b"evil", "splats.ply": b"good"})
    watched.stage.play(lambda: job.final)
    assert isinstance(job.error, BadFrames)
    assert {each for each in tmp_path.rglob("*") if "cache" not in each.parts} == before
    assert not (watched.stage.cache / "results").exists()


LYING_CHUNKS: dict[str, Callable[[Get], list[tuple[Message, list[np.ndarray]]]]] = {
    "longer than requested": lambda get: [(Chunk(get.digest, get.offset), [np.zeros(get.length + 1, np.uint8)])],
    "of another place": lambda get: [(Chunk(get.digest, get.offset + 1), [np.zeros(get.length, np.uint8)])],
    "of another file": lambda get: [(Chunk("f" * 64, get.offset), [np.zeros(get.length, np.uint8)])],
    "two arrays": lambda get: [(Chunk(get.digest, get.offset), [np.zeros(get.length, np.uint8)] * 2)],
    "no array": lambda get: [(Chunk(get.digest, get.offset), [])],
    "of wide numbers": lambda get: [(Chunk(get.digest, get.offset), [np.zeros(get.length, np.int64)])],
    "a message of another kind": lambda get: [(Stored(get.digest), [])],
}


@pytest.mark.parametrize("lie", LYING_CHUNKS)
def test_a_part_of_a_file_that_was_not_requested_is_not_written(watched, capture, lie):
    job = watched.submitted(capture())
    watched.server.answers[Get] = LYING_CHUNKS[lie]
    watched.server.finish(job.id, {"splats.ply": b"ply" * 1000})
    watched.stage.play(lambda: job.final)
    assert isinstance(job.error, BadFrames)
    assert not list(watched.stage.cache.glob("store/??/*"))
    assert sum(path.stat().st_size for path in watched.stage.cache.glob("store/*.part")) == 0


def test_the_largest_selection_takes_no_time(watched):
    bits = [np.full(MAX_ARRAY, 255, np.uint8)] * 8
    total = 64 * MAX_ARRAY
    watched.server.answers[Select] = lambda _: [(Selected(JOB, total, total), bits)]
    assert watched.finished(select(watched.stage.connection, Select(JOB, gaussian=0))).all()
    watched.server.answers[Select] = lambda _: [(Selected(JOB, 1, 2**53), bits)]
    with pytest.raises(BadFrames, match="for a selection of"):
        watched.finished(select(watched.stage.connection, Select(JOB, gaussian=0)))


def test_the_largest_correction_takes_no_time(watched):
    count = 7 * MAX_ARRAY // 4
    rows = np.random.default_rng(0).permutation(count).astype(np.uint32)
    moves = np.array([[1, 2, count, 0, 0]], np.int32)
    answer = Corrected(JOB, "a" * 64, 1, count, 1)
    watched.server.answers[Correct] = lambda _: [(answer, [moves, *np.array_split(rows, 7)])]
    assert len(watched.finished(correct(watched.stage.connection, Correct(JOB))).rows) == count
    watched.server.answers[Correct] = lambda _: [(answer, [moves, *[rows[: MAX_ARRAY // 4]] * 7])]
    with pytest.raises(BadFrames, match="contradict each other"):
        watched.finished(correct(watched.stage.connection, Correct(JOB)))


BAD_NAMES = {
    "a label below 1": b'{"0":"cup"}',
    "a label that is too large": b'{"1000000":"cup"}',
    "a label that is no number": b'{"../../cup":"cup"}',
    "a name that is a list": b'{"1":["cup"]}',
    "a name without an end": b'{"1":"' + b"x" * 100_000 + b'"}',
    "lists in lists": b"[" * 1_000_000,
    "a million times the same": b"{" + b'"1":"",' * 1_000_000 + b'"1":""}',
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_none_are_refused(watched, name):
    data = np.frombuffer(BAD_NAMES[name], np.uint8)
    arrays = [data[at : at + MAX_ARRAY] for at in range(0, len(data), MAX_ARRAY)]
    watched.server.answers[NameObjects] = lambda _: [(Named(JOB, "a" * 64, 9, 9, "b" * 64, 1), arrays)]
    with pytest.raises(BadFrames):
        watched.finished(ask_names(watched.stage.connection, NameObjects(JOB, ["cup"]), lambda *_: None))


def test_a_report_without_an_end_gives_a_few_warnings(watched, capture):
    job = watched.submitted(capture())
    warnings = b'{"warnings":["' + b"x" * (20 << 20) + b'"]}'
    many = b'{"warnings":[' + b'"w",' * 200_000 + b'"w"]}'
    watched.server.finish(job.id, {"report.json": warnings})
    watched.stage.play(lambda: job.final)
    assert (job.state, job.warnings) == ("finished", [])
    other = watched.submitted(capture("other"))
    watched.server.finish(other.id, {"report.json": many})
    watched.stage.play(lambda: other.final)
    assert (other.state, len(other.warnings)) == ("finished", MOST_WARNINGS)


def test_a_flood_of_previews_leaves_one(watched, capture):
    job = watched.submitted(capture())
    picture = np.zeros((MAX_SIDE, MAX_SIDE, 3), np.uint8)
    with at_most(30 << 20):
        for _ in range(300):
            watched.server.send(Picture(job.id), [picture])
            watched.stage.connection.step(0.002)
        watched.stage.play(lambda: job.pictures > 0)
    assert job.picture is not None
    assert job.picture.shape == picture.shape


def test_answers_that_nobody_asked_for_are_dropped(watched, capture):
    job = watched.submitted(capture())
    with at_most(20 << 20):
        for id in [*range(600), 1 << 32, 2**53]:
            frames = encode(Accepted(job.id, "done", 2**53), [np.zeros(100_000, np.uint8)], id=id)
            watched.server.control.send_multipart([watched.server.peer, *frames])
            watched.stage.connection.step(0.002)
    watched.server.finish(job.id, {"splats.ply": b"ply"})
    watched.stage.play(lambda: job.final)
    assert job.state == "finished"


def test_answers_without_an_end_to_one_offer_end_the_link(watched, capture):
    """The server reads no more, so the upload cannot go on; what it says meanwhile must not fill the memory."""
    ids: list[int] = []
    reply = watched.server._reply

    def noted(sock: Any, peer: bytes, message: Message, id: int) -> None:
        ids.append(id) if isinstance(message, Offer) else None
        reply(sock, peer, message, id)

    watched.server._reply = noted
    watched.server.answers[Offer] = lambda _: None
    folder = capture()
    watched.stage.job_list.submit(folder)
    watched.stage.play(lambda: ids)
    digest = digest_of((folder / "images" / "a.png").read_bytes())
    waiting = watched.stage.connection._dispatcher.upload.gets
    steps = 0  # since the client last took a request
    while steps < 100:
        if len(waiting) < MAX_GETS // 2:
            steps = 0
            watched.server.ask(Get(digest, 0, 1 << 20))
        steps += 1
        watched.stage.connection.step(0.002)
    frames = encode(Wanted("a" * 64, 1, 1, 1, 1), [np.zeros(10_000, np.uint8)], id=ids[0])
    until = time.monotonic() + PATIENCE
    said = 0
    while watched.stage.connection.state == "connected":
        assert time.monotonic() < until
        said += 1
        watched.server.bulk.send_multipart([watched.server._bulk_peer, *frames])
        watched.stage.connection.step(0.002)
    assert said > MAX_UNREAD
    assert isinstance(watched.stage.connection.error, BadFrames)
    assert "more answers" in watched.stage.connection.error.sentence


def test_the_same_range_again_and_again_is_ended_by_a_cancel(watched, capture):
    watched.server.answers[Offer] = lambda _: None
    job = watched.stage.job_list.submit(capture())
    watched.stage.play(lambda: any(isinstance(m, Offer) for m in watched.server.heard))
    for _ in range(200):
        watched.server.ask(Get(digest_of(b"{}"), 0, 2))
        watched.stage.connection.step(0.002)
        watched.server.step()
    job.cancel()
    watched.stage.play(lambda: any(isinstance(m, Error) for m in watched.server.heard))
    assert job.state == "cancelled"


def test_a_terminal_obeys_no_sentence_of_a_server(watched, capture):
    job = watched.submitted(capture())
    evil = Error("job-failed", "\x1b[2JTrust\x9bme\x00" + "x" * 1900, "\r\x07")
    watched.server.push(job.id, state="running", stage="\x1b[31mred", note="a\x00b")
    watched.stage.play(lambda: job.state == "running")
    assert (job.stage + job.note).isprintable()
    watched.server.push(job.id, state="failed", error=evil)
    watched.stage.play(lambda: job.final)
    assert isinstance(job.error, JobFailed)
    assert str(job.error).replace("\n", "").isprintable()


def test_news_from_the_end_of_the_numbers_hides_nothing_but_its_own_job(watched, capture):
    first, second = watched.submitted(capture("a")), watched.submitted(capture("b"))
    watched.server.send(Progress(first.id, 2**53, "running", "lift", 1.0))
    watched.server.finish(second.id, {"splats.ply": b"ply"})
    watched.stage.play(lambda: second.final)
    assert (first.state, second.state) == ("running", "finished")


@pytest.mark.parametrize("greeting", [b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(48), b"HTTP/1.1 200 OK\r\n" * 9])
def test_a_greeting_that_comes_drop_by_drop_is_given_up(stage: Stage, greeting: bytes):
    watched = Watched(stage)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stage.connection.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        listener.settimeout(0.01)
        slow: socket.socket | None = None
        for drop in greeting:
            if slow is None:
                with suppress(TimeoutError):
                    slow, _ = listener.accept()
            else:
                with suppress(OSError):
                    slow.sendall(bytes([drop]))
            stage.clock.now += CONNECT_TIMEOUT / 20
            stage.connection.step(0.002)
            if stage.connection.state == "disconnected":
                break
        if slow is not None:
            slow.close()
    assert stage.connection.state == "disconnected"
    assert isinstance(stage.connection.error, Fault)
    assert watched.longest < LONGEST_STEP

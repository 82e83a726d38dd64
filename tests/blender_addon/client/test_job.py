"""Jobs against a scripted server: up, work, down; cancelled, cut off, lied to."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from blender_addon.client import record
from blender_addon.client.cache import Cache
from blender_addon.client.connection import HEARTBEAT_INTERVAL, Connection
from blender_addon.client.job_list import JobList
from blender_addon.client.upload_state import MAX_GETS
from protocol.errors import (
    BadArgument,
    BadFrames,
    BadResult,
    BadScene,
    JobFailed,
    NotFound,
    Refused,
    Unavailable,
    VersionMismatch,
)
from protocol.job_request import JobRequest
from protocol.manifest import MAX_MANIFEST, digest_of, unpack_manifest
from protocol.messages import (
    MAJOR,
    Accepted,
    Cancel,
    Chunk,
    Error,
    FileEntry,
    Get,
    GetResult,
    Hello,
    Offer,
    Picture,
    Progress,
    Result,
    Submit,
    Sync,
)
from protocol.pull import CHUNK

from .mock_server import MockServer

RESULT = {"splats.ply": b"ply" * 900_000, "objects/0001.ply": b"object", "labels/empty.png": b""}


def submitted(stage, folder, **request: Any):
    """Submit a folder and wait until the server has the job."""
    job = stage.job_list.submit(folder, JobRequest(**request))
    stage.play(lambda: job.id in stage.server.jobs and job.state == "queued")
    return job


def test_a_job_from_folder_to_result(stage, capture):
    stage.connect()
    job = submitted(stage, capture(), method="quick", seed=3)
    assert job.title == "kitchen"
    submit = next(m for m in stage.server.heard if isinstance(m, Submit))
    assert (submit.title, submit.request) == ("kitchen", JobRequest(method="quick", seed=3))

    stage.server.push(job.id, state="running", stage="lift", fraction=0.5, note="29.8 dB")
    stage.play(lambda: job.state == "running")
    assert (job.stage, job.fraction, job.note) == ("lift", 0.5, "29.8 dB")
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    assert job.error is None
    assert stage.job_states(job) == ["preparing", "uploading", "queued", "running", "downloading", "finished"]
    assert {
        p.relative_to(job.folder).as_posix(): p.read_bytes() for p in job.folder.rglob("*") if p.is_file()
    } == RESULT
    assert job.result() == job.folder
    assert sorted(os.listdir(job.folder.parent)) == [job.id]


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (b'{"objects": 3, "warnings": ["One.", "Two."]}', ["One.", "Two."]),
        (b'{"warnings": ["a", "b", "c", "d", "e", "f"]}', ["a", "b", "c", "d", "e"]),
        (b'{"warnings": "One."}', []),
        (b"[" * 100_000, []),
        (b"\xff", []),
    ],
)
def test_what_a_result_warns_of_is_known_when_it_is_here(stage, capture, report, told):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.finish(job.id, {**RESULT, "report.json": report})
    stage.play(lambda: job.final)
    assert job.warnings == told
    again = JobList(Connection(), Cache(stage.cache))
    again.restore(stage.job_list.record())
    assert again.jobs[0].warnings == told


def test_progress_never_reaches_the_end_before_the_result_is_there(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.push(job.id, state="running", stage="write", fraction=1.0)
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    early = [fraction for id, state, fraction in stage.shown if id == job.id and state != "finished"]
    assert 0.9 < max(early) < 1.0
    assert job.fraction == 1.0


def test_only_the_files_of_the_scene_arrive_and_each_range_once(stage, capture):
    folder = capture(a=2 * CHUNK + 5, b=17, c=0)
    (folder / "gt").mkdir()
    (folder / "gt" / "secret.png").write_bytes(b"truth")
    (folder / "notes.docx").write_bytes(b"private")
    stage.connect()
    job = submitted(stage, folder)
    offer = next(m for m in stage.server.heard if isinstance(m, Offer))
    entries = {e.path: e for e in unpack_manifest(stage.server.content[offer.manifest])}
    assert sorted(entries) == ["images/a.png", "images/b.png", "images/c.png", "transforms.json"]
    assert all(stage.server.content[e.digest] == (folder / path).read_bytes() for path, e in entries.items())
    assert max(stage.server.asked.values()) == 1
    sent = [(c.digest, c.offset) for c in stage.server.heard if isinstance(c, Chunk)]
    assert len(sent) == len(set(sent)) == 1 + 3 + 1 + 1
    assert job.bytes_done == 0, "the bytes of the upload are not those of the next stage"


def test_what_the_server_has_is_not_sent_again(stage, capture):
    stage.connect()
    folder = capture()
    submitted(stage, folder)
    before = len(stage.server.kinds(Chunk))
    submitted(stage, folder)
    assert len(stage.server.kinds(Chunk)) == before
    (folder / "images" / "new.png").write_bytes(b"one more")
    submitted(stage, folder)
    assert len(stage.server.kinds(Chunk)) == before + 2, "the manifest and the new file"


def test_one_upload_at_a_time(stage, capture):
    stage.connect()
    first = stage.job_list.submit(capture("first"))
    second = stage.job_list.submit(capture("second"))
    stage.play(lambda: first.state == second.state == "queued")
    assert [m.title for m in stage.server.heard if isinstance(m, Submit)] == ["first", "second"]
    kinds = stage.server.kinds(Offer, Submit)
    assert kinds[0] == "Offer"
    assert len(kinds) == 4


def test_a_folder_is_prepared_while_there_is_no_connection(stage, capture):
    job = stage.job_list.submit(capture())
    for _ in range(50):
        stage.connection.step()
    assert (job.state, job.stage) == ("preparing", "prepare")
    stage.connect()
    stage.play(lambda: job.state == "queued")


def test_a_step_is_a_small_piece(stage, capture):
    job = stage.job_list.submit(capture(a=20 * CHUNK))
    seen = []
    for _ in range(15):
        stage.connection.step(0)
        seen.append(job.bytes_done)
    assert max(later - earlier for earlier, later in pairwise(seen)) == CHUNK


def test_news_that_is_older_than_what_is_known_is_dropped(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.push(job.id, seq=9, state="running", stage="lift", fraction=0.5)
    stage.play(lambda: job.state == "running")
    stage.server.send(Progress(job.id, 8, "queued"))
    stage.server.send(Progress(job.id, 9, "failed"))
    stage.server.push(job.id, seq=10, state="running", stage="lift", fraction=0.6)
    stage.play(lambda: job.fraction == 0.6)
    assert "failed" not in stage.job_states(job)


def test_news_of_a_strangers_job_is_let_fall(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.send(Progress("f" * 32, 1, "failed"))
    stage.server.push(job.id, state="running", stage="scene")
    stage.play(lambda: job.state == "running")


def test_a_failure_is_shown_in_the_servers_words(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.push(job.id, state="failed", error=Error("bad-scene", "There are no cameras.", "Add some."))
    stage.play(lambda: job.final)
    assert (job.state, type(job.error)) == ("failed", BadScene)
    assert (job.error.sentence, job.error.remedy) == ("There are no cameras.", "Add some.")
    with pytest.raises(BadScene):
        job.result()


def test_a_failure_without_words_is_one_too(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.push(job.id, state="failed")
    stage.play(lambda: job.final)
    assert isinstance(job.error, JobFailed)


def test_a_refused_submission_fails_the_job(stage, capture):
    stage.connect()

    def refuse(_):
        raise Refused("This server only supports the device cuda.", "Ask for it.")

    stage.server.answers[Submit] = refuse
    job = stage.job_list.submit(capture())
    stage.play(lambda: job.final)
    assert job.error.sentence == "This server only supports the device cuda."


# Cancel


def test_cancel_while_preparing(stage, capture):
    job = stage.job_list.submit(capture(a=20 * CHUNK))
    stage.connection.step(0)
    job.cancel()
    assert (job.state, stage.job_list.unfinished) == ("cancelled", [])
    with pytest.raises(Refused, match="cancelled"):
        job.result()


def test_cancel_while_uploading_ends_the_servers_pull_and_lets_the_next_job_through(stage, capture):
    stage.connect()
    job = stage.job_list.submit(capture("first", a=8 * CHUNK))
    stage.play(lambda: job.state == "uploading" and job.bytes_done > CHUNK)
    job.cancel()
    assert job.state == "cancelled"
    stage.play(lambda: "Error" in stage.server.kinds())
    # What the server had asked for before it heard of the end may still come in.
    stage.server.ask(Get("e" * 64, 0, 10))
    after = submitted(stage, capture("second"))
    assert after.state == "queued"
    assert stage.server.kinds(Submit) == ["Submit"]


def test_cancel_while_running_is_passed_on(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.push(job.id, state="running", stage="lift", fraction=0.2)
    stage.play(lambda: job.state == "running")
    job.cancel()
    assert job.state == "cancelling"
    stage.play(lambda: Cancel in map(type, stage.server.heard))
    stage.server.push(job.id, state="cancelling", stage="lift", fraction=0.3)
    stage.server.push(job.id, state="cancelled")
    stage.play(lambda: job.final)
    assert stage.job_states(job)[-3:] == ["running", "cancelling", "cancelled"]
    assert stage.server.kinds(Cancel) == ["Cancel"]
    job.cancel()
    assert job.state == "cancelled"


def test_cancel_that_comes_too_late_still_brings_the_result(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.finish(job.id, RESULT)
    stage.server.answers[Cancel] = lambda _: stage.server.jobs[job.id]
    job.cancel()
    stage.play(lambda: job.final)
    assert job.state == "finished"


def test_cancel_while_downloading(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.state == "downloading")
    job.cancel()
    assert job.state == "cancelled"
    assert not (stage.cache / "results").exists()
    stage.pass_time(HEARTBEAT_INTERVAL)
    assert stage.connection.state == "connected"


def test_cancel_without_a_connection_is_passed_on_later(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    jobs = stage.server.jobs
    port = stage.vanish()
    stage.play(lambda: stage.connection.state == "disconnected")
    job.cancel()
    stage.server = MockServer(port)
    stage.server.jobs = jobs
    stage.clock.now += 2
    stage.play(lambda: stage.server.kinds(Cancel))
    stage.server.push(job.id, state="cancelled")
    stage.play(lambda: job.state == "cancelled")


# Lost links


def comes_back(stage, port, *, jobs=None, content=None):
    """Let the server come back as another process on the same port, with what it had stored."""
    stage.play(lambda: stage.connection.state == "disconnected")
    stage.server = MockServer(port, instance="c" * 32)
    stage.server.jobs = jobs or {}
    stage.server.content = content or {}
    stage.clock.now += 2
    stage.play(lambda: stage.connection.state == "connected")


def test_a_running_job_is_followed_again(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    jobs = stage.server.jobs
    comes_back(stage, stage.vanish(), jobs=jobs)
    stage.play(lambda: stage.server.kinds(Sync))
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    assert job.state == "finished"
    assert not stage.server.kinds(Submit, Offer, Chunk)


def test_what_happened_meanwhile_is_learnt(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    jobs = {job.id: Progress(job.id, 50, "failed", error=Error("unavailable", "No memory."))}
    comes_back(stage, stage.vanish(), jobs=jobs)
    stage.play(lambda: job.final)
    assert job.error.sentence == "No memory."


def test_an_interrupted_upload_is_offered_again(stage, capture):
    stage.connect()
    job = stage.job_list.submit(capture(a=3 * CHUNK, b=3 * CHUNK))
    stage.play(lambda: job.state == "uploading" and job.bytes_done >= 4 * CHUNK)
    content = stage.server.content
    comes_back(stage, stage.vanish(), content=content)
    stage.play(lambda: job.state == "queued")
    assert len(stage.server.kinds(Chunk)) <= 4, "what had arrived whole is not sent again"
    assert job.id in stage.server.jobs


def test_a_submission_whose_answer_was_lost_is_not_made_twice(stage, capture):
    stage.connect()
    stage.server.answers[Submit] = lambda _: None
    job = stage.job_list.submit(capture())
    stage.play(lambda: stage.server.kinds(Submit))
    jobs = {job.id: Progress(job.id, 1, "running", "scene")}
    comes_back(stage, stage.vanish(), jobs=jobs)
    stage.play(lambda: job.state == "running")
    assert stage.server.kinds(Submit, Offer) == []


def test_a_submission_that_never_arrived_is_made_again_under_the_same_id(stage, capture):
    stage.connect()
    stage.server.answers[Submit] = lambda _: None
    job = stage.job_list.submit(capture())
    stage.play(lambda: stage.server.kinds(Submit))
    content = stage.server.content
    comes_back(stage, stage.vanish(), content=content)
    stage.play(lambda: job.id in stage.server.jobs and job.state == "queued")
    assert stage.server.kinds(Chunk) == []
    stage.server.push(job.id, state="running", stage="scene")
    stage.play(lambda: job.state == "running")


def test_a_server_that_lost_its_memory_is_given_the_job_again(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.push(job.id, seq=70, state="running", stage="lift")
    stage.play(lambda: job.state == "running")
    comes_back(stage, stage.vanish())
    stage.play(lambda: job.id in stage.server.jobs)
    stage.server.push(job.id, seq=1, state="running", stage="scene")
    stage.play(lambda: job.stage == "scene")


def test_a_cancelled_job_that_the_server_never_had_is_not_started(stage, capture):
    stage.connect()
    stage.server.answers[Submit] = lambda _: None
    job = stage.job_list.submit(capture())
    stage.play(lambda: stage.server.kinds(Submit))
    job.cancel()
    comes_back(stage, stage.vanish())
    stage.play(lambda: job.final)
    assert job.state == "cancelled"
    assert stage.server.kinds(Submit) == []


def test_an_interrupted_download_goes_on(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.finish(job.id, {"splats.ply": os.urandom(6 * CHUNK)})
    stage.play(lambda: job.bytes_done >= 3 * CHUNK)
    jobs, content, results = stage.server.jobs, stage.server.content, stage.server.results
    port = stage.vanish()
    stage.play(lambda: stage.connection.state == "disconnected")
    stage.server = MockServer(port)
    stage.server.jobs, stage.server.content, stage.server.results = jobs, content, results
    stage.clock.now += 2
    stage.play(lambda: job.final)
    assert job.state == "finished"
    assert len(stage.server.kinds(Get)) <= 4


def test_disconnecting_and_connecting_again_goes_on_with_the_job(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.connection.close()
    stage.connection.step()
    assert not job.final
    stage.connect()
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    assert job.state == "finished"


def test_connecting_to_another_server_ends_the_jobs_of_the_first(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    other = MockServer()
    stage.connection.connect(other.address)
    assert isinstance(job.error, Unavailable)
    assert other.address in job.error.sentence
    other.close()


@pytest.mark.parametrize("anew", [False, True], ids=["same Blender", "Blender started anew"])
def test_the_next_server_started_here_has_the_jobs_of_the_first_at_another_port(stage, capture, tmp_path, anew):
    stage.connection.connect(stage.server.address, started_here=True)
    job = submitted(stage, capture())
    jobs = stage.server.jobs
    entries = stage.job_list.record()
    stage.vanish()
    if anew:
        record.write(tmp_path, entries)
        stage.connection.destroy()
        stage.restart()
        stage.job_list.restore(record.read(tmp_path))
        (job,) = stage.job_list.jobs
    stage.server = MockServer()
    stage.server.jobs = jobs
    stage.connection.connect(stage.server.address, started_here=True)
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    assert job.state == "finished"
    assert not stage.server.kinds(Submit)


def test_a_server_started_here_does_not_have_the_jobs_of_one_that_was_not(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    other = MockServer()
    stage.connection.connect(other.address, started_here=True)
    assert isinstance(job.error, Unavailable)
    other.close()


# A server that cannot be trusted


def test_nothing_but_what_was_offered_is_sent(stage, capture, tmp_path):
    (tmp_path / "key.pem").write_bytes(b"secret")
    stage.connect()
    stage.server.answers[Offer] = lambda _: None
    job = stage.job_list.submit(capture())
    stage.play(lambda: stage.server.kinds(Offer))
    stage.server.ask(Get(digest_of(b"secret"), 0, 6))
    stage.play(lambda: job.final)
    assert isinstance(job.error, BadFrames)
    stage.play(lambda: "Error" in stage.server.kinds())
    assert stage.server.kinds(Chunk) == []


def test_more_than_a_file_holds_is_not_sent(stage, capture):
    stage.connect()
    stage.server.answers[Offer] = lambda _: None
    job = stage.job_list.submit(capture())
    stage.play(lambda: stage.server.kinds(Offer))
    stage.server.ask(Get(digest_of(b"{}"), 1, 2))
    stage.play(lambda: job.final)
    assert isinstance(job.error, NotFound)
    assert stage.server.kinds(Chunk) == []


def test_a_flood_of_requests_ends_the_link(stage, capture):
    stage.connect()
    for _ in range(MAX_GETS + 1):
        stage.server.bulk.send_multipart([stage.server._bulk_peer, *_encoded(Get("e" * 64, 0, 1))])
    stage.play(lambda: stage.connection.state == "disconnected")
    assert isinstance(stage.connection.error, BadFrames)


def _encoded(message):
    from protocol.wire import encode

    return encode(message)


def test_a_file_that_goes_away_meanwhile(stage, capture):
    folder = capture()
    stage.connect()
    stage.server.answers[Offer] = lambda _: None
    job = stage.job_list.submit(folder)
    stage.play(lambda: stage.server.kinds(Offer))
    (folder / "transforms.json").unlink()
    stage.server.ask(Get(digest_of(b"{}"), 0, 2))
    stage.play(lambda: job.final)
    assert "transforms.json" in job.error.sentence


BAD_RESULTS = {
    "another content": ({"a.ply": b"good"}, {digest_of(b"good"): b"evil"}, BadFrames),
    "too few bytes": ({"a.ply": b"good"}, {digest_of(b"good"): b"goo"}, BadFrames),
    "a path out of the folder": ({"../a.ply": b"good"}, {}, BadFrames),
    "an absolute path": ({"/etc/passwd": b"good"}, {}, BadFrames),
    "the same path twice": ({"a.ply": b"good", "A.ply": b"x"}, {}, BadFrames),
}


@pytest.mark.parametrize("name", BAD_RESULTS)
def test_a_bad_result_is_refused_and_leaves_no_folder(stage, capture, name):
    files, lies, kind = BAD_RESULTS[name]
    stage.connect()
    job = submitted(stage, capture())
    stage.server.finish(job.id, files)
    stage.server.content |= lies
    stage.play(lambda: job.final)
    assert type(job.error) is kind
    assert job.folder is None
    assert not (stage.cache / "results").exists()
    assert not (stage.cache.parent / "a.ply").exists()


def test_a_manifest_that_is_no_manifest(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.content[digest_of(b"no json")] = b"no json"
    stage.server.results[job.id] = Result(job.id, digest_of(b"no json"), 7)
    stage.server.push(job.id, state="done")
    stage.play(lambda: job.final)
    assert isinstance(job.error, BadFrames)


def test_a_manifest_that_is_too_large_is_not_fetched(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.results[job.id] = Result(job.id, "e" * 64, MAX_MANIFEST + 1)
    stage.server.push(job.id, state="done")
    stage.play(lambda: job.final)
    assert isinstance(job.error, BadResult)
    assert stage.server.kinds(Get) == []


def test_a_result_that_no_disk_holds(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.offer_result(job.id, [FileEntry("a.ply", 2**53, "e" * 64)])
    stage.server.push(job.id, state="done")
    stage.play(lambda: job.final)
    assert isinstance(job.error, Unavailable)


@pytest.mark.parametrize("kind", [Submit, Sync, GetResult], ids=lambda kind: kind.__name__)
def test_an_answer_of_the_wrong_kind_fails_the_job(stage, capture, kind):
    stage.connect()
    stage.server.answers[kind] = lambda message: (
        Accepted(message.job, "done", 1) if kind is not Submit else Cancel("a" * 32)
    )
    job = stage.job_list.submit(capture())
    if kind is GetResult:
        stage.play(lambda: job.state == "queued")
        stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    assert isinstance(job.error, BadFrames)


# What cannot be submitted


def test_masks_and_splats_are_named_inside_the_scene_folder(stage, capture, tmp_path):
    folder = capture()
    (folder / "gt").mkdir()
    (folder / "gt" / "0.png").write_bytes(b"mask")
    (folder / "start.PLY").write_bytes(b"ply")
    stage.connect()
    job = submitted(stage, folder, masks=str(folder / "gt"), splats="images/../start.PLY")
    assert (job.request.masks, job.request.splats) == ("gt", "start.PLY")
    submit = next(m for m in stage.server.heard if isinstance(m, Submit))
    paths = [e.path for e in unpack_manifest(stage.server.content[submit.scene])]
    assert "gt/0.png" in paths
    assert "start.PLY" in paths


def request_of(field: str, path: str) -> JobRequest:
    return JobRequest(masks=path) if field == "masks" else JobRequest(splats=path)


@pytest.mark.parametrize("field", ["masks", "splats"])
def test_paths_outside_the_scene_folder_are_refused(stage, capture, tmp_path, field):
    (tmp_path / "elsewhere").mkdir()
    for path in ("../elsewhere", str(tmp_path / "elsewhere")):
        with pytest.raises(BadArgument, match="outside the scene folder") as refused:
            stage.job_list.submit(capture(f"scene{len(path)}"), request_of(field, path))
        assert refused.value.remedy == "Copy it into the scene folder."
    with pytest.raises(BadArgument, match="does not exist"):
        stage.job_list.submit(capture("last"), request_of(field, "nowhere"))
    assert stage.job_list.jobs == []


def test_options_that_are_wrong_are_refused_at_once(stage, capture):
    folder = capture()
    for request in (JobRequest(steps=0), JobRequest(masks_from="geometry", method="quick")):
        with pytest.raises(BadArgument):
            stage.job_list.submit(folder, request)
    assert stage.job_list.jobs == []


@pytest.mark.parametrize("features", [[], ["facts", "picture", "select"]])
def test_options_that_an_old_server_does_not_take_are_refused_before_anything_is_sent(stage, capture, features):
    stage.server.features = features
    stage.connect()
    folder = capture()
    job = stage.job_list.submit(folder, JobRequest(quality="draft", meshes=False, refine=True))
    stage.play(lambda: job.final)
    assert isinstance(job.error, VersionMismatch)
    assert "is too old for refine and meshes" in job.error.sentence
    assert not any(isinstance(message, Offer | Submit) for message in stage.server.heard)
    submitted(stage, folder, quality="draft")


def test_options_go_to_a_server_that_takes_them(stage, capture):
    stage.server.features = ["options"]
    stage.connect()
    submitted(stage, capture(), masks_from="geometry", gallery=False)
    submit = next(m for m in stage.server.heard if isinstance(m, Submit))
    assert submit.request == JobRequest(masks_from="geometry", gallery=False)


def test_a_folder_that_is_not_there(stage, tmp_path):
    job = stage.job_list.submit(tmp_path / "nowhere")
    stage.connection.step()
    assert isinstance(job.error, BadScene)
    assert "nowhere" in job.error.sentence


def test_a_cache_that_cannot_be_made(stage, capture):
    stage.cache.write_bytes(b"a file is in the way")
    stage.connect()
    job = submitted(stage, capture())
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    assert isinstance(job.error, Unavailable)
    assert str(stage.cache) in job.error.sentence


def test_the_result_of_a_job_without_a_connection(stage, capture):
    job = stage.job_list.submit(capture())
    with pytest.raises(Unavailable, match="no connection"):
        job.result()


def test_the_result_of_a_job_whose_server_became_another(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    port = stage.vanish()
    stage.play(lambda: stage.connection.state == "disconnected")
    stage.server = MockServer(port)
    stage.server.answers[Hello] = lambda _: stage.server.welcome(protocol=(MAJOR + 1, 0))
    stage.clock.now += 2
    stage.play(lambda: stage.connection.state == "error")
    with pytest.raises(VersionMismatch):
        job.result()


def test_a_bug_of_our_own_is_shown_and_raised(stage, capture, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("blender_addon.client.upload.pack_manifest", broken)
    job = stage.job_list.submit(capture())
    with pytest.raises(ZeroDivisionError):
        stage.play(lambda: job.final)
    assert job.state == "failed"
    assert "ZeroDivisionError" in str(job.error)
    stage.connection.step()


def test_pictures_of_the_work(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    assert job.picture is None
    shown = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    stage.server.send(Picture(job.id), [shown])
    stage.play(lambda: job.pictures == 1)
    assert job.picture is not None
    np.testing.assert_array_equal(job.picture, shown)
    stage.server.send(Picture("f" * 32), [shown])
    stage.server.finish(job.id, RESULT)
    stage.play(lambda: job.final)
    assert stage.connection.error is None


@pytest.mark.parametrize(
    "arrays",
    [
        [],
        [np.zeros((2, 2, 3), np.float32)],
        [np.zeros((2, 2), np.uint8)],
        [np.zeros((2, 2, 4), np.uint8)],
        [np.zeros((0, 2, 3), np.uint8)],
        [np.zeros((321, 2, 3), np.uint8)],
    ],
)
def test_what_is_no_picture_ends_the_link(stage, capture, arrays):
    stage.connect()
    job = submitted(stage, capture())
    stage.server.send(Picture(job.id), arrays)
    stage.play(lambda: stage.connection.state == "disconnected")
    assert isinstance(stage.connection.error, BadFrames)


def test_where_the_server_works_on_others_first_is_shown(stage, capture):
    stage.connect()
    first, second = submitted(stage, capture("a")), submitted(stage, capture("b"))
    stage.clock.now += HEARTBEAT_INTERVAL
    stage.play(lambda: second.ahead == 1)
    assert first.ahead == 0
    stage.server.push(first.id, state="cancelled")
    stage.play(lambda: first.final)
    stage.pass_time(HEARTBEAT_INTERVAL + 1)
    stage.play(lambda: second.ahead == 0)
    assert second.ahead == 0


def test_the_speed_and_the_time_left_are_told(stage, capture):
    stage.connect()
    job = submitted(stage, capture())
    for second in range(6):
        stage.clock.now += 1
        stage.server.push(job.id, state="running", stage="lift", fraction=0.1 * second)
        stage.play(lambda second=second: job.fraction == pytest.approx(0.1 * second))
    assert job.left == pytest.approx(5.0, abs=1.5)
    stage.server.push(job.id, stage="write", fraction=0.0)
    stage.play(lambda: job.stage == "write")
    assert job.left is None, "another stage has a rate of its own"


def test_a_record_brings_back_what_is_finished_and_what_still_runs(stage, capture, tmp_path):
    stage.connect()
    done, running = submitted(stage, capture("a"), method="quick"), submitted(stage, capture("b"))
    lost = submitted(stage, capture("c"))
    stage.server.finish(done.id, RESULT)
    stage.play(lambda: done.final)
    entries = stage.job_list.record()
    assert [entry.id for entry in entries] == [done.id, running.id, lost.id]
    record.write(tmp_path, entries)
    stage.connection.destroy()

    stage.restart()
    del stage.server.jobs[lost.id]
    stage.job_list.restore(record.read(tmp_path))
    again, follows, sent = stage.job_list.jobs
    assert (again.state, again.folder, again.request.method) == ("finished", done.folder, "quick")
    assert follows.state == "queued"
    stage.connect()
    stage.server.push(running.id, state="running", stage="lift", fraction=0.5)
    stage.play(lambda: follows.stage == "lift")
    stage.server.finish(running.id, RESULT)
    stage.play(lambda: follows.state == "finished")
    stage.play(lambda: sent.id in stage.server.jobs)  # the server had lost it, so it is sent again
    stage.job_list.forget(again)
    stage.job_list.forget(sent)
    assert stage.job_list.jobs == [follows, sent], "only what has ended is forgotten"


def test_a_record_that_is_broken_or_of_things_that_are_gone(stage, tmp_path, capture):
    assert record.read(tmp_path) == []
    (tmp_path / record.FILE).write_text("[{]")
    assert record.read(tmp_path) == []
    entry = record.Entry("a" * 32, "gone", str(tmp_path / "gone"), JobRequest(), True, "tcp://127.0.0.1:1")
    no_masks = record.Entry("b" * 32, "b", str(capture()), JobRequest(masks="masks"), False, "tcp://127.0.0.1:1")
    stage.job_list.restore([entry, no_masks])
    assert stage.job_list.jobs == []
    record.write(tmp_path / "new", [entry] * 100)
    assert len(record.read(tmp_path / "new")) == record.KEPT

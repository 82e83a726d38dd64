"""The table of jobs: what is written, in which order, and what is never written."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.server.clients import DEFAULT_CLIENT
from backend.server.jobs import Jobs
from protocol.errors import NotFound, Refused
from protocol.job_request import JobRequest
from protocol.messages import FINAL_STATES, Error, Submit

JOB = "1" * 32
SUBMIT = Submit(JOB, "kitchen", "a" * 64, JobRequest(method="consensus", seed=3, steps=100))
ACTS = ("run", "requeue", "retry", "server_ended", "cancel", "cancelled", "fail", "finish", "step")


def act(jobs: Jobs, name: str) -> None:
    match name:
        case "run":
            jobs.run(JOB)
        case "requeue":
            jobs.requeue(JOB, "stopped")
        case "retry":
            jobs.retry(JOB, "killed")
        case "server_ended":
            jobs.server_ended(JOB)
        case "cancel":
            jobs.cancel(JOB)
        case "cancelled":
            jobs.cancelled(JOB)
        case "fail":
            jobs.fail(JOB, Error("bad-scene", "It is empty.", "Fill it."))
        case "finish":
            jobs.finish(JOB, "b" * 64, 10)
        case "step":
            jobs.step(JOB, "lift", 0.5, "half")


@pytest.fixture
def opened():
    """Opens tables, and closes those that the test leaves open."""
    with ExitStack() as stack:
        yield lambda *args: stack.enter_context(closing(Jobs(*args)))


def test_a_job_is_read_as_it_was_written(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    job = jobs.submit(SUBMIT)
    assert (job.id, job.title, job.scene, job.request) == (JOB, "kitchen", "a" * 64, SUBMIT.request)
    assert (job.state, job.seq, job.fraction) == ("queued", 0, 0.0)
    act(jobs, "run")
    act(jobs, "step")
    act(jobs, "fail")
    jobs.close()
    job = opened(tmp_path / "jobs.sqlite").get(JOB)
    assert (job.state, job.stage, job.fraction, job.note, job.seq) == ("failed", "lift", 0.5, "half", 3)
    assert job.error == Error("bad-scene", "It is empty.", "Fill it.")


@pytest.mark.parametrize(
    "other",
    [
        Submit(JOB, "bath", SUBMIT.scene, SUBMIT.request),
        Submit(JOB, SUBMIT.title, "b" * 64, SUBMIT.request),
        Submit(JOB, SUBMIT.title, SUBMIT.scene, JobRequest()),
    ],
    ids=["title", "scene", "request"],
)
def test_one_id_is_one_job(opened, tmp_path, other):
    jobs = opened(tmp_path / "jobs.sqlite")
    assert jobs.submit(SUBMIT) == jobs.submit(SUBMIT)
    with pytest.raises(Refused, match=JOB):
        jobs.submit(other)
    jobs.flush()
    assert len(jobs.newest(10, DEFAULT_CLIENT)) == 1


def test_a_job_nobody_submitted(opened, tmp_path):
    with pytest.raises(NotFound, match=JOB):
        opened(tmp_path / "jobs.sqlite").get(JOB)


def test_what_is_told_is_on_disk_already(opened, tmp_path):
    told = []

    def changed(job):
        with sqlite3.connect(f"file:{tmp_path / 'jobs.sqlite'}?mode=ro", uri=True) as other:
            told.append(other.execute("SELECT state, seq FROM jobs").fetchone())
            assert told[-1] == (job.state, job.seq)

    jobs = opened(tmp_path / "jobs.sqlite", changed)
    jobs.submit(SUBMIT)
    for name in ("run", "step", "cancel", "cancelled"):
        act(jobs, name)
        jobs.flush()
    assert told == [("running", 1), ("running", 2), ("cancelling", 3), ("cancelled", 4)]


@settings(max_examples=200, deadline=None)
@given(names=st.lists(st.sampled_from(ACTS), max_size=8))
def test_no_order_of_events_breaks_the_table(names):
    seen = []
    jobs = Jobs(Path(":memory:"), seen.append)
    jobs.submit(SUBMIT)
    for name in names:
        before = jobs.get(JOB)
        try:
            act(jobs, name)
        except ValueError:
            assert jobs.get(JOB) == before
        after = jobs.get(JOB)
        if before.state in FINAL_STATES and name not in ("step", "server_ended"):
            assert after == before
    jobs.flush()
    assert [job.seq for job in seen] == sorted({job.seq for job in seen})
    last = jobs.get(JOB)
    jobs.close()
    assert (last.state == "done") == (last.manifest is not None)
    assert (last.state == "failed") == (last.error is not None)


def test_newest_first_and_queued_oldest_first(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    ids = [f"{n:032x}" for n in range(5)]
    for job in ids:
        jobs.submit(Submit(job, "", "a" * 64))
    jobs.flush()
    jobs.run(ids[2])
    assert [job.id for job in jobs.newest(3, DEFAULT_CLIENT)] == ids[:1:-1]
    assert [job.id for job in jobs.in_state("queued")] == [ids[0], ids[1], ids[3], ids[4]]


def test_retries_and_ended_servers_are_counted(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    assert (jobs.submit(SUBMIT).retries, jobs.get(JOB).server_ends) == (0, 0)
    for number in (1, 2):
        jobs.run(JOB)
        assert jobs.server_ended(JOB) == number
        jobs.retry(JOB, "killed")
    jobs.close()
    job = opened(tmp_path / "jobs.sqlite").get(JOB)
    assert (job.state, job.note, job.retries, job.server_ends) == ("queued", "killed", 2, 2)


def test_failures_are_counted_again_once_the_checkpoint_has_advanced(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    jobs.submit(SUBMIT)
    jobs.run(JOB)
    jobs.server_ended(JOB)
    jobs.retry(JOB, "killed")
    assert jobs.note_saved_steps(JOB, 100)
    assert not jobs.note_saved_steps(JOB, 100)
    assert not jobs.note_saved_steps(JOB, 0)
    jobs.run(JOB)
    jobs.retry(JOB, "killed")
    jobs.close()
    job = opened(tmp_path / "jobs.sqlite").get(JOB)
    assert (job.retries, job.server_ends, job.saved_steps) == (1, 0, 100)


def test_a_table_of_the_layout_before_is_taken_over(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    jobs.submit(SUBMIT)
    jobs.close()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        for column in ("retries", "server_ends", "saved_steps"):
            db.execute(f"ALTER TABLE jobs DROP COLUMN {column}")
        db.execute("DROP TABLE forgotten")
        db.execute("PRAGMA user_version = 2")
    db.close()
    for _ in range(2):
        jobs = opened(tmp_path / "jobs.sqlite")
        assert jobs.get(JOB).request == SUBMIT.request
        assert jobs.get(JOB).retries == 0
        jobs.close()


def test_a_forgotten_job_is_never_run_again(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    jobs.submit(SUBMIT)
    with pytest.raises(ValueError, match="has not ended"):
        jobs.forget(JOB)
    jobs.cancel(JOB)
    jobs.forget(JOB)
    assert jobs.newest(10, DEFAULT_CLIENT) == []
    jobs.close()
    jobs = opened(tmp_path / "jobs.sqlite")
    assert jobs.knows(JOB)
    with pytest.raises(Refused, match=f"{JOB} ended long ago") as caught:
        jobs.submit(SUBMIT)
    assert "a new id" in caught.value.remedy
    assert jobs.in_state("queued") == []


def test_the_oldest_that_have_ended_are_surplus(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    ids = [f"{number:032x}" for number in range(6)]
    for job in ids:
        jobs.submit(Submit(job, "", "a" * 64))
    jobs.flush()
    for job in ids[1:]:
        jobs.cancel(job)
    assert jobs.oldest_ended(5, 10) == []
    assert jobs.oldest_ended(2, 10) == ids[1:4]
    assert jobs.oldest_ended(2, 2) == ids[1:3]
    assert jobs.contents_of_ended() == [(DEFAULT_CLIENT, ("a" * 64,))] * 5
    jobs.close()


def test_a_client_with_many_jobs_does_not_remove_the_records_of_others(opened, tmp_path):
    jobs = opened(tmp_path / "jobs.sqlite")
    for number in range(12):
        client = "anna" if number < 3 else "ben"
        jobs.submit(Submit(f"{number:032x}", "", "a" * 64), client=client)
    jobs.flush()
    for number in range(12):
        jobs.cancel(f"{number:032x}")
    while old := jobs.oldest_ended(6, 100):
        jobs.forget(*old)
    assert [int(job, 16) for job in jobs.ids()] == [0, 1, 2, 9, 10, 11]
    while old := jobs.oldest_ended(4, 100):
        jobs.forget(*old)
    left = [job.client for client in ("anna", "ben") for job in jobs.newest(10, client)]
    assert left == ["anna", "anna", "ben", "ben"]
    jobs.close()


def test_what_a_job_needs_stays_until_its_end_is_written(opened, tmp_path):
    """A server that starts after a power cut finds the job as it was before."""
    jobs = opened(tmp_path / "jobs.sqlite")
    jobs.submit(SUBMIT)
    jobs.run(JOB)
    jobs.flush()
    assert jobs.manifests_in_use() == [SUBMIT.scene]
    other = sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    jobs.finish(JOB, "b" * 64, 10)
    assert sorted(jobs.manifests_in_use()) == [SUBMIT.scene, "b" * 64]
    other.execute("ROLLBACK")
    other.close()
    jobs.flush()
    assert jobs.manifests_in_use() == []
    jobs.replace_result(JOB, "c" * 64, 10)
    assert sorted(jobs.manifests_in_use()) == [SUBMIT.scene, "b" * 64, "c" * 64]
    jobs.flush()
    assert jobs.manifests_in_use() == []
    jobs.close()

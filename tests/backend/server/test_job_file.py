"""The database is written by a thread: what holds it up delays what is told, and nothing else."""

from __future__ import annotations

import sqlite3
import time
import uuid

import pytest

from backend.server.clients import DEFAULT_CLIENT
from backend.server.jobs import Jobs
from protocol.errors import NotFound, Unavailable
from protocol.job_request import JobRequest
from protocol.messages import Jobs as JobList
from protocol.messages import Status, Submit

JOB = "1" * 32
SUBMIT = Submit(JOB, "kitchen", "a" * 64, JobRequest())


class Lock:
    """Another program's write lock."""

    def __init__(self, path) -> None:
        self._other = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._other.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._other.execute("ROLLBACK")
        self._other.close()


def pages(jobs: Jobs, more: int) -> None:
    """Let the file grow by so many pages and no more, as a full disk does."""
    connection = jobs._file._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0] + more}")


def test_a_lock_delays_what_is_told(tmp_path):
    told = []
    jobs = Jobs(tmp_path / "jobs.sqlite", lambda job: told.append((job.state, job.seq)))
    jobs.submit(SUBMIT)
    jobs.flush()
    lock = Lock(tmp_path / "jobs.sqlite")
    begin = time.monotonic()
    jobs.run(JOB)
    for number in range(200):
        jobs.step(JOB, "lift", number / 200, "")
    jobs.cancel(JOB)
    later = []
    jobs.when_written(lambda: later.append(jobs.get(JOB).state))
    assert jobs.get(JOB).state == "cancelling"
    assert (jobs.told(JOB, DEFAULT_CLIENT).state, jobs.newest(1, DEFAULT_CLIENT)[0].state) == ("queued", "queued")
    assert time.monotonic() - begin < 1.0
    time.sleep(0.3)
    jobs.deliver()
    assert not told
    assert not later
    lock.release()
    jobs.flush()
    assert told == [("running", 1), ("running", 201), ("cancelling", 202)]
    assert later == ["cancelling"]
    assert jobs.told(JOB, DEFAULT_CLIENT).state == "cancelling"
    jobs.close()


def test_a_job_does_not_exist_for_others_before_it_is_written(tmp_path):
    jobs = Jobs(tmp_path / "jobs.sqlite")
    lock = Lock(tmp_path / "jobs.sqlite")
    accepted = []
    jobs.submit(SUBMIT, accepted.append)
    jobs.submit(SUBMIT, accepted.append)
    assert jobs.in_state("queued") == []
    assert jobs.newest(10, DEFAULT_CLIENT) == []
    with pytest.raises(NotFound):
        jobs.told(JOB, DEFAULT_CLIENT)
    lock.release()
    jobs.flush()
    assert [job.id for job in accepted] == [JOB, JOB]
    assert [job.id for job in jobs.in_state("queued")] == [JOB]
    jobs.close()


def test_a_full_disk_refuses_new_jobs_and_delays_the_ends_of_others(tmp_path):
    told, accepted, refused = [], [], []
    jobs = Jobs(tmp_path / "jobs.sqlite", lambda job: told.append(job.state))
    jobs.submit(SUBMIT)
    jobs.flush()
    pages(jobs, 0)
    others = [Submit(uuid.uuid4().hex, "x" * 200, "a" * 64) for _ in range(100)]
    for other in others:
        jobs.submit(other, accepted.append, refused.append)
    jobs.flush()
    assert refused
    assert set(refused) == {"database or disk is full"}
    assert len(accepted) + len(refused) == 100
    assert len(jobs.in_state("queued")) == 1 + len(accepted)
    assert not jobs.knows(others[-1].job)
    jobs.run(JOB)
    jobs.requeue(JOB, "n" * 20_000)
    jobs.flush(1.0)
    assert jobs.told(JOB, DEFAULT_CLIENT).note == ""
    assert "full" in jobs._file.trouble
    pages(jobs, 1000)
    jobs.flush()
    assert told == ["running", "queued"]
    assert len(jobs.told(JOB, DEFAULT_CLIENT).note) == 20_000
    jobs.submit(others[-1], accepted.append, refused.append)
    jobs.flush()
    assert accepted[-1].id == others[-1].job
    jobs.close()
    again = Jobs(tmp_path / "jobs.sqlite")
    assert len(again.in_state("queued")) == 1 + len(accepted)
    again.close()


def test_a_file_that_is_removed_is_noticed_without_a_write(tmp_path):
    jobs = Jobs(tmp_path / "data.sqlite")
    (tmp_path / "data.sqlite").unlink()
    end = time.monotonic() + 5.0
    while jobs._file.broken is None and time.monotonic() < end:
        time.sleep(0.05)
    with pytest.raises(Unavailable, match=r"data\.sqlite: it was deleted or replaced"):
        jobs.deliver()
    jobs.close()


def test_a_lock_that_stays_does_not_hold_up_the_end_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.server.job_file.CLOSE_PATIENCE", 0.5)
    jobs = Jobs(tmp_path / "jobs.sqlite")
    jobs.submit(SUBMIT)
    jobs.flush()
    lock = Lock(tmp_path / "jobs.sqlite")
    jobs.run(JOB)
    begin = time.monotonic()
    jobs.close()
    assert time.monotonic() - begin < 4.0
    lock.release()


def spoil_middle(path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : len(data) // 2] = b"\xa5" * (len(data) // 2 - 4096)
    path.write_bytes(data)


DAMAGED = {
    "no database": lambda path: path.write_bytes(b"not a database at all" * 500),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 3]),
    "the middle overwritten": spoil_middle,
    "another program's": lambda path: (path.unlink(), sqlite3.connect(path).execute("CREATE TABLE cats (name)")),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_one_sentence(tmp_path, case):
    path = tmp_path / "jobs.sqlite"
    jobs = Jobs(path)
    for number in range(200):
        jobs.submit(Submit(f"{number:032x}", "x" * 100, "a" * 64))
    jobs.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode = DELETE")
    other.close()
    DAMAGED[case](path)
    with pytest.raises(Unavailable, match=r"The jobs in .* cannot be read|have format") as caught:
        Jobs(path)
    assert "another folder with --data" in caught.value.remedy


def test_the_server_answers_while_the_database_is_locked(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("step lift 0.5", "write out 1000", "done"))
    lock = Lock(serving.data / "jobs.sqlite")
    id = client.send(Submit(JOB, "kitchen", manifest))
    begin = time.monotonic()
    assert client.ask(Status(), JobList).jobs == []
    assert time.monotonic() - begin < 1.0
    lock.release()
    while client.receive()[2] != id:
        continue
    client.until(JOB, "running")
    lock = Lock(serving.data / "jobs.sqlite")
    time.sleep(1.0)
    assert client.ask(Status(), JobList).jobs[0].state == "running"
    lock.release()
    assert client.until(JOB).state == "done"


def test_the_log_of_the_database_is_not_lost_with_its_name(tmp_path):
    """What SQLite has written but not copied into the database is in the file that was removed."""
    jobs = Jobs(tmp_path / "jobs.sqlite")
    for number in range(3):
        jobs.submit(Submit(f"{number:032x}", "a job", "0" * 64))
    jobs.flush()
    jobs.deliver()
    (tmp_path / "jobs.sqlite-wal").unlink()
    end = time.monotonic() + 5.0
    while jobs._file.broken is None and time.monotonic() < end:
        time.sleep(0.05)
    with pytest.raises(Unavailable, match=r"jobs\.sqlite-wal was deleted or replaced"):
        jobs.deliver()
    jobs.close()
    again = Jobs(tmp_path / "jobs.sqlite")
    assert len(again.in_state("queued")) == 3
    again.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_without_its_lock_a_server_writes_no_more(tmp_path, replaced):
    lock = tmp_path / "lock"
    lock.touch()
    jobs = Jobs(tmp_path / "jobs.sqlite", guarded=[lock])
    lock.rename(tmp_path / "other")
    if replaced:
        lock.touch()
    jobs.submit(Submit("0" * 32, "a job", "0" * 64))
    jobs.flush(5.0)
    with pytest.raises(Unavailable, match="lock was deleted or replaced"):
        jobs.deliver()
    jobs.close()

"""The server's store stays within its bound: the oldest goes, and never what a job waits for."""

from __future__ import annotations

import os
import time
import uuid

import pytest

from backend.server.disk_space import free_space
from protocol.coroutines import finish
from protocol.errors import NotFound, Refused
from protocol.manifest import pack_manifest
from protocol.messages import FileEntry, GetResult, Jobs, Result, Status
from protocol.store import STALE, Store
from tests.backend.server.conftest import Serving


def folder(store: Store, *contents: bytes) -> str:
    """Store a folder of files with these contents and return its manifest."""
    files = [FileEntry(f"{n}", len(data), store.put(data)) for n, data in enumerate(contents)]
    return store.put(pack_manifest(files))


def test_the_oldest_goes_first_and_what_others_share_stays(tmp_path):
    store = Store(tmp_path)
    old, newer, live = (folder(store, each * 1000, b"s" * 1000) for each in (b"a", b"b", b"c"))
    total = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    needed = lambda: iter([live])  # noqa: E731
    assert finish(free_space(store, total, [(old,), (newer,)], needed, time.time())) == 0
    assert 1000 <= finish(free_space(store, total - 500, [(old,), (newer,)], needed, time.time())) < 1500
    assert not store.has(old)
    assert store.has(newer)
    finish(free_space(store, 0, [(newer,), (live,)], needed, time.time()))
    assert not store.has(newer)
    assert store.has(live)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == 3, "the manifest that is needed, and its two files"


def test_what_no_manifest_names_goes_after_a_day(tmp_path):
    store = Store(tmp_path)
    lost = store.put(b"x" * 100)
    assert finish(free_space(store, 0, [], lambda: iter(()), time.time())) == 0
    assert store.has(lost)
    assert finish(free_space(store, 0, [], lambda: iter(()), time.time() + STALE + 1)) == 100
    assert not store.has(lost)


def test_what_arrived_of_files_goes_after_a_day_and_past_the_limit(tmp_path):
    store = Store(tmp_path)
    names = [digit * 64 for digit in "0123"]
    for age, name in enumerate(names):
        store.part(name).write_bytes(b"x" * 100)
        os.utime(store.part(name), (time.time() - age, time.time() - age))
    store.writers.add(names[3])
    finish(free_space(store, 1000, [], lambda: iter(()), time.time()))
    assert len(list(store.parts())) == 4
    finish(free_space(store, 250, [], lambda: iter(()), time.time()))
    assert {path.stem for path in store.parts()} == {names[0], names[3]}, "the oldest that nobody writes have gone"
    finish(free_space(store, 1000, [], lambda: iter(()), time.time() + STALE + 1))
    assert {path.stem for path in store.parts()} == {names[3]}


def test_what_is_being_written_or_asked_for_meanwhile_stays(tmp_path):
    store = Store(tmp_path)
    manifest = folder(store, b"a" * 1000)
    (digest,) = (path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size == 1000)
    store.writers.add(digest)
    finish(free_space(store, 0, [(manifest,)], lambda: iter(()), time.time()))
    assert store.has(digest)
    again = folder(store, b"b" * 1000)
    wanted: list[str] = []
    steps = free_space(store, 0, [(again,)], lambda: iter(wanted), time.time())
    next(steps)
    wanted.append(again)
    finish(steps)
    assert store.has(again)


def test_a_server_keeps_the_newest(tmp_path, connect, scene):
    served = Serving(tmp_path / "data", keep=30_000)
    try:
        client = connect(served)
        jobs = []
        for _ in range(4):
            manifest, _ = client.offer(scene(f"write {uuid.uuid4().hex} 10000", "done"))
            jobs.append(client.submit(manifest).job)
            client.until(jobs[-1], "done")
        # Those just sent could be asked for again; an hour later they cannot.
        served.server.files.uploads._offered.clear()
        manifest, _ = client.offer(scene(f"write {uuid.uuid4().hex} 10000", "done"))
        jobs.append(client.submit(manifest).job)
        client.until(jobs[-1], "done")
        end = time.monotonic() + 10
        while served.server.files.evicting:
            assert time.monotonic() < end
            time.sleep(0.01)
        for job in jobs[:2]:
            with pytest.raises(NotFound, match="free space"):
                client.ask(GetResult(job), Result)
        for job in jobs[3:]:
            assert client.download(job, Store(tmp_path / "mine"))
        held = sum(path.stat().st_size for path in (served.data / "store").rglob("*") if path.is_file())
        assert held <= 30_000
    finally:
        served.stop()


def test_records_and_folders_of_old_jobs_go_and_none_of_them_runs_again(tmp_path, connect, scene, monkeypatch):
    monkeypatch.setattr("backend.server.server.KEPT_JOBS", 2)
    served = Serving(tmp_path / "data")
    client = connect(served)
    manifest, _ = client.offer(scene("write out 10", "done"))
    jobs = [client.submit(manifest).job for _ in range(5)]
    for job in jobs:
        client.until(job, "done")
    end = time.monotonic() + 10
    while {path.name for path in (served.data / "jobs").iterdir()} != set(jobs[3:]):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert [info.job for info in client.ask(Status(), Jobs).jobs] == jobs[:2:-1]
    with pytest.raises(Refused, match="ended long ago"):
        client.submit(manifest, job=jobs[0])
    served.stop()

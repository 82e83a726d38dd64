"""Damage to what a server keeps: found before it is used, mended by ``backend check``."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backend import lock
from backend.server.check import check
from backend.server.jobs import Jobs
from backend.server.owners import Owners
from protocol.errors import NotFound, Refused, Unavailable
from protocol.manifest import pack_manifest
from protocol.messages import Result, Submit
from protocol.store import Store, read_manifest
from tests.protocol.transfers import entry, hash_of

IDS = tuple(f"{n:032x}" for n in range(3))


def cut(path: Path, to: int = 1) -> None:
    """Shorten a stored file, as a power cut does: in the store alone, whatever it is linked to."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:to])


def test_a_file_that_was_cut_short_is_asked_for_again(serving, connect, scene):
    client = connect(serving)
    folder = scene("write out 5", "done", **{"a.png": 4000, "b.png": 4000})
    manifest, _ = client.offer(folder)
    store = Store(serving.data / "store")
    paths = {one.path: store.path(one.digest) for one in read_manifest(store, manifest)}
    size = paths["images/b.png"].stat().st_size
    cut(paths["images/a.png"])
    paths["images/b.png"].unlink()
    paths["images/b.png"].write_bytes(b"?" * size)
    _, again = client.offer(folder)
    assert again is not None
    assert (again.files, again.bytes) == (2, 2 * size)
    assert client.until(client.submit(manifest).job).state == "done"


def test_a_manifest_that_was_damaged_is_asked_for_again(serving, connect, scene):
    client = connect(serving)
    folder = scene("write out 5", "done")
    manifest, _ = client.offer(folder)
    path = serving.server.store.path(manifest)
    size = path.stat().st_size
    path.write_bytes(b"?" * size)
    client.offer(folder)
    assert client.until(client.submit(manifest).job).state == "done"


def test_a_scene_that_was_cut_short_is_refused(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("write out 5", "done", **{"a.png": 4000}))
    store = Store(serving.data / "store")
    photograph = next(one for one in read_manifest(store, manifest) if one.path == "images/a.png")
    cut(store.path(photograph.digest))
    with pytest.raises(NotFound, match=r"1 files of the scene .* are damaged or missing on the server"):
        client.submit(manifest)


def test_a_job_that_runs_again_mends_its_damaged_result(serving, connect, scene, tmp_path):
    client = connect(serving)
    manifest, _ = client.offer(scene("write out 5000", "done"))
    first = client.submit(manifest).job
    client.until(first)
    store = Store(serving.data / "store")
    result = client.result(first)
    out = read_manifest(store, result.manifest)[0]
    for damage in (store.path(out.digest), store.path(result.manifest)):
        cut(damage)
        with pytest.raises(NotFound):
            client.result(first)
        again = client.submit(manifest).job
        assert client.until(again).state == "done"
        assert len(client.download(again, Store(tmp_path / again))["out"]) == 5000
        assert client.result(first) == Result(first, result.manifest, result.size)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a job that is done, one that waits, and one that was cancelled."""
    folder = tmp_path / "data"
    store = Store(folder / "store")
    scene = store.put(pack_manifest([entry(b"photograph", "a.png")]))
    result = pack_manifest([entry(b"splats", "splats.ply")])
    for content in (b"photograph", b"splats", result):
        store.put(content)
    with closing(Jobs(folder / "jobs.sqlite")) as jobs:
        for job in IDS:
            jobs.submit(Submit(job, "kitchen", scene))
        jobs.run(IDS[0])
        jobs.finish(IDS[0], hash_of(result), len(result))
        jobs.cancel(IDS[2])
    return folder


def checked(folder: Path) -> tuple[int, list[str]]:
    said: list[str] = []
    return check(folder, said.append), said


def test_nothing_is_wrong_with_what_was_not_touched(data):
    assert checked(data) == (0, ["4 files and 3 jobs checked: no problems."])
    assert checked(data / "store") == (0, ["4 files and 0 jobs checked: no problems."])


def test_damaged_files_are_removed_and_what_lacks_them_is_said(data):
    store = Store(data / "store")
    photograph, splats = (store.path(hash_of(content)) for content in (b"photograph", b"splats"))
    cut(photograph)
    splats.unlink()
    splats.write_bytes(b"SPLATS")
    status, said = checked(data)
    assert status == 1
    assert sorted(said[:2]) == sorted(f"{path} is damaged and was removed." for path in (photograph, splats))
    assert said[2:] == [
        f"The result of job {IDS[0]} (kitchen) is incomplete and cannot be downloaded any more; segment again.",
        f"The scene of job {IDS[1]} (kitchen) is incomplete; send the folder again.",
        "4 files and 3 jobs checked: 4 problems.",
    ]
    store.put(b"photograph")
    assert checked(data)[0] == 0


def test_what_is_no_stored_file_is_left(data):
    foreign = data / "store" / "aa" / "notes.txt"
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("mine")
    status, said = checked(data)
    assert status == 1
    assert said[0] == f"{foreign} is not a stored file and was not changed."
    assert foreign.read_text() == "mine"


def test_a_row_that_cannot_be_read_is_removed_and_never_run_again(data):
    with closing(sqlite3.connect(data / "jobs.sqlite")) as db, db:
        db.execute("UPDATE jobs SET request = '{nonsense' WHERE id = ?", (IDS[1],))
    status, said = checked(data)
    assert status == 1
    assert said[0].startswith(f"The row of job {IDS[1]} cannot be read and was removed: ")
    assert checked(data)[0] == 0
    with closing(Jobs(data / "jobs.sqlite")) as jobs, pytest.raises(Refused):
        jobs.submit(Submit(IDS[1], "kitchen", "a" * 64))


def test_a_damaged_database_is_said(data):
    path = data / "jobs.sqlite"
    path.write_bytes(path.read_bytes()[:5000] + b"\0" * 3000)
    with pytest.raises(Unavailable, match=r"jobs\.sqlite are damaged") as caught:
        checked(data)
    assert "uploaded files stay" in caught.value.remedy


def test_a_folder_in_use_or_without_a_store_is_refused(data, tmp_path):
    held = lock.hold(data / "lock")
    assert held is not None
    with held, pytest.raises(Refused, match="in use by a server"):
        checked(data)
    with pytest.raises(Unavailable, match="contains no store"):
        checked(tmp_path / "nowhere")


def test_a_table_of_the_clients_files_that_is_damaged_is_removed(data):
    owners = Owners(data / "files.sqlite")
    owners.add("anna", "a" * 64, 10)
    owners.close()
    assert checked(data)[0] == 0
    (data / "files.sqlite").write_bytes(b"not a database" * 100)
    status, said = checked(data)
    assert status == 1
    assert any("files.sqlite was damaged and was removed" in line for line in said)
    assert not (data / "files.sqlite").exists()
    assert checked(data)[0] == 0

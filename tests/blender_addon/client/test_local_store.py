"""Files of a server on this machine are linked; what is not there, or not what it should be, comes over the wire."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protocol.job_request import JobRequest
from protocol.manifest import digest_of, pack_manifest
from protocol.messages import FileEntry, Get, Locate
from protocol.store import Store

RESULT = {"splats.ply": b"ply" * 900_000, "objects/0001.ply": b"object", "labels/empty.png": b""}


def segmented(stage, folder: Path, result: dict[str, bytes]):
    job = stage.job_list.submit(folder, JobRequest())
    stage.play(lambda: job.id in stage.server.jobs and job.state == "queued")
    stage.server.finish(job.id, result)
    stage.play(lambda: job.final)
    assert job.state == "finished"
    for name, data in result.items():
        assert (job.folder / name).read_bytes() == data
    assert not list((stage.cache / "store").glob("*.tmp"))
    return job


@pytest.fixture
def theirs(stage, tmp_path) -> Store:
    """The server's store, of which it tells."""
    store = Store(tmp_path / "theirs")
    stage.server.features, stage.server.store = ["nearby"], str(store.root)
    return store


def fill(store: Store, result: dict[str, bytes]) -> None:
    for data in result.values():
        store.put(data)
    store.put(pack_manifest([FileEntry(name, len(data), digest_of(data)) for name, data in result.items()]))


def test_what_the_server_has_is_linked_and_not_sent(stage, theirs, capture):
    fill(theirs, RESULT)
    stage.connect()
    job = segmented(stage, capture(), RESULT)
    assert not stage.server.kinds(Get)
    for name, data in RESULT.items():
        assert (job.folder / name).samefile(theirs.path(digest_of(data)))
        assert not (job.folder / name).stat().st_mode & 0o222, "who writes into it here would spoil it there"
    assert job.bytes_done == job.bytes_total == sum(map(len, RESULT.values()))


def another(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(byte ^ 1 for byte in data))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def a_link(path: Path) -> None:
    elsewhere = path.with_suffix(".elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [Path.unlink, another, longer, a_link, a_pipe, a_folder])
def test_what_is_not_as_promised_is_sent(stage, theirs, capture, spoil):
    fill(theirs, RESULT)
    digest = digest_of(RESULT["splats.ply"])
    spoil(theirs.path(digest))
    stage.connect()
    job = segmented(stage, capture(), RESULT)
    assert {get.digest for get in stage.server.heard if isinstance(get, Get)} == {digest}
    assert not (job.folder / "splats.ply").is_symlink()
    assert (job.folder / "objects/0001.ply").samefile(theirs.path(digest_of(RESULT["objects/0001.ply"])))


@pytest.mark.parametrize("where", ["", "theirs", "/nowhere", "/dev/null", "/etc\0", "/" + "x" * 4000])
def test_a_folder_that_is_none_is_not_looked_into(stage, theirs, capture, tmp_path, monkeypatch, where):
    fill(theirs, RESULT)
    monkeypatch.chdir(tmp_path)
    stage.server.store = where
    stage.connect()
    segmented(stage, capture(), RESULT)
    assert stage.connection.info.local_store is None
    assert stage.server.kinds(Get)


def test_a_disk_that_has_no_links_in_common(stage, theirs, capture, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    fill(theirs, RESULT)
    stage.connect()
    monkeypatch.setattr(os, "link", refuse)
    segmented(stage, capture(), RESULT)
    assert stage.server.kinds(Get)


def test_a_server_that_does_not_tell_is_not_asked(stage, theirs, capture):
    fill(theirs, RESULT)
    stage.server.features = []
    stage.connect()
    segmented(stage, capture(), RESULT)
    assert not stage.server.kinds(Locate)


def test_what_had_begun_to_arrive_is_not_kept_beside_the_link(stage, theirs, capture):
    fill(theirs, RESULT)
    stage.connect()
    part = stage.job_list.cache.store.part(digest_of(RESULT["splats.ply"]))
    part.write_bytes(RESULT["splats.ply"][:1000])
    segmented(stage, capture(), RESULT)
    assert not part.exists()
    assert not stage.server.kinds(Get)


def test_the_next_server_is_asked_anew(stage, theirs, tmp_path):
    stage.connect()
    stage.play(lambda: stage.connection.info.local_store == theirs.root)
    stage.connection.close()
    assert stage.connection.info.local_store is None


def test_a_link_is_given_up_where_the_job_is(stage, theirs, capture):
    """A step hashes a piece, and a cancel between two of them leaves nothing behind."""
    result = {"splats.ply": bytes(64 << 20)}  # more than any processor hashes in one step of the connection
    fill(theirs, result)
    stage.connect()
    job = stage.job_list.submit(capture(), JobRequest())
    stage.play(lambda: job.id in stage.server.jobs and job.state == "queued")
    stage.server.finish(job.id, result)
    stage.play(lambda: job.bytes_done > 0)
    assert job.bytes_done < job.bytes_total
    job.cancel()
    stage.play(lambda: job.final)
    assert job.state == "cancelled"
    left = [path for path in (stage.cache / "store").rglob("*") if path.suffix == ".tmp" or path.name == "splats.ply"]
    assert not left

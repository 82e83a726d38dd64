"""Files by their hash: stored, read, laid out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from protocol import store as stores
from protocol.coroutines import finish
from protocol.errors import BadResult, NotFound
from protocol.manifest import pack_manifest
from protocol.store import STALE, Store, read_manifest
from tests.protocol.transfers import entry, hash_of, names
from tests.syncs import Syncs


def test_ranges_outside_a_file_or_of_no_file_are_not_found(store: Store):
    store.put(b"0123456789")
    assert store.read(hash_of(b"0123456789"), 3, 4) == b"3456"
    for offset, length in ((0, 11), (10, 1), (2**53, 1), (-1, 2)):
        with pytest.raises(NotFound, match=f"is too short: bytes {offset} to {offset + length}"):
            store.read(hash_of(b"0123456789"), offset, length)
    with pytest.raises(NotFound, match=r"The file 486ea4622[0-9a-f]{3}… is not stored here"):
        store.read("486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7", 0, 1)


@pytest.mark.parametrize("name", ["", "../../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "/" * 64])
def test_what_is_no_hash_names_nothing_in_a_store(store: Store, name: str):
    for use in (store.path, store.has, store.part, lambda digest: store.read(digest, 0, 1)):
        with pytest.raises(NotFound, match="is not a BLAKE3 hash"):
            use(name)


def test_putting_and_adopting_twice_is_once(store: Store, tmp_path: Path):
    (tmp_path / "a").write_bytes(b"content")
    for _ in range(2):
        store.adopt(tmp_path / "a", hash_of(b"content"))
        assert store.put(b"content") == hash_of(b"content")
    assert names(store) == {hash_of(b"content")}
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.mark.parametrize("links", [True, False])
def test_checkout_lays_files_out_and_replaces_what_is_stale(
    store: Store, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
):
    def refuse(source: Path, target: Path) -> None:
        raise OSError(95, "Operation not supported")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    files = {"a.txt": b"a", "deep/er/b.txt": b"b", "same.txt": b"a", "empty": b""}
    for data in files.values():
        store.put(data)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"half of an old")
    for _ in range(2):
        store.checkout([entry(data, path) for path, data in files.items()], folder)
        laid = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        assert {name: path.read_bytes() for name, path in laid.items()} == files


def test_checkout_of_a_file_that_is_not_stored_is_refused(store: Store, tmp_path: Path):
    with pytest.raises(NotFound, match=r"The file a\.bin is not stored here"):
        store.checkout([entry(b"absent")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_crash_left_is_removed_and_what_is_fresh_or_resumable_is_kept(store: Store, monkeypatch):
    for name in ("left.tmp", f"{'a' * 64}.part"):
        (store.root / name).write_bytes(b"half")
    Store(store.root)
    assert names(store) == {"left.tmp", f"{'a' * 64}.part"}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + STALE + 60)
    Store(store.root)
    assert names(store) == {f"{'a' * 64}.part"}


def test_a_stored_manifest_is_read_within_its_limit(store: Store, monkeypatch: pytest.MonkeyPatch):
    content = pack_manifest([entry(b"x", "a"), entry(b"x", "b")])
    store.put(content)
    assert [one.path for one in read_manifest(store, hash_of(content))] == ["a", "b"]
    with pytest.raises(NotFound, match="is not stored here"):
        read_manifest(store, hash_of(b"absent"))
    monkeypatch.setattr(stores, "MAX_MANIFEST", 10)
    with pytest.raises(BadResult, match=r"has \d+ bytes; at most 10 are allowed"):
        read_manifest(store, hash_of(content))


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()  # not in place: a linked file elsewhere is another's
    path.write_bytes({"shorter": data[:-1], "longer": data + b"x", "empty": b"", "changed": b"?" + data[1:]}[how])


DAMAGE = ("shorter", "longer", "empty", "changed")


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_files_are_found_removed_and_stored_again(store: Store, tmp_path: Path, how: str):
    good, bad = entry(b"good content", "good"), entry(b"some content", "bad")
    for data in (b"good content", b"some content"):
        store.put(data)
    spoil(store.path(bad.digest), how)
    for fresh in (store, Store(store.root)):
        removed = finish(fresh.verify([good, bad, entry(b"absent")]))
        assert removed == ([bad] if fresh is store else [])
    assert store.has(good.digest, good.size)
    assert not store.has(bad.digest)
    for again in (lambda: store.put(b"some content"), lambda: store.adopt(tmp_path / "a", bad.digest)):
        (tmp_path / "a").write_bytes(b"some content")
        again()
        spoil(store.path(bad.digest), how)
        again()
        assert store.path(bad.digest).read_bytes() == b"some content"


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_never_laid_out(store: Store, tmp_path: Path, how: str):
    store.put(b"some content")
    spoil(store.path(hash_of(b"some content")), how)
    with pytest.raises(NotFound, match=r"The file a\.bin was damaged and has been removed"):
        store.checkout([entry(b"some content")], tmp_path / "out")
    with pytest.raises(NotFound, match=r"The file a\.bin is not stored here"):
        store.checkout([entry(b"some content")], tmp_path / "out")


def test_a_file_is_hashed_once_until_it_changes(store: Store, monkeypatch: pytest.MonkeyPatch):
    hashed: list[Path] = []
    true = stores.hash_file
    monkeypatch.setattr(stores, "hash_file", lambda path: hashed.append(path) or true(path))
    one = entry(b"x" * 10)
    store.put(b"x" * 10)
    path = store.path(one.digest)
    finish(store.verify([one]))
    assert hashed == [], "what was just stored is known"
    other = Store(store.root)
    for _ in range(3):
        assert finish(other.verify([one])) == []
    assert hashed == [path]
    os.utime(path, ns=(1, 1))
    finish(other.verify([one]))
    assert hashed == [path] * 2


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot sync a folder")
def test_what_is_settled_is_on_the_disk_with_its_names_and_is_waited_for_once(store: Store, syncs: Syncs):
    digests = [store.put(data) for data in (b"first", b"second")]
    syncs.clear()
    finish(store.settling([*digests, "0" * 64]))
    for digest in digests:
        assert syncs.of(store.path(digest))
        assert syncs.of(store.path(digest).parent)
    assert syncs.of(store.root)
    syncs.clear()
    finish(store.settling(digests))
    assert not syncs.of(store.path(digests[0]))
    # Another process has removed it and stored it again.
    store.path(digests[0]).unlink()
    Store(store.root).put(b"first")
    finish(store.settling(digests))
    assert syncs.of(store.path(digests[0]).parent)
    assert not syncs.of(store.path(digests[1]))


def test_an_adopted_file_is_on_the_disk_before_it_has_its_name(store: Store, tmp_path: Path, syncs: Syncs):
    (tmp_path / "a").write_bytes(b"content")
    named: list[bool] = []
    syncs.before = lambda: named.append(store.has(hash_of(b"content")))
    store.adopt(tmp_path / "a", hash_of(b"content"))
    assert named == [False]
    assert syncs.of(store.path(hash_of(b"content")))

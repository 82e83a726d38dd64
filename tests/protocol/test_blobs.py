from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import blobs
from protocol.blobs import CHUNK, STALE, WINDOW, Pull, Store, pack_manifest, read_manifest, scan, unpack_manifest
from protocol.errors import BadFrames, BadResult, BadScene, NotFound, Unavailable
from protocol.messages import FileEntry, Get, Manifest


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def entry(data: bytes, path: str = "a.bin") -> FileEntry:
    return FileEntry(path, len(data), hash_of(data))


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


class Sender:
    """The other side: answers ranges, and counts the bytes it was asked for."""

    def __init__(self, *files: bytes) -> None:
        self.files = {hash_of(data): data for data in files}
        self.asked: list[Get] = []

    def chunk(self, get: Get) -> bytes:
        self.asked.append(get)
        return self.files[get.digest][get.offset : get.offset + get.length]

    @property
    def bytes_sent(self) -> int:
        return sum(get.length for get in self.asked)


def run(pull: Pull, sender: Sender, chunks: int = 10**9) -> None:
    """Move ``pull`` on until it is done, or that many chunks have arrived."""
    waiting: list[Get] = []
    while not pull.done:
        waiting += pull.requests()
        assert len(waiting) <= pull.window
        assert waiting or pull.done, "the pull neither asks for anything nor is done"
        for get in waiting:
            if not chunks:
                return
            pull.accept(get.digest, get.offset, sender.chunk(get))
            chunks -= 1
        waiting = []


def finish(steps: Iterator[Any]) -> Any:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def names(store: Store) -> set[str]:
    """Every file of the store, whole or not."""
    return {path.name for path in store.root.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


# Pulling


def test_files_arrive_whole_and_leave_nothing_else(store: Store):
    files = [noise(3 * CHUNK + 5), noise(CHUNK, 1), b"small", b""]
    sender = Sender(*files)
    pull = Pull(store, [entry(data, f"{i}") for i, data in enumerate(files)])
    run(pull, sender)
    for data in files:
        assert store.path(hash_of(data)).read_bytes() == data
    assert names(store) == {hash_of(data) for data in files}
    assert pull.bytes_done == pull.bytes_total == sum(map(len, files)) == sender.bytes_sent
    assert pull.requests() == []


def test_nothing_is_fetched_twice(store: Store):
    store.put(b"already here")
    sender = Sender(b"new", b"already here")
    wanted = [entry(b"new", "a"), entry(b"new", "b"), entry(b"already here", "c")]
    pull = Pull(store, wanted)
    assert (pull.files_total, pull.bytes_total) == (1, 3)
    run(pull, sender)
    assert sender.asked == [Get(hash_of(b"new"), 0, 3)]
    again = Pull(store, wanted)
    assert again.done
    assert again.requests() == []


def test_outstanding_ranges_never_exceed_the_window(store: Store):
    data = noise(20 * CHUNK)
    pull = Pull(store, [entry(data)])
    gets = pull.requests()
    assert len(gets) == WINDOW
    assert pull.requests() == []
    sender = Sender(data)
    pull.accept(hash_of(data), 0, sender.chunk(gets[0]))
    assert [get.offset for get in pull.requests()] == [WINDOW * CHUNK]
    pull.close()


@pytest.mark.parametrize("arrived", [1, 2, 5, 6])
def test_a_dropped_connection_costs_only_what_had_not_arrived(store: Store, arrived: int):
    files = [noise(4 * CHUNK + 7), noise(2 * CHUNK, 1)]
    sender = Sender(*files)
    wanted = [entry(data, f"{i}") for i, data in enumerate(files)]
    first = Pull(store, wanted)
    run(first, sender, arrived)
    first.close()
    assert not first.done
    second = Pull(Store(store.root), wanted)
    run(second, sender)
    assert sender.bytes_sent == sum(map(len, files))
    assert second.bytes_done == second.bytes_total
    assert names(store) == {hash_of(data) for data in files}


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_folder_arrives_through_any_number_of_drops(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    store = Store(tmp_path_factory.mktemp("store"))
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 10, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK]), max_size=4))
    files = [noise(size, data.draw(st.integers(0, 1))) for size in sizes]
    sender = Sender(*files)
    wanted = [entry(content, f"{i}") for i, content in enumerate(files)]
    for _ in range(data.draw(st.integers(0, 3))):
        pull = Pull(store, wanted, window=data.draw(st.integers(1, 3)))
        run(pull, sender, data.draw(st.integers(0, 3)))
        pull.close()
    run(Pull(store, wanted), sender)
    assert sender.bytes_sent == sum(len(content) for content in set(files))
    assert names(store) == {hash_of(content) for content in files}


def test_a_file_that_is_not_what_was_promised_is_refused_and_removed(store: Store):
    promised = entry(b"what was promised", "photo.png")
    pull = Pull(store, [promised, entry(noise(CHUNK), "other.png")])
    (get, *_) = pull.requests()
    with pytest.raises(BadFrames, match=r"The file photo\.png arrived with another content than promised\."):
        pull.accept(get.digest, 0, b"what has arrived!")
    assert not any(name.startswith(promised.digest) for name in names(store))
    assert not pull.done
    assert pull.requests() == []
    assert not store.writers
    run(Pull(store, [promised]), Sender(b"what was promised"))
    assert store.read(promised.digest, 0, 4) == b"what"


def test_an_empty_file_with_the_hash_of_another_is_refused(store: Store):
    with pytest.raises(BadFrames, match="another content than promised"):
        Pull(store, [FileEntry("a", 0, hash_of(b"something"))]).requests()
    assert names(store) == set()


def test_a_part_torn_by_a_crash_is_fetched_again_without_blame(store: Store):
    data = noise(2 * CHUNK + 3)
    store.part(hash_of(data)).write_bytes(b"\0" * CHUNK)
    sender = Sender(data)
    pull = Pull(store, [entry(data)])
    run(pull, sender)
    assert pull.bytes_done == pull.bytes_total
    assert store.path(hash_of(data)).read_bytes() == data
    assert sender.bytes_sent == len(data) + CHUNK + 3


@pytest.mark.parametrize("left", [b"\0" * 10, b"\0" * 11, b"\0" * 2 * CHUNK])
def test_a_torn_part_as_long_as_the_file_or_longer_is_fetched_again(store: Store, left: bytes):
    data = noise(10)
    store.part(hash_of(data)).write_bytes(left)
    sender = Sender(data)
    run(Pull(store, [entry(data)]), sender)
    assert names(store) == {hash_of(data)}
    assert sender.bytes_sent == 10


def test_a_whole_part_needs_no_byte_more(store: Store):
    data = noise(CHUNK + 1)
    store.part(hash_of(data)).write_bytes(data)
    pull = Pull(store, [entry(data)])
    assert pull.requests() == []
    assert pull.done
    assert store.path(hash_of(data)).read_bytes() == data


def test_a_large_part_is_read_a_little_at_a_time_while_others_arrive(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blobs, "CATCH_UP", CHUNK)
    large, other = noise(4 * CHUNK), noise(5, 1)
    store.part(hash_of(large)).write_bytes(large[: 3 * CHUNK])
    pull = Pull(store, [entry(large, "a"), entry(other, "b")])
    assert pull.requests() == [Get(hash_of(other), 0, 5)]
    assert pull.bytes_done == CHUNK
    pull.accept(hash_of(other), 0, other)
    assert pull.requests() == []
    assert pull.requests() == [Get(hash_of(large), 3 * CHUNK, CHUNK)]
    pull.accept(hash_of(large), 3 * CHUNK, large[3 * CHUNK :])
    assert pull.done
    assert pull.bytes_done == pull.bytes_total
    assert store.path(hash_of(large)).read_bytes() == large


def test_a_part_that_shrinks_while_it_is_read_goes_on_from_its_end(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blobs, "CATCH_UP", CHUNK)
    data = noise(5 * CHUNK)
    store.part(hash_of(data)).write_bytes(data[: 4 * CHUNK])
    pull = Pull(store, [entry(data)])
    assert pull.requests() == []
    os.truncate(store.part(hash_of(data)), 2 * CHUNK)
    sender = Sender(data)
    while not pull.done:
        for get in pull.requests():
            pull.accept(get.digest, get.offset, sender.chunk(get))
    assert store.path(hash_of(data)).read_bytes() == data
    assert sender.bytes_sent == 3 * CHUNK


def test_a_torn_part_does_not_excuse_a_liar_for_ever(store: Store):
    promised = entry(b"0123456789")
    store.part(promised.digest).write_bytes(b"01234")
    pull = Pull(store, [promised])
    (get,) = pull.requests()
    assert get.offset == 5
    pull.accept(promised.digest, 5, b"xxxxx")
    (get,) = pull.requests()
    assert (get.offset, get.length) == (0, 10)
    with pytest.raises(BadFrames, match="another content than promised"):
        pull.accept(promised.digest, 0, b"xxxxxxxxxx")
    assert names(store) == set()


def test_a_stored_file_cut_short_by_a_power_cut_is_fetched_again(store: Store):
    store.put(b"0123456789")
    store.path(hash_of(b"0123456789")).write_bytes(b"")
    sender = Sender(b"0123456789")
    run(Pull(store, [entry(b"0123456789")]), sender)
    assert store.read(hash_of(b"0123456789"), 0, 10) == b"0123456789"


def test_two_pulls_of_one_file_fetch_it_once(store: Store):
    data = noise(3 * CHUNK)
    sender = Sender(data)
    first, second = Pull(store, [entry(data)]), Pull(store, [entry(data), entry(b"mine", "b")])
    run(first, sender, 1)
    (get,) = second.requests()
    assert get.digest == hash_of(b"mine")
    second.accept(get.digest, 0, b"mine")
    assert second.requests() == []
    assert not second.done
    for get in list(first.expected):
        first.accept(get.digest, get.offset, sender.chunk(get))
    assert first.done
    assert second.requests() == []
    assert second.done
    assert second.bytes_done == second.bytes_total
    assert sender.bytes_sent == len(data)


def test_a_pull_takes_over_where_another_gave_up(store: Store):
    data = noise(3 * CHUNK)
    sender = Sender(data)
    first, second = Pull(store, [entry(data)]), Pull(store, [entry(data)])
    run(first, sender, 2)
    assert second.requests() == []
    first.close()
    run(second, sender)
    assert sender.bytes_sent == len(data)


def test_storing_a_file_that_is_arriving_does_not_disturb_either(store: Store, tmp_path: Path):
    for i, store_it in enumerate((lambda data: store.put(data), lambda data: adopt_copy(store, tmp_path, data))):
        data = noise(3 * CHUNK, i)
        sender = Sender(data)
        pull = Pull(store, [entry(data)])
        gets = pull.requests()
        pull.accept(hash_of(data), 0, sender.chunk(gets[0]))
        store_it(data)
        for get in gets[1:]:
            pull.accept(get.digest, get.offset, sender.chunk(get))
        assert pull.done
        assert store.path(hash_of(data)).read_bytes() == data
    assert all(re.fullmatch("[0-9a-f]{64}", name) for name in names(store))


def adopt_copy(store: Store, folder: Path, data: bytes) -> None:
    (folder / "copy").write_bytes(data)
    store.adopt(folder / "copy", hash_of(data))


BAD_CHUNKS: dict[str, Callable[[Get], tuple[str, int, bytes]]] = {
    "of another file": lambda get: (hash_of(b"another"), get.offset, b"x" * get.length),
    "at another place": lambda get: (get.digest, get.offset + 1, b"x" * get.length),
    "too short": lambda get: (get.digest, get.offset, b"x" * (get.length - 1)),
    "too long": lambda get: (get.digest, get.offset, b"x" * (get.length + 1)),
    "empty": lambda get: (get.digest, get.offset, b""),
    "before the file": lambda get: (get.digest, -1, b"x"),
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_chunk_that_nobody_asked_for_is_refused_and_harms_nothing(store: Store, name: str):
    data = noise(2 * CHUNK + 9)
    sender = Sender(data)
    pull = Pull(store, [entry(data)])
    gets = pull.requests()
    with pytest.raises(BadFrames, match=r"bytes of .* arrived that nobody asked for"):
        pull.accept(*BAD_CHUNKS[name](gets[0]))
    for get in gets:
        pull.accept(get.digest, get.offset, sender.chunk(get))
    assert pull.done
    with pytest.raises(BadFrames, match="nobody asked for"):
        pull.accept(gets[0].digest, gets[0].offset, sender.chunk(gets[0]))


def test_chunks_out_of_order_are_refused(store: Store):
    data = noise(2 * CHUNK)
    pull = Pull(store, [entry(data)])
    first, second = pull.requests()
    with pytest.raises(BadFrames, match=r"Bytes at 1048576 of a\.bin arrived before those at 0"):
        pull.accept(second.digest, second.offset, data[CHUNK:])
    pull.close()
    assert first.offset == 0


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_a_chunk_may_be_any_buffer(store: Store, wrap):
    pull = Pull(store, [entry(b"12345678")])
    pull.requests()
    with pytest.raises(BadFrames, match="0 bytes of"):
        pull.accept(hash_of(b"12345678"), 0, wrap(b""))
    pull.accept(hash_of(b"12345678"), 0, wrap(b"12345678"))
    assert store.has(hash_of(b"12345678"))


def test_a_disk_without_room_is_told_before_anything_is_fetched(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Store, "free_bytes", lambda self: 1000)
    with pytest.raises(Unavailable, match=r"The disk of .* has no room for"):
        Pull(store, [entry(noise(1001))])
    store.part(hash_of(noise(1001))).write_bytes(noise(1001)[:500])
    run(Pull(store, [entry(noise(1001))]), Sender(noise(1001)))
    assert store.has(hash_of(noise(1001)))


def test_a_disk_that_fills_up_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch):
    def full(self: object, offset: int, data: memoryview) -> None:
        raise OSError(28, "No space left on device")

    pull = Pull(store, [entry(b"12345")])
    pull.requests()
    monkeypatch.setattr(blobs._Incoming, "write", full)
    with pytest.raises(Unavailable, match=r"cannot take what arrives: No space left on device\."):
        pull.accept(hash_of(b"12345"), 0, b"12345")
    pull.close()
    assert not store.writers
    assert not store.has(hash_of(b"12345"))


# The store


def test_ranges_outside_a_file_or_of_no_file_are_not_found(store: Store):
    store.put(b"0123456789")
    assert store.read(hash_of(b"0123456789"), 3, 4) == b"3456"
    for offset, length in ((0, 11), (10, 1), (2**53, 1), (-1, 2)):
        with pytest.raises(NotFound, match=f"has no bytes {offset} to {offset + length}"):
            store.read(hash_of(b"0123456789"), offset, length)
    with pytest.raises(NotFound, match=r"The file 486ea4622[0-9a-f]{3}… is not stored here"):
        store.read("486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7", 0, 1)


@pytest.mark.parametrize("name", ["", "../../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "/" * 64])
def test_what_is_no_hash_names_nothing_in_a_store(store: Store, name: str):
    for use in (store.path, store.has, store.part, lambda digest: store.read(digest, 0, 1)):
        with pytest.raises(NotFound, match="is no BLAKE3 hash"):
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


# Manifests


def manifest(*paths: str) -> bytes:
    return pack_manifest(entry(b"x", path) for path in paths)


def raw(**fields: object) -> bytes:
    whole = {"path": "a", "size": 1, "digest": hash_of(b"x"), **fields}
    return msgspec.json.encode({"files": [whole]})


BAD_MANIFESTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "manifest that cannot be read"),
    "no JSON": (b"\x80\x04\x95", "manifest that cannot be read"),
    "no UTF-8": (b'{"files":[{"path":"\xff"}]}', "manifest that cannot be read"),
    "bottomless": (b'{"files":' + b"[" * 100_000, "manifest that cannot be read"),
    "unknown field": (b'{"files":[],"run":"rm"}', "unknown field `run`"),
    "negative size": (raw(size=-1), "Expected `int` >= 0"),
    "endless size": (raw(size=2**60), "Expected `int` <="),
    "hash that is a path": (raw(digest="../" * 21 + "x"), "matching regex"),
    "hash with a line end": (raw(digest=hash_of(b"x") + "\n"), "matching regex"),
    "no path": (raw(path=""), "length >= 1"),
    "endless path": (raw(path="a" * 1025), "length <= 1024"),
    "absolute": (manifest("/etc/passwd"), "'/etc/passwd' in a manifest does not name a file inside its folder"),
    "parent": (manifest("../a"), "does not name a file inside"),
    "parent within": (manifest("a/../../b"), "does not name a file inside"),
    "here": (manifest("./a"), "does not name a file inside"),
    "empty part": (manifest("a//b"), "does not name a file inside"),
    "a folder": (manifest("a/"), "does not name a file inside"),
    "backslash": (manifest("..\\a"), "does not name a file inside"),
    "drive": (manifest("C:/a"), "does not name a file inside"),
    "stream": (manifest("a.txt:hidden"), "does not name a file inside"),
    "device": (manifest("images/CON"), "does not name a file inside"),
    "device with an ending": (manifest("nul.png"), "does not name a file inside"),
    "device with a number": (manifest("Com1.tar.gz"), "does not name a file inside"),
    "trailing dot": (manifest("a./b"), "does not name a file inside"),
    "trailing space": (manifest("a /b"), "does not name a file inside"),
    "line end": (manifest("a\nb"), "does not name a file inside"),
    "no byte": (manifest("a\0b"), "does not name a file inside"),
    "reversed text": (manifest("a\u202egnp.exe"), "does not name a file inside"),
    "long name": (manifest("ä" * 128), "does not name a file inside"),
    "one path twice": (manifest("a", "a"), "names one path twice"),
    "one path in two cases": (manifest("Images/A.PNG", "images/a.png"), "names one path twice"),
    "one path in two compositions": (manifest("caf\u00e9", "cafe\u0301"), "names one path twice"),
    "a file and a folder": (manifest("a/b/c", "A"), "as a file and as a folder"),
    "two sizes": (pack_manifest([entry(b"x", "a"), FileEntry("b", 2, hash_of(b"x"))]), "gives one content two sizes"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_with_a_sentence(name: str):
    content, sentence = BAD_MANIFESTS[name]
    with pytest.raises(BadFrames, match=sentence) as caught:
        unpack_manifest(content)
    assert caught.value.sentence.endswith(".")


def test_good_paths_of_every_script_are_allowed():
    paths = [
        "a",
        "images/0001.png",
        "фото/два 1.JPG",
        "日本/写真.png",
        ".hidden",
        "a..b",
        "console",
        "com10",
        "ä" * 127,
    ]
    assert sorted(entry.path for entry in unpack_manifest(manifest(*paths))) == sorted(paths)


def test_equal_folders_have_equal_manifests():
    entries = [entry(b"x", "b"), entry(b"y", "a"), entry(b"z", "a/b")]
    assert pack_manifest(entries) == pack_manifest(reversed(entries))


@settings(deadline=None)
@given(paths=st.lists(st.text(max_size=12) | st.sampled_from(["../x", "a/b", "A/b", "nul", "a"]), max_size=5))
def test_whatever_is_let_through_stays_in_its_folder(paths: list[str]):
    try:
        entries = unpack_manifest(msgspec.json.encode(Manifest([entry(b"x", path) for path in paths])))
    except (BadFrames, UnicodeEncodeError):
        return
    for one in entries:
        assert Path(os.path.abspath(Path("/folder") / one.path)).is_relative_to("/folder")
        assert ".." not in Path(one.path).parts
    assert len({one.path.lower() for one in entries}) == len(paths)


@given(garbage=st.binary(max_size=60))
def test_garbage_is_no_manifest(garbage: bytes):
    with pytest.raises(BadFrames):
        unpack_manifest(garbage)


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blobs, "MAX_FILES", 3)
    assert len(unpack_manifest(manifest("a", "b", "c"))) == 3
    with pytest.raises(BadFrames, match="manifest of 4 files was received; 3 are allowed"):
        unpack_manifest(manifest("a", "b", "c", "d"))


def test_a_stored_manifest_is_read_within_its_limit(store: Store, monkeypatch: pytest.MonkeyPatch):
    content = manifest("a", "b")
    store.put(content)
    assert [one.path for one in read_manifest(store, hash_of(content))] == ["a", "b"]
    with pytest.raises(NotFound, match="is not stored here"):
        read_manifest(store, hash_of(b"absent"))
    monkeypatch.setattr(blobs, "MAX_MANIFEST", 10)
    with pytest.raises(BadResult, match=r"has \d+ bytes; 10 are allowed"):
        read_manifest(store, hash_of(content))


# Scanning


def lay(folder: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    paths = [folder / name for name, _ in files]
    for path, (_, data) in zip(paths, files, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return paths


def test_a_scanned_folder_comes_out_the_same_at_the_other_end(store: Store, tmp_path: Path):
    files = [("images/a.png", noise(CHUNK + 3)), ("empty", b""), ("b", noise(10, 1)), ("c", noise(10, 1))]
    paths = lay(tmp_path / "scene", files)
    steps = list(scan(tmp_path / "scene", paths))
    assert steps == sorted(steps)
    assert steps[-1] == sum(len(data) for _, data in files)
    entries = finish(scan(tmp_path / "scene", paths))
    content = pack_manifest(entries)
    sender = Sender(content, *(data for _, data in files))
    run(Pull(store, [entry(content)]), sender)
    received = read_manifest(store, hash_of(content))
    run(Pull(store, received), sender)
    store.checkout(received, tmp_path / "copy")
    for name, data in files:
        assert (tmp_path / "copy" / name).read_bytes() == data
    assert sender.bytes_sent == len(content) + CHUNK + 3 + 10


BAD_FOLDERS: dict[str, tuple[list[str], str]] = {
    "a name no other system takes": (["a:b.png"], r"The file .*a:b\.png cannot be sent"),
    "two names for one file": (["a.png", "A.png"], "The folder .* cannot be sent: A manifest names one path twice"),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_folder_that_cannot_be_sent_is_refused(tmp_path: Path, name: str):
    files, sentence = BAD_FOLDERS[name]
    paths = lay(tmp_path, [(file, file.encode()) for file in files])
    with pytest.raises(BadScene, match=sentence):
        finish(scan(tmp_path, paths))


def test_a_file_that_vanishes_is_a_sentence(tmp_path: Path):
    with pytest.raises(BadScene, match=r"The file .*gone\.png cannot be sent: .*No such file"):
        finish(scan(tmp_path, [tmp_path / "gone.png"]))


def test_a_content_is_known_by_its_blake3_hash():
    # From the reference implementation's test of b"abc".
    assert blobs.digest_of(b"abc") == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"

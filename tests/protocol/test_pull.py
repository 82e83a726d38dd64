"""A pull fetches what is missing, through drops, torn parts and liars."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import pull as pulls
from protocol.coroutines import finish
from protocol.errors import BadFrames, Unavailable
from protocol.manifest import pack_manifest, scan
from protocol.messages import FileEntry, Get
from protocol.pull import CHUNK, WINDOW
from protocol.store import Store, read_manifest
from tests.protocol.transfers import Sender, entry, hash_of, lay, names, noise, pulling, run


def test_files_arrive_whole_and_leave_nothing_else(store: Store):
    files = [noise(3 * CHUNK + 5), noise(CHUNK, 1), b"small", b""]
    sender = Sender(*files)
    pull = pulling(store, [entry(data, f"{i}") for i, data in enumerate(files)])
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
    pull = pulling(store, wanted)
    assert (pull.files_total, pull.bytes_total) == (1, 3)
    run(pull, sender)
    assert sender.asked == [Get(hash_of(b"new"), 0, 3)]
    again = pulling(store, wanted)
    assert again.done
    assert again.requests() == []


def test_outstanding_ranges_never_exceed_the_window(store: Store):
    data = noise(20 * CHUNK)
    pull = pulling(store, [entry(data)])
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
    first = pulling(store, wanted)
    run(first, sender, arrived)
    first.close()
    assert not first.done
    second = pulling(Store(store.root), wanted)
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
        pull = pulling(store, wanted, window=data.draw(st.integers(1, 3)))
        run(pull, sender, data.draw(st.integers(0, 3)))
        pull.close()
    run(pulling(store, wanted), sender)
    assert sender.bytes_sent == sum(len(content) for content in set(files))
    assert names(store) == {hash_of(content) for content in files}


def test_a_file_that_is_not_what_was_promised_is_refused_and_removed(store: Store):
    promised = entry(b"what was promised", "photo.png")
    pull = pulling(store, [promised, entry(noise(CHUNK), "other.png")])
    (get, *_) = pull.requests()
    with pytest.raises(BadFrames, match=r"The file photo\.png arrived with different content than its hash says\."):
        pull.accept(get.digest, 0, b"what has arrived!")
    assert not any(name.startswith(promised.digest) for name in names(store))
    assert not pull.done
    assert pull.requests() == []
    assert not store.writers
    run(pulling(store, [promised]), Sender(b"what was promised"))
    assert store.read(promised.digest, 0, 4) == b"what"


def test_an_empty_file_with_the_hash_of_another_is_refused(store: Store):
    with pytest.raises(BadFrames, match="different content than its hash says"):
        pulling(store, [FileEntry("a", 0, hash_of(b"something"))]).requests()
    assert names(store) == set()


def test_a_part_torn_by_a_crash_is_fetched_again_without_blame(store: Store):
    data = noise(2 * CHUNK + 3)
    store.part(hash_of(data)).write_bytes(b"\0" * CHUNK)
    sender = Sender(data)
    pull = pulling(store, [entry(data)])
    run(pull, sender)
    assert pull.bytes_done == pull.bytes_total
    assert store.path(hash_of(data)).read_bytes() == data
    assert sender.bytes_sent == len(data) + CHUNK + 3


@pytest.mark.parametrize("left", [b"\0" * 10, b"\0" * 11, b"\0" * 2 * CHUNK])
def test_a_torn_part_as_long_as_the_file_or_longer_is_fetched_again(store: Store, left: bytes):
    data = noise(10)
    store.part(hash_of(data)).write_bytes(left)
    sender = Sender(data)
    run(pulling(store, [entry(data)]), sender)
    assert names(store) == {hash_of(data)}
    assert sender.bytes_sent == 10


def test_a_whole_part_needs_no_byte_more(store: Store):
    data = noise(CHUNK + 1)
    store.part(hash_of(data)).write_bytes(data)
    pull = pulling(store, [entry(data)])
    assert pull.requests() == []
    assert pull.done
    assert store.path(hash_of(data)).read_bytes() == data


def test_a_large_part_is_read_a_little_at_a_time_while_others_arrive(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pulls, "CATCH_UP", CHUNK)
    large, other = noise(4 * CHUNK), noise(5, 1)
    store.part(hash_of(large)).write_bytes(large[: 3 * CHUNK])
    pull = pulling(store, [entry(large, "a"), entry(other, "b")])
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
    monkeypatch.setattr(pulls, "CATCH_UP", CHUNK)
    data = noise(5 * CHUNK)
    store.part(hash_of(data)).write_bytes(data[: 4 * CHUNK])
    pull = pulling(store, [entry(data)])
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
    pull = pulling(store, [promised])
    (get,) = pull.requests()
    assert get.offset == 5
    pull.accept(promised.digest, 5, b"xxxxx")
    (get,) = pull.requests()
    assert (get.offset, get.length) == (0, 10)
    with pytest.raises(BadFrames, match="different content than its hash says"):
        pull.accept(promised.digest, 0, b"xxxxxxxxxx")
    assert names(store) == set()


def test_a_stored_file_cut_short_by_a_power_cut_is_fetched_again(store: Store):
    store.put(b"0123456789")
    store.path(hash_of(b"0123456789")).write_bytes(b"")
    sender = Sender(b"0123456789")
    run(pulling(store, [entry(b"0123456789")]), sender)
    assert store.read(hash_of(b"0123456789"), 0, 10) == b"0123456789"


def test_two_pulls_of_one_file_fetch_it_once(store: Store):
    data = noise(3 * CHUNK)
    sender = Sender(data)
    first, second = pulling(store, [entry(data)]), pulling(store, [entry(data), entry(b"mine", "b")])
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
    first, second = pulling(store, [entry(data)]), pulling(store, [entry(data)])
    run(first, sender, 2)
    assert second.requests() == []
    first.close()
    run(second, sender)
    assert sender.bytes_sent == len(data)


def test_storing_a_file_that_is_arriving_does_not_disturb_either(store: Store, tmp_path: Path):
    for i, store_it in enumerate((lambda data: store.put(data), lambda data: adopt_copy(store, tmp_path, data))):
        data = noise(3 * CHUNK, i)
        sender = Sender(data)
        pull = pulling(store, [entry(data)])
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
    pull = pulling(store, [entry(data)])
    gets = pull.requests()
    with pytest.raises(BadFrames, match=r"bytes of .* arrived without a request"):
        pull.accept(*BAD_CHUNKS[name](gets[0]))
    for get in gets:
        pull.accept(get.digest, get.offset, sender.chunk(get))
    assert pull.done
    with pytest.raises(BadFrames, match="arrived without a request"):
        pull.accept(gets[0].digest, gets[0].offset, sender.chunk(gets[0]))


def test_chunks_out_of_order_are_refused(store: Store):
    data = noise(2 * CHUNK)
    pull = pulling(store, [entry(data)])
    first, second = pull.requests()
    with pytest.raises(BadFrames, match=r"Bytes at 1048576 of a\.bin arrived out of order; offset 0 was expected"):
        pull.accept(second.digest, second.offset, data[CHUNK:])
    pull.close()
    assert first.offset == 0


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_a_chunk_may_be_any_buffer(store: Store, wrap):
    pull = pulling(store, [entry(b"12345678")])
    pull.requests()
    with pytest.raises(BadFrames, match="0 bytes of"):
        pull.accept(hash_of(b"12345678"), 0, wrap(b""))
    pull.accept(hash_of(b"12345678"), 0, wrap(b"12345678"))
    assert store.has(hash_of(b"12345678"))


def test_a_disk_without_room_is_told_before_anything_is_fetched(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Store, "free_bytes", lambda self: 1000)
    with pytest.raises(Unavailable, match=r"The disk of .* is full; .* are needed"):
        pulling(store, [entry(noise(1001))])
    store.part(hash_of(noise(1001))).write_bytes(noise(1001)[:500])
    run(pulling(store, [entry(noise(1001))]), Sender(noise(1001)))
    assert store.has(hash_of(noise(1001)))


def test_a_disk_that_fills_up_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch):
    def full(self: object, offset: int, data: memoryview) -> None:
        raise OSError(28, "No space left on device")

    pull = pulling(store, [entry(b"12345")])
    pull.requests()
    monkeypatch.setattr(pulls._Incoming, "write", full)
    with pytest.raises(Unavailable, match=r"Received data cannot be written to .*: No space left on device\."):
        pull.accept(hash_of(b"12345"), 0, b"12345")
    pull.close()
    assert not store.writers
    assert not store.has(hash_of(b"12345"))


def test_a_scanned_folder_comes_out_the_same_at_the_other_end(store: Store, tmp_path: Path):
    files = [("images/a.png", noise(CHUNK + 3)), ("empty", b""), ("b", noise(10, 1)), ("c", noise(10, 1))]
    paths = lay(tmp_path / "scene", files)
    steps = list(scan(tmp_path / "scene", paths))
    assert steps == sorted(steps)
    assert steps[-1] == sum(len(data) for _, data in files)
    entries = finish(scan(tmp_path / "scene", paths))
    content = pack_manifest(entries)
    sender = Sender(content, *(data for _, data in files))
    run(pulling(store, [entry(content)]), sender)
    received = read_manifest(store, hash_of(content))
    run(pulling(store, received), sender)
    store.checkout(received, tmp_path / "copy")
    for name, data in files:
        assert (tmp_path / "copy" / name).read_bytes() == data
    assert sender.bytes_sent == len(content) + CHUNK + 3 + 10

"""Which client has which stored files: the table, and what is taken from a client that has too much."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.server.client_files import ClientFiles
from backend.server.disk_space import release
from backend.server.owners import LAYOUT, Owners
from protocol.coroutines import finish
from protocol.errors import Unavailable
from protocol.manifest import digest_of, pack_manifest
from protocol.messages import FileEntry
from protocol.store import Store
from tests.protocol.transfers import pulling

A, B, C = (digit * 64 for digit in "abc")


@pytest.fixture
def owners(tmp_path: Path):
    made = Owners(tmp_path / "files.sqlite")
    yield made
    made.close()


def test_a_file_belongs_to_whom_it_was_given(owners):
    owners.add("anna", A, 10)
    owners.add("ben", A, 10)
    owners.add("anna", B, 5)
    owners.add("anna", B, 5)
    assert [owners.has(client, A) for client in ("anna", "ben", "carl")] == [True, True, False]
    assert (owners.bytes_of("anna"), owners.bytes_of("ben"), owners.bytes_of("carl")) == (15, 10, 0)
    assert owners.remove("anna", A) == 10
    assert owners.remove("anna", A) == 0
    assert owners.anybody_has(A)
    assert owners.remove("ben", A) == 10
    assert not owners.anybody_has(A)


def test_it_is_known_to_the_next_server(tmp_path):
    owners = Owners(tmp_path / "files.sqlite")
    owners.add("anna", A, 10)
    owners.add("anna", B, 0)
    owners.close()
    owners = Owners(tmp_path / "files.sqlite")
    assert owners.has("anna", A)
    assert owners.has("anna", B)
    assert owners.bytes_of("anna") == 10
    owners.close()


def test_another_programs_lock_delays_the_writing_and_nothing_else(tmp_path, owners):
    other = sqlite3.connect(tmp_path / "files.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    owners.add("anna", A, 10)
    owners.write()
    assert owners.has("anna", A)
    assert other.execute("SELECT count(*) FROM files").fetchone() == (0,)
    other.execute("ROLLBACK")
    owners.write()
    assert other.execute("SELECT count(*) FROM files").fetchone() == (1,)
    other.close()


def test_a_synced_write_reaches_the_disk_with_all_that_was_written_before(tmp_path, owners):
    """SQLite syncs a transaction only if it writes something."""
    log = tmp_path / "files.sqlite-wal"
    owners.add("anna", A, 10)
    owners.write()
    size = log.stat().st_size
    owners.write()
    assert log.stat().st_size == size
    owners.write(synced=True)
    assert log.stat().st_size > size


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "files.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(Unavailable, match="cannot be read or written: file is not a database") as caught:
        Owners(tmp_path / "files.sqlite")
    assert "send their files again" in caught.value.remedy


def test_a_table_of_a_later_version(tmp_path):
    with sqlite3.connect(tmp_path / "files.sqlite") as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(Unavailable, match=f"have format 9; this server reads format {LAYOUT}"):
        Owners(tmp_path / "files.sqlite")


acts = st.tuples(
    st.sampled_from(["add", "remove", "write", "reopen"]), st.sampled_from(["anna", "ben"]), st.sampled_from([A, B, C])
)


@settings(deadline=None, max_examples=60)
@given(st.lists(acts, max_size=20))
def test_no_order_of_events_loses_or_adds_a_file(tmp_path_factory, events):
    path = tmp_path_factory.mktemp("owners") / "files.sqlite"
    owners = Owners(path)
    sizes = {A: 0, B: 3, C: 100}
    known: set[tuple[str, str]] = set()
    for act, client, digest in events:
        if act == "add":
            owners.add(client, digest, sizes[digest])
            known.add((client, digest))
        elif act == "remove":
            assert owners.remove(client, digest) == (sizes[digest] if (client, digest) in known else 0)
            known.discard((client, digest))
        elif act == "write":
            owners.write()
        else:
            owners.close()
            owners = Owners(path)
        for who in ("anna", "ben"):
            assert {each for each in sizes if owners.has(who, each)} == {each for one, each in known if one == who}
            assert owners.bytes_of(who) == sum(sizes[each] for one, each in known if one == who)
    owners.close()


def test_rows_of_files_that_are_gone_go_too(tmp_path, owners):
    store = Store(tmp_path / "store")
    kept = store.put(b"kept")
    owners.add("anna", kept, 4)
    owners.add("anna", A, 10)
    owners.add("ben", B, 10)
    owners.write()
    finish(owners.forgetting_removed(store))
    assert owners.has("anna", kept)
    assert not owners.has("anna", A)
    assert (owners.bytes_of("anna"), owners.bytes_of("ben")) == (4, 0)


def test_the_files_of_before_are_adopted(tmp_path, owners):
    store = Store(tmp_path / "store")
    stored = [store.put(data) for data in (b"one", b"other")]
    (store.root / stored[0][:2] / "stray").touch()
    owners.adopt("default", store)
    assert all(owners.has("default", digest) for digest in stored)
    assert owners.bytes_of("default") == 8


# The store as a client sees it


def test_a_client_sees_its_own_files(tmp_path, owners):
    store = Store(tmp_path / "store")
    anna, ben = (ClientFiles(store, owners, client) for client in ("anna", "ben"))
    data = b"a photograph"
    entry = FileEntry("a.png", len(data), store.put(data))
    assert not anna.has(entry.digest)
    pull = pulling(anna, [entry])
    (get,) = pull.requests()
    assert anna.part(entry.digest) != ben.part(entry.digest)
    # While anna's arrives, ben's is asked for as well.
    assert pulling(ben, [entry]).requests() == [get]
    pull.accept(entry.digest, 0, data)
    assert pull.done
    assert anna.has(entry.digest, entry.size)
    assert not anna.has(entry.digest, entry.size + 1)
    assert not ben.has(entry.digest)
    store.path(entry.digest).unlink()
    assert not anna.has(entry.digest)


# Too much


def held(store: Store, owners: Owners, client: str, *files: bytes) -> str:
    """Give a client some files and the manifest of them; return that."""
    entries = [FileEntry(f"{number}", len(data), store.put(data)) for number, data in enumerate(files)]
    manifest = store.put(pack_manifest(entries))
    for digest in (manifest, *(entry.digest for entry in entries)):
        owners.add(client, digest, store.path(digest).stat().st_size)
    return manifest


def test_the_oldest_goes_first_and_what_is_needed_stays(tmp_path, owners):
    store = Store(tmp_path / "store")
    first = held(store, owners, "anna", b"1" * 1000, b"both" * 100)
    second = held(store, owners, "anna", b"2" * 1000, b"both" * 100)
    third = held(store, owners, "anna", b"3" * 1000, b"used" * 100)
    used = held(store, owners, "anna", b"used" * 100)
    before = owners.bytes_of("anna")
    released = finish(release(owners, store, "anna", 900, [(first,), (second,), (third,)], [used]))
    assert 1000 <= released < 1400
    assert owners.bytes_of("anna") == before - released
    assert not store.has(first)
    assert not store.has(digest_of(b"1" * 1000))
    assert owners.has("anna", digest_of(b"both" * 100))
    finish(release(owners, store, "anna", 10**9, [(second,), (third,)], [used]))
    assert not owners.has("anna", digest_of(b"both" * 100))
    assert owners.has("anna", digest_of(b"used" * 100))
    assert owners.has("anna", used)
    assert store.has(digest_of(b"used" * 100))


def test_what_another_client_has_stays_stored(tmp_path, owners):
    store = Store(tmp_path / "store")
    manifest = held(store, owners, "anna", b"shared" * 100, b"own" * 100)
    owners.add("ben", digest_of(b"shared" * 100), 600)
    finish(release(owners, store, "anna", 10**9, [(manifest,)], []))
    assert owners.bytes_of("anna") == 0
    assert store.has(digest_of(b"shared" * 100))
    assert not store.has(digest_of(b"own" * 100))
    assert owners.has("ben", digest_of(b"shared" * 100))

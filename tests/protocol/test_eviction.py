"""A store stays within a limit: what no holder has goes first, then holders in order, never what is kept."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from protocol.coroutines import finish
from protocol.eviction import evict
from protocol.store import Store
from tests.protocol.transfers import hash_of

ALWAYS = float("inf")


class Folder:
    """A holder of stored contents, and of files outside the store."""

    def __init__(self, *contents: str) -> None:
        self.held = set(contents)
        self.removed = False

    def contents(self) -> set[str]:
        return self.held

    def remove(self) -> None:
        self.removed = True


def put(store: Store, *contents: bytes) -> list[str]:
    return [store.put(data) for data in contents]


def left(store: Store) -> set[str]:
    return {path.name for path in store.files()}


def test_nothing_goes_while_all_fits(store: Store):
    digests = put(store, b"a" * 10, b"b" * 20)
    assert finish(evict(store, 30, [], lambda: (), loose_before=ALWAYS)) == 0
    assert left(store) == set(digests)


def test_loose_files_go_the_oldest_first_and_no_more_than_needed(store: Store, monkeypatch: pytest.MonkeyPatch):
    old, new = put(store, b"a" * 10, b"b" * 10)
    true_stat = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        status = true_stat(path, **options)
        dates = {old: 100.0, new: 200.0}
        if path.name not in dates:
            return status
        return os.stat_result((*status[:7], *[dates[path.name]] * 3))

    monkeypatch.setattr(Path, "stat", stat)
    assert finish(evict(store, 0, [], lambda: (), loose_before=100.0)) == 0
    assert finish(evict(store, 15, [], lambda: (), loose_before=ALWAYS)) == 10
    assert left(store) == {new}


def test_holders_go_in_order_and_shared_files_with_the_last(store: Store):
    shared, first, second = put(store, b"s" * 10, b"a" * 10, b"b" * 10)
    holders = [Folder(shared, first), Folder(shared, second)]
    assert finish(evict(store, 25, holders, lambda: (), loose_before=ALWAYS)) == 10
    assert [holder.removed for holder in holders] == [True, False]
    assert left(store) == {shared, second}
    assert finish(evict(store, 5, holders[1:], lambda: (), loose_before=ALWAYS)) == 20
    assert left(store) == set()


def test_what_becomes_kept_meanwhile_or_is_being_written_stays(store: Store):
    loose, held, writing = put(store, b"a" * 10, b"b" * 10, b"c" * 10)
    store.writers.add(writing)
    kept: list[Folder] = []

    def asked() -> Iterable[Folder]:
        return kept

    steps = evict(store, 0, [Folder(held, writing)], asked, loose_before=ALWAYS)
    next(steps)
    kept.append(Folder(loose, held))
    assert finish(steps) == 0
    assert left(store) == {loose, held, writing}


def test_files_outside_the_store_count(store: Store):
    put(store, b"a" * 10)
    holder = Folder(hash_of(b"a" * 10), "a copy")
    assert finish(evict(store, 15, [holder], lambda: (), loose_before=ALWAYS, outside={"a copy": 10})) == 20
    assert holder.removed

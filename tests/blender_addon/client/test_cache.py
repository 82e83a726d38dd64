"""The cache stays within its bound, and what is kept stays in it."""

from __future__ import annotations

import os
from pathlib import Path

from blender_addon.client.cache import make_room
from protocol.coroutines import finish
from protocol.messages import FileEntry
from protocol.store import Store


def fill(cache: Path) -> dict[str, Path]:
    """Make a cache of three results of two files each, one shared by all, and a content that is part of none."""
    store = Store(cache / "store", durable=False)
    shared = store.put(b"s" * 1000)
    store.put(b"loose" * 20)
    folders = {}
    for number, name in enumerate("abc"):
        own = store.put(name.encode() * 500)
        folders[name] = cache / "results" / (name * 32)
        store.checkout([FileEntry("own", 500, own), FileEntry("shared", 1000, shared)], folders[name])

        os.utime(folders[name], (number, number))
    return folders


def bytes_of(cache: Path) -> int:
    files = {path.stat().st_ino: path.stat().st_size for path in cache.rglob("*") if path.is_file()}
    return sum(files.values())


def test_what_fits_stays(tmp_path):
    fill(tmp_path)
    assert bytes_of(tmp_path) == 2600
    assert finish(make_room(tmp_path, 2600, ())) == 0
    assert bytes_of(tmp_path) == 2600


def test_what_is_part_of_no_result_goes_first_and_then_the_oldest(tmp_path):
    folders = fill(tmp_path)
    assert finish(make_room(tmp_path, 2599, ())) == 100
    assert all(folder.is_dir() for folder in folders.values())
    assert finish(make_room(tmp_path, 2400, ())) == 500
    assert [name for name, folder in folders.items() if folder.is_dir()] == ["b", "c"]
    assert (folders["b"] / "shared").read_bytes() == b"s" * 1000, "what others share stays"
    assert bytes_of(tmp_path) == 2000


def test_links_from_elsewhere_keep_nothing(tmp_path):
    cache = tmp_path / "cache"
    folders = fill(cache)
    for number, path in enumerate(path for path in (cache / "store").rglob("*") if path.is_file()):
        os.link(path, tmp_path / str(number))
    assert finish(make_room(cache, 2400, ())) == 100 + 500
    assert [name for name, folder in folders.items() if folder.is_dir()] == ["b", "c"]
    assert bytes_of(cache) == 2000
    assert finish(make_room(cache, 0, ())) == 2000
    assert bytes_of(cache) == 0


def test_what_is_kept_stays_whatever_it_takes(tmp_path):
    folders = fill(tmp_path)
    finish(make_room(tmp_path, 0, {"a" * 32}))
    assert [name for name, folder in folders.items() if folder.is_dir()] == ["a"]
    assert (folders["a"] / "own").read_bytes() == b"a" * 500
    assert bytes_of(tmp_path) == 1500
    assert finish(make_room(tmp_path / "nowhere", 0, ())) == 0

"""Files that appear under their names when they are complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from protocol.whole_file import whole_file, write_whole
from tests.syncs import Syncs


def test_the_content_is_on_the_disk_before_the_name(tmp_path: Path, syncs: Syncs):
    path = tmp_path / "scan.obj"
    with whole_file(path) as part:
        part.write_bytes(b"content")
        assert part.suffix == ".obj"
        assert part.name.startswith(".")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert syncs.of(path)
    assert os.listdir(tmp_path) == ["scan.obj"]


def test_a_file_that_need_not_survive_a_power_cut_is_not_synced(tmp_path: Path, syncs: Syncs):
    write_whole(tmp_path / "note", b"content", durable=False)
    assert (tmp_path / "note").read_bytes() == b"content"
    assert not syncs.of(tmp_path / "note")


@pytest.mark.parametrize("error", [OSError("full"), ValueError("bad"), KeyboardInterrupt()])
def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path: Path, error: BaseException):
    path = tmp_path / "note"
    path.write_bytes(b"earlier")
    with pytest.raises(type(error)):
        _fail_half_way(path, error)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["note"]


def _fail_half_way(path: Path, error: BaseException) -> None:
    with whole_file(path) as part:
        part.write_bytes(b"half")
        raise error


@pytest.mark.parametrize("has_links", [True, False])
def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path, monkeypatch, has_links):
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "key"
    with whole_file(path, replace=False) as part:
        part.write_bytes(b"one")
    with pytest.raises(FileExistsError), whole_file(path, replace=False) as part:
        part.write_bytes(b"two")
    assert path.read_bytes() == b"one"
    write_whole(path, b"three")
    assert path.read_bytes() == b"three"
    assert os.listdir(tmp_path) == ["key"]


def test_writers_of_one_file_at_once_do_not_mix(tmp_path: Path):
    path = tmp_path / "note"
    with whole_file(path) as first, whole_file(path) as second:
        assert first != second
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"

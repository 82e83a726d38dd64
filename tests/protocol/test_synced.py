"""What is waited for until it is on the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from protocol import synced
from protocol.synced import make_folder, sync_file, sync_folder, sync_tree
from tests.syncs import Syncs

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows cannot sync a folder")


def test_a_file(tmp_path: Path, syncs: Syncs):
    (tmp_path / "a").write_bytes(b"content")
    sync_file(tmp_path / "a")
    assert syncs.of(tmp_path / "a")
    assert not syncs.of(tmp_path)


@POSIX
def test_a_tree_with_all_its_names(tmp_path: Path, syncs: Syncs):
    root = tmp_path / "root"
    (root / "deep" / "empty").mkdir(parents=True)
    (root / "deep" / "a").write_bytes(b"content")
    sync_tree(root)
    assert all(map(syncs.of, [*root.rglob("*"), root, tmp_path]))


@POSIX
def test_folders_are_made_with_their_names(tmp_path: Path, syncs: Syncs):
    make_folder(tmp_path / "a" / "b" / "c", 0o700)
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700
    assert all(map(syncs.of, [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]))
    syncs.clear()
    make_folder(tmp_path / "a" / "b" / "c", 0o700)
    assert syncs.of(tmp_path / "a" / "b")  # whoever made it may not have waited


@POSIX
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_disk_that_cannot_sync_folders_is_no_failure_and_one_that_fails_is(tmp_path: Path, monkeypatch, number):
    def refuse(descriptor: int) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(synced.os, "fsync", refuse)
    if number == errno.EINVAL:
        sync_folder(tmp_path)
    else:
        with pytest.raises(OSError, match="no"):
            sync_folder(tmp_path)

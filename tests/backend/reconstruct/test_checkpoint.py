from __future__ import annotations

import dataclasses
import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from backend.reconstruct.checkpoint import Saver, fingerprint, load, save
from backend.scene.types import MaskIds, View
from tests.backend.reconstruct.cameras import ring

ARRAYS = {"column.means": np.arange(12, dtype=np.float32).reshape(4, 3), "steps": np.array([3, 4])}


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "deep" / "training.npz"
    save(path, ARRAYS, "abc")
    got = load(path, "abc")
    assert got is not None
    assert got.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(got[name], array)
        assert got[name].dtype == array.dtype
    assert [file.name for file in path.parent.iterdir()] == ["training.npz"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_last_checkpoint_and_warns_once(tmp_path, monkeypatch, caplog, code, call):
    path = tmp_path / "training.npz"
    saver = Saver(path, "abc")
    saver.save(lambda: ARRAYS)

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setattr(os, call, fail)
        for _ in range(3):
            saver.save(lambda: ARRAYS | {"steps": np.array([9, 9])})
    assert [record.getMessage().count(os.strerror(code)) for record in caplog.records] == [1]
    assert list(tmp_path.iterdir()) == [path], "no partial file"
    kept = load(path, "abc")
    assert kept is not None
    assert list(kept["steps"]) == [3, 4]
    saver.save(lambda: ARRAYS | {"steps": np.array([9, 9])})
    assert list((load(path, "abc") or {})["steps"]) == [9, 9], "it is tried again"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_write_to_a_full_disk_fails_as_a_sync_does(tmp_path, monkeypatch, caplog):
    """The device /dev/full takes no byte."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "0")
    (tmp_path / ".training.0.part.npz").symlink_to("/dev/full")
    saver = Saver(tmp_path / "training.npz", "abc")
    with caplog.at_level(logging.WARNING):
        saver.save(lambda: ARRAYS)
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []
    saver.save(lambda: ARRAYS)
    assert load(tmp_path / "training.npz", "abc") is not None


def test_an_absent_checkpoint_is_none(tmp_path, caplog):
    assert load(tmp_path / "none.npz", "abc") is None
    assert not caplog.records


@pytest.mark.parametrize("damage", ["other", "empty", "text", "cut", "no header", "object array"])
def test_a_checkpoint_that_cannot_be_used_is_passed_over_with_a_sentence(tmp_path, caplog, damage):
    path = tmp_path / "training.npz"
    save(path, ARRAYS, "of another scene" if damage == "other" else "abc")
    whole = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_bytes(b"hello")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "no header":
        np.savez(path, steps=np.array([1]))
    elif damage == "object array":
        np.savez(path, header=np.array([{"version": 1}], dtype=object))
    with caplog.at_level(logging.WARNING):
        assert load(path, "abc") is None
    assert str(path) in caplog.text
    assert "training starts from the beginning" in caplog.text


def test_the_fingerprint_tells_scenes_and_settings_apart(tmp_path):
    image = tmp_path / "a.png"
    image.write_bytes(b"12345")
    camera = ring(2, (10, 10), 10.0)
    view = View("a", camera[0], image)
    marks = {
        fingerprint([view], {"steps": 3}),
        fingerprint([view], {"steps": 4}),
        fingerprint([dataclasses.replace(view, camera=camera[1])], {"steps": 3}),
        fingerprint([dataclasses.replace(view, mask_path=image)], {"steps": 3}),
        fingerprint([dataclasses.replace(view, mask_path=image, mask_parts=(image, image))], {"steps": 3}),
        fingerprint([dataclasses.replace(view, mask_ids=MaskIds(void=(255,)))], {"steps": 3}),
        fingerprint([dataclasses.replace(view, mask_ids=MaskIds(background=(255,)))], {"steps": 3}),
        fingerprint([view, view], {"steps": 3}),
    }
    assert len(marks) == 8
    assert fingerprint([view], {"steps": 3}) in marks
    image.write_bytes(b"123456")
    assert fingerprint([view], {"steps": 3}) not in marks

from __future__ import annotations

import dataclasses
import errno
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.reconstruct import photographs
from backend.reconstruct.photo_cache import PhotoCache
from backend.reconstruct.photographs import AHEAD, load_photographs
from backend.scene.types import Camera, View
from protocol.errors import BadScene, Fault, Unavailable

SIDE = 140
"""Large enough for a half-size copy."""


@pytest.fixture
def views(tmp_path: Path) -> Iterator[list[View]]:
    """More views than are decoded ahead; the image of number i has the grey value i, its mask an object at the left."""
    camera = Camera(np.eye(4), np.array([[100.0, 0, SIDE / 2], [0, 100, SIDE / 2], [0, 0, 1]]), SIDE, SIDE)
    found = []
    for i in range(3 * AHEAD):
        Image.fromarray(np.full((SIDE, SIDE, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:, : SIDE // 2] = 1
        Image.fromarray(mask).save(tmp_path / f"{i}-mask.png")
        found.append(View(f"{i}", camera, tmp_path / f"{i}.png", tmp_path / f"{i}-mask.png"))
    yield found
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("photographs")]


def test_photographs_come_in_the_order_of_the_views(views: list[View]):
    notes = []

    def progress(stage: str, fraction: float, note: str = "") -> None:
        notes.append(note)

    photos = load_photographs(views, long_side=SIDE, device="cpu", progress=progress)
    for ladder, side in ((photos.full, SIDE), (photos.half, SIDE // 2)):
        assert [int(photo.image[0, 0, 0]) for photo in ladder] == list(range(len(views)))
        for photo in ladder:
            assert photo.image.dtype == torch.uint8
            assert photo.image.shape == (side, side, 3)
            assert photo.on_object is not None
            assert photo.on_object.float().mean() == 0.5
    assert notes == [f"photograph {i + 1} of {len(views)}" for i in range(len(views))]


def test_no_more_are_decoded_than_a_few_ahead_of_what_is_taken(views: list[View], monkeypatch):
    begun = []
    decode = photographs._decode
    monkeypatch.setattr(photographs, "_decode", lambda view, side: begun.append(view.name) or decode(view, side))
    for taken, _ in enumerate(photographs._decoded(views, SIDE)):
        assert len(begun) <= taken + 1 + AHEAD
    assert sorted(begun, key=int) == [view.name for view in views]


def test_a_photograph_that_cannot_be_read_ends_the_loading_with_its_sentence(views: list[View]):
    path = views[AHEAD + 1].image_path
    path.write_bytes(b"nothing")
    with pytest.raises(Fault, match=path.name):
        load_photographs(views, long_side=SIDE, device="cpu")


def test_whoever_stops_the_loading_is_heard(views: list[View]):
    def stop(stage: str, fraction: float, note: str = "") -> None:
        if note.startswith("photograph 3 "):
            raise BadScene("Enough.")

    with pytest.raises(BadScene, match="Enough"):
        load_photographs(views, long_side=SIDE, device="cpu", progress=stop)


def test_a_photograph_that_is_there_is_not_copied(views: list[View]):
    photo = load_photographs(views[:1], long_side=SIDE, device="cpu").full[0]
    assert photo.on("cpu") is photo
    elsewhere = photo.on("meta")
    assert elsewhere.image.device.type == "meta"
    assert elsewhere.on_object is not None
    assert elsewhere.on_object.device.type == "meta"
    assert elsewhere.camera is photo.camera


@pytest.mark.parametrize("side", [SIDE, 100])
def test_photographs_on_disk_are_those_in_memory(views: list[View], tmp_path: Path, side: int):
    views[3] = dataclasses.replace(views[3], mask_path=None)
    folder = tmp_path / "photo_cache"
    folder.mkdir()
    here = load_photographs(views, long_side=side, device="cpu")
    there = load_photographs(views, long_side=side, device="cpu", folder=folder)
    assert there.pixels == here.pixels
    # Twice, because photographs are released in between.
    for number in [*range(len(views)), *range(len(views))]:
        for small in (True, False):
            soon = [(number + 1) % len(views), (number + 5) % len(views)]
            one, other = here.take(number, small, soon), there.take(number, small, soon)
            assert torch.equal(one.image, other.image)
            assert one.camera.width == other.camera.width
            assert (one.on_object is None) == (other.on_object is None)
            if one.on_object is not None and other.on_object is not None:
                assert torch.equal(one.on_object, other.on_object)
    assert not list(folder.iterdir())


def mapped_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_photographs_on_disk_take_the_memory_of_one(tmp_path: Path):
    photo_cache = PhotoCache(tmp_path)
    size = 4 << 20
    for i in range(20):
        photo_cache.put([np.full(size, i, np.uint8)])
    photo_cache.row(0)
    before, most = mapped_kib(), 0
    for i in range(20):
        photo_cache.expect(range(i, min(i + 4, 20)))
        assert (photo_cache.row(i)[0] == i).all()
        most = max(most, mapped_kib() - before)
    assert most < 2 * size // 1024


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch):
    photo_cache = PhotoCache(tmp_path)

    class Full:
        def write(self, data: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(photo_cache, "_file", Full())
    with pytest.raises(Unavailable, match=re.escape(f"{tmp_path}: No space left")):
        photo_cache.put([np.zeros(3, np.uint8)])


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path):
    with pytest.raises(Unavailable, match=f"cannot be cached in {tmp_path / 'away'}: No such file or directory"):
        PhotoCache(tmp_path / "away")

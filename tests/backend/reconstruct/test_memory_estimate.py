from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend import memory
from backend.reconstruct.memory_estimate import DISK, estimate_memory, place_photographs
from backend.scene.types import Camera, View
from protocol.errors import Unavailable

GIB = 2**30


def views(count: int, width: int, height: int, masks: bool = False) -> list[View]:
    camera = Camera(np.eye(4), np.eye(3), width, height)
    return [View(f"{i}", camera, Path("none.png"), Path("none.png") if masks else None) for i in range(count)]


def test_photographs_count_their_bytes_with_masks_and_half_size_copies():
    wanted = estimate_memory(views(10, 1600, 1000), 1600, "cpu")
    assert wanted.photographs == 10 * 1600 * 1000 * 3 * 1.25
    assert estimate_memory(views(10, 1600, 1000, masks=True), 1600, "cpu").photographs == 10 * 1600 * 1000 * 4 * 1.25
    assert estimate_memory(views(10, 1600, 1000), 800, "cpu").photographs == wanted.photographs / 4


def test_gaussians_count_what_training_carries_of_them():
    flat, full = (estimate_memory(views(1, 400, 400), 400, "cpu", cap=1_000_000, sh_degree=degree) for degree in (0, 3))
    assert flat.gaussians == 1_000_000 * (28 * 14 + 250)
    assert full.gaussians - flat.gaussians == 1_000_000 * 28 * 45
    # A scene of five million Gaussians and a thousand photographs.
    large = estimate_memory(views(1000, 1600, 1066, masks=True), 1600, "cuda", cap=5_000_000, sh_degree=3)
    assert 7.9 * GIB < large.photographs < 8 * GIB
    assert 10 * GIB < large.gaussians < 12 * GIB


@pytest.fixture
def disk(monkeypatch):
    """A disk with room enough, and a way to leave it less."""

    def free(count: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=count))

    free(100 * GIB)
    return free


def test_a_scene_that_does_not_fit_is_refused_in_a_sentence(monkeypatch, disk, tmp_path: Path):
    wanted = estimate_memory(views(100, 1600, 1066), 1600, "cpu", cap=1_000_000, sh_degree=0)
    monkeypatch.setattr(memory, "free_host", lambda: 2 * GIB)
    assert place_photographs(wanted, "cpu", tmp_path) == "cpu"
    monkeypatch.setattr(memory, "free_host", lambda: GIB // 2)
    with pytest.raises(Unavailable, match=r"needs about 0\.8 GiB of memory, but only 0\.5 GiB are free"):
        place_photographs(wanted, "cpu", tmp_path)
    monkeypatch.setattr(memory, "free_host", lambda: None)
    assert place_photographs(wanted, "cpu", tmp_path) == "cpu"


def test_photographs_lie_on_disk_where_memory_cannot_hold_them(monkeypatch, disk, tmp_path: Path):
    wanted = estimate_memory(views(100, 1600, 1066), 1600, "cpu", cap=1_000_000, sh_degree=0)
    monkeypatch.setattr(memory, "free_host", lambda: GIB)
    assert place_photographs(wanted, "cpu", tmp_path) == DISK
    disk(wanted.photographs - 1)
    sentence = f"take 0.6 GiB: more than the free memory, 0.2 GiB, and the free disk space in {tmp_path}, 0"
    with pytest.raises(Unavailable, match=re.escape(sentence)):
        place_photographs(wanted, "cpu", tmp_path)


def test_each_process_keeps_photographs(monkeypatch, disk, tmp_path: Path):
    wanted = estimate_memory(views(100, 1600, 1066), 1600, "cpu", cap=1_000_000, sh_degree=0)
    monkeypatch.setattr(memory, "free_host", lambda: 2 * GIB)
    assert place_photographs(wanted, "cpu", tmp_path, copies=1) == "cpu"
    assert place_photographs(wanted, "cpu", tmp_path, copies=2) == DISK
    with pytest.raises(Unavailable, match=r"2\.4 GiB of memory"):
        place_photographs(wanted, "cpu", tmp_path, copies=3)


def test_surfaces_are_sought_in_memory(monkeypatch, disk, tmp_path: Path):
    wanted = estimate_memory(views(1000, 1600, 1066), 1600, "cpu", cap=1000, sh_degree=0)
    monkeypatch.setattr(memory, "free_host", lambda: GIB)
    assert place_photographs(wanted, "cpu", tmp_path) == DISK
    with pytest.raises(Unavailable, match=r"1\.2 GiB of memory"):
        place_photographs(wanted, "cpu", tmp_path, swept=True)


def test_photographs_stay_in_host_memory_where_the_device_has_little(monkeypatch, disk, tmp_path: Path):
    wanted = estimate_memory(views(1000, 1600, 1066, masks=True), 1600, "cuda", cap=5_000_000, sh_degree=3)
    monkeypatch.setattr(memory, "free_host", lambda: 12 * GIB)
    for free, where in ((80, "cuda"), (20, "cpu")):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (free * GIB, free * GIB))
        assert place_photographs(wanted, "cuda", tmp_path) == where
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * GIB, 8 * GIB))
    with pytest.raises(Unavailable, match="on the GPU needs about"):
        place_photographs(wanted, "cuda", tmp_path)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (20 * GIB, 20 * GIB))
    monkeypatch.setattr(memory, "free_host", lambda: 4 * GIB)
    assert place_photographs(wanted, "cuda", tmp_path) == DISK
    disk(GIB)
    with pytest.raises(Unavailable, match="more than the free memory, 4"):
        place_photographs(wanted, "cuda", tmp_path)


def test_what_torch_keeps_of_freed_arrays_is_free(monkeypatch, tmp_path: Path):
    kept = [60]
    monkeypatch.setattr(torch.cuda, "empty_cache", kept.clear)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: ((80 - sum(kept)) * GIB, 80 * GIB))
    wanted = estimate_memory(views(1000, 1600, 1066, masks=True), 1600, "cuda", cap=5_000_000, sh_degree=3)
    assert place_photographs(wanted, "cuda", tmp_path) == "cuda"


def test_free_memory_is_the_least_of_machine_and_container(monkeypatch, tmp_path: Path):
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:   2048 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.free_host() == 2 * 2**20
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.free_host() == 2 * 2**20
    (tmp_path / "memory.max").write_text("1500\n")
    assert memory.free_host() == 500
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "absent")
    assert memory.free_host() is None

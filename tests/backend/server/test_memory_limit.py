"""The memory that a process counts as its own."""

from __future__ import annotations

import mmap
import threading

import numpy as np
import psutil

from backend.server import memory_limit
from backend.server.memory_limit import used, usual_limit, watch


def test_what_is_taken_counts_and_what_is_mapped_does_not(tmp_path):
    process = psutil.Process()
    before = used(process)
    taken = np.ones(100 << 20, np.uint8)
    assert used(process) - before > 90 << 20
    (tmp_path / "file").write_bytes(bytes(100 << 20))
    with (tmp_path / "file").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0
        assert used(process) - before < 150 << 20
    assert taken[0] == 1


def test_the_watch_speaks_once_the_limit_is_passed():
    spoke = threading.Event()
    watch(used(psutil.Process()) + (64 << 20), spoke.set)
    assert not spoke.wait(0.5)
    taken = np.ones(128 << 20, np.uint8)
    assert spoke.wait(10)
    assert taken[0] == 1


def test_the_limit_of_a_container_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_limit, "CGROUP", tmp_path)
    whole = usual_limit()
    assert whole == int(0.9 * psutil.virtual_memory().total)
    (tmp_path / "memory.max").write_text("max\n")
    assert usual_limit() == whole
    (tmp_path / "memory.max").write_text(f"{1 << 30}\n")
    assert usual_limit() == int(0.9 * 2**30)

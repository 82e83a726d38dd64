"""Kernels: the process that compiles them computes the same bits as later ones, and the user is told of the wait."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_features
from numba.core.caching import IndexDataCacheFile

from backend import compiled
from backend.compiled import report_compilation
from backend.demo.scene import write_scene
from backend.progress import COMPILING, Cancelled

ROOT = Path(__file__).parents[2]

KERNELS = """
from backend.compiled import inlined, kernel

@inlined()
def double(x):
    return 2 * x

@kernel()
def fill(begin, end, out):
    for i in range(begin, end):
        out[i] = double(i)
"""


@pytest.fixture
def fresh(tmp_path: Path) -> ModuleType:
    """A module of kernels that are not compiled."""
    (tmp_path / "fresh.py").write_text(KERNELS)
    spec = importlib.util.spec_from_file_location("fresh", tmp_path / "fresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_full_disk_keeps_no_kernel_from_running(fresh, monkeypatch, caplog):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    compiled._warn.cache_clear()
    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    out = np.zeros(4)
    with caplog.at_level(logging.WARNING):
        fresh.fill(0, 4, out)
        fresh.fill(0, 4, out.astype(np.float32))
    assert list(out) == [0, 2, 4, 6]
    assert len(caplog.records) == 1
    assert "cannot be cached (No space left on device)" in caplog.text


def test_without_any_folder_for_the_cache_kernels_run(monkeypatch, caplog):
    def none(*_: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    compiled._warn.cache_clear()
    monkeypatch.setattr(compiled._Cache, "__init__", none)
    with caplog.at_level(logging.WARNING):

        @compiled.kernel()
        def fill(begin, end, out):
            for i in range(begin, end):
                out[i] = i

    out = np.zeros(3)
    fill(0, 3, out)
    assert list(out) == [0, 1, 2]
    assert "no locator" in caplog.text


def test_compilation_is_reported(fresh):
    reports: list[tuple[str, float, str]] = []

    def report(stage: str, fraction: float, note: str = "") -> None:
        reports.append((stage, fraction, note))

    out = np.zeros(3)
    with report_compilation(report) as progress:
        progress("lift", 0.5, "merging")
        fresh.fill(0, 3, out)
        assert reports[0] == ("lift", 0.5, "merging")
        assert set(reports[1:]) == {("lift", 0.5, COMPILING)}
        count = len(reports)
        fresh.fill(0, 3, out)
        assert len(reports) == count, "a compiled kernel is not reported"
    fresh.fill(0, 3, np.zeros(3, np.float32))
    assert len(reports) == count, "nothing is reported after the block"
    assert out.tolist() == [0, 2, 4]


def test_work_can_be_cancelled_while_it_compiles(fresh):
    def cancel(stage: str, fraction: float, note: str = "") -> None:
        raise Cancelled

    out = np.zeros(3)
    with report_compilation(cancel), pytest.raises(Cancelled):
        fresh.fill(0, 3, out)
    fresh.fill(0, 3, out)
    assert out.tolist() == [0, 2, 4], "the kernel can still be compiled"


SEGMENT = """
import sys
from pathlib import Path
from backend.pipeline import segment
from protocol.job_request import JobRequest

scene, out = map(Path, sys.argv[1:])
request = JobRequest(test_views="last:0.2", device="cpu", steps=10, gallery=False)
segment(scene, out, request, progress=lambda stage, fraction, note="": print(note))
"""

HASWELL = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}


@pytest.mark.parametrize("processor", [{}, HASWELL], ids=["this processor", "no AVX-512"])
def test_a_process_that_compiles_computes_the_same_bits_as_one_that_loads(tmp_path, processor):
    """Reconstruction, lifting and refinement of a scene, with an empty kernel cache and then the filled one."""
    if processor and not get_host_cpu_features().get("avx2"):
        pytest.skip("this processor has no AVX2")
    environment = {**os.environ, **processor, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    write_scene(tmp_path / "scene", objects=3, views=6, size=64)
    notes, results = [], []
    for name in ("compiles", "loads"):
        command = [sys.executable, "-c", SEGMENT, str(tmp_path / "scene"), str(tmp_path / name)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        notes.append(done.stdout.splitlines())
        result = tmp_path / name
        files = (path for path in sorted(result.rglob("*")) if path.is_file() and path.name != "report.json")
        results.append({str(path.relative_to(result)): path.read_bytes() for path in files})
    assert any((tmp_path / "cache").rglob("*.nbc"))
    assert [COMPILING in said for said in notes] == [True, False]
    assert "splats.ply" in results[0]
    assert results[0] == results[1]

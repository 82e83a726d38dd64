"""How gsplat's kernels stand, without any: the files, the compiler and gsplat's backend are played."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from types import ModuleType

import gsplat
import pytest
import torch
from torch.utils import cpp_extension

from backend import doctor
from backend.render import kernels


@pytest.fixture
def machine(monkeypatch, tmp_path: Path) -> Path:
    """A machine with a CUDA device and a compiler, nothing compiled; returns the folder where it would be."""
    folder = tmp_path / "cache" / kernels.NAME
    folder.mkdir(parents=True)
    (tmp_path / "cuda" / "bin").mkdir(parents=True)
    (tmp_path / "cuda" / "bin" / "nvcc").write_text("")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cpp_extension, "_get_build_directory", lambda name, verbose: str(folder))
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", str(tmp_path / "cuda"))
    monkeypatch.setattr(kernels.shutil, "which", lambda name: None)
    monkeypatch.delattr(gsplat, "csrc", raising=False)
    return folder


def backend(monkeypatch, extension: object | None) -> None:
    """Let gsplat's backend be one that found ``extension``."""
    module = ModuleType("gsplat.cuda._backend")
    module._C = extension  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", module)
    monkeypatch.setattr(sys.modules["gsplat.cuda"], "_backend", module, raising=False)


def test_without_a_device_nothing_is_looked_for():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    assert kernels.look().usable is False
    assert "CUDA" in str(kernels.load())


def test_not_compiled_is_said_before_and_after(machine: Path, monkeypatch, caplog):
    state = kernels.look()
    assert state.must_compile
    assert "not compiled yet" in state.sentence
    assert "nvcc" in state.sentence
    backend(monkeypatch, object())
    assert kernels.load() is None
    assert [record.getMessage().split()[0] for record in caplog.records] == ["Compiling", "Compiled"]


def test_compiled_kernels_are_named_and_load_without_a_word(machine: Path, monkeypatch, caplog):
    (machine / "gsplat_cuda.so").write_bytes(bytes(3 << 20))
    state = kernels.look()
    assert state.compiled == machine / "gsplat_cuda.so"
    assert not state.must_compile
    assert state.sentence == f"compiled: {machine / 'gsplat_cuda.so'} (3.0 MiB)"
    backend(monkeypatch, object())
    assert kernels.load() is None
    assert caplog.records == []


def test_compiled_kernels_are_given_to_gsplat_where_there_is_no_compiler(machine: Path, monkeypatch):
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    (machine / "gsplat_cuda.so").write_bytes(b"")
    given = []
    monkeypatch.setattr(kernels, "_give", given.append)
    backend(monkeypatch, object())
    assert kernels.load() is None
    assert given == [machine / "gsplat_cuda.so"]


def test_tools_beside_this_python_are_found_while_gsplat_loads(monkeypatch, tmp_path: Path):
    (tmp_path / "ninja").write_text("#!/bin/sh\n")
    (tmp_path / "ninja").chmod(0o755)
    monkeypatch.setattr(kernels.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    assert shutil.which("ninja") is None
    with kernels._own_tools():
        assert shutil.which("ninja") == str(tmp_path / "ninja")
    assert shutil.which("ninja") is None


def test_a_compiled_file_that_does_not_load_is_a_reason(machine: Path, monkeypatch):
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    (machine / "gsplat_cuda.so").write_bytes(b"no library")
    assert "cannot be compiled or loaded" in str(kernels.load())


@pytest.mark.parametrize("found", [None, object()])
def test_no_compiler_and_nothing_compiled_is_a_reason(found, machine: Path, monkeypatch):
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    backend(monkeypatch, found)
    assert kernels.look().usable is False
    assert "no CUDA toolkit" in str(kernels.load())


def test_kernels_that_gsplat_did_not_load_are_a_reason(machine: Path, monkeypatch):
    backend(monkeypatch, None)
    assert "gsplat loaded no kernels" in str(kernels.load())


def test_the_doctor_tells_and_does_not_compile(machine: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", None)  # an import of it would fail
    finding = doctor._gsplat()
    assert finding.good
    assert "not compiled yet" in finding.found
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    finding = doctor._gsplat()
    assert not finding.good
    assert "or a CUDA toolkit" in finding.remedy
    (machine / "gsplat_cuda.so").write_bytes(bytes(1 << 20))
    assert str(machine) in doctor._gsplat().found


def test_the_toolkit_that_pip_installed_is_used_where_torch_found_none(machine: Path, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    packages = tmp_path / "site-packages"
    for name in ("cu12", "cu13"):
        (packages / "nvidia" / name / "bin").mkdir(parents=True)
        (packages / "nvidia" / name / "bin" / kernels.COMPILER).write_text("")
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    assert not kernels.look().usable
    monkeypatch.syspath_prepend(str(packages))
    assert str(packages / "nvidia" / "cu13" / "bin" / kernels.COMPILER) in kernels.look().sentence
    seen: list[object] = []
    backend(monkeypatch, object())
    real = kernels._own_tools

    @contextlib.contextmanager
    def watched():
        with real():
            seen.append(cpp_extension.CUDA_HOME)
            yield

    monkeypatch.setattr(kernels, "_own_tools", watched)
    assert kernels.load() is None
    assert seen == [str(packages / "nvidia" / "cu13")]
    assert cpp_extension.CUDA_HOME is None

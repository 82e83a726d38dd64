"""gsplat's CUDA kernels: finding, compiling and loading them.

gsplat 1.5.3 from PyPI contains sources. The first import of its backend compiles them into torch's cache, which takes
minutes (471 s on two cores in one measurement). It rejects an existing compiled file if there is no compiler, and
imports without errors if there are no kernels, so that only ``_backend._C`` shows the difference. This module checks
first, warns before a long compilation, and loads a compiled file without a compiler.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

log = logging.getLogger(__name__)

COMPILER = "nvcc.exe" if sys.platform == "win32" else "nvcc"
NAME = "gsplat_cuda"
"""gsplat's name for the extension and its folder; the compiled module only loads under this name."""


class State(NamedTuple):
    """The result of a check without loading or compiling.

    Attributes:
        usable: whether the kernels can be used here, if necessary after compiling them.
        sentence: describes the result.
        compiled: the compiled file, or None.
    """

    usable: bool
    sentence: str
    compiled: Path | None = None

    @property
    def must_compile(self) -> bool:
        """Whether the first use has to compile, which takes minutes."""
        return self.usable and self.compiled is None


def look() -> State:
    """Check the kernels without loading them."""
    if not torch.cuda.is_available():
        return State(False, "torch was built without CUDA" if torch.version.cuda is None else "no CUDA device responds")
    compiled = _compiled()
    if compiled is not None:
        return State(True, f"compiled: {compiled} ({compiled.stat().st_size / 2**20:.1f} MiB)", compiled)
    if _compiler() is None:
        return State(False, "not compiled, and no CUDA toolkit (nvcc) was found to compile them")
    return State(
        True, f"not compiled yet; they are compiled once, at first use, with {_compiler()}, in 2 to 10 minutes"
    )


def load() -> str | None:
    """Load the kernels, compiling them if necessary; return None, or why they are not available."""
    state = look()
    if not state.usable:
        return f"gsplat's kernels: {state.sentence}" if torch.cuda.is_available() else state.sentence
    start = time.perf_counter()
    if state.must_compile:
        log.warning("Compiling gsplat's CUDA kernels with %s: once on this machine, 2 to 10 minutes.", _compiler())
    try:
        if state.compiled is not None and _compiler() is None:
            _give(state.compiled)
        # gsplat logs to standard output, which is reserved for results.
        with contextlib.redirect_stdout(sys.stderr), _own_tools():
            from gsplat.cuda import _backend
    except (ImportError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return f"gsplat's kernels cannot be compiled or loaded: {error}"
    if _backend._C is None:
        return "gsplat loaded no kernels: they are not compiled, and it found no CUDA toolkit (nvcc) to compile them"
    if state.must_compile:
        log.warning("Compiled in %.0f s and stored in %s.", time.perf_counter() - start, _compiled())
    return None


@contextlib.contextmanager
def _own_tools() -> Iterator[None]:
    """Add this Python's scripts to PATH, and give torch the CUDA toolkit that pip installed if it found no other.

    torch needs ninja, which is one of those scripts, to load an extension.
    """
    from torch.utils import cpp_extension

    before, toolkit = os.environ.get("PATH", ""), cpp_extension.CUDA_HOME
    os.environ["PATH"] = os.pathsep.join(filter(None, [before, sysconfig.get_path("scripts")]))
    cpp_extension.CUDA_HOME = toolkit or _packaged_toolkit()
    try:
        yield
    finally:
        os.environ["PATH"], cpp_extension.CUDA_HOME = before, toolkit


def _compiled() -> Path | None:
    prebuilt = importlib.util.find_spec("gsplat.csrc")
    if prebuilt is not None and prebuilt.origin:
        return Path(prebuilt.origin)
    from torch.utils.cpp_extension import _get_build_directory

    folder = Path(_get_build_directory(NAME, verbose=False))
    return next((folder / name for name in (f"{NAME}.so", f"{NAME}.pyd") if (folder / name).is_file()), None)


def _compiler() -> str | None:
    from torch.utils import cpp_extension

    for home in (cpp_extension.CUDA_HOME, _packaged_toolkit()):
        nvcc = Path(home, "bin", COMPILER) if home else None
        if nvcc is not None and nvcc.is_file():
            return str(nvcc)
    return shutil.which("nvcc")


def _packaged_toolkit() -> str | None:
    """Return the folder of the CUDA toolkit that pip installed for torch's version of CUDA, which holds ``bin``."""
    found = importlib.util.find_spec("nvidia")
    major = (torch.version.cuda or "").partition(".")[0]
    folders = [Path(place, f"cu{major}") for place in (found.submodule_search_locations if found else None) or ()]
    return next((str(folder) for folder in folders if (folder / "bin" / COMPILER).is_file()), None)


def _give(compiled: Path) -> None:
    """Register a compiled module where gsplat looks for a prebuilt one before it requires a compiler."""
    import gsplat

    spec = importlib.util.spec_from_file_location(NAME, compiled)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gsplat.csrc = module  # type: ignore[attr-defined]

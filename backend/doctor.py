"""`backend doctor`: checks what is installed on this machine, and how to add what is missing."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import torch

from backend.render import kernels


class Finding(NamedTuple):
    """The result of one check: whether it passed, what was found, and the remedy if it failed."""

    what: str
    good: bool
    found: str
    remedy: str = ""


def examine(port: int = 5757) -> list[Finding]:
    """Check everything that the backend depends on."""
    return [_torch(), _cuda(), _gsplat(), _numba(), _blender(), _port(port), _disk()]


def _torch() -> Finding:
    return Finding("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads")


def _cuda() -> Finding:
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return Finding(
            "CUDA", True, f"{torch.cuda.get_device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        )
    why = "this torch was built without CUDA" if torch.version.cuda is None else "no device responds"
    return Finding("CUDA", False, why, "Everything runs on the CPU; install a CUDA build of torch to use a GPU.")


def _gsplat() -> Finding:
    found = version("gsplat")
    state = kernels.look()
    if not torch.cuda.is_available():
        return Finding("gsplat", True, f"{found}, kernels not needed: {state.sentence}")
    remedy = "" if state.usable else f"Install splatlift[nvcc], or a CUDA toolkit of version {torch.version.cuda}."
    return Finding("gsplat", state.usable, f"{found}, kernels {state.sentence}", remedy)


def _numba() -> Finding:
    import numba

    return Finding("numba", True, f"{numba.__version__}, {numba.config.NUMBA_NUM_THREADS} threads")  # pyright: ignore


def _blender() -> Finding:
    if importlib.util.find_spec("bpy") is None:
        return Finding("bpy", False, "not installed", "Only tests and demo need it: pip install 'splatlift[blender]'.")
    try:
        return Finding("bpy", True, version("bpy"))
    except PackageNotFoundError:
        return Finding("bpy", True, "inside Blender")


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Finding(f"port {port}", False, str(error), "A server may be running; serve with another --bind.")
    return Finding(f"port {port}", True, "free")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return Finding(
        "disk", free > 5, f"{free:.0f} GiB free here", "" if free > 5 else "A large scene needs about 5 GiB."
    )

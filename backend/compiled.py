"""Declares kernels: functions that numba compiles at their first call and caches on disk for later processes.

All processes of one machine compute the same bits, whether they compile a kernel or load it from the cache. Two
features of numba would break this and are not used:

- ``parallel=True``: numba compiles a loop several times, and the process that compiles runs another version than the
  one that it caches. :mod:`backend.threads` runs a kernel on several threads instead.
- Calls between kernels without inlining: each kernel has its own optimised copy of the called function, and a process
  runs the first copy that it loads. Functions that kernels call are :func:`inlined`.

Another processor or version of numba may compute other bits.

numba recompiles a kernel when its own file has changed, but not when the file of a called function has: after such an
edit delete the ``__pycache__`` folders of ``backend``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit
from numba.core import event

from backend.progress import COMPILING, Progress


def kernel(**options: Any) -> Callable[[Callable], Callable]:
    """Decorator for functions called from Python, with any options of ``numba.njit``. They run without the GIL."""
    return njit(cache=True, nogil=True, error_model="numpy", **options)


def inlined(**options: Any) -> Callable[[Callable], Callable]:
    """Decorator for functions called from kernels, with any options of ``numba.njit``."""
    return njit(forceinline=True, error_model="numpy", **options)


@contextmanager
def report_compilation(progress: Progress) -> Iterator[Progress]:
    """Yield a :class:`Progress` that forwards to ``progress``.

    When a kernel is being compiled, ``progress`` is called with the stage of its last call and the note
    :data:`backend.progress.COMPILING`.
    """
    listener = _Listener(progress)
    with event.install_listener("numba:compile", listener):
        yield listener.pass_on


class _Listener(event.Listener):
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last = ("scene", 0.0)

    def pass_on(self, stage: str, fraction: float, note: str = "") -> None:
        self._last = (stage, fraction)
        self._progress(stage, fraction, note)

    def on_start(self, event: event.Event) -> None:
        self._progress(*self._last, COMPILING)

    def on_end(self, event: event.Event) -> None:
        """Do nothing, because the next report replaces the note."""

"""Declares kernels: functions that numba compiles at their first call and caches on disk for later processes.

All processes of one machine compute the same bits, whether they compile a kernel or load it from the cache. Two
features of numba would break this and are not used:

- ``parallel=True``: numba compiles a loop several times, and the process that compiles runs another version than the
  one that it caches. :mod:`backend.threads` runs a kernel on several threads instead.
- Calls between kernels without inlining: each kernel has its own optimised copy of the called function, and a process
  runs the first copy that it loads. Functions that kernels call are :func:`inlined`.

Another processor or version of numba may compute other bits.

Where the cache cannot be written or read, as on a full disk, kernels are compiled in each process.

numba recompiles a kernel when its own file has changed, but not when the file of a called function has: after such an
edit delete the ``__pycache__`` folders of ``backend``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit
from numba.core import event
from numba.core.caching import FunctionCache

from backend.progress import COMPILING, Progress

log = logging.getLogger(__name__)


def kernel(**options: Any) -> Callable[[Callable], Callable]:
    """Decorator for functions called from Python, with any options of ``numba.njit``. They run without the GIL."""

    def declare(function: Callable) -> Callable:
        declared = njit(nogil=True, error_model="numpy", **options)(function)
        try:
            # As numba does for cache=True.
            declared._cache = _Cache(function)  # pyright: ignore[reportAttributeAccessIssue]
        except RuntimeError as error:  # numba can write to no folder for it
            _warn(str(error))
        return declared

    return declare


class _Cache(FunctionCache):
    """numba's cache, without which a kernel still runs."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except OSError as error:
            _warn(error.strerror or str(error))
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn(error.strerror or str(error))


@functools.cache
def _warn(reason: str) -> None:
    """Warn once for each reason."""
    log.warning("Compiled kernels cannot be cached (%s), so each process compiles them again.", reason)


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

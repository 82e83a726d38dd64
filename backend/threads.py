"""Runs one kernel on several threads, each on a range of the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from queue import SimpleQueue
from threading import Thread

import numba

Kernel = Callable[..., object]
Outcomes = SimpleQueue[BaseException | None]
Jobs = SimpleQueue[tuple[Kernel, tuple[int, int], tuple[object, ...], Outcomes]]


def threads_for(count: int, least: int = 1) -> int:
    """Return the number of threads for ``count`` items, each with at least ``least`` items."""
    return max(1, min(numba.get_num_threads(), count // least))


def spread(kernel: Kernel, count: int, *arguments: object, least: int = 1) -> None:
    """Call ``kernel(begin, end, *arguments)`` on :func:`threads_for` threads, whose ranges together cover 0 to
    ``count``.

    Args:
        kernel: see :func:`backend.compiled.kernel`. A call must not read what another call writes.
        count: number of items, each about equally expensive.
        least: least number of items per thread. Starting work on a thread takes 20 to 50 microseconds.

    Raises:
        BaseException: the first error of a call, once all calls have ended.
    """
    shares = threads_for(count, least)
    bounds = [count * share // shares for share in range(shares + 1)]
    first, *others = pairwise(bounds)
    outcomes: Outcomes = SimpleQueue()
    for bound in others:
        _jobs(os.getpid()).put((kernel, bound, arguments, outcomes))
    try:
        kernel(*first, *arguments)
    finally:
        errors = [outcomes.get() for _ in others]
    for error in errors:
        if error is not None:
            raise error


# concurrent.futures takes 10 microseconds per call, this 1 to 3; a training step on 16 threads makes about 200 calls.
# One queue per process, because a forked process does not have its parent's threads.
@lru_cache(maxsize=1)
def _jobs(process: int) -> Jobs:
    jobs: Jobs = SimpleQueue()
    for _ in range(numba.config.NUMBA_NUM_THREADS - 1):  # pyright: ignore
        Thread(target=_work, args=(jobs,), name="kernels", daemon=True).start()
    return jobs


def _work(jobs: Jobs) -> None:
    while True:
        kernel, bound, arguments, outcomes = jobs.get()
        try:
            kernel(*bound, *arguments)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            outcomes.put(error)
        else:
            outcomes.put(None)
        # A waiting thread must not keep the arrays of its last job alive.
        del kernel, bound, arguments, outcomes

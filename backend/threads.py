"""Runs one kernel on several threads, each on a part of the work."""

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
    """Return how many threads share ``count`` pieces of work, each at least ``least`` pieces."""
    return max(1, min(numba.get_num_threads(), count // least))


def spread(kernel: Kernel, count: int, *arguments: object, least: int = 1) -> None:
    """Call ``kernel(begin, end, *arguments)`` on :func:`threads_for` threads, whose ranges together are 0 to ``count``.

    Args:
        kernel: see :func:`backend.compiled.kernel`. Calls must not read what another call writes.
        count: number of pieces of work, each of about the same size.
        least: fewest pieces for one thread. Handing work to a thread takes 20 to 50 microseconds.

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


# concurrent.futures needs 10 microseconds for each call where this needs 1 to 3; a training step on 16 threads makes
# about 200 calls. One queue per process, as a forked process has none of its parent's threads.
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
        # A thread that waits for its next job must not keep the arrays of its last one alive.
        del kernel, bound, arguments, outcomes

"""Progress in a terminal, one bar per stage; plain lines without a terminal."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from backend.progress import COMPILING, Cancelled, Progress

QUIET = 5.0
"""Seconds between two lines of one stage if the output is not a terminal."""


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Give a :class:`Progress` that draws on stderr, and raises Cancelled after an interrupt that the work missed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        with _interruptible(plain_lines()) as progress:
            yield progress
        return
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, fraction: float, note: str = "") -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bars.update(earlier, completed=1.0)
                tasks[stage] = bars.add_task(stage, total=1.0, note=note)
            bars.update(tasks[stage], completed=fraction, note=note)

        with _interruptible(show) as progress:
            yield progress


@contextmanager
def _interruptible(progress: Progress) -> Iterator[Progress]:
    """Give a :class:`Progress` that forwards to ``progress``, or raises Cancelled after Ctrl-C.

    Python's KeyboardInterrupt alone is not enough: ctypes discards it in callbacks, and during compilation by numba
    most interrupts arrive in a callback of LLVM.
    """
    pressed = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def report(stage: str, fraction: float, note: str = "") -> None:
        if pressed:
            raise Cancelled
        progress(stage, fraction, note)

    before = signal.getsignal(signal.SIGINT)
    # Other handlers are not replaced, such as SIG_IGN, which a shell sets for background commands.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield report
    finally:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)


def plain_lines() -> Progress:
    """Return a :class:`Progress` that prints a line per stage, regularly within it, and when kernels are compiled."""
    last = ("", 0.0)
    told = False

    def show(stage: str, fraction: float, note: str = "") -> None:
        nonlocal last, told
        now = time.monotonic()
        compiles = note == COMPILING
        if stage != last[0] or now - last[1] > QUIET or (compiles and not told):
            last = (stage, now)
            told = told or compiles
            print(f"{stage} {100 * fraction:.0f} % {note}".rstrip(), file=sys.stderr, flush=True)

    return show

"""Progress on a terminal, one bar a stage; plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from backend.progress import Progress

QUIET = 5.0
"""Seconds between two lines of one stage where the output is not a terminal."""


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Give a :class:`Progress` that draws on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield plain_lines()
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

        yield show


def plain_lines() -> Progress:
    """Return a :class:`Progress` that prints a line at each new stage and every few seconds within one."""
    last = ("", 0.0)

    def show(stage: str, fraction: float, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if stage != last[0] or now - last[1] > QUIET:
            last = (stage, now)
            print(f"{stage} {100 * fraction:.0f} % {note}".rstrip(), file=sys.stderr, flush=True)

    return show

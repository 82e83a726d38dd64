"""The context of a segmentation: what every stage gets in addition to its data."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from backend.pictures import UNSEEN, Pictures
from backend.progress import Progress, silent


class Stopwatch:
    """Seconds per named stage; as a context manager it times a stage and adds to its earlier times."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str):
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def total(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.start


@dataclass(frozen=True)
class Run:
    """The context of one segmentation.

    Attributes:
        device: "cpu" or "cuda".
        seed: random seed.
        progress: told the progress; may raise :class:`backend.progress.Cancelled`.
        pictures: receives previews from time to time.
        clock: times the stages.
    """

    device: str
    seed: int
    progress: Progress = silent
    pictures: Pictures = UNSEEN
    clock: Stopwatch = field(default_factory=Stopwatch)

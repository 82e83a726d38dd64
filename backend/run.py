"""How one segmentation is carried out: what every stage is given beside its data."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from backend.pictures import UNSEEN, Pictures
from backend.progress import Progress, silent


class Stopwatch:
    """Seconds per named stage; as a context manager it times one, and adds to earlier times of it."""

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
    """How one segmentation is carried out.

    Attributes:
        device: "cpu" or "cuda".
        seed: of every random choice.
        progress: told where the work is; may raise :class:`backend.progress.Cancelled`.
        pictures: shown the work now and then.
        clock: times the stages.
    """

    device: str
    seed: int
    progress: Progress = silent
    pictures: Pictures = UNSEEN
    clock: Stopwatch = field(default_factory=Stopwatch)

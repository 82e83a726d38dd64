"""The training curve: its samples and its image."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Curve:
    """Records the progress of a training. Call it with step, PSNR in dB and number of Gaussians.

    Attributes:
        seconds, steps, psnr, gaussians: of each point; seconds start at the first recorded step, so a resumed training
            shows only its own time.
    """

    seconds: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    gaussians: list[int] = field(default_factory=list)
    clock: Callable[[], float] = time.monotonic
    _start: float | None = None

    def __call__(self, step: int, psnr: float, gaussians: int) -> None:
        now = self.clock()
        self._start = now if self._start is None else self._start
        self.seconds.append(now - self._start)
        self.steps.append(step)
        self.psnr.append(psnr)
        self.gaussians.append(gaussians)


def draw_curve(curve: Curve, path: Path) -> None:
    """Draw a PNG: PSNR of the training views and number of Gaussians over time."""
    # Imported here because matplotlib takes half a second to load, and every worker would wait for it.
    from matplotlib.figure import Figure

    # Without pyplot, which keeps global state and may open a display.
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    left.plot(curve.seconds, curve.psnr, color="#1f4e9c")
    right.plot(curve.seconds, [count / 1000 for count in curve.gaussians], color="#b8b8b8")
    left.set_zorder(right.get_zorder() + 1)
    left.patch.set_visible(False)
    left.set_xlabel("seconds")
    left.set_ylabel("PSNR of training views, dB", color="#1f4e9c")
    right.set_ylabel("Gaussians, thousands", color="#707070")
    right.set_ylim(bottom=0)
    left.set_title(f"step {curve.steps[0]:,} to {curve.steps[-1]:,}", fontsize=10)
    left.grid(alpha=0.3)
    figure.savefig(path, dpi=110)

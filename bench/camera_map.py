"""Where the cameras of a capture stand, and how well views that were held out come out there, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from backend.scene.types import View


def draw_cameras(out: Path, train: Sequence[View], test: Sequence[View], decibels: Sequence[float]) -> None:
    """Write a PNG of the centres of cameras, seen along the direction in which they spread least.

    Args:
        out: the file.
        train: views that were trained on, drawn in grey.
        test: V views that were held out, coloured by their PSNR; each is joined to the nearest of ``train``.
        decibels: V values of PSNR in dB.
    """
    trained, held = (np.stack([view.camera.centre for view in views]) for views in (train, test))
    centre = trained.mean(0)
    axes = np.linalg.svd(trained - centre, full_matrices=False)[2][:2].T
    nearest = trained[np.linalg.norm(held[:, None] - trained[None], axis=2).argmin(1)]
    flat, flat_held, flat_nearest = ((points - centre) @ axes for points in (trained, held, nearest))
    figure = Figure(figsize=(6, 6), layout="constrained")
    plot = figure.subplots()
    plot.scatter(*flat.T, s=14, color="0.7", label="trained on")
    plot.plot(*np.stack([flat_held, flat_nearest], 1).transpose(2, 1, 0), color="0.4", linewidth=0.8)
    dots = plot.scatter(*flat_held.T, c=decibels, s=60, cmap="RdYlGn", edgecolors="black", label="held out")
    for view, (x, y), value in zip(test, flat_held, decibels, strict=True):
        plot.annotate(f" {view.name}: {value:.1f}", (x, y), fontsize=8)
    plot.set(aspect="equal", xlabel="scene units", ylabel="scene units", title="Centres of cameras, PSNR in dB")
    plot.legend()
    figure.colorbar(dots, label="dB")
    figure.savefig(out, dpi=100)

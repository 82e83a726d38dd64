"""Reconstruction on captured scenes: `python -m bench.reconstruct [SCENE ...]`, folders; default: the two rooms.

The last fifth of the views is held out. Seconds leave out reading the cameras and scoring; processor seconds sum all
threads, so on a busy machine they are the figure to compare.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from backend.reconstruct import reconstruct
from backend.reconstruct.held_out import qualities
from backend.reconstruct.schedule import STEPS
from backend.render import device_of
from backend.scene import load_scene, split_views

DATA = Path(os.environ.get("SPLATLIFT_DATA", Path(__file__).parents[2] / "shared" / "data"))
ROOMS = [DATA / "rooms" / "room25", DATA / "rooms" / "corridor50"]


def main(
    scenes: Annotated[list[Path] | None, typer.Argument(help="Scene folders.")] = None,
    device: str = "cpu",
    steps: int | None = None,
    seed: int = 0,
    hold_out: str = "last:0.2",
) -> None:
    """Reconstruct each scene and print a table of size, quality and time."""
    table = Table("scene", "train", "held out", "Gaussians", "steps", "PSNR", "worst", "SSIM", "wall s", "cpu s")
    console = Console()
    for root in scenes or ROOMS:
        scene = load_scene(root)
        train, test = split_views(scene.views, hold_out)
        wall, cpu = time.perf_counter(), time.process_time()
        with Bar(console=console, transient=True) as bar:
            task = bar.add_task(root.name, total=1.0)

            def show(stage: str, fraction: float, note: str = "", bar: Bar = bar, task=task, name=root.name) -> None:
                bar.update(task, completed=fraction, description=f"{name}: {note}")

            splats = reconstruct(scene, train, device=device, steps=steps, seed=seed, progress=show)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        scores = qualities(splats, test, device)
        table.add_row(
            root.name,
            str(len(train)),
            str(len(test)),
            f"{len(splats):,}",
            f"{steps or STEPS[device_of(device)]:,}",
            f"{np.mean([score.psnr for score in scores]):.2f}" if scores else "-",
            f"{min(score.psnr for score in scores):.2f}" if scores else "-",
            f"{np.mean([score.ssim for score in scores]):.3f}" if scores else "-",
            f"{wall:.0f}",
            f"{cpu:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

"""Reconstruction on captured scenes: `python -m bench.reconstruct [SCENE ...]`, folders; default: those below.

Each scene is reconstructed once for every `--steps`, to compare quality and time: a short run is a complete run with a
short schedule, not the beginning of a long one. Seconds include reading photographs, but not reading the cameras and
scoring. Processor seconds are those of all threads; compare these on a busy machine. "GiB" is the largest memory of the
process so far. "exposed" is the PSNR after the best factor for each colour channel of a held-out view, whose exposure
is unknown. `--cameras FOLDER` draws the positions of the cameras and the quality of the held-out views there.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import json
import resource
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
from bench.camera_map import draw_cameras

DATA = Path(os.environ.get("SPLATLIFT_DATA", Path(__file__).parents[2] / "shared" / "data"))

HELD_OUT = {"room25": "last:0.2", "corridor50": "last:0.2", "desk": "every:8", "cup": "every:8"}
"""Which views are scored and not trained on: the rooms' own protocol, and the custom for photographs."""

SCENES = [DATA / "rooms" / "room25", DATA / "rooms" / "corridor50", DATA / "desk", DATA / "cup"]


def main(
    scenes: Annotated[list[Path] | None, typer.Argument(help="Scene folders.")] = None,
    device: str = "cpu",
    steps: Annotated[list[int] | None, typer.Option(help="Repeat for several; the device's own without.")] = None,
    seed: int = 0,
    hold_out: Annotated[str, typer.Option(help="The scene's own without, else every:8.")] = "",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of the schedule, or long_side, in which views are scored."),
    ] = None,
    cameras: Annotated[Path | None, typer.Option(help="Draw the cameras of each scene into this folder.")] = None,
) -> None:
    """Reconstruct each scene and print a table of size, quality and time."""
    settings = {name: json.loads(value) for name, value in (text.split("=", 1) for text in change or [])}
    table = Table(
        "scene",
        "train",
        "held out",
        "Gaussians",
        "steps",
        "PSNR",
        "exposed",
        "worst",
        "SSIM",
        "wall s",
        "cpu s",
        "peak",
    )
    console = Console()
    # Here already: it may compile kernels, which is no part of a reconstruction's time.
    device = device_of(device)
    for root in scenes or SCENES:
        scene = load_scene(root)
        train, test = split_views(scene.views, hold_out or HELD_OUT.get(root.name, "every:8"))
        for count in steps or [STEPS[device]]:
            wall, cpu = time.perf_counter(), time.process_time()
            with Bar(console=console, transient=True) as bar:
                task = bar.add_task(root.name, total=1.0)

                def show(stage: str, fraction: float, note: str = "", bar=bar, task=task, name=root.name) -> None:
                    bar.update(task, completed=fraction, description=f"{name}: {note}")

                splats = reconstruct(
                    scene, train, device=device, steps=count, seed=seed, progress=show, settings=settings
                )
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            scores = qualities(splats, test, device, long_side=settings.get("long_side"))
            if cameras is not None:
                cameras.mkdir(parents=True, exist_ok=True)
                draw_cameras(cameras / f"{root.name}-cameras.png", train, test, [score.psnr for score in scores])
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            table.add_row(
                root.name,
                str(len(train)),
                str(len(test)),
                f"{len(splats):,}",
                f"{count:,}",
                f"{np.mean([score.psnr for score in scores]):.2f}" if scores else "-",
                f"{np.mean([score.exposed for score in scores]):.2f}" if scores else "-",
                f"{min(score.psnr for score in scores):.2f}" if scores else "-",
                f"{np.mean([score.ssim for score in scores]):.3f}" if scores else "-",
                f"{wall:.0f}",
                f"{cpu:.0f}",
                f"{peak:.2f}",
            )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

"""What geometry alone finds, without masks: each room's Gaussians labelled, scored on the held-out views.

    python -m bench.geometry ROOM SPLATS.ply...    # of `backend reconstruct ROOM --no-steer --test-views last:0.2`

The last 20 % of the views are held out; exact ids lie in ``gt/instance`` or ``instance`` of the room.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from backend.evaluate.folders import find_maps, read_ids
from backend.evaluate.panoptic import panoptic_quality
from backend.geometry import label
from backend.lift import photograph_label_map
from backend.render import Renderer
from backend.scene import load_scene, split_views
from protocol.ply import read_ply


def main(
    room: Annotated[Path, typer.Argument(help="The capture.")],
    files: Annotated[list[Path], typer.Argument(metavar="SPLATS.ply...", help="Its Gaussians, one file per seed.")],
) -> None:
    """Label each file and print its scores, a line each."""
    scene = load_scene(room)
    train, test = split_views(scene.views, "last:0.2")
    maps = find_maps(next(f for f in (room / "gt" / "instance", room / "instance") if f.is_dir()))
    truth = [read_ids(maps[view.name]) for view in test]
    for file in files:
        splats = read_ply(file)
        begin = time.perf_counter()
        found = label(splats, train, points=scene.points)
        seconds = time.perf_counter() - begin
        renderer = Renderer(splats, "cpu")
        score = panoptic_quality([photograph_label_map(renderer, found.labels, v.lens, v.camera) for v in test], truth)
        typer.echo(
            f"{file}: things PQ {score.pq_things:.1f}, found {score.tp}, false {score.fp}, missed {score.fn}, "
            f"{seconds:.1f} s"
        )


if __name__ == "__main__":
    typer.run(main)

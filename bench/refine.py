"""What refining boundaries is worth, and what it costs: each way on the same reconstructed Gaussians.

    python -m bench.refine --room ROOM RESULT...     # results of `backend segment ROOM --no-refine`, one per seed

PQ and boundary IoU (dilation ratio 0.02) are of objects, over all held-out views as one list of pixels; the last 20 %
of the views are held out, exact ids lie in ``gt/instance`` or ``instance``. "ceiling" gives every Gaussian the id
that holds most of its weight in exact training masks, on the very Gaussians of the row. PSNR is of the held-out
photographs. Seconds are wall time; "photographs alone" is the same tuning without label gradients.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from backend.evaluate.panoptic import Score, panoptic_quality
from backend.lift import Lift, MaskedView, label_map
from backend.reconstruct import held_out
from backend.refine import Refinement, refine
from backend.render import Renderer
from backend.scene import load_scene, read_mask, split_views
from backend.scene.types import View
from bench.experiments.straddlers import cut_straddlers
from protocol.result.gaussians import read_splats
from protocol.result.names import CONFIDENCE, LABEL
from protocol.splats import Splats

WAYS: dict[str, tuple[bool, Refinement | None]] = {
    "as reconstructed": (False, None),
    "cut": (True, None),
    "photographs alone": (False, Refinement(label_weight=0)),
    "label gradients": (False, Refinement()),
    "cut, label gradients": (True, Refinement()),
}
"""Whether Gaussians that straddle two objects are cut first, and how edges are refined, if at all."""
COLUMNS = ("PQ", "boundary IoU", "ceiling PQ", "ceiling boundary IoU", "PSNR", "Gaussians", "seconds")


def main(
    results: Annotated[list[Path], typer.Argument(help="Result folders of the room, one per seed.")],
    room: Annotated[Path, typer.Option(help="The capture.")],
    ways: Annotated[list[str], typer.Option(help="Some of: " + "; ".join(WAYS))] = list(WAYS),  # noqa: B006
) -> None:
    """Refine the Gaussians of each result in each way and print the means."""
    train, test = split_views(load_scene(room).views, "last:0.2")
    exact, truth = [_with_truth(view, room) for view in train], [_with_truth(view, room) for view in test]
    rows: dict[str, list[tuple[float, ...]]] = {way: [] for way in ways}
    console = Console()
    for folder in results:
        stored = read_splats(folder)
        labels = stored.extra[LABEL].astype(np.int32)
        views = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
        lifted = Lift(labels, stored.extra[CONFIDENCE].astype(np.float32), views, "stored")
        for way in ways:
            splats, found, (cut, how) = stored.without_columns(), lifted, WAYS[way]
            begin = time.perf_counter()
            if cut:
                splats, found = cut_straddlers(splats, found, train)
            if how is not None:
                splats, found = refine(splats, found, train, how=how)
            seconds = time.perf_counter() - begin
            row = (*_scores(splats, found.labels, exact, truth, test), float(len(splats)), seconds)
            rows[way].append(row)
            console.print(f"[dim]{folder.name}: {way}: {' '.join(f'{value:.2f}' for value in row)}[/dim]")
    table = Table("", *COLUMNS, title=f"{room.name}, {len(results)} reconstructions, means")
    for way, values in rows.items():
        means = np.mean(values, axis=0)
        table.add_row(way, *(f"{m:.2f}" for m in means[:5]), f"{means[5]:,.0f}", f"{means[6]:.1f}")
    console.print(table)


def _scores(
    splats: Splats, labels: NDArray[np.int32], exact: list[MaskedView], truth: list[MaskedView], test: list[View]
) -> tuple[float, float, float, float, float]:
    renderer = Renderer(splats, "cpu")
    shown = [renderer.contributions(view.camera, None, 32) for view in truth]

    def score(given: NDArray[np.int32]) -> Score:
        maps = [label_map(w, given, view.camera) for w, view in zip(shown, truth, strict=True)]
        return panoptic_quality(maps, [view.mask for view in truth])

    ours, ceiling = score(labels), score(_exact_labels(renderer, len(splats), exact))
    psnr = float(np.mean(held_out(splats, test)))
    return ours.pq_things, ours.boundary_iou, ceiling.pq_things, ceiling.boundary_iou, psnr


def _exact_labels(renderer: Renderer, gaussians: int, views: list[MaskedView]) -> NDArray[np.int32]:
    """(N,) int32, the id that holds most of each Gaussian's weight in the exact masks."""
    weight = np.zeros((gaussians, max(int(view.mask.max()) for view in views) + 1), np.float32)
    for view in views:
        found = renderer.contributions(view.camera, None, 16)
        flat = found.ids.astype(np.int64) * weight.shape[1] + view.mask.ravel()[found.pixels][:, None]
        weight += np.bincount(flat.ravel(), found.weights.ravel(), weight.size).reshape(weight.shape)
    return weight.argmax(1).astype(np.int32)


def _with_truth(view: View, room: Path) -> MaskedView:
    assert view.mask_path is not None
    folder = next(f for f in (room / "gt" / "instance", room / "instance") if f.is_dir())
    mask = np.asarray(read_mask(replace(view, mask_path=folder / view.mask_path.name)))
    return MaskedView(view.name, view.camera.resized(mask.shape[1], mask.shape[0]), mask)


if __name__ == "__main__":
    typer.run(main)

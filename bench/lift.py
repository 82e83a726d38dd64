"""What labels are worth: every lifting method on the same scenes, beside the ceiling of exact masks.

    python -m bench.lift                                 # scenes of bench/scenes.py, 25 and 50 objects, 3 seeds each
    python -m bench.lift --objects 25 --seeds 1 --methods consensus
    python -m bench.lift --room ROOM --splats ROOM.ply   # a capture with exact ids, its last 20 % of views held out

Quality is panoptic quality over objects, all held-out views as one list of pixels. "ceiling" gives every Gaussian the
id that holds most of its weight in exact training masks (no strict bound: labels smoothed over an object can beat it at
edges); "voxels" is the control: voxel numbers in place of learned codes, decoded by the same evidence, at the best of
three sizes. Seconds are wall time from Gaussians to labels, votes included.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from backend.demo.noise import PROFILES
from backend.evaluate.panoptic import Score, panoptic_quality
from backend.lift import METHODS, MaskedView, label_map, lift
from backend.lift.decode import EvidenceSettings, bits, by_bits, by_evidence, code_map, foreground
from backend.lift.embedding import scene_extent
from backend.lift.supervoxels import code_regions, voxel_codes
from backend.lift.views import masked_views
from backend.lift.votes import gather_evidence
from backend.render import Renderer
from backend.scene.types import View
from bench.scenes import make_scene
from protocol.ply import read_ply
from protocol.splats import Splats

VOXELS = (0.01, 0.02, 0.03)
"""Edges of the control's voxels as shares of the scene's extent; the best of them is shown."""


@dataclass(frozen=True)
class Case:
    """Gaussians, training views with spoilt masks, the exact masks of the same views, and held-out views."""

    name: str
    splats: Splats
    train: list[MaskedView]
    exact: list[NDArray[np.int32]]
    test: list[MaskedView]


@dataclass(frozen=True)
class Row:
    score: Score
    seconds: float


def made_case(objects: int, gaussians: int, views: int, size: int, noise: str, seed: int) -> Case:
    scene = make_scene(objects=objects, gaussians=gaussians, views=views, size=size, noise=noise, seed=seed)
    return Case(f"{objects} objects, seed {seed}", scene.splats, scene.train, scene.exact, scene.test)


def room_case(room: Path, splats: Path) -> Case:
    """A capture on disk whose exact ids lie in ``gt/instance`` or ``instance``, named as its masks are."""
    from backend.scene import load_scene, split_views

    views = split_views(load_scene(room).views, "last:0.2")
    folder = next(f for f in (room / "gt" / "instance", room / "instance") if f.is_dir())
    train, test = ([_with_truth(view, folder) for view in part if view.mask_path] for part in views)
    masks = list(masked_views([view for view in views[0] if view.mask_path]))
    return Case(f"{room.name}, {splats.stem}", read_ply(splats), masks, [view.mask for view in train], test)


def _with_truth(view: View, folder: Path) -> MaskedView:
    """The view with its exact ids as they are on disk, for those mean the same in all views."""
    from backend.scene import read_mask

    assert view.mask_path is not None
    mask = np.asarray(read_mask(replace(view, mask_path=folder / view.mask_path.name)))
    return MaskedView(view.name, view.camera.resized(mask.shape[1], mask.shape[0]), mask)


def run(case: Case, methods: list[str]) -> dict[str, Row]:
    renderer = Renderer(case.splats, "cpu")
    shown = [renderer.contributions(view.camera, None, 32) for view in case.test]
    truth = [view.mask for view in case.test]

    def score(labels: NDArray[np.int32]) -> Score:
        maps = [label_map(w, labels, view.camera) for w, view in zip(shown, case.test, strict=True)]
        return panoptic_quality(maps, truth)

    def timed(work: Callable[[], NDArray[np.int32]]) -> Row:
        begin = time.perf_counter()
        labels = work()
        seconds = time.perf_counter() - begin
        return Row(score(labels), seconds)

    rows = {"ceiling": timed(lambda: exact_labels(renderer, case))}
    if "consensus" in methods:
        rows["consensus"] = timed(lambda: lift(case.splats, case.train, method="consensus").labels)
    if "unic-lift" in methods:
        begin = time.perf_counter()
        found = lift(case.splats, case.train, method="unic-lift")
        seconds = time.perf_counter() - begin
        rows["unic-lift"] = Row(score(found.labels), seconds)
        embedding = found.embedding
        assert embedding is not None
        # One training serves all three decodes.
        evidence = gather_evidence(renderer, masked_views(case.train), len(case.splats))
        rows["unic-lift, bits"] = Row(score(by_bits(bits(embedding), evidence)), seconds)
        shape = case.test[0].mask.shape
        codes = [code_map(w, embedding, (shape[0], shape[1])) for w in shown]
        common = np.bincount(np.concatenate([c.ravel() for c in codes])).argmax()
        pixels = [np.where(c == common, 0, c + 1) for c in codes]
        rows["unic-lift, bits per pixel"] = Row(panoptic_quality(pixels, truth), seconds)
    for method in ("contrastive", "hdbscan"):
        if method in methods:
            rows[method] = timed(lambda method=method: lift(case.splats, case.train, method=method).labels)
    if "voxels" in methods:
        controls = [timed(lambda edge=edge: voxel_labels(renderer, case, edge)) for edge in VOXELS]
        rows["voxels"] = max(controls, key=lambda row: row.score.pq_things)
    return rows


def exact_labels(renderer: Renderer, case: Case) -> NDArray[np.int32]:
    """(N,) int32, the id that holds most of each Gaussian's weight in the exact training masks."""
    weight = np.zeros((len(case.splats), max(int(mask.max()) for mask in case.exact) + 1), np.float32)
    for view, mask in zip(case.train, case.exact, strict=True):
        found = renderer.contributions(view.camera, None, 16)
        flat = found.ids.astype(np.int64) * weight.shape[1] + mask.ravel()[found.pixels][:, None]
        weight += np.bincount(flat.ravel(), found.weights.ravel(), weight.size).reshape(weight.shape)
    return weight.argmax(1).astype(np.int32)


def voxel_labels(renderer: Renderer, case: Case, edge: float) -> NDArray[np.int32]:
    """The control: voxels of ``edge`` times the extent in place of learned codes."""
    evidence = gather_evidence(renderer, masked_views(case.train), len(case.splats))
    means, settings = case.splats.means, EvidenceSettings()
    codes = voxel_codes(means, edge * scene_extent(means, evidence.seen))
    regions = code_regions(means, codes, foreground(evidence, settings), smallest=5)
    return by_evidence(means, evidence, regions, settings)


def main(
    objects: Annotated[list[int], typer.Option(help="Objects per scene.")] = [25, 50],  # noqa: B006
    seeds: Annotated[int, typer.Option(help="Seeds per row.")] = 3,
    first_seed: Annotated[int, typer.Option(help="The first of them.")] = 100,
    gaussians: Annotated[int, typer.Option(help="Gaussians per object.")] = 2000,
    views: Annotated[int, typer.Option(help="Training views.")] = 80,
    size: Annotated[int, typer.Option(help="Height and width of the views.")] = 256,
    noise: Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")] = "detector",
    methods: Annotated[list[str], typer.Option()] = [*METHODS, "voxels"],  # noqa: B006
    room: Annotated[Path | None, typer.Option(help="A capture with exact ids.")] = None,
    splats: Annotated[list[Path], typer.Option(help="Its Gaussians, one file per seed.")] = [],  # noqa: B006
) -> None:
    """Score lifting methods."""
    console = Console()
    table = Table(
        "scene",
        "method",
        "things PQ",
        "SQ",
        "found",
        "false",
        "missed",
        "seconds",
        title="Lifting" if room else f"Lifting, {noise} masks",
    )
    if room is not None:
        captures: list[Callable[[], Case]] = [lambda room=room, path=path: room_case(room, path) for path in splats]
        groups = [(room.name, captures)]
    else:
        groups = [
            (
                f"{k} objects",
                [
                    lambda k=k, seed=seed: made_case(k, k * gaussians, views, size, noise, seed)
                    for seed in range(first_seed, first_seed + seeds)
                ],
            )
            for k in objects
        ]
    for name, cases in groups:
        results = []
        for make in cases:
            case = make()
            results.append(run(case, methods))
            for method, row in results[-1].items():
                console.print(f"[dim]{case.name}: {method} {row.score.pq_things:.1f} in {row.seconds:.1f} s[/dim]")
        for method in results[0]:
            rows = [result[method] for result in results]
            mean = {f: np.mean([getattr(row.score, f) for row in rows]) for f in ("pq_things", "sq", "tp", "fp", "fn")}
            lowest = min(row.score.pq_things for row in rows)
            table.add_row(
                name,
                method,
                f"{mean['pq_things']:.1f} (lowest {lowest:.1f})",
                f"{mean['sq']:.1f}",
                *(f"{mean[f]:.1f}" for f in ("tp", "fp", "fn")),
                f"{np.mean([row.seconds for row in rows]):.1f}",
            )
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

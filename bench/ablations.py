"""The papers' ablations on our scenes: the effect of each loss, of the number of masks and of their size.

    python -m bench.ablations losses --results OUT/losses.json     # UniC-Lift, Table 4
    python -m bench.ablations masks --results OUT/masks.json       # UniC-Lift, Fig. 9
    python -m bench.ablations sizes --results OUT/sizes.json       # UniC-Lift, Fig. 8
    python -m bench.ablations neighbours --results OUT/near.json   # Contrastive Gaussian Clustering, Table 3

Scenes of bench/scenes.py with detector-like masks, exact Gaussians. The papers' figures are printed next to ours only
to compare the order of the rows: they are of other scenes, other masks and, in Table 3, of masks that text prompts
choose. UniC-Lift's rows are decoded by evidence; `bench.unic_lift` has them by the decode of the paper.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from backend.evaluate.panoptic import resize_nearest
from backend.lift import MaskedView
from backend.lift.evidence.views import compact
from backend.lift.methods import DEFAULT
from bench.lift import Bench, Case, Record, Settings, keep, lines, made_case

LOSSES: dict[str, tuple[Settings, str]] = {
    "cluster + 3D (Abl. 1)": ({"lambda_triplet": 0.0}, "88.0"),
    "cluster (Abl. 2)": ({"lambda_triplet": 0.0, "lambda_3d": 0.0}, "83.7"),
    "cluster + triplet (Abl. 3)": ({"lambda_3d": 0.0}, "89.0"),
    # So small a rate leaves W the unit matrix that it starts near: no layer before the triplets.
    "all, no linear layer": ({"projection_rate": 1e-12}, "88.0"),
    "all": ({}, "89.0"),
}
"""Settings of `unic-lift`, and the PQ^scene of the paper's Table 4 on Replica."""

NEIGHBOURS: dict[str, tuple[Settings, str]] = {
    "no 3D loss": ({"lambda_near": 0.0, "lambda_far": 0.0}, "78.8 / 74.9"),
    "no similarity loss": ({"lambda_near": 0.0}, "78.2 / 75.1"),
    "no dissimilarity loss": ({"lambda_far": 0.0}, "79.5 / 76.4"),
    "all": ({}, "80.3 / 76.9"),
}
"""Settings of `contrastive`, and the mean IoU and boundary IoU of the paper's Table 3 on LERF-Mask."""

SHARES = (0.05, 0.1, 0.2, 1.0)
SCALES = (0.25, 0.5, 1.0)
BOTH = (DEFAULT, "unic-lift")

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Seeds = Annotated[int, typer.Option(help="Scenes per row.")]
First = Annotated[int, typer.Option(help="Seed of the first scene.")]
Objects = Annotated[int, typer.Option(help="Objects per scene.")]
Results = Annotated[Path | None, typer.Option(help="JSON file for the records; what it has of other runs is kept.")]


def cases(objects: int, first: int, seeds: int) -> Iterator[Case]:
    """Yield scenes of 80 views of 256 x 256 with 2,000 Gaussians an object."""
    for seed in range(first, first + seeds):
        yield made_case(objects, 2000 * objects, 80, 256, "detector", seed)


@app.command()
def losses(objects: Objects = 25, seeds: Seeds = 3, first_seed: First = 100, results: Results = None) -> None:
    """Switch the losses of `unic-lift` on and off."""
    records = []
    for case in cases(objects, first_seed, seeds):
        bench = Bench(case)
        for name, (settings, _) in LOSSES.items():
            found, seconds = bench.lift("unic-lift", settings)
            records.append(bench.record(name, bench.score(found.labels), seconds))
            note(records[-1:], results)
    Console().print(losses_table(records))


@app.command()
def neighbours(objects: Objects = 25, seeds: Seeds = 3, first_seed: First = 100, results: Results = None) -> None:
    """Switch the near and far terms of `contrastive` off."""
    records = []
    for case in cases(objects, first_seed, seeds):
        bench = Bench(case)
        for name, (settings, _) in NEIGHBOURS.items():
            found, seconds = bench.lift("contrastive", settings)
            records.append(bench.record(name, bench.score(found.labels), seconds))
            note(records[-1:], results)
    Console().print(neighbours_table(records))


@app.command()
def masks(objects: Objects = 25, seeds: Seeds = 3, first_seed: First = 100, results: Results = None) -> None:
    """Give only a share of the views their masks."""
    records = []
    for case in cases(objects, first_seed, seeds):
        for share in SHARES:
            records += on_both(fewer_masks(case, share), f"{share:.0%} of the masks", results)
    Console().print(plain_table(records, "UniC-Lift, Fig. 9: shares of the masks"))


@app.command()
def sizes(objects: Objects = 25, seeds: Seeds = 3, first_seed: First = 100, results: Results = None) -> None:
    """Give smaller masks; held-out views are scored at the full size."""
    records = []
    for case in cases(objects, first_seed, seeds):
        for scale in SCALES:
            records += on_both(smaller_masks(case, scale), f"{scale:g}x masks", results)
    Console().print(plain_table(records, "UniC-Lift, Fig. 8: sizes of the masks"))


def on_both(case: Case, name: str, results: Path | None) -> list[Record]:
    """The default method and `unic-lift` on a case whose masks were changed."""
    bench = Bench(case)
    records = []
    for method in BOTH:
        found, seconds = bench.lift(method)
        records.append(bench.record(f"{name}, {method}", bench.score(found.labels), seconds))
    note(records, results)
    return records


def fewer_masks(case: Case, share: float) -> Case:
    """Return the case with that share of its training views, evenly spread; the others are as views without a mask."""
    count = max(1, round(share * len(case.train)))
    kept = np.linspace(0, len(case.train) - 1, count).round().astype(int)
    return replace(case, train=[case.train[i] for i in kept], exact=[case.exact[i] for i in kept])


def smaller_masks(case: Case, scale: float) -> Case:
    """Return the case with its training masks at ``scale`` times their size."""
    train, exact = [], []
    for view, truth in zip(case.train, case.exact, strict=True):
        shape = (round(scale * truth.shape[0]), round(scale * truth.shape[1]))
        mask = compact(resize_nearest(view.mask, shape))
        train.append(MaskedView(view.name, view.camera.resized(shape[1], shape[0]), mask))
        exact.append(resize_nearest(truth, shape).astype(np.int32))
    return replace(case, train=train, exact=exact)


def note(records: list[Record], results: Path | None) -> None:
    for record in records:
        print(f"{record.group}, {record.case}: {record.method} {record.pq:.1f} in {record.seconds:.1f} s", flush=True)
    if results is not None:
        keep(records, results)


def losses_table(records: list[Record]) -> Table:
    table = Table("losses", "things PQ", "lowest", "paper, PQ^scene", title="UniC-Lift, Table 4")
    by_name = {line.method: line for line in lines(records)}
    for name, (_, paper) in LOSSES.items():
        line = by_name[name]
        table.add_row(name, f"{line.pq:.1f}", f"{line.lowest:.1f}", paper)
    return table


def neighbours_table(records: list[Record]) -> Table:
    title = "Contrastive Gaussian Clustering, Table 3"
    table = Table("losses", "things PQ", "mean IoU / boundary IoU", "paper, the same", title=title)
    for line in lines(records):
        of = [record for record in records if record.method == line.method]
        iou = float(np.mean([record.mean_iou for record in of]))
        paper = NEIGHBOURS[line.method][1]
        table.add_row(line.method, f"{line.pq:.1f}", f"{iou:.1f} / {line.boundary_iou:.1f}", paper)
    return table


def plain_table(records: list[Record], title: str) -> Table:
    table = Table("masks, method", "things PQ", "lowest", "seconds", title=title)
    for line in lines(records):
        table.add_row(line.method, f"{line.pq:.1f}", f"{line.lowest:.1f}", f"{line.seconds:.1f}")
    return table


if __name__ == "__main__":
    app()

"""What smoothing along surfaces is worth to the default method, and what is left of it where colours say nothing.

    python -m bench.smoothing --objects 50 --first-seed 2 --seeds 1

The same votes are decoded with the colours of the scene, with one colour for all Gaussians and with a random one for
each, at several numbers of steps.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from dataclasses import replace
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from backend.lift.consensus.method import consensus
from backend.lift.consensus.settings import ConsensusSettings
from bench.lift import Bench, made_case


def main(
    objects: Annotated[int, typer.Option(help="Objects per scene.")] = 50,
    seeds: Annotated[int, typer.Option(help="How many scenes.")] = 1,
    first_seed: Annotated[int, typer.Option(help="Seed of the first.")] = 2,
    gaussians: Annotated[int, typer.Option(help="Per scene.")] = 100_000,
    size: Annotated[int, typer.Option(help="Height and width of the views.")] = 256,
    steps: Annotated[list[int], typer.Option(help="Steps of smoothing.")] = [0, 5, 20],  # noqa: B006
) -> None:
    """Score the default method by steps and colours."""
    table = Table("scene", "ceiling", "colours", *(f"{count} steps" for count in steps), title="things PQ")
    for seed in range(first_seed, first_seed + seeds):
        bench = Bench(made_case(objects, gaussians, 80, size, "detector", seed))
        splats = bench.case.splats
        noise = np.random.default_rng(seed).normal(size=splats.sh.shape).astype(np.float32)
        for colours, sh in (("of the scene", splats.sh), ("all alike", 0 * splats.sh), ("random", noise)):
            scores = [
                bench.score(consensus(replace(splats, sh=sh), bench.evidence, ConsensusSettings(smoothing=count)))
                for count in steps
            ]
            name = f"{objects} objects, seed {seed}"
            table.add_row(name, f"{bench.ceiling.pq:.1f}", colours, *(f"{score.pq_things:.1f}" for score in scores))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

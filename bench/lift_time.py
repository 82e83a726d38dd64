"""How long labels take, and what training without a rasteriser in the loop saves.

    python -m bench.lift_time            # 100,000 Gaussians, 80 views of 512x512, 25 objects

Three rows, all from Gaussians to labels on the same scene: the default method; `unic-lift`, its embedding trained on
contributions; and the same embedding trained as in the papers, with the Gaussians rasterised in every step and every
pixel of a view in the losses, timed over 50 steps and scaled to the paper's 30,000. Geometry is frozen in all three, so
the third row does not include the time that the paper's training needs for colour and shape.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from scipy.ndimage import maximum_filter, minimum_filter

from backend.lift import MaskedView, lift
from backend.lift.embedding.neighbours import neighbours, scene_extent
from backend.lift.evidence.views import compact
from backend.lift.methods import DEFAULT
from backend.lift.unic_lift.losses import cluster_loss, draw_triplets, neighbour_loss, triplet_loss
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.render import rasterize
from bench.scenes import MadeScene, make_scene
from protocol.splats import Splats

PAPER_STEPS = 30_000
WARM_UP = 3


class Rasterised:
    """UniC-Lift's embedding trained by drawing it: one view a step, every pixel in the loss."""

    def __init__(self, splats: Splats, views: Sequence[MaskedView], settings: UnicLiftSettings, seed: int = 0) -> None:
        self.settings = settings
        self.chance = torch.Generator().manual_seed(seed)
        self.means, self.quats, self.scales, self.opacities = (
            torch.from_numpy(np.ascontiguousarray(column, np.float32))
            for column in (splats.means, splats.quats, splats.scales, splats.opacities)
        )
        table = torch.randn(len(splats), settings.dimensions, generator=self.chance) * settings.init_scale
        self.table = table.requires_grad_()
        self.project = torch.eye(settings.dimensions, requires_grad=True)
        self.adam = torch.optim.Adam([self.table, self.project], lr=settings.learning_rate)
        radius = settings.radius * scene_extent(splats.means, np.ones(len(splats), bool))
        near, inside = neighbours(splats.means, radius, settings.neighbours)
        self.near, self.inside = torch.from_numpy(near), torch.from_numpy(inside)
        self.views = [(view.camera, *_pixels(view, settings.boundary_band)) for view in views]

    def step(self, number: int) -> float:
        """Take one step on view ``number`` and return the loss."""
        s = self.settings
        camera, segment, boundary = self.views[number % len(self.views)]
        drawn = rasterize(self.means, self.quats, self.scales, self.opacities, self.table, camera)
        rendered = drawn.image.reshape(-1, s.dimensions)
        squashed = torch.sigmoid(rendered)
        loss = s.lambda_cluster * cluster_loss(squashed, segment, s.push_margin)
        triplets = draw_triplets(segment, boundary, s.triplets, self.chance)
        loss = loss + s.lambda_triplet * triplet_loss(squashed @ self.project.T, triplets, s.triplet_margin)
        centre = torch.randint(len(self.table), (s.neighbour_sample,), generator=self.chance)
        own, near = torch.sigmoid(self.table[centre]), torch.sigmoid(self.table[self.near[centre]])
        loss = loss + s.lambda_3d * neighbour_loss(own, near, self.inside[centre])
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return float(loss.detach())


def _pixels(view: MaskedView, band: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the segment of each pixel, and whether it is next to another segment."""
    mask, size = compact(view.mask), 2 * band + 1
    edge = np.asarray(minimum_filter(mask, size)) != np.asarray(maximum_filter(mask, size))
    return torch.from_numpy(mask.ravel().astype(np.int64)), torch.from_numpy(edge.ravel())


def time_lift(scene: MadeScene, method: str) -> float:
    begin = time.perf_counter()
    lift(scene.splats, scene.train, method=method)
    return time.perf_counter() - begin


def time_step(scene: MadeScene, steps: int) -> float:
    """Return the seconds of one rasterised step, the mean of ``steps`` after a few that are not counted."""
    training = Rasterised(scene.splats, scene.train, UnicLiftSettings())
    for number in range(WARM_UP):
        training.step(number)
    begin = time.perf_counter()
    for number in range(WARM_UP, WARM_UP + steps):
        training.step(number)
    return (time.perf_counter() - begin) / steps


def main(
    gaussians: int = 100_000,
    views: int = 80,
    size: int = 512,
    objects: int = 25,
    seed: int = 7,
    steps: Annotated[int, typer.Option(help="Rasterised steps to time.")] = 50,
) -> None:
    """Time lifting."""
    small = make_scene(objects=4, gaussians=4000, views=6, test_views=0, size=64, seed=1)
    for method in (DEFAULT, "unic-lift"):
        lift(small.splats, small.train, method=method)  # compiles
    time_step(small, 1)
    scene = make_scene(objects=objects, gaussians=gaussians, views=views, test_views=0, size=size, seed=seed)

    default, unic = time_lift(scene, DEFAULT), time_lift(scene, "unic-lift")
    step = time_step(scene, steps)
    every_step = step * PAPER_STEPS
    table = Table(title=f"{gaussians:,} Gaussians, {views} views of {size}x{size}, {torch.get_num_threads()} threads")
    for column in ("", "Gaussians to labels, s", f"times {DEFAULT}", "times unic-lift"):
        table.add_column(column, justify="left" if not column else "right")
    name = f"rasterised in every step ({1e3 * step:.0f} ms, {PAPER_STEPS:,} steps)"
    for method, seconds in ((DEFAULT, default), ("unic-lift", unic), (name, every_step)):
        table.add_row(method, f"{seconds:,.1f}", f"{seconds / default:.1f}", f"{seconds / unic:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)

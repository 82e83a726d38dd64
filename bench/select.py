"""How long a selection takes once a result is open, and how well it cuts an object out.

    python -m bench.select                       # 1 M made-up Gaussians with features of 16 dimensions
    python -m bench.select --server              # the same Gaussians, asked of a server from outside
    python -m bench.select --objects 25          # a scene of bench/scenes.py, features trained by contrastive

In the made-up scene a Gaussian of each object is hit; in the other one pixel of each object that a held-out view shows
on 100 pixels or more. CPU time is of all threads together.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backend.lift import lift
from backend.lift.types import Lift
from backend.objects import result
from backend.objects.table import object_table
from backend.select import Opened, select_gaussian, select_pixel, view_mask
from bench.scenes import make_scene
from bench.transfer import Server, scene
from blender_addon import api
from blender_addon.client import scene_files
from protocol.result.folder import whole_folder
from protocol.splats import Splats


def made_up(gaussians: int, objects: int = 25) -> tuple[Opened, np.ndarray]:
    """Return adjacent balls of Gaussians, each with its own feature plus noise, and the ball of each Gaussian."""
    rng = np.random.default_rng(0)
    ball = rng.integers(0, objects, gaussians)
    means = (rng.normal(0, 0.2, (gaussians, 3)) + 2.0 * np.stack([ball % 5, ball // 5, 0 * ball], 1)).astype(np.float32)
    features = rng.normal(size=(objects, 16))[ball] + rng.normal(0, 0.3, (gaussians, 16))
    splats = Splats(
        means,
        np.tile(np.array([1, 0, 0, 0], np.float32), (gaussians, 1)),
        np.full((gaussians, 3), -3, np.float32),
        np.zeros(gaussians, np.float32),
        np.zeros((gaussians, 1, 3), np.float32),
    )
    return Opened(splats, (ball + 1).astype(np.int32), features.astype(np.float32), {}, "made up"), ball + 1


def time_selections(gaussians: int) -> None:
    """Print what selecting from Gaussians takes, with and without the hull."""
    opened, truth = made_up(gaussians)
    hits = [int(np.flatnonzero(truth == k)[0]) for k in range(1, int(truth.max()) + 1)]
    select_gaussian(opened, hits[0])  # compiles, and measures the lengths
    for hull in (False, True):
        cpu, wall = [], []
        for hit in hits:
            begin = time.process_time(), time.perf_counter()
            select_gaussian(opened, hit, hull=hull)
            cpu.append(1e3 * (time.process_time() - begin[0]))
            wall.append(1e3 * (time.perf_counter() - begin[1]))
        print(
            f"{gaussians:,} Gaussians, {'with' if hull else 'without'} hull: median {np.median(wall):.1f} ms, "
            f"at most {max(wall):.1f} ms; CPU time {np.median(cpu):.1f} ms"
        )


def time_requests(gaussians: int) -> None:
    """Print what a client waits for a selection in a server's result, the first aside, for which its files are read."""
    opened, truth = made_up(gaussians)
    views = np.ones(int(truth.max()) + 1, np.int32)
    sure = np.ones(gaussians, np.float32)
    lifted = Lift(opened.labels, sure, views, "contrastive", embedding=opened.embedding)
    hits = [int(np.flatnonzero(truth == k)[0]) for k in range(1, int(truth.max()) + 1)]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with whole_folder(root / "result") as part:
            result.write_gaussians(part, opened.splats, lifted)
            result.write_objects(part, "balls", lifted, 0, (0.0, 0.0, 1.0), object_table(opened.splats, lifted))
            result.write_cameras(part, {})
        scene_files.ENDINGS = scene_files.ENDINGS | {""}
        server = Server(root / "data")
        try:
            with api.connect(server.address, cache=root / "cache") as client:
                scene(root / "scene", 0, f"copy {root / 'result'}\ndone")
                pending = api.segment(client, root / "scene")
                folder = pending.result(timeout=300)
                wall = []
                for hit in [hits[0], *hits]:
                    begin = time.perf_counter()
                    api.select_similar(client, folder, gaussian=hit)
                    wall.append(1e3 * (time.perf_counter() - begin))
        finally:
            server.stop()
    print(
        f"{gaussians:,} Gaussians, from request to answer: median {np.median(wall[1:]):.1f} ms, "
        f"at most {max(wall[1:]):.1f} ms; the first {wall[0] / 1e3:.1f} s"
    )


def score_selections(objects: int, seed: int) -> None:
    """Print the intersection over union of selections with the exact objects, in 3D and in the view that was hit."""
    scene = make_scene(objects=objects, gaussians=2000 * objects, seed=seed)
    found = lift(scene.splats, scene.train, method="contrastive")
    cameras = {view.name: view.camera for view in scene.test}
    opened = Opened(scene.splats, found.labels, found.embedding, cameras, found.method)
    for hull in (False, True):
        rng = np.random.default_rng(0)
        solid, flat = [], []
        for view in scene.test:
            for k in np.unique(view.mask[view.mask > 0]):
                shown = view.mask == k
                if shown.sum() < 100:
                    continue
                y, x = (int(v) for v in rng.choice(np.argwhere(shown)))
                selection = select_pixel(opened, view.name, x, y, hull=hull)
                solid.append(iou(selection.gaussians, scene.labels == k))
                flat.append(iou(view_mask(opened, selection, view.name), shown))
        print(
            f"{objects} objects, {len(solid)} pixels, {'with' if hull else 'without'} hull: mean IoU in 3D "
            f"{np.mean(solid):.3f} (median {np.median(solid):.3f}), in the view {np.mean(flat):.3f}"
        )


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float((a & b).sum() / (a | b).sum())


def main(
    gaussians: Annotated[int, typer.Option(help="Of the made-up scene.")] = 1_000_000,
    objects: Annotated[int, typer.Option(help="Objects of a trained scene instead; 0 for none.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the trained scene.")] = 100,
    server: Annotated[bool, typer.Option("--server", help="Time requests to a server.")] = False,
) -> None:
    """Time selections, or score them."""
    if objects:
        score_selections(objects, seed)
    elif server:
        time_requests(gaussians)
    else:
        time_selections(gaussians)


if __name__ == "__main__":
    typer.run(main)

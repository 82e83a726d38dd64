"""What real photographs do to a made room, one thing at a time and all together, and what each remedy is worth.

    python -m bench.spoilt                              # every spoiler, all remedies
    python -m bench.spoilt --without floaters           # the same without one remedy

The room is :func:`backend.demo.scene.write_scene` with detector-like masks. Spoilers:

- exposure: each photograph times a factor of 0.7 to 1.3, each colour channel times a factor of 0.9 to 1.1;
- poses: each turned by 0.3 degrees about a random axis, and moved by 0.3 % of the extent of the cameras;
- points: no sparse points;
- blur: a Gaussian of 2 pixels over every third photograph;
- distortion: OPENCV k1 -0.12, k2 0.03, p1 0.002, p2 -0.002, as the camera file says.

The last 20 % of the views are held out. PQ is of objects, in the frame of the photographs; PSNR is of the held-out
photographs as they are, spoilt exposure and blur included.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from backend.demo.noise import PROFILES, spoil
from backend.demo.scene import look_at_room, write_colmap, write_scene
from backend.demo.world import World
from backend.evaluate.panoptic import Score, panoptic_quality
from backend.lift import lift, photograph_label_map
from backend.poses import place
from backend.reconstruct import held_out, reconstruct
from backend.refine import refine
from backend.render import Renderer
from backend.scene import load_scene, split_views
from backend.scene.lens import Lens, cover, pinhole
from backend.scene.mask_files import load_ids
from backend.scene.types import Camera, View

SPOILERS = ("exposure", "poses", "points", "blur", "distortion")
DISTORTION = (-0.12, 0.03, 0.002, -0.002)
REMEDIES: dict[str, dict[str, float]] = {
    "placing": {},
    "exposures": {"exposure_rate": 0},
    "floaters": {"floater_checks": 0},
    "no opacity weight": {"opacity_weight": 0.01},
    "harmonics": {"sh_degree": 0},
}
"""Each remedy and the settings of a reconstruction that leave it out; the first is what comes before one."""


def main(
    objects: int = 25,
    views: int = 60,
    size: int = 300,
    steps: Annotated[int | None, typer.Option(help="Reconstruction steps; the device's own without.")] = None,
    seeds: Annotated[list[int], typer.Option("--seed")] = [0],  # noqa: B006
    spoilers: Annotated[list[str] | None, typer.Option("--only", help="clean, all, or: " + ", ".join(SPOILERS))] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave out some of: " + ", ".join(REMEDIES))] = None,
) -> None:
    """Spoil the room in each way, lift its masks, and print a row for each."""
    console = Console()
    table = Table("spoiler", "seed", "PQ", "found / false / missed", "PSNR", "Gaussians", "seconds")
    changes = {name: value for remedy in without or [] for name, value in REMEDIES[remedy].items()}
    for seed in seeds:
        for spoiler in spoilers or ["clean", *SPOILERS, "all"]:
            with TemporaryDirectory() as folder:
                chosen = SPOILERS if spoiler == "all" else () if spoiler == "clean" else (spoiler,)
                write_spoilt(Path(folder) / "room", chosen, objects=objects, views=views, size=size, seed=seed)
                begin = time.perf_counter()
                score, psnr, count = run(Path(folder) / "room", changes, steps, seed, "placing" in (without or []))
            row = (
                spoiler, str(seed), f"{score.pq_things:.1f}", f"{score.tp} / {score.fp} / {score.fn}", f"{psnr:.1f}",
                f"{count:,}", f"{time.perf_counter() - begin:.0f}",
            )  # fmt: skip
            console.print("[dim]" + "  ".join(row) + "[/dim]")
            table.add_row(*row)
    console.print(table)


def run(
    folder: Path, changes: dict[str, float], steps: int | None, seed: int, as_posed: bool
) -> tuple[Score, float, int]:
    """Return the score, the PSNR of the held-out photographs in dB, and the number of Gaussians."""
    scene = load_scene(folder)
    if not as_posed:
        scene, _ = place(scene, seed)
    train, test = split_views(scene.views, "last:0.2")
    splats = reconstruct(scene, train, steps=steps, seed=seed, settings=changes)
    lifted = lift(splats, train, seed=seed)
    splats, lifted = refine(splats, lifted, train, seed=seed)
    renderer = Renderer(splats, "cpu")
    truth = [load_ids(folder / "gt" / "instance" / view.image_path.with_suffix(".png").name) for view in test]
    maps = [
        photograph_label_map(renderer, lifted.labels, view, _resized(view, ids))
        for view, ids in zip(test, truth, strict=True)
    ]
    return panoptic_quality(maps, truth), float(np.mean(held_out(splats, test))), len(splats)


def _resized(view: View, ids: NDArray) -> Camera:
    return view.camera.resized(ids.shape[1], ids.shape[0])


def write_spoilt(folder: Path, spoilers: Sequence[str], *, objects: int, views: int, size: int, seed: int) -> None:
    """Write the room of these measures to a folder in COLMAP's layout, spoilt; masks and truth are as it shows."""
    write_scene(folder, objects=objects, views=views, size=size, seed=seed)
    rng = np.random.default_rng([seed, 1])
    cameras = [look_at_room(i, views, size) for i in range(views)]
    lens = None
    if "distortion" in spoilers:
        lens = _bend(folder, cameras, objects, seed)
    for number in range(views):
        path = folder / "images" / f"{number:04d}.png"
        image = np.asarray(Image.open(path)).astype(np.float32)
        if "blur" in spoilers and number % 3 == 0:
            image = gaussian_filter(image, (2, 2, 0))
        if "exposure" in spoilers:
            image = image * rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
        Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)).save(path)
    if "poses" in spoilers:
        centres = np.array([camera.centre for camera in cameras])
        extent = float(np.linalg.norm(centres.max(0) - centres.min(0)))
        cameras = [_moved(camera, 0.003 * extent, rng) for camera in cameras]
    model = folder / "sparse" / "0"
    points = np.loadtxt(model / "points3D.txt")
    if "points" in spoilers:
        points = points[:0]
    write_colmap(model, cameras, points[:, 1:4], points[:, 4:7].astype(int))
    if lens is not None:
        values = " ".join(str(value) for value in lens.params)
        (model / "cameras.txt").write_text(f"1 {lens.model} {lens.width} {lens.height} {values}\n")


def _bend(folder: Path, cameras: Sequence[Camera], objects: int, seed: int) -> Lens:
    """Photograph the room anew through a lens that distorts, with masks and truth; return the lens."""
    world = World.random(objects, np.random.default_rng(seed))
    rng = np.random.default_rng([seed, 2])
    first = cameras[0]
    K = first.K
    lens = Lens("OPENCV", (K[0, 0], K[1, 1], K[0, 2], K[1, 2], *DISTORTION), first.width, first.height)
    straight = pinhole(lens)
    for number, camera in enumerate(cameras):
        seen = replace(camera, K=straight)
        # Four samples a pixel, as the photographs of the room that is not spoilt.
        fine = cover(lens, seen.resized(2 * seen.width, 2 * seen.height))
        colours, _ = world.photograph(fine.camera, samples=1)
        samples = colours[fine.rows, fine.columns].reshape(camera.height, 2, camera.width, 2, 3)
        coarse = cover(lens, seen)
        ids = world.photograph(coarse.camera, samples=1)[1][coarse.rows, coarse.columns]
        masks = spoil(ids.astype(np.int32), PROFILES["detector"], rng).astype(np.uint16)
        name = f"{number:04d}.png"
        Image.fromarray(np.rint(samples.mean((1, 3))).astype(np.uint8)).save(folder / "images" / name)
        Image.fromarray(ids).save(folder / "gt" / "instance" / name)
        Image.fromarray(masks).save(folder / "masks" / name)
    return lens


def _moved(camera: Camera, distance: float, rng: np.random.Generator) -> Camera:
    axis, way = rng.normal(size=(2, 3))
    turn = Rotation.from_rotvec(np.radians(0.3) * axis / np.linalg.norm(axis)).as_matrix()
    centre = camera.centre + distance * way / np.linalg.norm(way)
    viewmat = np.eye(4)
    viewmat[:3, :3] = turn @ camera.viewmat[:3, :3]
    viewmat[:3, 3] = -viewmat[:3, :3] @ centre
    return replace(camera, viewmat=viewmat)


if __name__ == "__main__":
    typer.run(main)

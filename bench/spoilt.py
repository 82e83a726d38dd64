"""Measures defects of real photographs on a generated room, one at a time and combined, and the gain of each remedy.

    python -m bench.spoilt [--room ROOM]                # every spoiler, all remedies
    python -m bench.spoilt --without floaters           # the same without one remedy

The room is a scene folder with exact ids in ``gt/instance``, photographed without distortion; default: that of
:func:`backend.demo.scene.write_scene` with detector-like masks, whose surfaces are too smooth for features. Spoilers:

- exposure: each photograph times a factor of 0.7 to 1.3, each colour channel times a factor of 0.9 to 1.1;
- poses: each turned by 0.3 degrees about a random axis, and moved by 0.3 % of the extent of the cameras;
- points: no sparse points;
- blur: a Gaussian of 2 pixels over every third photograph;
- distortion: OPENCV k1 0.08, k2 0.02, p1 0.002, p2 -0.002, as the camera file says; photographs, masks and truth are
  drawn from those without it.

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
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from backend.demo.scene import write_colmap, write_scene
from backend.evaluate.panoptic import Score, panoptic_quality
from backend.lift import lift, photograph_label_map
from backend.poses import place
from backend.reconstruct import held_out, reconstruct
from backend.refine import refine
from backend.render import Renderer
from backend.scene import load_scene, read_image, read_mask, split_views
from backend.scene.lens import Lens
from backend.scene.mask_files import load_ids
from backend.scene.types import Camera

SPOILERS = ("exposure", "poses", "points", "blur", "distortion")
DISTORTION = (0.08, 0.02, 0.002, -0.002)
REMEDIES: dict[str, dict[str, float]] = {
    "placing": {},
    "exposures": {"exposure_rate": 0},
    "floaters": {"floater_checks": 0},
    "novel views": {"floater_share_novel": 1},
    "no opacity weight": {"opacity_weight": 0.01},
    "harmonics": {"sh_degree": 0},
}
"""Each remedy and the settings of a reconstruction that leave it out; the first is what comes before one."""


def main(
    room: Annotated[Path | None, typer.Option(help="A scene folder; a made room without.")] = None,
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
                source = room
                if source is None:
                    source = Path(folder) / "made"
                    write_scene(source, objects=25, views=60, size=300, seed=seed)
                write_spoilt(source, Path(folder) / "room", chosen, seed)
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
        photograph_label_map(renderer, lifted.labels, view.lens, view.camera.resized(*ids.shape[::-1]))
        for view, ids in zip(test, truth, strict=True)
    ]
    return panoptic_quality(maps, truth), float(np.mean(held_out(splats, test))), len(splats)


def write_spoilt(source: Path, folder: Path, spoilers: Sequence[str], seed: int) -> None:
    """Write the scene of ``source`` to a folder in COLMAP's layout, spoilt, with its masks and truth."""
    scene = load_scene(source)
    rng = np.random.default_rng([seed, 1])
    for part in ("images", "masks", "gt/instance", "sparse/0"):
        (folder / part).mkdir(parents=True)
    first = scene.views[0].camera
    K = first.K
    lens = None
    if "distortion" in spoilers:
        lens = Lens("OPENCV", (K[0, 0], K[1, 1], K[0, 2], K[1, 2], *DISTORTION), first.width, first.height)
    for number, view in enumerate(scene.views):
        name = f"{number:04d}.png"
        image = read_image(view).astype(np.float32)
        masks = read_mask(view)
        assert masks is not None
        truth = load_ids(source / "gt" / "instance" / view.image_path.with_suffix(".png").name)
        if lens is not None:
            image = np.stack([_bent(lens, channel, K, 1) for channel in np.moveaxis(image, 2, 0)], 2)
            masks, truth = _bent(lens, masks, K, 0), _bent(lens, truth, K, 0)
        if "blur" in spoilers and number % 3 == 0:
            image = gaussian_filter(image, (2, 2, 0))
        if "exposure" in spoilers:
            image = image * rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
        Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)).save(folder / "images" / name)
        Image.fromarray(masks.astype(np.uint16)).save(folder / "masks" / name)
        Image.fromarray(truth.astype(np.uint16)).save(folder / "gt" / "instance" / name)
    cameras = [view.camera for view in scene.views]
    if "poses" in spoilers:
        centres = np.array([camera.centre for camera in cameras])
        extent = float(np.linalg.norm(centres.max(0) - centres.min(0)))
        cameras = [_moved(camera, 0.003 * extent, rng) for camera in cameras]
    kept = 0 if "points" in spoilers else len(scene.points)
    write_colmap(folder / "sparse" / "0", cameras, scene.points[:kept], scene.colours[:kept].astype(int))
    if lens is not None:
        values = " ".join(str(value) for value in lens.params)
        (folder / "sparse" / "0" / "cameras.txt").write_text(f"1 {lens.model} {lens.width} {lens.height} {values}\n")


def _bent(lens: Lens, pixels: NDArray, K: NDArray[np.float64], order: int) -> NDArray:
    """What the lens makes of a picture (H, W) that was taken without distortion by K, at the lens's size."""
    height, width = pixels.shape
    scale = np.array([lens.width / width, lens.height / height])
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.asarray(lens.camera.cam_from_img(np.stack([columns.ravel(), rows.ravel()], 1) * scale))
    seen = (rays * [K[0, 0], K[1, 1]] + [K[0, 2], K[1, 2]]) / scale - 0.5
    return map_coordinates(pixels, seen.T[::-1], order=order, mode="nearest").reshape(height, width)


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

"""What rendering costs: forward, backward, contributions and votes, in milliseconds per view.

    python -m bench.render                        # two made rooms, and the garden where the captured scenes are
    python -m bench.render --threads 1            # one thread
    python -m bench.render --scaling              # the first room on 1, 2, 4 ... threads
    python -m bench.render --device cuda          # on a GPU, and a million Gaussians at a megapixel besides
    python -m bench.render --compile              # also: seconds to compile every kernel, in a fresh process

"cpu" is processor time of all threads, "wall" is elapsed time; each is the least of several runs. Forward is
projection, sorting, binning and blending together; forward + backward has the gradients of all five arguments. On CUDA
each run ends when the device is done.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numba
import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from backend.render import Renderer, device_of, rasterize
from backend.scene.types import Camera
from bench.tables import Device
from protocol.sh import SH0
from protocol.splats import Splats

GARDEN = Path(os.environ.get("SPLATLIFT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "gsplat-garden"
HALF_SIZE = np.array([2.0, 1.2, 2.0])


def room(count: int, seed: int = 0) -> Splats:
    """Half of the Gaussians on floor, ceiling and walls, half on 25 spheres; sizes as training leaves them."""
    rng = np.random.default_rng(seed)
    walls = rng.uniform(-HALF_SIZE, HALF_SIZE, (count // 2, 3))
    axis, side = rng.integers(0, 3, count // 2), rng.choice([-1.0, 1.0], count // 2)
    side[axis == 2] = 1.0  # the camera looks in where the fourth wall would be
    walls[np.arange(count // 2), axis] = (side * HALF_SIZE[axis]).astype(np.float64)
    centres = rng.uniform([-1.5, -0.5, -1.0], [1.5, 1.1, 1.5], (25, 3))
    directions = rng.normal(size=(count - count // 2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    things = centres[rng.integers(0, 25, len(directions))] + 0.25 * directions
    return Splats(
        np.concatenate([walls, things]).astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        (np.log(0.012 * np.sqrt(1e5 / count)) + 0.5 * rng.normal(size=(count, 3))).astype(np.float32),
        rng.normal(1.0, 2.0, count).astype(np.float32),
        ((rng.uniform(size=(count, 1, 3)) - 0.5) / SH0).astype(np.float32),
    )


def room_camera(size: int) -> Camera:
    viewmat = np.eye(4)
    viewmat[2, 3] = 3.5
    return Camera(viewmat, np.array([[0.8 * size, 0, size / 2], [0, 0.8 * size, size / 2], [0, 0, 1]]), size, size)


def garden(path: Path) -> tuple[Splats, Camera]:
    """The sparse points of a photographed garden, each as large as the distance to its neighbours."""
    from scipy.spatial import KDTree

    with np.load(path, allow_pickle=False) as data:
        points, colours = data["means3d"], data["colors"]
        camera = Camera(
            data["viewmats"][0].astype(np.float64),
            data["Ks"][0].astype(np.float64),
            int(data["width"]),
            int(data["height"]),
        )
    distances, _ = KDTree(points).query(points, 4)
    scales = np.log(distances[:, 1:].mean(1).clip(1e-6))[:, None].repeat(3, 1)
    quats = np.tile([1.0, 0, 0, 0], (len(points), 1))
    sh = (colours / 255 - 0.5)[:, None] / SH0
    columns = (points, quats, scales, np.full(len(points), 1.0), sh)
    means, quats, scales, opacities, sh = (np.ascontiguousarray(column, np.float32) for column in columns)
    return Splats(means, quats, scales, opacities, sh), camera


def jobs(splats: Splats, camera: Camera, device: str = "cpu") -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    renderer = Renderer(splats, device)
    columns = (splats.means, splats.quats, splats.scales, splats.opacities)
    means, quats, scales, opacities = (torch.tensor(column, device=device).requires_grad_() for column in columns)
    colours = (torch.tensor(splats.sh[:, 0], device=device) * SH0 + 0.5).requires_grad_()
    embedding = np.random.default_rng(0).normal(size=(len(splats), 12)).astype(np.float32)
    rows, cols = np.mgrid[: camera.height, : camera.width]
    mask = (rows // 60 * 8 + cols // 70 + 1).astype(np.int32)
    mask[(rows // 30 + cols // 40) % 3 == 0] = 0
    some = np.random.default_rng(0).integers(0, camera.width * camera.height, 2048)

    def forward() -> torch.Tensor:
        return rasterize(means, quats, scales, opacities, colours, camera).image

    def backward() -> None:
        torch.autograd.backward(forward(), grad)

    grad = torch.randn(camera.height, camera.width, 3, generator=torch.Generator().manual_seed(0)).to(device)
    return {
        "forward": forward,
        "forward + backward": backward,
        "image of 12 channels": lambda: renderer.image(camera, embedding),
        "votes": lambda: renderer.votes(camera, mask),
        "contributions(16)": lambda: renderer.contributions(camera, None, 16),
        "contributions(8) of 2048": lambda: renderer.contributions(camera, some, 8),
    }


def least(job: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Milliseconds of processor and wall time, after one run to warm up."""
    job()
    cpu, wall = [], []
    for _ in range(repeats):
        _wait()
        before, start = time.process_time(), time.perf_counter()
        job()
        _wait()
        cpu.append(time.process_time() - before)
        wall.append(time.perf_counter() - start)
    return min(cpu) * 1e3, min(wall) * 1e3


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def scaling(splats: Splats, camera: Camera, repeats: int) -> Table:
    """Wall milliseconds of each job on 1, 2, 4 ... threads, and how many times one thread's speed the most make."""
    most = numba.get_num_threads()
    counts = sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most})
    rows: dict[str, list[float]] = {}
    for count in counts:
        numba.set_num_threads(count)
        for name, job in jobs(splats, camera).items():
            rows.setdefault(name, []).append(least(job, repeats)[1])
    numba.set_num_threads(most)
    table = Table("wall ms per view", *(f"{count} threads" for count in counts), "times as fast")
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.1f}" for value in values), f"{values[0] / values[-1]:.2f}")
    return table


def compile_seconds() -> list[str]:
    """Seconds of processor time for the first run of each job in a process that finds no compiled kernels."""
    code = (
        "import time; from bench import render\n"
        "for name, job in render.jobs(render.room(100), render.room_camera(40)).items():\n"
        "    before = time.process_time(); job(); print(f'{name}: {time.process_time() - before:.1f} s')\n"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[1],
        )
    return done.stdout.splitlines()


def main(
    threads: Annotated[int, typer.Option(help="threads of numba; 0 is all of them")] = 0,
    repeats: Annotated[int, typer.Option(help="runs, of which the fastest counts")] = 7,
    compile: Annotated[bool, typer.Option(help="time the compilation as well")] = False,
    across: Annotated[
        bool, typer.Option("--scaling", help="only how the first room's jobs scale over threads")
    ] = False,
    device: Device = "cpu",
) -> None:
    where = device_of(device)
    if threads:
        numba.set_num_threads(threads)
    if across:
        Console().print(scaling(room(100_000), room_camera(512), repeats))
        return
    scenes = {
        "room 100k 512x512": (room(100_000), room_camera(512)),
        "room 50k 400x400": (room(50_000), room_camera(400)),
    }
    if GARDEN.is_dir():
        splats, camera = garden(GARDEN / "test_garden.npz")
        scenes[f"garden {len(splats) // 1000}k {camera.width}x{camera.height}"] = splats, camera
    if where == "cuda":
        scenes["room 1M 1000x1000"] = room(1_000_000), room_camera(1000)
        title = torch.cuda.get_device_name()
    else:
        title = f"numba on {numba.get_num_threads()} threads"
    table = Table(title=title)
    table.add_column("ms per view", no_wrap=True)
    results: dict[str, list[str]] = {}
    for scene, (splats, camera) in scenes.items():
        table.add_column(f"{scene} cpu", justify="right")
        table.add_column("wall", justify="right")
        for name, job in jobs(splats, camera, where).items():
            results.setdefault(name, []).extend(f"{value:.1f}" for value in least(job, repeats))
    for name, values in results.items():
        table.add_row(name, *values)
    console = Console()
    console.print(table)
    if where == "cuda":
        console.print(f"most device memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")
    if compile:
        console.print("first run in a process without compiled kernels, processor time:")
        for line in compile_seconds():
            console.print("  " + line)


if __name__ == "__main__":
    typer.run(main)

"""Peak memory of drawing and of training random Gaussians, for docs/scaling.md.

    python -m bench.memory render 2000000
    python -m bench.memory train 400000 --degree 3 --width 400 --height 300
    python -m bench.memory photographs 1000

Run each in a separate process, because a peak never decreases. Everything is first done once with few Gaussians, so
that libraries and compiled kernels are part of the memory before the measurement.
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from backend.memory import peak_host_mib
from backend.reconstruct.memory_estimate import estimate_memory
from backend.reconstruct.optimiser import Adam
from backend.reconstruct.photo_cache import PhotoCache, large_folder
from backend.reconstruct.photographs import AHEAD, Photograph, Photographs
from backend.reconstruct.schedule import Schedule
from backend.reconstruct.train import Training
from backend.render import Renderer
from backend.scene.types import Camera, View
from protocol.splats import Splats

app = typer.Typer(add_completion=False)

STEP = 0.03
"""Seconds between two photographs: a training step."""

Width = Annotated[int, typer.Option(min=16)]
Height = Annotated[int, typer.Option(min=16)]


@app.command()
def render(count: int, width: Width = 1600, height: Height = 1066) -> None:
    """Draw COUNT Gaussians of degree 3: an image, votes, and contributions of every 200th pixel."""
    camera = view_camera(width, height)
    _draw(Renderer(gaussians(1000, 3), "cpu"), camera.resized(64, 48))
    rows = [("before", _peak())]
    splats = gaussians(count, 3)
    rows.append(("columns", _peak()))
    renderer = Renderer(splats, "cpu")
    rows.append(("renderer", _peak()))
    _draw(renderer, camera)
    rows.append(("image, votes, contributions", _peak()))
    _show(f"{count:,} Gaussians at {width}x{height}", rows, count)


@app.command()
def train(count: int, degree: int = 0, width: Width = 400, height: Height = 300) -> None:
    """Make four steps with COUNT Gaussians, a densification among them."""
    _steps(2000, degree, view_camera(64, 48))
    rows = [("before", _peak())]
    camera = view_camera(width, height)
    grown = _steps(count, degree, camera)
    rows.append(("four steps", _peak()))
    _show(f"{grown:,} Gaussians of degree {degree} at {width}x{height}", rows, grown)
    wanted = estimate_memory([View("0", camera, Path("none"), None)], max(width, height), "cpu", grown, degree)
    Console().print(f"took {rows[1][1] - rows[0][1]} MiB, estimated {sum(wanted) / 2**20:.0f} MiB")


@app.command()
def photographs(count: int, width: Width = 1600, height: Height = 1066) -> None:
    """Take COUNT photographs with masks from disk in random order, as training does where memory cannot hold them."""
    photo_cache = PhotoCache(large_folder())
    rng = np.random.default_rng(0)
    rows = [("before", _peak())]
    for _ in range(count):
        photo_cache.put([rng.integers(0, 255, (height, width, 3), np.uint8), np.zeros((height, width), bool)])
    os.fsync(photo_cache._file.fileno())
    rows.append(("put on disk", _peak()))
    took: dict[str, list[float]] = {"disk": [], "the system's memory": []}
    for name, seconds in took.items():
        if name == "disk":
            os.posix_fadvise(photo_cache._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        order = rng.permutation(count).tolist()
        for turn, number in enumerate(order):
            photo_cache.expect(order[turn : turn + AHEAD])
            time.sleep(STEP)
            start = time.perf_counter()
            for array in photo_cache.row(number):
                array.max()
            seconds.append(time.perf_counter() - start)
        rows.append((f"each taken once, from {name}", _peak()))
    _show(f"{count} photographs of {width}x{height}", rows, count, "photograph")
    for name, seconds in took.items():
        median, most = 1e3 * np.quantile(seconds, [0.5, 0.99])
        Console().print(f"from {name}: {median:.1f} ms, 99 of 100 within {most:.1f} ms")


def gaussians(count: int, degree: int) -> Splats:
    """Return Gaussians in a box before the camera, smaller where there are more."""
    rng = np.random.default_rng(0)

    def normal(*shape: int, spread: float = 1.0) -> np.ndarray:
        return (spread * rng.standard_normal(shape, np.float32)).astype(np.float32)

    means = rng.uniform(-1, 1, (count, 3)).astype(np.float32) * np.array([3, 2, 3], np.float32)
    means[:, 2] += 5
    size = np.float32(np.log(0.02 * (1e6 / count) ** (1 / 3)))
    terms = (degree + 1) ** 2
    return Splats(
        means, normal(count, 4), normal(count, 3, spread=0.3) + size, normal(count, spread=2), normal(count, terms, 3)
    )


def view_camera(width: int, height: int) -> Camera:
    """Return a camera at the origin that looks at the box."""
    K = np.array([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1]])
    return Camera(np.eye(4), K, width, height)


def _draw(renderer: Renderer, camera: Camera) -> None:
    rows, columns = np.indices((camera.height, camera.width)) // 100
    renderer.image(camera)
    renderer.votes(camera, (16 * rows + columns).astype(np.int32))
    renderer.contributions(camera, np.arange(0, camera.width * camera.height, 200), 8)


def _steps(count: int, degree: int, camera: Camera) -> int:
    splats = gaussians(count, degree)
    names = ("means", "quats", "scales", "opacities", "sh")
    columns = {name: torch.from_numpy(getattr(splats, name)) for name in names}
    image = torch.randint(0, 255, (camera.height, camera.width, 3), dtype=torch.uint8)
    photo = Photograph(camera, image, torch.zeros(image.shape[:2], dtype=torch.bool))
    schedule = Schedule.for_scene(
        6.0, camera.width * camera.height, count, engine="cpu", steps=100, sh_degree=degree,
        cap=int(1.12 * count) + 200, grow_every=3, grow_from=3, huge_size=1e9, close=0.0,
    )  # fmt: skip
    training = Training(Adam(columns), Photographs((photo,), (photo,)), schedule, 0)
    for _ in range(4):
        training.advance()
    return len(training.adam)


def _peak() -> int:
    gc.collect()
    peak = peak_host_mib()
    assert peak is not None
    return peak


def _show(title: str, rows: list[tuple[str, int]], count: int, what: str = "Gaussian") -> None:
    table = Table("after", "peak, MiB", f"bytes a {what} above before", title=title)
    for name, peak in rows:
        table.add_row(name, f"{peak:,}", f"{(peak - rows[0][1]) * 2**20 / count:.0f}")
    Console().print(table)


if __name__ == "__main__":
    app()

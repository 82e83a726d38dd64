"""Poses computed from plain photographs against the poses that captures have.

    python -m bench.poses SCENE [SCENE ...] [--photographs FOLDER] [--seed S]

Each scene's photographs are copied out, without its cameras, and poses are computed from them. After alignment by a
similarity transform over the centres (Umeyama 1991, with RANSAC), the table has the share of photographs placed, the
median rotation error in degrees, the median error of the centres as a share of the extent (the largest distance of a
true centre from their mean, times two), and seconds per photograph.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import pycolmap
import typer
from rich.console import Console
from rich.table import Table

from backend.mapping import make_workspace
from backend.scene import load_scene
from backend.scene.types import Camera, Scene
from backend.scene.unposed import find_unposed
from backend.terminal import progress_bars
from protocol.errors import Fault


def main(
    scenes: Annotated[list[Path], typer.Argument(help="Scene folders with cameras.")],
    photographs: Annotated[
        Path | None, typer.Option(help="Photographs of the same names, of another size, of a single scene.")
    ] = None,
    seed: int = 0,
) -> None:
    """Compute poses of each scene and print a row for each."""
    table = Table("scene", "photographs", "placed", "rotation", "centre", "seconds a photograph", "points")
    for scene in scenes:
        table.add_row(*measure(load_scene(scene), photographs, seed))
    Console(width=140).print(table)


def measure(truth: Scene, photographs: Path | None, seed: int) -> tuple[str, ...]:
    """Return the row of one scene."""
    with TemporaryDirectory() as name:
        plain, folder = Path(name) / "plain", Path(name) / "made"
        plain.mkdir()
        files = {view.name: (photographs or view.image_path.parent) / view.image_path.name for view in truth.views}
        for key, file in files.items():
            shutil.copyfile(file, plain / f"{key}{file.suffix}")
        source = find_unposed(plain)
        assert source is not None
        begin = time.perf_counter()
        try:
            with progress_bars() as progress:
                made = make_workspace(source, folder, seed, progress)
        except Fault as fault:
            return (truth.root.name, str(len(files)), str(fault), "", "", "", "")
        seconds = (time.perf_counter() - begin) / len(files)
        computed = load_scene(made.folder)
        known = {view.name: view.camera for view in truth.views}
        pairs = [(view.camera, known[view.name]) for view in computed.views]
        rotation, centre = errors(pairs)
    return (
        truth.root.name,
        str(len(files)),
        f"{len(pairs) / len(files):.0%}",
        f"{rotation:.3f} degrees",
        f"{centre:.2%}",
        f"{seconds:.2f}",
        f"{len(computed.points):,}",
    )


def errors(pairs: list[tuple[Camera, Camera]]) -> tuple[float, float]:
    """Return the median rotation error in degrees, and the median centre error as a share of the extent.

    Args:
        pairs: the computed and the true camera of each photograph.
    """
    ours = np.array([one.centre for one, _ in pairs])
    true = np.array([other.centre for _, other in pairs])
    extent = 2 * float(np.linalg.norm(true - true.mean(0), axis=1).max())
    options = pycolmap.RANSACOptions()
    options.max_error, options.random_seed = 0.05 * extent, 0
    found = pycolmap.estimate_sim3d_robust(ours, true, options)
    sim = found["tgt_from_src"] if isinstance(found, dict) else pycolmap.estimate_sim3d(ours, true)
    assert sim is not None
    turn = sim.rotation.matrix()
    angles = []
    for one, other in pairs:
        # Columns of the transposes are the cameras' axes in the world.
        rest = other.viewmat[:3, :3] @ turn @ one.viewmat[:3, :3].T
        angles.append(np.degrees(np.arccos(np.clip((np.trace(rest) - 1) / 2, -1, 1))))
    gaps = [np.linalg.norm(sim * point - place) for point, place in zip(ours, true, strict=True)]
    return float(np.median(angles)), float(np.median(gaps)) / extent


if __name__ == "__main__":
    typer.run(main)

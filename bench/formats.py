"""Every format of Gaussians, read by a library that did not write it: counts, bounds, colours, pictures.

    python -m bench.formats SPLATS.ply --scene SCENE --python PYTHON [--blender PYTHON] [--splat-transform PROGRAM]

PYTHON is one with gsply, pygltflib, usd-core and plyfile, that of ``--blender`` one with bpy 5.3; PROGRAM is
PlayCanvas' splat-transform, which reads SPZ with the reference library. SPLATS are drawn from four cameras of SCENE
before they are written and after they were read: "dB" is the PSNR of the second pictures against the first ones, over
all pixels; "same" where no pixel differs. Where a format has no view-dependent colours, the first pictures have none
either. "bounds" is how far a corner of the box of positions is off, as a share of its diagonal; "colour" the mean
difference of the constant colours, in 255ths. Seconds are of writing, MB of the file.
"""

from __future__ import annotations

import subprocess
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from backend.render import Renderer
from backend.scene import load_scene
from backend.scene.types import Camera
from protocol.errors import Unavailable
from protocol.formats.axes import to_ply_axes
from protocol.formats.order import morton_order
from protocol.formats.registry import FORMATS, Format
from protocol.formats.write import write_splats
from protocol.ply import read_ply
from protocol.sh import SH0
from protocol.splats import Splats

READERS = {
    "ply": ("plyfile", "splat-transform", "blender"),
    "compressed-ply": ("gsply", "splat-transform"),
    "spz": ("gsply", "splat-transform", "blender"),
    "sog": ("gsply", "splat-transform"),
    "splat": ("splat-transform",),
    "gaussians-glb": ("pygltflib",),
    "gaussians-glb-spz": ("pygltflib",),
    "gaussians-usd": ("usd", "blender"),
}
"""Of each format those that read it."""
VIEWS = 4


def main(
    splats: Annotated[Path, typer.Argument(help="A 3DGS PLY.")],
    scene: Annotated[Path, typer.Option(help="The capture that it was made from.")],
    python: Annotated[Path, typer.Option(help="A Python that has the other libraries.")],
    blender: Annotated[Path | None, typer.Option(help="A Python that has bpy 5.3 or later.")] = None,
    splat_transform: Annotated[Path | None, typer.Option(help="The program splat-transform.")] = None,
    width: Annotated[int, typer.Option(help="Of the pictures, in pixels.")] = 400,
) -> None:
    """Write SPLATS in every format, read it with others' libraries, and print how near they are."""
    programs = {"splat-transform": splat_transform, "blender": blender}
    original = read_ply(splats).without_columns()
    views = load_scene(scene).views
    cameras = [views[i].camera for i in np.linspace(0, len(views) - 1, VIEWS).astype(int)]
    cameras = [camera.resized(width, round(width * camera.height / camera.width)) for camera in cameras]
    seen = pictures(original, cameras)
    without = pictures(Splats(*columns(original), original.sh[:, :1]), cameras)
    table = Table("format", "reader", "Gaussians", "bounds", "colour", "dB", "MB", "seconds")
    with TemporaryDirectory() as folder:
        for wanted in [each for each in FORMATS if each.name in READERS]:
            path = Path(folder) / f"a{wanted.endings[0]}"
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                write_splats(original, path, wanted)
            seconds = time.perf_counter() - start
            for reader in READERS[wanted.name]:
                program = programs.get(reader, python)
                if program is None:
                    continue
                got = read_by(reader, path, program, python)
                table.add_row(
                    wanted.name,
                    reader,
                    f"{len(got):,}",
                    *compared(got, original, wanted),
                    decibels(pictures(got, cameras), seen if wanted.degree else without),
                    f"{path.stat().st_size / 1e6:.1f}",
                    f"{seconds:.1f}",
                )
    Console(width=120).print(table)


def columns(splats: Splats) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    return splats.means, splats.quats, splats.scales, splats.opacities


def read_by(reader: str, path: Path, program: Path, python: Path) -> Splats:
    """Return what another library reads, in the axes of a PLY.

    Raises:
        Unavailable: if it does not read the file; the sentence ends in its last line.
    """
    kept = path.with_name("kept.npz")
    foreign = str(Path(__file__).with_name("foreign.py"))
    if reader == "splat-transform":
        converted = path.with_name("converted.ply")
        _run(str(program), "--quiet", "--overwrite", str(path), str(converted))
        _run(str(python), "-I", foreign, "plyfile", str(converted), str(kept))
    else:
        _run(str(program), "-I", foreign, reader, str(path), str(kept))
    with np.load(kept) as held:
        names = ("means", "quats", "scales", "opacities", "sh")
        means, quats, scales, opacities, sh = (np.asarray(held[name], np.float32) for name in names)
        splats = Splats(means, quats, scales, opacities, sh)
        axes = str(held["axes"])
    finite = np.isfinite(splats.opacities)
    # Some readers make an opacity of 1 an infinite logit.
    splats.opacities[~finite] = np.sign(splats.opacities[~finite]) * np.float32(15)
    return splats if axes == "RDF" else to_ply_axes(splats, axes)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}.")


def compared(got: Splats, original: Splats, wanted: Format) -> tuple[str, str]:
    """Return how far the box and the colours are off."""
    expected = original.pick(morton_order(original.means)) if wanted.sorted else original
    corners = [np.stack([each.means.min(0), each.means.max(0)]) for each in (got, expected)]
    bounds = np.abs(corners[0] - corners[1]).max() / np.linalg.norm(corners[1][1] - corners[1][0])
    colours = [np.clip(each.sh[:, 0] * SH0 + 0.5, 0, 1) * 255 for each in (got, expected)]
    return f"{bounds:.1e}", f"{np.abs(colours[0] - colours[1]).mean():.2f}"


def pictures(splats: Splats, cameras: list[Camera]) -> NDArray[np.float64]:
    """Return what the cameras see, (V, H, W, 3), from 0 to 1."""
    renderer = Renderer(splats, "cpu")
    return np.stack([np.clip(renderer.image(camera), 0, 1) for camera in cameras]).astype(float)


def decibels(pictures: NDArray, expected: NDArray) -> str:
    if np.array_equal(pictures, expected):
        return "same"
    return f"{-10 * np.log10(np.square(pictures - expected).mean()):.1f}"


if __name__ == "__main__":
    typer.run(main)

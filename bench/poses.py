"""Poses computed from plain photographs against the poses that captures have.

    python -m bench.poses SCENE [SCENE ...] [--photographs FOLDER] [--seed S]
    python -m bench.poses SCENE --video SPLATS.ply   # of a video: 120 frames around the scene, rendered and encoded

Each scene's photographs are copied out, without its cameras, and poses are computed from them. After alignment by a
similarity transform over the centres (Umeyama 1991, with RANSAC), the table has the share of photographs placed, the
median rotation error in degrees, the median error of the centres as a share of the extent (the largest distance of a
true centre from their mean, times two), and per photograph the elapsed seconds and the seconds of all processor cores.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import av
import numpy as np
import pycolmap
import typer
from rich.console import Console
from rich.table import Table

from backend.mapping import make_workspace
from backend.render import Renderer
from backend.scene import load_scene
from backend.scene.pose import looking_at
from backend.scene.types import Camera, Scene
from backend.scene.unposed import find_unposed
from backend.scene.videos import frame_name
from backend.terminal import progress_bars
from protocol.errors import Fault
from protocol.ply import read_ply
from protocol.splats import Splats

FRAMES = 120
"""Of the video."""
ARC = np.radians(300)
VIDEO_SIDE = 960
"""Longest side of the video, pixels."""


def main(
    scenes: Annotated[list[Path], typer.Argument(help="Scene folders with cameras.")],
    photographs: Annotated[
        Path | None, typer.Option(help="Photographs of the same names, of another size, of a single scene.")
    ] = None,
    seed: int = 0,
    video: Annotated[Path | None, typer.Option(help="Gaussians of a single scene that are filmed.")] = None,
) -> None:
    """Compute poses of each scene and print a row for each."""
    table = Table(
        "scene", "photographs", "placed", "rotation", "centre", "seconds a photograph", "of processors", "points"
    )
    for scene in scenes:
        truth = load_scene(scene)
        table.add_row(*(measure(truth, photographs, seed) if video is None else measure_video(truth, video, seed)))
    Console(width=140).print(table)


def measure(truth: Scene, photographs: Path | None, seed: int) -> tuple[str, ...]:
    """Return the row of one scene."""
    with TemporaryDirectory() as name:
        plain = Path(name) / "plain"
        plain.mkdir()
        files = {view.name: (photographs or view.image_path.parent) / view.image_path.name for view in truth.views}
        for key, file in files.items():
            shutil.copyfile(file, plain / f"{key}{file.suffix}")
        known = {view.name: view.camera for view in truth.views}
        return compute(truth.root.name, plain, Path(name) / "made", known, seed)


def measure_video(truth: Scene, file: Path, seed: int) -> tuple[str, ...]:
    """Return the row of a video of a scene's Gaussians; a frame is placed if it was selected and has a pose."""
    with TemporaryDirectory() as name:
        plain = Path(name) / "plain"
        plain.mkdir()
        cameras = around([view.camera for view in truth.views])
        film(read_ply(file), cameras, plain / "video.mp4")
        known = {Path(frame_name(number)).stem: camera for number, camera in enumerate(cameras)}
        return compute(f"{truth.root.name}, video", plain, Path(name) / "made", known, seed)


def compute(title: str, plain: Path, folder: Path, known: dict[str, Camera], seed: int) -> tuple[str, ...]:
    """Return the row of the photographs or the video in ``plain``, whose true cameras have these names."""
    source = find_unposed(plain)
    assert source is not None
    begin, before = time.perf_counter(), time.process_time()
    try:
        with progress_bars() as progress:
            made = make_workspace(source, folder, seed, progress)
    except Fault as fault:
        return (title, str(len(known)), str(fault), "", "", "", "", "")
    seconds = (time.perf_counter() - begin) / len(known)
    processors = (time.process_time() - before) / len(known)
    computed = load_scene(made.folder)
    pairs = [(view.camera, known[view.name]) for view in computed.views]
    rotation, centre = errors(pairs)
    images = len(list((made.folder / "images").iterdir())) if source.video is not None else len(known)
    return (
        title,
        str(images),
        f"{len(pairs) / images:.0%}",
        f"{rotation:.3f} degrees",
        f"{centre:.2%}",
        f"{seconds:.2f}",
        f"{processors:.2f}",
        f"{len(computed.points):,}",
    )


def around(cameras: list[Camera]) -> list[Camera]:
    """Return cameras on an arc around what the given ones look at, at their median height and distance."""
    axes = np.stack([camera.viewmat[2, :3] for camera in cameras])
    centres = np.stack([camera.centre for camera in cameras])
    up = -np.median([camera.viewmat[1, :3] for camera in cameras], axis=0)
    up /= np.linalg.norm(up)
    # The point nearest to all optical axes, by least squares.
    off = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    target = np.linalg.solve(off.sum(0), np.einsum("nij,nj->i", off, centres))
    arms = centres - target
    height = float(np.median(arms @ up))
    flat = arms - (arms @ up)[:, None] * up
    radius = float(np.median(np.linalg.norm(flat, axis=1)))
    first = flat[0] / np.linalg.norm(flat[0])
    second = np.cross(up, first)
    K = cameras[0].K.copy()
    K[:2] *= VIDEO_SIDE / max(cameras[0].width, cameras[0].height)
    width, height_px = (
        round(side * K[0, 0] / cameras[0].K[0, 0] / 2) * 2 for side in (cameras[0].width, cameras[0].height)
    )
    made = []
    for angle in np.linspace(0, ARC, FRAMES):
        place = target + radius * (np.cos(angle) * first + np.sin(angle) * second) + height * up
        made.append(Camera(looking_at(place, target, up), K, width, height_px))
    return made


def film(splats: Splats, cameras: list[Camera], file: Path) -> None:
    """Render the cameras' images and encode them as H.264, as a phone does."""
    renderer = Renderer(splats.without_columns(), "cpu")
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = cameras[0].width, cameras[0].height, "yuv420p"
        for camera in cameras:
            pixels = (np.asarray(renderer.image(camera)).clip(0, 1) * 255).round().astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


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

"""A turntable of the objects: photographic colours on the left, label colours on the right."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.progress import Progress, silent
from backend.render import Renderer, sh_colours
from backend.scene.pose import looking_at
from backend.scene.types import Camera
from protocol.result.colours import palette
from protocol.splats import Splats

SIZE = (320, 240)
"""Width and height of one of the two images, pixels."""
MOST_FRAMES, LEAST_FRAMES = 36, 8
TURN = 6.0
"""Seconds per turn."""
ELEVATION = np.radians(30)
FIELD = np.radians(45)
"""Vertical field of view."""
MOST_GAUSSIANS = 400_000
"""Most Gaussians that are drawn; larger scenes are subsampled with enlarged Gaussians, which is not visible."""
BEHIND = 0.93
"""Grey level of the background colour."""
AROUND = 0.15
"""Margin around the objects' box, as a share of it, in which background is kept on the camera's side."""
INSIDE = (2, 98)
"""Percentiles of the objects' centres that define the view, so that stray Gaussians do not shrink everything."""


def turntable(
    splats: Splats,
    labels: NDArray[np.int32],
    up: tuple[float, float, float],
    *,
    device: str = "cpu",
    seconds: float = 3.0,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress = silent,
) -> list[Image.Image]:
    """Return the frames of one turn; fewer if frames take long, so that all take about ``seconds``.

    Background between the camera and the objects' box (near walls, a ceiling) is removed.

    Args:
        splats: N Gaussians; at least one.
        labels: (N,), 0 for background.
        up: a unit vector.
    """
    stage = _Stage(splats, labels, up, device)
    stage.frame(0.0)  # the first frame may wait for kernels to load, so it is not timed
    start = clock()
    frames = [stage.frame(0.0)]
    each = max(clock() - start, 1e-6)
    count = int(np.clip(seconds / each, LEAST_FRAMES, MOST_FRAMES))
    for done in range(1, count):
        progress("write", done / count, "turntable")
        frames.append(stage.frame(2 * np.pi * done / count))
    return frames


def write_gif(frames: list[Image.Image], path: Path) -> None:
    """Write ``frames`` as a GIF in an endless loop."""
    # One palette for all frames, because separate palettes make static parts flicker.
    strip = Image.fromarray(np.concatenate([np.asarray(frame)[::4, ::4] for frame in frames]))
    # Median cut alone assigns colours by area and would neglect small objects.
    colours = strip.quantize(255, method=Image.Quantize.MEDIANCUT, kmeans=1)
    packed = [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    each = round(1000 * TURN / len(frames))
    packed[0].save(path, save_all=True, append_images=packed[1:], duration=each, loop=0, optimize=False)


class _Stage:
    """The scene with its viewpoint parameters."""

    def __init__(self, splats: Splats, labels: NDArray[np.int32], up: tuple[float, float, float], device: str) -> None:
        if len(splats) > MOST_GAUSSIANS:
            kept = np.sort(np.random.default_rng(0).choice(len(splats), MOST_GAUSSIANS, replace=False))
            # Enlarge by area: each remaining Gaussian represents more of the surface.
            larger = np.float32(0.5 * np.log(len(splats) / MOST_GAUSSIANS))
            splats, labels = splats.pick(kept), labels[kept]
            splats = replace(splats, scales=splats.scales + larger)
        self.splats, self.device = splats, device
        self.colours = palette(int(labels.max(initial=0)))[labels].astype(np.float32) / 255
        self.background = labels == 0
        self.axes = axes_about(np.array(up))
        self.local = splats.means @ self.axes.T.astype(np.float32)
        looked_at = self.local if self.background.all() else self.local[~self.background]
        low, high = np.percentile(looked_at, INSIDE, axis=0)
        self.centre = (low + high) / 2
        self.low, self.high = low - AROUND * (high - low), high + AROUND * (high - low)
        radius = max(float(np.linalg.norm(high - low)) / 2, 1e-3)
        self.distance = radius / np.sin(FIELD / 2)

    def frame(self, angle: float) -> Image.Image:
        """Return the view from ``angle`` in radians about the vertical."""
        sideways, height = np.cos(ELEVATION), np.sin(ELEVATION)
        place = self.centre + self.distance * np.array([sideways * np.cos(angle), sideways * np.sin(angle), height])
        camera = camera_towards(place @ self.axes, self.centre @ self.axes, self.axes[2], SIZE)
        hidden = ((self.local > self.high) & (place > self.high)) | ((self.local < self.low) & (place < self.low))
        shown = np.nonzero(~(self.background & hidden.any(1)))[0]
        part = self.splats.pick(shown)
        colours = sh_colours(torch.from_numpy(part.sh), torch.from_numpy(part.means), camera).numpy()
        ones = np.ones((len(part), 1), np.float32)
        features = np.concatenate([colours, self.colours[shown], ones], 1)
        image = Renderer(part, self.device).image(camera, features)
        over = image[..., :6] + BEHIND * (1 - image[..., 6:])
        pair = np.concatenate([over[..., :3], over[..., 3:]], 1)
        return Image.fromarray(np.round(255 * pair.clip(0, 1)).astype(np.uint8))


def axes_about(up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation (3, 3): rows are two horizontal axes and the vertical one."""
    other = np.eye(3)[np.abs(up).argmin()]
    first = np.cross(other, up)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(up, first), up])


def camera_towards(
    place: NDArray[np.float64], target: NDArray[np.float64], up: NDArray[np.float64], size: tuple[int, int]
) -> Camera:
    """Return a camera at ``place`` (3,) that looks at ``target`` (3,), upright; ``size`` is (width, height)."""
    width, height = size
    focal = height / 2 / np.tan(FIELD / 2)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return Camera(looking_at(place, target, up), K, width, height)

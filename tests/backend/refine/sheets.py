"""A coarse sheet of Gaussians in two colours, seen through photographs of a fine one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backend.lift import Lift, label_map
from backend.render import Renderer
from backend.scene.types import View
from protocol.sh import SH0
from protocol.splats import Splats
from tests.backend.reconstruct.cameras import ring

Fuzzy = tuple[Splats, Lift, list[View], list[np.ndarray]]


def make_fuzzy(root: Path) -> Fuzzy:
    """A coarse sheet of Gaussians, red left of x = 0 and blue right of it; labels; views and id maps of a fine one."""
    exact, labels = sheet(0.035, 0.02)
    coarse, coarse_labels = sheet(0.14, 0.09)
    renderer = Renderer(exact, "cpu")
    views, maps = [], []
    for number, camera in enumerate(ring(6, (64, 64), 60.0)):
        path = root / f"{number}.png"
        Image.fromarray((255 * np.clip(np.asarray(renderer.image(camera)), 0, 1)).astype(np.uint8)).save(path)
        views.append(View(str(number), camera, path, None))
        maps.append(label_map(renderer, labels, camera))
    n = len(coarse)
    lift = Lift(
        coarse_labels,
        np.linspace(0, 1, n, dtype=np.float32),
        np.zeros(3, np.int32),
        "made",
        {},
        np.eye(n, 4, dtype=np.float32),
    )
    return coarse, lift, views, maps


def sheet(step: float, size: float) -> tuple[Splats, np.ndarray]:
    # No grid line falls on x = 0, and the coarse one is off to a side, so that some of its Gaussians reach over.
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-1.02, 1, step), np.arange(-1, 1, step)))
    n = len(x)
    labels = np.where(x < 0, 1, 2).astype(np.int32)
    colour = np.where(labels[:, None] == 1, [0.8, 0.2, 0.2], [0.2, 0.3, 0.8])
    scales = np.log(np.tile([size, size, 0.01], (n, 1)))
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1))
    sh = ((colour - 0.5) / SH0)[:, None, :].astype(np.float32)
    means = np.column_stack([x, y, np.zeros(n)]).astype(np.float32)
    return Splats(means, quats, scales.astype(np.float32), np.full(n, 3, np.float32), sh), labels


def wrong(splats: Splats, lift: Lift, views: list[View], maps: list[np.ndarray]) -> int:
    renderer = Renderer(splats, "cpu")
    return sum(
        int(((found := label_map(renderer, lift.labels, view.camera)) != exact)[(found > 0) & (exact > 0)].sum())
        for view, exact in zip(views, maps, strict=True)
    )

"""Small labelled scenes for the tests of this room."""

from __future__ import annotations

import numpy as np

from backend.lift.types import Lift
from protocol.splats import Splats


def ball(centre, radius: float, count: int, rng: np.random.Generator) -> Splats:
    """Opaque Gaussians spread over a sphere, red in the constant term."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return Splats(
        means=(np.array(centre) + radius * direction).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.full((count, 3), np.log(radius * 0.12), np.float32),
        opacities=np.full(count, 4.0, np.float32),
        sh=np.tile(np.array([[[1.5, -1.5, -1.5]]], np.float32), (count, 1, 1)),
    )


def two_balls(seed: int = 0) -> tuple[Splats, Lift]:
    """A ball of 900 Gaussians (label 1), one of 400 (label 2), and 100 strays (background)."""
    rng = np.random.default_rng(seed)
    parts = [ball((0, 0, 0), 1.0, 900, rng), ball((5, 0, 0), 0.5, 400, rng), ball((0, 9, 0), 2.0, 100, rng)]
    means, quats, scales, opacities, sh = (
        np.concatenate([getattr(part, column) for part in parts])
        for column in ("means", "quats", "scales", "opacities", "sh")
    )
    splats = Splats(means, quats, scales, opacities, sh)
    labels = np.repeat([1, 2, 0], [900, 400, 100]).astype(np.int32)
    shuffle = rng.permutation(len(splats))
    confidence = np.linspace(0, 1, len(splats), dtype=np.float32)
    return splats.pick(shuffle), Lift(labels[shuffle], confidence, np.array([0, 7, 3], np.int32), "consensus")

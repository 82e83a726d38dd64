"""A wall of opaque Gaussians at a known place, and what may hang in front of it."""

from __future__ import annotations

import numpy as np

from protocol.splats import Splats


def wall(across: int = 24, z: float = 0.0, opacity: float = 6.0) -> Splats:
    """A square of side 2 in the plane of x and y at height ``z``."""
    x, y = np.meshgrid(np.linspace(-1, 1, across), np.linspace(-1, 1, across))
    count = across * across
    means = np.stack([x.ravel(), y.ravel(), np.full(count, z)], 1)
    return splats_at(means, np.array([0.06, 0.06, 0.002]), opacity)


def splats_at(means: np.ndarray, size: np.ndarray, opacity: float) -> Splats:
    count = len(means)
    return Splats(
        means=means.astype(np.float32),
        quats=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        scales=np.tile(np.log(size).astype(np.float32), (count, 1)),
        opacities=np.full(count, opacity, np.float32),
        sh=np.zeros((count, 1, 3), np.float32),
    )


def joined(*parts: Splats) -> Splats:
    return Splats(
        means=np.concatenate([part.means for part in parts]),
        quats=np.concatenate([part.quats for part in parts]),
        scales=np.concatenate([part.scales for part in parts]),
        opacities=np.concatenate([part.opacities for part in parts]),
        sh=np.concatenate([part.sh for part in parts]),
    )

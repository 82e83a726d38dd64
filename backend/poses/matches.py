"""Feature matches between photographs with given poses: which pairs are matched, in which database."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.feature_matching import extract_features, match_features, write_images
from backend.poses.model import matched_size, reconstruction
from backend.progress import Progress
from backend.scene.images import read_stored
from backend.scene.types import View

EXHAUSTIVE = 40
"""Up to this many photographs, all pairs are matched."""

NEIGHBOURS = 24
NEIGHBOURS_TO_CHECK = 8
"""In larger captures each photograph is matched with this many of the nearest that look in a similar direction; the
second number is used if points are known and poses are only checked."""

SIMILAR = 0.0
"""Least cosine of the angle between the viewing directions of photographs that are matched."""


def match(views: Sequence[View], folder: Path, seed: int, progress: Progress, neighbours: int = NEIGHBOURS) -> Path:
    """Return a COLMAP database of the features and verified matches of ``views``.

    The database has the images and cameras of :func:`backend.poses.model.reconstruction`.

    Args:
        folder: an empty folder for the database and for reduced copies of the photographs.
        seed: random seed of the verification of matches.
        neighbours: number of photographs that each one is matched with, if there are more than :data:`EXHAUSTIVE`.

    Raises:
        BadScene: as :func:`backend.scene.images.read_image`.
    """
    database = folder / "features.db"
    names = []
    for number, view in enumerate(views):
        progress("poses", 0.2 * number / len(views), f"photograph {number + 1} of {len(views)}")
        names.append(f"{number:06d}.png")
        grey = Image.fromarray(read_stored(view)).convert("L")
        grey.resize(matched_size(view), Image.Resampling.BOX).save(folder / names[-1], compress_level=1)
    write_images(database, reconstruction(views))
    for done in extract_features(database, folder, names):
        progress("poses", 0.2 + 0.3 * done / len(names), "features")
    pairs = [(names[one], names[other]) for one, other in _pairs(views, neighbours)]
    for done in match_features(database, pairs, seed=seed):
        progress("poses", 0.5 + 0.4 * done / len(pairs), f"matching {done:,} of {len(pairs):,} pairs")
    return database


def _pairs(views: Sequence[View], neighbours: int) -> list[tuple[int, int]]:
    """Return pairs of photographs that may show the same points, by the poses of their cameras."""
    count = len(views)
    if count <= EXHAUSTIVE:
        return list(combinations(range(count), 2))
    centres = np.array([view.camera.centre for view in views])
    forward = np.array([view.camera.viewmat[2, :3] for view in views])
    pairs: set[tuple[int, int]] = set()
    for number in range(count):
        gaps: NDArray[np.float64] = np.linalg.norm(centres - centres[number], axis=1)
        gaps[(forward @ forward[number] < SIMILAR) | (np.arange(count) == number)] = np.inf
        nearest = np.argsort(gaps, kind="stable")[:neighbours]
        pairs |= {(min(number, int(o)), max(number, int(o))) for o in nearest if np.isfinite(gaps[o])}
    return sorted(pairs)

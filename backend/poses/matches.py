"""Feature matches between photographs: SIFT and geometric verification with pycolmap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.colmap_library import pycolmap
from backend.poses.model import matched_size, reconstruction
from backend.progress import Progress
from backend.scene.images import read_stored
from backend.scene.types import View

FEATURES = 2048
"""Most features per photograph. Twice as many take four times as long to match."""

EXHAUSTIVE = 40
"""Up to this many photographs, all pairs are matched."""

NEIGHBOURS = 24
NEIGHBOURS_TO_CHECK = 8
"""In larger captures each photograph is matched with this many of the nearest that look in a similar direction; the
second number is used if points are known and poses are only checked."""

SIMILAR = 0.0
"""Least cosine of the angle between the viewing directions of photographs that are matched."""

AT_ONCE = {"photographs": 8, "pairs": 200}
"""Batch sizes for pycolmap; between two calls progress is reported and the work can be cancelled."""


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
    _write_images(database, reconstruction(views))
    _extract(database, folder, names, progress)
    _match(database, folder, names, _pairs(views, neighbours), seed, progress)
    return database


def _extract(database: Path, folder: Path, names: Sequence[str], progress: Progress) -> None:
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = FEATURES
    for start in range(0, len(names), AT_ONCE["photographs"]):
        progress("poses", 0.2 + 0.3 * start / len(names), "features")
        some = list(names[start : start + AT_ONCE["photographs"]])
        pycolmap.extract_features(
            database,
            folder,
            some,
            camera_mode=pycolmap.CameraMode.PER_IMAGE,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )


def _write_images(database: Path, known: pycolmap.Reconstruction) -> None:
    """Add the images and their cameras to the database, so that features are added to them and not to new ones."""
    with pycolmap.Database.open(database) as opened:
        for camera in known.cameras.values():
            opened.write_camera(camera, use_camera_id=True)
        for rig in known.rigs.values():
            opened.write_rig(rig, use_rig_id=True)
        for frame in known.frames.values():
            opened.write_frame(frame, use_frame_id=True)
        for image in known.images.values():
            opened.write_image(image, use_image_id=True)


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


def _match(
    database: Path,
    folder: Path,
    names: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    seed: int,
    progress: Progress,
) -> None:
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    listing = folder / "pairs.txt"
    for start in range(0, len(pairs), AT_ONCE["pairs"]):
        progress("poses", 0.5 + 0.4 * start / len(pairs), f"matching {start:,} of {len(pairs):,} pairs")
        some = pairs[start : start + AT_ONCE["pairs"]]
        listing.write_text("".join(f"{names[a]} {names[b]}\n" for a, b in some))
        importing = pycolmap.ImportedPairingOptions()
        importing.match_list_path = listing
        pycolmap.match_image_pairs(
            database,
            matching_options=matching,
            pairing_options=importing,
            verification_options=verification,
            device=pycolmap.Device.cpu,
        )

"""SIFT features and verified matches of photographs, in a COLMAP database, computed by pycolmap on the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from backend.colmap_library import pycolmap

MAX_FEATURES = 2048
"""Most features per photograph. Twice as many take four times as long to match."""

CONTRAST = 0.02 / 3
"""Least contrast of a feature of SIFT, as in COLMAP."""

PHOTOGRAPHS_AT_ONCE = 8
PAIRS_AT_ONCE = 200
"""Batch sizes for pycolmap; between two batches progress is reported and the work can be cancelled."""


def write_images(database: Path, known: pycolmap.Reconstruction) -> None:
    """Add images and their cameras to a database, so that features are added to them and not to new ones."""
    with pycolmap.Database.open(database) as opened:
        for camera in known.cameras.values():
            opened.write_camera(camera, use_camera_id=True)
        for rig in known.rigs.values():
            opened.write_rig(rig, use_rig_id=True)
        for frame in known.frames.values():
            opened.write_frame(frame, use_frame_id=True)
        for image in known.images.values():
            opened.write_image(image, use_image_id=True)


def extract_features(
    database: Path, folder: Path, names: Sequence[str], *, first_octave: int = -1, contrast: float = CONTRAST
) -> Iterator[int]:
    """Add the features of photographs to a database; yield before each batch how many photographs are done.

    Args:
        folder: contains the photographs.
        names: of the files; the database has their images, see :func:`write_images`.
        first_octave: of SIFT; at -1 photographs are first enlarged to twice their size.
        contrast: least contrast of a feature.
    """
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = MAX_FEATURES
    options.sift.first_octave = first_octave
    options.sift.peak_threshold = contrast
    for start in range(0, len(names), PHOTOGRAPHS_AT_ONCE):
        yield start
        pycolmap.extract_features(
            database,
            folder,
            list(names[start : start + PHOTOGRAPHS_AT_ONCE]),
            camera_mode=pycolmap.CameraMode.PER_IMAGE,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )


def match_features(
    database: Path, pairs: Sequence[tuple[str, str]], *, seed: int, max_trials: int = 10_000
) -> Iterator[int]:
    """Add the verified matches of pairs to a database; yield before each batch how many pairs are done.

    Args:
        database: has the features of all photographs; the list of pairs is written next to it.
        pairs: names of two photographs each.
        seed: random seed of RANSAC.
        max_trials: most samples of RANSAC for the geometry of a pair.
    """
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    verification.ransac.max_num_trials = max_trials
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = database.with_name("pairs.txt")
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        yield start
        lines = [f"{one} {other}\n" for one, other in pairs[start : start + PAIRS_AT_ONCE]]
        pairing.match_list_path.write_text("".join(lines))
        pycolmap.match_image_pairs(
            database,
            matching_options=matching,
            pairing_options=pairing,
            verification_options=verification,
            device=pycolmap.Device.cpu,
        )

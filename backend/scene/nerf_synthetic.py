"""NeRF-synthetic: ``transforms_train.json`` and ``transforms_test.json`` beside ``train/r_0.png``, Blender cameras."""

from __future__ import annotations

from pathlib import Path

from backend.scene.capture import Capture
from backend.scene.json_files import read_json
from backend.scene.transforms import MASK_FOLDERS, Transforms, read_frames

TRAIN, TEST = "transforms_train.json", "transforms_test.json"


def read_nerf_synthetic(root: Path) -> Capture:
    """Return the training and test photographs of ``root`` as one capture; those for testing are held out.

    ``transforms_val.json`` is left alone, as methods do that report on this data set.

    Raises:
        BadScene: if a file, a pose or a camera cannot be used, or the photographs of one file are all missing.
    """
    shots, warnings = [], ()
    for name in (TRAIN, TEST):
        listing = root / name
        if listing.is_file():
            more, missing = read_frames(root, listing, read_json(listing, Transforms), held_out=name == TEST)
            shots += more
            warnings += missing
    return Capture(shots, MASK_FOLDERS, warnings=warnings)

"""NeRF-synthetic: ``transforms_train.json`` and ``transforms_test.json`` beside ``train/r_0.png``, Blender cameras."""

from __future__ import annotations

from pathlib import Path

from backend.scene.capture import Capture
from backend.scene.json_files import read_json
from backend.scene.transforms import MASK_FOLDERS, Transforms, read_frames, with_shared

TRAIN, TEST = "transforms_train.json", "transforms_test.json"


def read_nerf_synthetic(root: Path) -> Capture:
    """Return the training and test photographs of ``root`` as one capture; those for testing are held out.

    ``transforms_val.json`` is left alone, as methods do that report on this data set.

    Raises:
        BadScene: if a file, a pose or a camera cannot be used, or no photograph is there.
    """
    both = Transforms(frames=[])
    for name in (TRAIN, TEST):
        if (root / name).is_file():
            content = read_json(root / name, Transforms)
            both.frames += [with_shared(frame, content) for frame in content.frames]
            if name == TEST:
                both.test_filenames += [frame.file_path for frame in content.frames]
    shots, warnings = read_frames(root, root / "transforms_{train,test}.json", both)
    return Capture(shots, MASK_FOLDERS, warnings=warnings)

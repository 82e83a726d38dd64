"""NeRF-synthetic: ``transforms_train.json`` and ``transforms_test.json`` next to ``train/r_0.png``, Blender cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backend.scene.capture import Capture
from backend.scene.files import Names
from backend.scene.json_files import read_json
from backend.scene.transforms import Transforms, read_frames, with_shared

TRAIN, TEST = "transforms_train.json", "transforms_test.json"


def read_nerf_synthetic(names: Names, place: Path) -> Capture:
    """Return the training and test photographs of ``place`` as one capture; test photographs are held out.

    ``transforms_val.json`` is ignored, as in the methods that report on this data set. Unlisted images are ignored too:
    depth and normal maps are in the same folders.

    Raises:
        NoPhotographs: if none of the photographs exists.
        BadScene: if a file, a pose or a camera is not usable.
    """
    both = Transforms(frames=[])
    for name in (TRAIN, TEST):
        if file := names.file(place, name):
            content = read_json(file, Transforms)
            both.frames += [with_shared(frame, content) for frame in content.frames]
            if name == TEST:
                both.test_filenames += [frame.file_path for frame in content.frames]
    capture = read_frames(names, place, place / "transforms_{train,test}.json", both)
    return replace(capture, others=(), cut_out=True)

"""ScanNet and Replica as prepared for Panoptic-Lifting: ``color/<frame>.jpg``, ``pose/<frame>.txt``, one camera.

Masks are the things found by Mask2Former, ``m2f_instance/<frame>.png``. The ground truth in ``rs_instance/`` is never
used by default, because it is for scoring.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.scene.calibration import calibrate, camera_for
from backend.scene.capture import Capture, Shot
from backend.scene.files import Names, is_file_inside
from backend.scene.images import image_size
from backend.scene.json_files import read_json
from backend.scene.photographs import NoPhotographs
from backend.scene.pose import rigid
from protocol.endings import PHOTOGRAPH_ENDINGS, is_one_of
from protocol.errors import BadScene
from protocol.folder_names import MASK_FOLDERS_OF_SCANS
from protocol.natural_order import natural_key

INTRINSIC = "intrinsic/intrinsic_color.txt"
FOLDER, POSES, SPLITS = "color", "pose", "splits.json"
MAX_BYTES = 1 << 16
"""Most bytes of a text file with one 4 x 4 matrix."""


class Splits(msgspec.Struct):
    test: list[str]


def read_panoptic_lifting(names: Names, place: Path) -> Capture:
    """Return the capture of ``place / "color"``; the frames that ``splits.json`` lists under "test" are held out.

    Poses are camera-to-world with OpenCV axes, as in ScanNet. The intrinsic matrix is in pixels of the photographs. A
    frame without a pose file, or with one of infinite values as ScanNet marks lost frames, is skipped.

    Raises:
        NoPhotographs: if there is no photograph with a pose.
        BadScene: if the camera, a pose or the split is not usable.
    """
    folder = place / FOLDER
    photographs = [folder / name for name in names.of(folder).files if is_one_of(name, PHOTOGRAPH_ENDINGS)]
    photographs.sort(key=lambda file: natural_key(file.name))
    poses = set(names.of(place / POSES).files)
    posed = [file for file in photographs if f"{file.stem}.txt" in poses]
    if not posed:
        raise NoPhotographs(
            f"None of the {len(photographs)} photographs of {folder} has a pose in {place / POSES}.",
            "Give each color/<frame>.jpg its pose/<frame>.txt.",
        )
    K = _matrix(place / INTRINSIC)
    listing = place / SPLITS
    tested = set(read_json(listing, Splits).test) if is_file_inside(listing, names.root) else set()
    posed = [file for file in posed if np.isfinite(_matrix(_pose_of(place, file))).any()] or posed
    shots = [_shot(place, file, K, file.stem in tested) for file in posed]
    absent = tuple(file.name for file in photographs if file not in posed)
    said = _left_out(len(absent), len(photographs), folder)
    return Capture(shots, place / INTRINSIC, mask_folders=MASK_FOLDERS_OF_SCANS, absent=absent, warnings=said)


def _pose_of(place: Path, photograph: Path) -> Path:
    return place / POSES / f"{photograph.stem}.txt"


def _shot(place: Path, file: Path, K: NDArray[np.float64], held_out: bool) -> Shot:
    width, height = image_size(file)
    pinhole = [K[0, 0], K[1, 1], K[0, 2], K[1, 2]]
    calibration = calibrate("PINHOLE", pinhole, width, height, f"{place / INTRINSIC}")
    pose = _pose_of(place, file)
    viewmat = np.linalg.inv(rigid(_matrix(pose), f"The pose {pose}"))
    return Shot(file.name, file, camera_for(file, viewmat, calibration), held_out=held_out)


def _matrix(file: Path) -> NDArray[np.float64]:
    """Read a (4, 4) matrix in row order."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadScene(f"{file} is larger than {MAX_BYTES} bytes.", "It must contain one 4 x 4 matrix.")
        matrix = np.array(file.read_text(encoding="ascii").split(), np.float64)
    except (OSError, ValueError) as error:
        raise BadScene(f"The matrix {file} cannot be read: {error}.", "It must contain one 4 x 4 matrix.") from error
    if matrix.size != 16:
        raise BadScene(f"{file} contains {matrix.size} numbers.", "It must contain one 4 x 4 matrix.")
    return matrix.reshape(4, 4)


def _left_out(count: int, photographs: int, folder: Path) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{count} of {photographs} photographs of {folder} have no pose and were skipped.",)

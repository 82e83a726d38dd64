"""ScanNet and Replica as Panoptic-Lifting prepares them: ``color/<frame>.jpg``, ``pose/<frame>.txt``, one camera.

Masks are the things that Mask2Former saw, ``m2f_instance/<frame>.png``. The true ids in ``rs_instance/`` are never
taken by themselves: they are for scoring.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.scene.calibration import calibrate, camera_for
from backend.scene.capture import Capture, Shot
from backend.scene.files import PHOTOGRAPH_ENDINGS
from backend.scene.images import image_size
from backend.scene.json_files import read_json
from backend.scene.names import natural_key
from backend.scene.pose import rigid
from protocol.errors import BadScene

INTRINSIC = "intrinsic/intrinsic_color.txt"
MASK_FOLDERS = ("m2f_instance", "masks")
MAX_BYTES = 1 << 16
"""Of a text file with one 4 x 4 matrix."""


class Splits(msgspec.Struct):
    test: list[str]


def read_panoptic_lifting(root: Path) -> Capture:
    """Return the capture of ``root / "color"``; the frames that ``splits.json`` lists under "test" are held out.

    Poses are camera-to-world with OpenCV axes, as ScanNet has them. The intrinsic matrix is in pixels of the
    photographs. A frame without a pose file is left out, which is how ScanNet's lost frames are marked.

    Raises:
        BadScene: if the camera, a pose or the split cannot be used, or no photograph with a pose is there.
    """
    photographs = [file for file in (root / "color").iterdir() if file.suffix in PHOTOGRAPH_ENDINGS]
    photographs.sort(key=lambda file: natural_key(file.name))
    posed = [file for file in photographs if _pose_file(root, file).is_file()]
    if not posed:
        raise BadScene(
            f"None of the {len(photographs)} photographs of {root / 'color'} has a pose in {root / 'pose'}.",
            "Give each color/<frame>.jpg its pose/<frame>.txt.",
        )
    K = _matrix(root / INTRINSIC)
    tested = set(read_json(root / "splits.json", Splits).test) if (root / "splits.json").is_file() else set()
    shots = [_shot(root, file, K, file.stem in tested) for file in posed]
    return Capture(shots, MASK_FOLDERS, warnings=_left_out(len(photographs) - len(posed), len(photographs), root))


def _shot(root: Path, file: Path, K: NDArray[np.float64], held_out: bool) -> Shot:
    width, height = image_size(file)
    pinhole = [K[0, 0], K[1, 1], K[0, 2], K[1, 2]]
    calibration = calibrate("PINHOLE", pinhole, width, height, f"{root / INTRINSIC}")
    pose = _pose_file(root, file)
    viewmat = np.linalg.inv(rigid(_matrix(pose), f"The pose {pose}"))
    return Shot(file.name, file, camera_for(file, viewmat, calibration), held_out=held_out)


def _pose_file(root: Path, photograph: Path) -> Path:
    return root / "pose" / f"{photograph.stem}.txt"


def _matrix(file: Path) -> NDArray[np.float64]:
    """Read a (4, 4) matrix, row by row."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadScene(f"{file} is larger than {MAX_BYTES} bytes.", "It should hold one 4 x 4 matrix.")
        matrix = np.array(file.read_text(encoding="ascii").split(), np.float64)
    except (OSError, ValueError) as error:
        raise BadScene(f"The matrix {file} cannot be read: {error}.", "It should hold one 4 x 4 matrix.") from error
    if matrix.size != 16:
        raise BadScene(f"{file} holds {matrix.size} numbers.", "It should hold one 4 x 4 matrix.")
    return matrix.reshape(4, 4)


def _left_out(count: int, photographs: int, root: Path) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{count} of {photographs} photographs of {root / 'color'} have no pose and were left out.",)

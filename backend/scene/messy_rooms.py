"""Messy-Rooms: ``color/<n>.png``, ``metadata.json`` with Kubric's camera, masks in ``detic_instance/<n>.npy``.

The ground truth in ``instance/`` is never used by default, because it is for scoring.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from scipy.spatial.transform import Rotation

from backend.scene.calibration import calibrate, camera_for
from backend.scene.capture import Capture, Shot
from backend.scene.files import Names
from backend.scene.images import image_size
from backend.scene.json_files import read_json
from backend.scene.photographs import NoPhotographs
from backend.scene.pose import rigid, viewmat_from_opengl
from protocol.endings import PHOTOGRAPH_ENDINGS, is_one_of
from protocol.errors import BadScene
from protocol.folder_names import MASK_FOLDERS_OF_ROOMS
from protocol.natural_order import natural_key

LIST = "metadata.json"
FOLDER = "color"


class KubricCamera(msgspec.Struct):
    K: list[list[float]]
    positions: list[list[float]]
    quaternions: list[list[float]]


class Metadata(msgspec.Struct):
    camera: KubricCamera


def read_messy_rooms(names: Names, place: Path) -> Capture:
    """Return the capture of ``place / "metadata.json"``: photograph ``color/<n>.png`` has pose n, counted from 0.

    ``positions`` are camera centres, ``quaternions`` (w, x, y, z) rotate Blender's camera axes into the world. ``K`` is
    in units of the photograph's width (first row) and height (second); Kubric's camera looks along -z, so its signs are
    those of OpenGL and its magnitudes those of OpenCV.

    Raises:
        BadScene: if the file, a pose or the camera is not usable, or no photograph exists.
    """
    listing = place / LIST
    camera = read_json(listing, Metadata).camera
    poses = len(camera.positions)
    if len(camera.quaternions) != poses:
        raise BadScene(f"{listing} has {poses} positions and {len(camera.quaternions)} quaternions.")
    folder = place / FOLDER
    files = [folder / name for name in names.of(folder).files if is_one_of(name, PHOTOGRAPH_ENDINGS)]
    if not files:
        raise NoPhotographs(f"{folder} contains no photograph: expected 0000.png or similar.")
    shots = [_shot(file, camera, listing) for file in sorted(files, key=_order)]
    there = {int(file.stem) for file in files}
    absent = tuple(f"{i:0{len(files[0].stem)}}" for i in range(poses) if i not in there)
    said = _missing(len(absent), poses, folder)
    return Capture(shots, listing, mask_folders=MASK_FOLDERS_OF_ROOMS, absent=absent, warnings=said)


def _order(file: Path):
    return natural_key(file.name)


def _missing(count: int, poses: int, folder: Path) -> tuple[str, ...]:
    if not count:
        return ()
    return (f"{count} of {poses} listed photographs are not in {folder} and were skipped.",)


def _shot(file: Path, camera: KubricCamera, listing: Path) -> Shot:
    if not (file.stem.isascii() and file.stem.isdigit() and int(file.stem) < len(camera.positions)):
        raise BadScene(
            f"The photograph {file} has no pose: {listing} has poses 0 to {len(camera.positions) - 1}.",
            "Name each photograph after the number of its pose.",
        )
    i = int(file.stem)
    width, height = image_size(file)
    calibration = calibrate("PINHOLE", _pinhole(camera, width, height, listing), width, height, f"{listing}")
    camera_to_world = _camera_to_world(camera.positions[i], camera.quaternions[i], f"Pose {i} of {listing}")
    return Shot(file.name, file, camera_for(file, viewmat_from_opengl(camera_to_world), calibration))


def _pinhole(camera: KubricCamera, width: int, height: int, listing: Path) -> list[float]:
    """Return fx, fy, cx, cy in pixels."""
    if [len(row) for row in camera.K] != [3, 3, 3]:
        raise BadScene(f"K in {listing} is not a 3 x 3 matrix.")
    K = np.abs(np.array(camera.K))
    return [K[0, 0] * width, K[1, 1] * height, K[0, 2] * width, K[1, 2] * height]


def _camera_to_world(position: list[float], quaternion: list[float], what: str) -> np.ndarray:
    if len(position) != 3 or len(quaternion) != 4:
        raise BadScene(f"{what} has {len(position)} and {len(quaternion)} values; 3 and 4 are expected.")
    w, x, y, z = quaternion
    if not 0.5 < np.hypot.reduce(quaternion) < 2:
        raise BadScene(f"{what} has the quaternion {quaternion}, which is not a rotation.")
    R = Rotation.from_quat([x, y, z, w]).as_matrix()
    return rigid(np.column_stack([R, position]), what)

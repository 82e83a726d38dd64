"""COLMAP: ``images/`` beside ``sparse/0/{cameras,images,points3D}.{bin,txt}``, read through pycolmap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pycolmap

from backend.scene.calibration import Calibration, calibrate, camera_for
from backend.scene.capture import Capture, Shot
from backend.scene.colmap_binary import check_binary
from backend.scene.files import find_photographs, inner_path
from backend.scene.names import natural_key
from backend.scene.points import usable_points
from backend.scene.pose import rigid
from protocol.errors import BadScene

MODEL_FOLDERS = ("sparse/0", "sparse", ".")
TABLES = ("cameras", "images", "points3D")
TRAINING_FOLDER = "images_train"
"""LERF-Mask as Gaussian Grouping publishes it: photographs that are not in here are for testing."""
ANNOTATED_FOLDER = "segmentations"
"""3D-OVS: photographs with a folder of true masks in here are for testing."""
MASK_FOLDERS = ("masks", "instance_masks", "seg_masks", "object_mask", "sam_mask", "entityseg_mask", "instance")


def find_model(root: Path) -> Path | None:
    """Return the folder of the reconstruction, or None where ``root`` holds none."""
    folders = [root / folder for folder in MODEL_FOLDERS]
    return next((folder for folder in folders if _ending(folder)), None)


def _ending(folder: Path) -> str | None:
    endings = (".bin", ".txt")
    return next((e for e in endings if all((folder / f"{table}{e}").is_file() for table in TABLES)), None)


def read_colmap(root: Path, model: Path) -> Capture:
    """Return the capture whose reconstruction lies in ``model``.

    Photographs are those below ``images``, or below a scaled copy such as ``images_4`` where there is no ``images``.
    Those that LERF-Mask and 3D-OVS test on are held out.

    Raises:
        BadScene: if the reconstruction is damaged, a camera cannot be used, or no photograph is there.
    """
    ending = _ending(model)
    listing = model / f"images{ending}"
    reconstruction = _read(model, listing)
    posed = _posed_images(reconstruction, listing)
    folders = [root / "images", *sorted(root.glob("images_*"), key=lambda folder: natural_key(folder.name))]
    found, warnings = find_photographs(folders, sorted(posed, key=natural_key), listing)

    calibrations: dict[int, Calibration] = {}
    shots = []
    for name, file in found.items():
        image = posed[name]
        if image.camera_id not in calibrations:
            calibrations[image.camera_id] = _calibration(reconstruction.cameras[image.camera_id], model)
        calibration = calibrations[image.camera_id]
        viewmat = rigid(image.cam_from_world().matrix(), f"The pose of {name} in {listing}")
        path = inner_path(name, listing).with_name(file.name).as_posix()
        camera = camera_for(file, viewmat, calibration)
        shots.append(Shot(path, file, camera, calibration.lens, held_out=_held_out(root, file)))
    matched = reconstruction.compute_num_observations() > 0
    return Capture(shots, MASK_FOLDERS, *_points(reconstruction), warnings, matched)


def _held_out(root: Path, photograph: Path) -> bool:
    if (root / TRAINING_FOLDER).is_dir():
        return not (root / TRAINING_FOLDER / photograph.name).is_file()
    return (root / ANNOTATED_FOLDER / photograph.stem).is_dir()


def _read(model: Path, listing: Path) -> pycolmap.Reconstruction:
    if listing.suffix == ".bin":
        check_binary(model)
    try:
        reconstruction = pycolmap.Reconstruction()
        if listing.suffix == ".bin":
            reconstruction.read_binary(model)
        else:
            reconstruction.read_text(model)
        return reconstruction
    except (ValueError, IndexError, RuntimeError, MemoryError) as error:
        reason = str(error).splitlines()[0]
        raise BadScene(f"COLMAP cannot read {model}: {reason}.", "Export the reconstruction again.") from error


def _posed_images(reconstruction: pycolmap.Reconstruction, listing: Path) -> dict[str, pycolmap.Image]:
    try:
        return {image.name: image for image in reconstruction.images.values() if image.has_pose}
    except UnicodeDecodeError as error:
        raise BadScene(f"{listing} holds an image name that is not UTF-8.", "Rename the photographs.") from error


def _calibration(camera: pycolmap.Camera, model: Path) -> Calibration:
    what = f"Camera {camera.camera_id} of {model}"
    return calibrate(camera.model_name, list(camera.params), camera.width, camera.height, what)


def _points(reconstruction: pycolmap.Reconstruction) -> tuple[np.ndarray, np.ndarray]:
    points = [reconstruction.points3D[i] for i in sorted(reconstruction.points3D)]
    xyz = np.array([point.xyz for point in points], np.float64).reshape(-1, 3)
    rgb = np.array([point.color for point in points], np.uint8).reshape(-1, 3)
    return usable_points(xyz, rgb)

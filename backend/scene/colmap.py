"""COLMAP: ``images/`` next to ``sparse/0/{cameras,images,points3D}.{bin,txt}``, read with pycolmap.

If COLMAP cannot connect all photographs it writes several models, ``sparse/0``, ``sparse/1`` and so on, each in its own
frame; the model with the most photographs is read.
"""

from __future__ import annotations

import re
import struct
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from backend.colmap_library import pycolmap
from backend.scene.calibration import Calibration, calibrate, camera_for
from backend.scene.capture import Capture, Shot
from backend.scene.colmap_binary import check_binary
from backend.scene.colmap_text import check_points, check_text
from backend.scene.files import Names, is_file_inside
from backend.scene.photographs import find_photographs
from backend.scene.points import usable_points
from backend.scene.pose import rigid
from protocol.errors import BadScene
from protocol.folder_names import folded
from protocol.natural_order import natural_key

T = TypeVar("T")

_SOURCE = re.compile(r"^\[[^\]]*\] *(Check failed: *)?")
_CODE = re.compile(r"::|>>|\(\)|->|==")

MODEL_FOLDER = "sparse"
TABLES = ("cameras", "images", "points3D")
NEEDED, POINTS = TABLES[:2], TABLES[2]
FURTHER_TABLES = ("rigs", "frames")
ENDINGS = (".bin", ".txt")
TRAINING_FOLDER = "images_train"
"""LERF-Mask as published with Gaussian Grouping: photographs that are not in this folder are test photographs."""
ANNOTATED_FOLDER = "segmentations"
"""3D-OVS: photographs with a folder of annotations in this folder are test photographs."""


def find_models(names: Names, place: Path) -> list[Path]:
    """Return the folders of models at ``place``: those in ``sparse``, ``sparse`` itself, and ``place`` itself."""
    return [folder for folder in _candidates(names, place) if _ending(names, folder)]


def found_in_part(names: Names, place: Path) -> list[str]:
    """Return which tables of incomplete models were found, each as a part of a sentence."""
    found = []
    wanted = {folded(table + ending) for table in TABLES for ending in ENDINGS}
    for folder in _candidates(names, place):
        there = [file for file in names.of(folder).files if folded(file) in wanted]
        if there and not _ending(names, folder):
            found.append(
                f"{folder} contains {' and '.join(there)}, but not all three files with the same ending and exact names"
            )
    return found


def _candidates(names: Names, place: Path) -> list[Path]:
    sparse = [place / name for name in names.of(place).folders if folded(name) == MODEL_FOLDER]
    inner = [folder / name for folder in sparse for name in sorted(names.of(folder).folders, key=natural_key)]
    return [*inner, *sparse, place]


def _ending(names: Names, folder: Path) -> str | None:
    """Return the ending of a model's tables, or None. The points may be missing, but not misnamed."""
    files = names.of(folder).files
    whole = next((e for e in ENDINGS if all(f"{table}{e}" in files for table in TABLES)), None)
    if whole is not None or any(folded(file) in {folded(POINTS + ending) for ending in ENDINGS} for file in files):
        return whole
    return next((e for e in ENDINGS if all(f"{table}{e}" in files for table in NEEDED)), None)


def read_colmap(names: Names, place: Path) -> Capture:
    """Return the capture of the models that :func:`find_models` finds at ``place``.

    The test photographs of LERF-Mask and 3D-OVS are held out.

    Raises:
        NoPhotographs: if none of the photographs exists.
        BadScene: if the model is damaged, or a camera is not usable.
    """
    model, warnings = _largest(names, find_models(names, place))
    listing = model / f"images{_ending(names, model)}"
    reconstruction, left_out = _read(names, model, listing)
    warnings += left_out
    posed = _posed_images(reconstruction, listing)
    found = find_photographs(names, place, sorted(posed, key=natural_key), listing, here=False)

    calibrations: dict[int, Calibration] = {}
    shots = []
    for name, file in found.files.items():
        image = posed[name]
        if image.camera_id not in calibrations:
            calibrations[image.camera_id] = _calibration(reconstruction.cameras[image.camera_id], model)
        calibration = calibrations[image.camera_id]
        pose = _explained(image.cam_from_world, model).matrix()
        viewmat = rigid(pose, f"The pose of {name} in {listing}")
        path = file.relative_to(names.root).as_posix()
        camera = camera_for(file, viewmat, calibration)
        shots.append(Shot(path, file, camera, calibration.lens, held_out=_held_out(names, place, file)))
    points = _points(reconstruction)
    matched = _explained(reconstruction.compute_num_observations, model) > 0
    said = (*warnings, *found.warnings)
    return Capture(shots, listing, *points, others=found.others, absent=found.absent, warnings=said, matched=matched)


def _largest(names: Names, models: list[Path]) -> tuple[Path, tuple[str, ...]]:
    """Return the model with the most photographs, the first of equals, and a warning if there are others."""
    if len(models) == 1:
        return models[0], ()
    counts = {model: _count(model / f"images{_ending(names, model)}") for model in models}
    best = max(models, key=lambda model: counts[model])
    others = ", ".join(f"{model} with {counts[model]}" for model in models if model != best)
    said = (
        f"{best} was read because it has the most photographs of {len(models)} reconstructions, {counts[best]}; "
        f"not read: {others}."
    )
    return best, (said,)


def _count(listing: Path) -> int:
    """Return how many photographs a table lists."""
    if listing.suffix == ".txt":
        return len(_names_in_text(listing))
    with listing.open("rb") as file:
        start = file.read(8)
    # A damaged file may contain any count; it cannot contain more records than bytes.
    return min(struct.unpack("<Q", start)[0], listing.stat().st_size) if len(start) == 8 else 0


def _held_out(names: Names, place: Path, photograph: Path) -> bool:
    if TRAINING_FOLDER in names.of(place).folders:
        return photograph.name not in names.of(place / TRAINING_FOLDER).files
    return photograph.stem in names.of(place / ANNOTATED_FOLDER).folders


def _read(names: Names, model: Path, listing: Path) -> tuple[pycolmap.Reconstruction, tuple[str, ...]]:
    """Return the model, and warnings about tables that are missing or ignored.

    Raises:
        BadScene: if a table is damaged, or is a link out of the scene folder.
    """
    ending = listing.suffix
    files = {table: model / f"{table}{ending}" for table in (*TABLES, *FURTHER_TABLES)}
    there = [table for table, file in files.items() if file.exists()]
    for table in there:
        if not is_file_inside(files[table], names.root):
            raise BadScene(f"{files[table]} is outside the scene folder.", "Copy it into the scene folder.")
    if ending == ".bin":
        check_binary(model)
    else:
        check_text(model)
    said = []
    if POINTS not in there:
        said.append(f"{model} has no {POINTS}{ending}, so its sparse points are computed.")
    single = [table for table in there if table in FURTHER_TABLES]
    if len(single) == 1:
        there.remove(single[0])
        # The poses of all images are in images.bin as well.
        said.append(f"{files[single[0]]} was ignored, because {' and '.join(FURTHER_TABLES)} belong together.")
    if not said and (ending == ".bin" or not any(map(_is_marked, map(files.__getitem__, there)))):
        try:
            return _explained(lambda: _read_tables(model, ending), model), ()
        except BadScene:
            if ending == ".txt":
                check_points(model)
            raise
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for table in there:
            content = files[table].read_bytes()
            (copy / files[table].name).write_bytes(content if ending == ".bin" else content.removeprefix(BOM_UTF8))
        if POINTS not in there:
            (copy / files[POINTS].name).write_bytes(bytes(8) if ending == ".bin" else b"")
        return _explained(lambda: _read_tables(copy, ending), model), tuple(said)


def _read_tables(folder: Path, ending: str) -> pycolmap.Reconstruction:
    reconstruction = pycolmap.Reconstruction()
    (reconstruction.read_binary if ending == ".bin" else reconstruction.read_text)(folder)
    return reconstruction


def _explained(step: Callable[[], T], model: Path) -> T:
    """Return what COLMAP makes of a model; what it says is wrong becomes a sentence."""
    try:
        return step()
    except (ValueError, IndexError, RuntimeError, MemoryError) as error:
        raise BadScene(f"COLMAP cannot read {model}: {_plain(error)}.", "Export the reconstruction again.") from error


def _plain(error: Exception) -> str:
    """Return COLMAP's reason without the place in its source."""
    reason = _SOURCE.sub("", str(error).splitlines()[0]).strip(" .")
    return reason if reason and not _CODE.search(reason) else "its tables contradict each other"


def _is_marked(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(BOM_UTF8)) == BOM_UTF8


def _posed_images(reconstruction: pycolmap.Reconstruction, listing: Path) -> dict[str, pycolmap.Image]:
    # COLMAP's reader ends a name in a text file at its first space.
    whole = _names_in_text(listing) if listing.suffix == ".txt" else {}
    try:
        posed = [(whole.get(i, str(image.name)), image) for i, image in reconstruction.images.items() if image.has_pose]
        twice = [name for name, count in Counter(name for name, _ in posed).items() if count > 1]
        if twice:
            raise BadScene(f"{listing} lists {twice[0]!r} twice, with different poses.", "Remove one of them.")
        return dict(posed)
    except UnicodeDecodeError as error:
        raise BadScene(f"{listing} contains an image name that is not UTF-8.", "Rename the photographs.") from error


def _names_in_text(listing: Path) -> dict[int, str]:
    """Return the names in ``images.txt`` by image id.

    Each image has two lines. The first has its id, seven numbers of its pose, its camera's id and its name, which is
    the rest of the line. The second, which may be empty, has its points.
    """
    names: dict[int, str] = {}
    with listing.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for line in lines:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            fields = line.split(None, 9)
            if len(fields) == 10 and fields[0].isascii() and fields[0].isdigit():
                names[int(fields[0])] = fields[9].rstrip("\r\n \t")
            points = next(lines, "").split(None, 9)
            # COLMAP's reader would skip every other photograph.
            if len(points) == 10 and not _is_number(points[9].split()[0]):
                raise BadScene(
                    f"{listing} has no line of 2D points after the photograph {fields[-1].strip()!r}.",
                    "Add an empty line after the line of each photograph.",
                )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _calibration(camera: pycolmap.Camera, model: Path) -> Calibration:
    what = f"Camera {camera.camera_id} of {model}"
    return calibrate(camera.model_name, list(camera.params), camera.width, camera.height, what)


def _points(reconstruction: pycolmap.Reconstruction) -> tuple[np.ndarray, np.ndarray]:
    points = [reconstruction.points3D[i] for i in sorted(reconstruction.points3D)]
    xyz = np.array([point.xyz for point in points], np.float64).reshape(-1, 3)
    rgb = np.array([point.color for point in points], np.uint8).reshape(-1, 3)
    return usable_points(xyz, rgb)

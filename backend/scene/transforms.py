"""``transforms.json`` of nerfstudio and instant-ngp: OpenGL camera-to-world matrices, intrinsics per file or frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from backend.scene.calibration import MODELS as PERSPECTIVE
from backend.scene.calibration import Calibration, calibrate, camera_for
from backend.scene.capture import Capture, Shot
from backend.scene.files import Names, find_listed, read_entry
from backend.scene.images import image_size
from backend.scene.json_files import read_json
from backend.scene.photographs import find_photographs
from backend.scene.points import read_points
from backend.scene.pose import rigid, viewmat_from_opengl
from protocol.errors import BadScene

LIST = "transforms.json"
MAX_SIDE = 1 << 20
"""Most pixels along one side of a photograph; larger values are errors in the file."""


class Intrinsics(msgspec.Struct, kw_only=True):
    """Intrinsics in pixels and radians; a frame's own values take precedence over the file's."""

    camera_model: str | None = None
    is_fisheye: bool | None = None
    w: float | None = None
    h: float | None = None
    fl_x: float | None = None
    fl_y: float | None = None
    cx: float | None = None
    cy: float | None = None
    camera_angle_x: float | None = None
    camera_angle_y: float | None = None
    k1: float | None = None
    k2: float | None = None
    k3: float | None = None
    k4: float | None = None
    p1: float | None = None
    p2: float | None = None


class Frame(Intrinsics, kw_only=True):
    file_path: str
    transform_matrix: list[list[float]]
    mask_path: str | None = None


class Transforms(Intrinsics, kw_only=True):
    frames: list[Frame]
    ply_file_path: str | None = None
    test_filenames: list[str] = []


def read_transforms(names: Names, place: Path) -> Capture:
    """Return the capture of ``place / "transforms.json"``.

    A frame's ``mask_path`` is read as a map of instance ids, which differs from nerfstudio, so a warning says so.
    Frames listed in ``test_filenames`` are held out.

    Raises:
        NoPhotographs: if none of the photographs exists.
        BadScene: if the file, a pose or a camera is not usable, or a path matches nothing inside the scene folder.
    """
    listing = names.file(place, LIST) or place / LIST
    content = read_json(listing, Transforms)
    capture = read_frames(names, place, listing, content)
    warnings = capture.warnings
    if any(shot.mask for shot in capture.shots):
        warnings += (
            f"The masks that {listing} names in mask_path are read as instance ids, with 0 for background; "
            "nerfstudio uses them to exclude pixels.",
        )
    if content.ply_file_path is None:
        return replace(capture, warnings=warnings)
    file = find_listed(names, place, content.ply_file_path, listing)
    if file is None:
        missing = f"The sparse points {place / content.ply_file_path} are missing."
        return replace(capture, warnings=(*warnings, missing))
    points, colours = read_points(file)
    warnings += _elsewhere([content.ply_file_path], [file], place, listing)
    return replace(capture, points=points, colours=colours, warnings=warnings)


def read_frames(names: Names, place: Path, listing: Path, content: Transforms) -> Capture:
    """Return the existing photographs of a file, with warnings about missing ones.

    Args:
        names: of the scene folder.
        place: the folder that the file's paths are relative to.
        listing: the file, for error messages.
        content: its content.
    """
    frames: dict[str, Frame] = {}
    for frame in content.frames:
        if frames.setdefault(frame.file_path, frame) != frame:
            raise BadScene(f"{listing} lists {frame.file_path!r} twice, with different cameras.", "Remove one of them.")
    found = find_photographs(names, place, frames, listing, here=True)
    masks, warnings = _masks(names, place, [frames[entry] for entry in found.files], listing)
    tested = set(content.test_filenames)
    shots = []
    for entry, file in found.files.items():
        frame = with_shared(frames[entry], content)
        camera_to_world = rigid(frame.transform_matrix, f"The transform_matrix of {entry} in {listing}")
        calibration = _calibration(frame, file, f"The camera of {entry} in {listing}")
        camera = camera_for(file, viewmat_from_opengl(camera_to_world), calibration)
        path = file.relative_to(names.root).as_posix()
        shots.append(Shot(path, file, camera, calibration.lens, masks.get(entry), entry in tested))
    unknown = sorted(tested - frames.keys())
    if unknown:
        warnings += (
            f"{len(unknown)} of {len(tested)} test_filenames of {listing} do not match any frame: {unknown[0]!r}.",
        )
    said = (*found.warnings, *warnings)
    return Capture(shots, listing, others=found.others, absent=found.absent, warnings=said)


def with_shared(frame: Frame, content: Transforms) -> Frame:
    """Return ``frame`` with missing intrinsics taken from the file."""
    shared = {name: getattr(content, name) for name in Intrinsics.__struct_fields__ if getattr(frame, name) is None}
    return msgspec.structs.replace(frame, **shared)


def _masks(
    names: Names, place: Path, frames: Sequence[Frame], listing: Path
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the masks that frames list, by the path of their photograph, and warnings about missing masks."""
    listed = {frame.file_path: frame.mask_path for frame in frames if frame.mask_path is not None}
    files = {entry: find_listed(names, place, mask, listing) for entry, mask in listed.items()}
    there = {entry: file for entry, file in files.items() if file is not None}
    missing = [mask for entry, mask in listed.items() if entry not in there]
    warnings = _elsewhere([listed[entry] for entry in there], list(there.values()), place, listing)
    if missing:
        count = f"{len(missing)} of {len(listed)} masks"
        warnings += (f"{count} that {listing} names in mask_path are missing (first: {missing[0]!r}).",)
    return there, warnings


def _elsewhere(entries: Sequence[str], files: Sequence[Path], place: Path, listing: Path) -> tuple[str, ...]:
    """Return warnings about listed files that were found at another path."""
    moved = [
        (entry, file)
        for entry, file in zip(entries, files, strict=True)
        if place.joinpath(*read_entry(entry, listing).parts) != file or read_entry(entry, listing).leaves
    ]
    if not moved:
        return ()
    entry, file = moved[0]
    return (f"{len(moved)} files that {listing} lists were found in another folder (first: {entry!r} is {file}).",)


def _calibration(own: Intrinsics, file: Path, what: str) -> Calibration:
    w, h = image_size(file) if own.w is None or own.h is None else (own.w, own.h)
    if not (1 <= w < MAX_SIDE and 1 <= h < MAX_SIDE):
        raise BadScene(f"{what} has an invalid size, {w:g} x {h:g}.")
    fx = _focal(own.camera_angle_x, w, f"{what} has camera_angle_x") if own.fl_x is None else own.fl_x
    fy = _focal(own.camera_angle_y, h, f"{what} has camera_angle_y") if own.fl_y is None else own.fl_y
    fx, fy = (fy if fx is None else fx), (fx if fy is None else fy)
    if fx is None or fy is None:
        raise BadScene(
            f"{what} has no focal length: expected fl_x, fl_y, camera_angle_x and camera_angle_y.",
            "Export the capture again with its intrinsics.",
        )
    cx, cy = (w / 2 if own.cx is None else own.cx), (h / 2 if own.cy is None else own.cy)
    if own.is_fisheye or own.k4 or own.camera_model not in (None, *PERSPECTIVE):
        model = f"the camera model {own.camera_model}" if own.camera_model else "a fisheye lens"
        k4 = f" and k4 = {own.k4:g}" if own.k4 else ""
        raise BadScene(
            f"{what} has {model}{k4}; supported models are {', '.join(PERSPECTIVE)} with k1, k2, k3, p1 and p2.",
            "Undistort the photographs and export the capture again.",
        )
    # All perspective models are written with OpenCV's coefficient names; FULL_OPENCV has all of them.
    bends = [value or 0.0 for value in (own.k1, own.k2, own.p1, own.p2, own.k3)]
    return calibrate("FULL_OPENCV", [fx, fy, cx, cy, *bends, 0.0, 0.0, 0.0], int(w), int(h), what)


def _focal(angle: float | None, size: float, what: str) -> float | None:
    """Return the focal length in pixels for a full angle of view in radians, or None."""
    if angle is None:
        return None
    if not 0 < angle < math.pi:
        raise BadScene(
            f"{what} = {angle:g}, which is not an angle of view in radians between 0 and {math.pi:.2f}.",
            "Convert degrees to radians, or export the capture again.",
        )
    return size / 2 / math.tan(angle / 2)

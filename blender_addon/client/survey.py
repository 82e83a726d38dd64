"""What a scene folder holds, told from the names of its files before anything is sent.

The backend's readers decide what a folder is; this only tells a person what they will most likely find. Both look for
the same names (:mod:`protocol.capture_names`); what stands in photographs and masks is not looked at here.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from protocol.capture_names import (
    MASK_ENDINGS,
    MASK_FOLDERS,
    MASK_FOLDERS_OF_ROOMS,
    MASK_FOLDERS_OF_SCANS,
    PHOTOGRAPH_ENDINGS,
    PHOTOGRAPH_FOLDERS,
    customary,
    folded,
    is_one_of,
    mask_folders,
    match_masks,
    says_masks,
)
from protocol.ply import may_hold_gaussians

from .scene_files import SceneFiles, find_files

COLMAP = "COLMAP"
SYNTHETIC, ROOMS, SCANS = "NeRF-synthetic", "Messy-Rooms", "ScanNet or Replica"
SPARSE = "sparse"
CAMERAS = ("cameras.bin", "cameras.txt")
LAYOUTS = (
    ("Nerfstudio or Instant-NGP", ("transforms.json",)),
    (SYNTHETIC, ("transforms_train.json", "transforms_test.json")),
    (SCANS, ("intrinsic/intrinsic_color.txt",)),
    (ROOMS, ("metadata.json",)),
)
"""What a layout other than COLMAP's is called, and the files by any of which it is known."""
LISTS = ("transforms.json", "transforms_train.json", "transforms_test.json")
MASKS_OF = {ROOMS: MASK_FOLDERS_OF_ROOMS, SCANS: MASK_FOLDERS_OF_SCANS}
CLIMB = 3
"""How many folders above a file its scene folder is looked for."""
DEPTH = 3
"""How many folders below a scene folder its capture is looked for."""

_MAX_LIST = 64 << 20


class _List(msgspec.Struct):
    frames: list[msgspec.Raw] = []


_list = msgspec.json.Decoder(_List)


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        folder: the scene folder.
        layout: what its layout is called, or None where it is none that is known.
        photographs: how many there are, of those that have cameras.
        masks: how many photographs have one in :attr:`mask_folder`, which is None where there is none.
        splats: a file of Gaussians, relative to the folder, or None.
        files, bytes: what would be sent.
        strays: where no photograph has a mask, how many files lie where masks are looked for.
        rivals: files in :attr:`mask_folder` each of which might be the mask of one photograph, which is refused.
    """

    folder: Path
    layout: str | None
    photographs: int
    masks: int
    mask_folder: str | None
    splats: str | None
    files: int
    bytes: int
    strays: int = 0
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Masks:
    count: int = 0
    folder: str | None = None
    strays: int = 0
    rivals: tuple[str, ...] = ()


def survey(folder: Path) -> Generator[int, None, Survey]:
    """Look through a scene folder a few names at a time: yields how many files were found; returns the survey.

    Raises:
        BadScene: as :func:`.scene_files.find_files`.
    """
    found: SceneFiles = yield from find_files(folder)
    paths = [PurePosixPath(path.relative_to(folder).as_posix()) for path in found.files]
    layout, place = _layout(paths)
    pictures = _photographs(paths, place, layout)
    yield len(paths)
    beside = _beside(paths, pictures)
    photographs = [picture for picture in pictures if picture not in beside]
    masks = _masks(paths, place, photographs, beside, MASKS_OF.get(layout or "", MASK_FOLDERS))
    splats = None
    for path in paths:
        if splats is None and may_hold_gaussians(folder / path):
            splats = str(path)
        yield len(paths)
    posed = _posed(folder, place, paths, layout)
    count = len(photographs) if posed is None else posed
    return Survey(
        folder,
        layout,
        count,
        masks.count,
        masks.folder,
        splats,
        len(paths),
        found.bytes,
        masks.strays,
        masks.rivals,
    )


def scene_of(path: Path) -> Path:
    """Return the folder of the scene that a file or folder belongs to.

    That is the outermost of the few above it that has a known layout, as COLMAP's tables may lie in a folder of their
    own; where there is none, the folder itself or the file's own.
    """
    start = path if path.is_dir() else path.parent
    near = (start, *start.parents[:CLIMB])
    known = [folder for folder in near if _is_scene(folder)]
    return known[-1] if known else start


def _is_scene(folder: Path) -> bool:
    marked = any((folder / mark).is_file() for _, marks in LAYOUTS for mark in marks)
    places = (f"{SPARSE}/*", SPARSE, ".")
    return marked or any(next(folder.glob(f"{place}/{name}"), None) for place in places for name in CAMERAS)


def _layout(paths: Sequence[PurePosixPath]) -> tuple[str | None, PurePosixPath]:
    """Return what the layout is called and the folder that has it: the scene folder, else the nearest below."""
    models = {_place_of(model) for model in _models(paths)}
    names = set(paths)
    places = sorted({parent for path in paths for parent in path.parents if len(parent.parts) <= DEPTH}, key=_depth)
    for place in places:
        if place in models:
            return COLMAP, place
        for title, marks in LAYOUTS:
            if any(place / mark in names for mark in marks):
                return title, place
    return None, PurePosixPath()


def _depth(place: PurePosixPath) -> tuple[int, PurePosixPath]:
    return len(place.parts), place


def _models(paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the folders that hold a reconstruction, known by its cameras."""
    return sorted({path.parent for path in paths if path.name in CAMERAS})


def _place_of(model: PurePosixPath) -> PurePosixPath:
    """Return the folder of the capture that a reconstruction belongs to: it may lie in ``sparse/0`` or ``sparse``."""
    if folded(model.parent.name) == SPARSE:
        return model.parent.parent
    return model.parent if folded(model.name) == SPARSE else model


def _photographs(paths: Sequence[PurePosixPath], place: PurePosixPath, layout: str | None) -> list[str]:
    """Return the pictures of the folder that customarily holds photographs, else of the one that has most of them.

    Folders such as ``images_2`` hold the same photographs at another size.
    """
    pictures = [path for path in paths if is_one_of(path.name, PHOTOGRAPH_ENDINGS)]
    unmasked = [path for path in pictures if path.parts[0] not in _mask_folders(pictures)]
    if layout == SYNTHETIC:
        return [str(path) for path in unmasked]
    for up in (place, *place.parents):
        folders = _folders(pictures, up)
        for name in customary([folder for folder in folders if folder], PHOTOGRAPH_FOLDERS):
            inner = ((path, path.relative_to(up / name).parts[:-1]) for path in folders[name])
            return [str(path) for path, folders_of in inner if not any(map(says_masks, folders_of))]
    return [str(path) for path in max(_folders(unmasked, place).values(), key=len, default=[])]


def _folders(paths: Sequence[PurePosixPath], up: PurePosixPath) -> dict[str, list[PurePosixPath]]:
    """Return the files below ``up`` by the name of the folder in it; those that lie in it have none."""
    folders: dict[str, list[PurePosixPath]] = {}
    for path in paths:
        if path.is_relative_to(up):
            parts = path.relative_to(up).parts
            folders.setdefault(parts[0] if len(parts) > 1 else "", []).append(path)
    return folders


def _mask_folders(paths: Sequence[PurePosixPath]) -> set[str]:
    wanted = (*MASK_FOLDERS, *MASK_FOLDERS_OF_ROOMS, *MASK_FOLDERS_OF_SCANS)
    present = sorted({path.parts[0] for path in paths})
    return {*customary(present, wanted), *mask_folders(present, MASK_FOLDERS)}


def _beside(paths: Sequence[PurePosixPath], pictures: Sequence[str]) -> dict[str, str]:
    """Return the files among the photographs that are called masks of one of those, and of which."""
    near = {str(PurePosixPath(picture).parent) for picture in pictures}
    files = [str(path) for path in paths if str(path.parent) in near]
    match = match_masks(pictures, files, marked=True)
    return {file: picture for picture, masks in zip(pictures, match.masks, strict=True) for file in masks}


def _masks(
    paths: Sequence[PurePosixPath],
    place: PurePosixPath,
    photographs: Sequence[str],
    beside: dict[str, str],
    wanted: Sequence[str],
) -> _Masks:
    """Return how many photographs have a mask and where, as the backend finds them by name."""
    files = [path for path in paths if is_one_of(path.name, MASK_ENDINGS)]
    strays = 0
    for up in dict.fromkeys([place, *place.parents, *sorted({PurePosixPath(path).parent for path in photographs})]):
        folders = _folders(files, up)
        for name in mask_folders([folder for folder in folders if folder], wanted):
            match = match_masks(photographs, [str(path.relative_to(up / name)) for path in folders[name]])
            count = sum(bool(each) for each in match.masks) + len(match.conflicts)
            if count:
                rivals = next(iter(match.conflicts.values()), [])
                return _Masks(count, str(up / name), rivals=tuple(rivals))
            strays += len(match.strays)
    if beside:
        return _Masks(len(set(beside.values())), str(PurePosixPath(min(beside)).parent))
    return _Masks(strays=strays)


def _posed(folder: Path, place: PurePosixPath, paths: Sequence[PurePosixPath], layout: str | None) -> int | None:
    """Return how many photographs have cameras, from the list of them; None where it does not say."""
    names = set(paths)
    if layout == COLMAP:
        tables = [model / "images.bin" for model in _models(paths) if _place_of(model) == place]
        counts = [_counted(folder / table) for table in tables if table in names]
        return max((count for count in counts if count), default=None)
    return sum(_frames(folder / place / name) for name in LISTS if place / name in names) or None


def _counted(table: Path) -> int:
    """How many images a binary table of COLMAP holds; 0 where it is damaged, which the server will say better."""
    try:
        with table.open("rb") as file:
            count = struct.unpack("<Q", file.read(8))[0]
        return count if count * 64 <= table.stat().st_size else 0
    except (OSError, struct.error):
        return 0


def _frames(path: Path) -> int:
    """How many photographs a list of them names; 0 where it cannot be read, which the server will say better."""
    try:
        if path.stat().st_size > _MAX_LIST:
            return 0
        return len(_list.decode(path.read_bytes()).frames)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0

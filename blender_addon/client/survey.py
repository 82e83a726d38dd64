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
    VIDEO_ENDINGS,
    customary,
    folded,
    is_one_of,
    mask_folders,
    match_masks,
    says_masks,
)
from protocol.errors import BadMask, BadScene, Fault
from protocol.ply import may_hold_gaussians
from protocol.unposed import Unposed

from .layouts import COLMAP, ROOMS, SCANS, SYNTHETIC, holds_cameras, layout_of, models, place_of, scene_above
from .scene_files import SceneFiles, find_files

PHOTOGRAPHS, VIDEO, SPLATS = "Photographs", "Video", "Splats"
"""What a scene without cameras is called."""
GEOMETRY = "geometry"
"""Where masks come from if there are none: objects are found by the geometry of the Gaussians."""
LISTS = ("transforms.json", "transforms_train.json", "transforms_test.json")
MASKS_OF = {ROOMS: MASK_FOLDERS_OF_ROOMS, SCANS: MASK_FOLDERS_OF_SCANS}

_MAX_LIST = 64 << 20


class _List(msgspec.Struct):
    frames: list[msgspec.Raw] = []


_list = msgspec.json.Decoder(_List)


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        folder: the scene folder, or the video or splat file that was named instead.
        layout: what its layout is called, or None where it is none that is known.
        photographs: how many there are, of those that have cameras if any have; 0 for a video.
        masks: how many photographs have one in :attr:`mask_folder`, which is None if there is none.
        splats: a file of Gaussians, relative to the folder, or None.
        files, bytes: what would be sent.
        poses_from: "cameras" where the capture has them, "photographs" or "video" where they are computed from these,
            else None.
        strays: where no photograph has a mask, how many files lie where masks are searched for.
        rivals: files in :attr:`mask_folder` each of which might be the mask of one photograph, which is refused.
        above: a folder above the photographs that has cameras, or None.
        warnings: sentences on what is left out.
        problem: why a segmentation would not start, as far as names tell; None where it would.
    """

    folder: Path
    layout: str | None
    photographs: int
    masks: int
    mask_folder: str | None
    splats: str | None
    files: int
    bytes: int
    poses_from: str | None = None
    strays: int = 0
    rivals: tuple[str, ...] = ()
    above: Path | None = None
    warnings: tuple[str, ...] = ()
    problem: Fault | None = None

    @property
    def masks_from(self) -> str | None:
        """The folder of the masks; "geometry" if there are none, and None where the layout is not known."""
        return self.mask_folder or (GEOMETRY if self.layout else None)


@dataclass(frozen=True)
class _Masks:
    count: int = 0
    folder: str | None = None
    strays: int = 0
    rivals: tuple[str, ...] = ()


def survey(scene: Path) -> Generator[int, None, Survey]:
    """Look through a scene a few names at a time: yields how many files were found; returns the survey.

    Raises:
        BadScene: as :func:`.scene_files.find_files`.
    """
    found: SceneFiles = yield from find_files(scene)
    if found.unposed is not None:
        return _of_unposed(scene, found, found.unposed)
    if found.alone is not None:
        splats = found.alone.relative_to(found.root).as_posix()
        return Survey(scene, SPLATS, 0, 0, None, splats, len(found.files), found.bytes)
    return (yield from _of_cameras(scene, found))


def _of_unposed(scene: Path, found: SceneFiles, unposed: Unposed) -> Survey:
    masks = unposed.masks_from
    return Survey(
        scene,
        PHOTOGRAPHS if unposed.video is None else VIDEO,
        len(unposed.photographs),
        unposed.masked,
        None if masks is None else masks.relative_to(found.root).as_posix(),
        None,
        len(found.files),
        found.bytes,
        poses_from="photographs" if unposed.video is None else "video",
        strays=len(unposed.strays),
        rivals=tuple(path.name for path in unposed.rivals),
        above=scene_above(scene) if scene.is_dir() else None,
        warnings=unposed.warnings,
        problem=unposed.refusal(),
    )


def _of_cameras(folder: Path, found: SceneFiles) -> Generator[int, None, Survey]:
    paths = [PurePosixPath(path.relative_to(folder).as_posix()) for path in found.files]
    layout, place = layout_of(paths)
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
    return Survey(
        folder,
        layout,
        len(photographs) if posed is None else posed,
        masks.count,
        masks.folder,
        splats,
        len(paths),
        found.bytes,
        poses_from=None if layout is None else "cameras",
        strays=masks.strays,
        rivals=masks.rivals,
        problem=_problem(folder, layout, holds_cameras(paths, found.links), bool(photographs), masks.rivals),
    )


def _problem(folder: Path, layout: str | None, part: bool, photographs: bool, rivals: Sequence[str]) -> Fault | None:
    if layout is None:
        sentence = (
            f"{folder} contains only a part of a reconstruction."
            if part
            else f"{folder} contains no photographs or video."
        )
        return BadScene(sentence, "Choose a folder of photographs, or a folder with the complete result of COLMAP.")
    if not photographs:
        return BadScene(f"{folder} contains cameras but no photographs.", "Copy the photographs there.")
    if rivals:
        return BadMask(
            f"Several files match one photograph as its mask: {', '.join(rivals[:3])}.",
            "Keep one of them per photograph.",
        )
    return None


def scene_of(path: Path) -> Path:
    """Return the scene that a file or folder belongs to: the folder above it that has a known layout.

    Where there is none, that is the file itself if it is a video or a splat file, else the folder of the photographs,
    or the one above that if it holds their masks.
    """
    known = scene_above(path)
    if known is not None or path.is_dir():
        return known or path
    if is_one_of(path.name, VIDEO_ENDINGS) or may_hold_gaussians(path):
        return path
    folder = path.parent
    if folded(folder.name) in PHOTOGRAPH_FOLDERS:
        beside = [each.name for each in folder.parent.iterdir() if each.is_dir()]
        if mask_folders(beside, MASK_FOLDERS):
            return folder.parent
    return folder


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
        tables = [model / "images.bin" for model in models(paths) if place_of(model) == place]
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

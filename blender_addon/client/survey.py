"""Summarises a scene folder by the names of its files, before anything is uploaded.

The backend's readers decide how a folder is read; this module only predicts it for the user. Both use the same names
(:mod:`protocol.folder_names`, :mod:`protocol.mask_names`); the content of photographs and masks is not read here.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from protocol.annotations import find_annotated, may_be_annotations
from protocol.coroutines import map_steps
from protocol.endings import MASK_ENDINGS, PHOTOGRAPH_ENDINGS, VIDEO_ENDINGS, is_one_of
from protocol.errors import BadMask, BadScene, Fault
from protocol.folder_names import (
    MASK_FOLDERS,
    MASK_FOLDERS_OF_ROOMS,
    MASK_FOLDERS_OF_SCANS,
    PHOTOGRAPH_FOLDERS,
    folded,
    mask_folders,
    names_among,
    says_masks,
)
from protocol.mask_folders import match_beside, search_folders
from protocol.mask_names import ONE_MASK_EACH
from protocol.ply import may_hold_gaussians
from protocol.unposed import Unposed, splats_not_read

from .layouts import ROOMS, SCANS, SYNTHETIC, holds_cameras, layout_of, scene_above
from .posed import posed
from .scene_files import SceneFiles, find_files

PHOTOGRAPHS, VIDEO, SPLATS = "Photographs", "Video", "Splats"
"""Titles of scenes without cameras."""
GEOMETRY = "geometry"
"""Source of objects if there are no masks: the geometry of the Gaussians."""
MASKS_OF = {ROOMS: MASK_FOLDERS_OF_ROOMS, SCANS: MASK_FOLDERS_OF_SCANS}


@dataclass(frozen=True)
class Survey:
    """Summary of a scene folder.

    Attributes:
        folder: the scene folder, or the chosen video or splat file.
        layout: the name of its layout, or None if unknown.
        photographs: number of photographs; only those with cameras, if there are cameras; 0 for a video.
        masks: number of photographs with a mask in :attr:`mask_folder`, which is None if there are no masks.
        splats: a file of Gaussians, relative to the folder, or None.
        files, bytes: that would be uploaded.
        poses_from: "cameras" if the capture has them, "photographs" or "video" if poses are computed from these, else
            None.
        strays: number of files in mask folders, if no photograph has a mask.
        rivals: several files in :attr:`mask_folder` that each may be the mask of one photograph; this is refused.
        above: a folder above the photographs that has cameras, or None.
        warnings: sentences about skipped files.
        problem: why a segmentation would not start, judged by names; else None.
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
        """The folder of the masks; "geometry" if there are none, and None if the layout is unknown."""
        return self.mask_folder or (GEOMETRY if self.layout else None)


@dataclass(frozen=True)
class _Masks:
    count: int = 0
    folder: str | None = None
    strays: int = 0
    rivals: tuple[str, ...] = ()


def survey(scene: Path) -> Generator[int, None, Survey]:
    """Survey a scene in small steps: yields the number of files found so far; returns the summary.

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
        None if found.unread is None else found.unread.relative_to(found.root).as_posix(),
        len(found.files),
        found.bytes,
        poses_from="photographs" if unposed.video is None else "video",
        strays=len(unposed.strays),
        rivals=tuple(path.name for path in unposed.rivals),
        above=scene_above(scene) if scene.is_dir() else None,
        warnings=(*unposed.warnings, *(() if found.unread is None else (splats_not_read(found.unread),))),
        problem=unposed.refusal(),
    )


def _of_cameras(folder: Path, found: SceneFiles) -> Generator[int, None, Survey]:
    paths = [PurePosixPath(path.relative_to(folder).as_posix()) for path in found.files]
    layout, place = layout_of(paths)
    pictures = _photographs(paths, place, layout)
    yield len(paths)
    beside = _beside(folder, paths, pictures)
    photographs = [picture for picture in pictures if picture not in beside]
    photographs = yield from map_steps(lambda _: len(paths), posed(folder, place, paths, layout, photographs))
    yield len(paths)
    masks = _masks(folder, paths, place, photographs, beside, MASKS_OF.get(layout or "", MASK_FOLDERS))
    splats = None
    for path in paths:
        if splats is None and may_hold_gaussians(folder / path):
            splats = str(path)
        yield len(paths)
    return Survey(
        folder,
        layout,
        len(photographs),
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
            ONE_MASK_EACH,
        )
    return None


def scene_of(path: Path) -> Path:
    """Return the scene that a file or folder belongs to: the folder above it with a known layout.

    If there is none, return the file itself if it is a video or a splat file, else the folder of the photographs, or
    its parent if that contains their masks.
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
    """Return the images of the usual photograph folder, else of the folder with the most images.

    Folders such as ``images_2`` contain the same photographs at another size.
    """
    pictures = [path for path in paths if is_one_of(path.name, PHOTOGRAPH_ENDINGS)]
    of_masks = _mask_folders(pictures)
    unmasked = [path for path in pictures if path.parts[0] not in of_masks]
    if layout == SYNTHETIC:
        return [str(path) for path in unmasked]
    for up in (place, *place.parents):
        folders = _folders(pictures, up)
        for name in names_among([folder for folder in folders if folder], PHOTOGRAPH_FOLDERS):
            inner = ((path, path.relative_to(up / name).parts[:-1]) for path in folders[name])
            return [str(path) for path, folders_of in inner if not any(map(says_masks, folders_of))]
    # Several cameras: left/images, right/images.
    inner = [path for path in unmasked if names_among(path.parts[:-1], PHOTOGRAPH_FOLDERS)]
    inner = [path for path in inner if not any(map(says_masks, path.parts[:-1]))]
    return [str(path) for path in inner or max(_folders(unmasked, place).values(), key=len, default=[])]


def _folders(paths: Sequence[PurePosixPath], up: PurePosixPath) -> dict[str, list[PurePosixPath]]:
    """Return the files below ``up`` by subfolder name; the key of files directly in ``up`` is empty."""
    folders: dict[str, list[PurePosixPath]] = {}
    for path in paths:
        if path.is_relative_to(up):
            parts = path.relative_to(up).parts
            folders.setdefault(parts[0] if len(parts) > 1 else "", []).append(path)
    return folders


def _mask_folders(paths: Sequence[PurePosixPath]) -> set[str]:
    wanted = (*MASK_FOLDERS, *MASK_FOLDERS_OF_ROOMS, *MASK_FOLDERS_OF_SCANS)
    present = sorted({path.parts[0] for path in paths})
    return {*names_among(present, wanted), *mask_folders(present, MASK_FOLDERS)}


def _beside(root: Path, paths: Sequence[PurePosixPath], pictures: Sequence[str]) -> dict[str, str]:
    """Return the masks among the photographs, with the name of their photograph."""
    near = {str(PurePosixPath(picture).parent) for picture in pictures}
    files = [str(path) for path in paths if str(path.parent) in near]
    match = match_beside(root, pictures, files)
    return {file: picture for picture, masks in zip(pictures, match.masks, strict=True) for file in masks}


def _masks(
    root: Path,
    paths: Sequence[PurePosixPath],
    place: PurePosixPath,
    photographs: Sequence[str],
    beside: dict[str, str],
    wanted: Sequence[str],
) -> _Masks:
    """Return how many photographs have a mask and where, matched by name as in the backend."""
    files = [path for path in paths if is_one_of(path.name, MASK_ENDINGS)]
    pictures = [PurePosixPath(path) for path in photographs]
    above = sorted({up for path in pictures for up in path.parents}, key=lambda up: (-len(up.parts), up))
    found = search_folders(pictures, files, list(dict.fromkeys([place, *place.parents, *above])), wanted)
    for each in found:
        if each.holds_masks:
            where = each.folders[0] if len(each.folders) == 1 else os.path.commonpath(each.folders) or "."
            return _Masks(each.count, str(where), rivals=tuple(next(iter(each.match.conflicts.values()), [])))
    strays = sum(len(each.match.strays) for each in found)
    if beside:
        return _Masks(len(set(beside.values()) & set(photographs)), str(PurePosixPath(min(beside)).parent))
    annotated = find_annotated(photographs, [root / path for path in paths if may_be_annotations(path)])
    if annotated.files:
        return _Masks(annotated.count, annotated.files[0].relative_to(root).as_posix())
    return _Masks(strays=strays)

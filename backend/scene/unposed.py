"""Finds photographs or a video without cameras, for which poses are computed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.scene.files import Names
from backend.scene.images import image_size, is_panorama
from backend.scene.load import holds_cameras
from backend.scene.mask_check import check_masks
from backend.scene.mask_fit import fit_masks
from backend.scene.masks import check_masks_given, no_annotation, no_mask
from backend.scene.splats_alone import splat_files
from backend.scene.types import Camera, MaskIds, View
from backend.scene.unread import unread_cameras, unread_masks, unread_pictures, unread_placeholders
from backend.scene.videos import frame_name
from protocol.annotations import ONE_ENTRY_EACH, Annotated, Id, find_annotated, read_annotations
from protocol.endings import MASK_ENDINGS, VIDEO_ENDINGS, is_one_of
from protocol.errors import BadMask, BadScene
from protocol.find_unposed import find_in
from protocol.folder_names import MASK_FOLDERS
from protocol.lists import first_of
from protocol.mask_names import MaskMatch, match_masks
from protocol.natural_order import natural_key
from protocol.result.names import REPORT, SPLATS, TABLE
from protocol.unposed import Unposed, splats_not_read

_FRAME = re.compile(r"frame_(\d{6})")


def find_unposed(root: Path) -> Unposed | None:
    """Return the photographs or the video at ``root``; None if there are none, or if there are cameras.

    :func:`protocol.find_unposed.find_in` selects them. Photographs are sorted in natural order. Only names are read.

    Raises:
        BadScene: if there are several videos or folders to choose from, or the folder cannot be read.
    """
    if root.is_file():
        return Unposed(root, video=root) if is_one_of(root.name, VIDEO_ENDINGS) else None
    if not root.is_dir():
        return None
    names = Names(root)
    if holds_cameras(names):
        return None
    if all((root / name).is_file() for name in (TABLE, SPLATS, REPORT)):
        raise BadScene(f"{root} is the result of a segmentation, not a scene.", "Give the folder of the photographs.")
    files = names.below(root)
    found = find_in(root, files)
    if found is None:
        return None
    unread = tuple(map(splats_not_read, splat_files(root)[:1]))
    if found.folder is None:
        return replace(found, warnings=(*found.warnings, *unread, *unread_cameras(root, files)))
    order = sorted(
        range(len(found.photographs)), key=lambda i: natural_key(found.path_below_root(found.photographs[i]))
    )
    photographs = tuple(found.photographs[i] for i in order)
    links = names.of(found.folder).outside
    first = f"(first: {links[0]})" if links else ""
    said = (f"{len(links)} links lead out of the scene folder and were ignored {first}.",) if links else ()
    said += (*unread_cameras(root, files), *unread_pictures(root, files, found.folder))
    said += unread_placeholders(found.folder)
    if photographs and is_panorama(photographs[0]):
        said += (
            f"Photographs are panoramas of all directions (such as {photographs[0]}), but poses are computed for "
            "perspective photographs. Export perspective photographs instead.",
        )
    if not found.masked and (instead := unread_masks(root, files, {*photographs, *found.named, *found.strays})):
        said += (f"No masks were read; {first_of(instead)}.",)
    masks_of = tuple(found.masks_of[i] for i in order)
    entries = tuple(found.entries[i] for i in order) if found.entries else ()
    said = (*found.warnings, *unread, *said)
    return replace(found, photographs=photographs, masks_of=masks_of, entries=entries, warnings=said)


def without_masks(source: Unposed) -> BadMask:
    """Return the error for a segmentation that requires masks but has none."""
    if source.video is not None:
        return BadMask(
            f"The video {source.video} has no instance masks.",
            f"Run backend poses {source.root} --out FOLDER, put masks of FOLDER/images into FOLDER/masks, and "
            "segment FOLDER.",
        )
    looked = f": expected in folders such as {', '.join(MASK_FOLDERS[:4])}"
    return no_mask(len(source.photographs), source.root, looked)


def given_masks(source: Unposed, folder: Path) -> int:
    """Return how many photographs, or frames of the video, have a mask in what the user specified.

    Raises:
        BadArgument: if there is no such folder.
        BadMask: if it contains no mask that is named after one.
    """
    if folder.is_file():
        return _given_annotations(source, folder).count
    match, _ = _given(source, folder)
    return sum(map(bool, match.masks)) + len(match.conflicts)


def _given_annotations(source: Unposed, file: Path) -> Annotated:
    """Return the masks of photographs, or of the frames of the video, in the file that the user specified."""
    check_masks_given(file)
    names = [path.relative_to(source.folder).as_posix() for path in source.photographs if source.folder is not None]
    if source.folder is None:
        content = read_annotations(file)
        listed = [] if content is None else [picture.file_name for picture in content.pictures.values()]
        names = _frames_in(listed)
    found = find_annotated(names, [file])
    if not found.files:
        raise no_annotation(file, found)
    if found.rivals:
        raise BadMask(f"{found.rivals[0]}.", ONE_ENTRY_EACH)
    return found


def _frames_in(files: Sequence[str]) -> list[str]:
    """Return the names of the frames of a video that masks have."""
    numbers = {int(number) for file in files for number in _FRAME.findall(file)}
    return [frame_name(number) for number in sorted(numbers)]


def _given(source: Unposed, folder: Path) -> tuple[MaskMatch, list[str]]:
    """Return the match of the masks in the user's folder, and the names of the photographs or frames."""
    check_masks_given(folder)
    files = [str(path) for path in Names(folder).below(folder) if is_one_of(path.name, MASK_ENDINGS)]
    if source.folder is None:
        names = _frames_in(files)
    else:
        names = [path.relative_to(source.folder).as_posix() for path in source.photographs]
    match = match_masks(names, files)
    if not any(match.masks) and not match.conflicts:
        found = f" (found {files[0]})" if files else ""
        named = (
            f"a photograph of {source.root}" if source.folder else f"a frame of {source.video}, such as {frame_name(0)}"
        )
        raise BadMask(
            f"The folder {folder} contains no mask with the name of {named}{found}.",
            "Rename the masks, or remove them.",
        )
    return match, names


def check_masks_of(source: Unposed, folder: Path | None, mask_ids: MaskIds | None = None) -> tuple[str, ...]:
    """Check the masks of photographs before poses are computed, which takes minutes; return warnings.

    Headers of all masks and the pixels of a few are read.

    Args:
        source: the photographs.
        folder: the mask folder or file that the user specified, or None for the masks that were found.
        mask_ids: ids that are not objects.

    Raises:
        BadMask: if a mask cannot be read or does not fit its photograph.
    """
    masks_of: Sequence[Sequence[Path]] = source.masks_of
    entries: Sequence[Id | None] = source.entries
    if folder is not None and folder.is_file():
        given = _given_annotations(source, folder).entries
        masks_of = [() if entry is None else (entry[0],) for entry in given]
        entries = [None if entry is None else entry[1] for entry in given]
    elif folder is not None:
        match, _ = _given(source, folder)
        masks_of = [[folder / file for file in files] for files in match.masks]
        entries = ()
    views, bare = [], []
    for file, masks, entry in zip(source.photographs, masks_of, entries or [None] * len(masks_of), strict=False):
        first = next(iter(masks), None)
        if first is None:
            bare.append(file)
            continue
        try:
            width, height = image_size(file)
        except BadScene:
            continue  # it is skipped later, with a warning
        several = tuple(masks) if len(masks) > 1 else ()
        camera = Camera(np.eye(4), np.eye(3), width, height)
        name = source.path_below_root(file)
        ids = mask_ids or MaskIds()
        views.append(View(name, camera, file, first, mask_parts=several, mask_entry=entry, mask_ids=ids))
    if not views:
        return ()
    views, turned = fit_masks(views)
    count = f"{len(bare)} of {len(source.photographs)} photographs have no mask"
    said = (f"{count} (first: {bare[0]}).",) if bare and folder is not None else ()
    return (*said, *turned, *check_masks(views))

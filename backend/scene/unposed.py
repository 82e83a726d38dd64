"""Finds photographs or a video without cameras, for which poses are computed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from backend.scene.files import Names
from backend.scene.load import holds_cameras
from backend.scene.masks import no_mask
from backend.scene.names import natural_key
from backend.scene.videos import frame_name
from protocol.capture_names import MASK_ENDINGS, MASK_FOLDERS, VIDEO_ENDINGS, is_one_of, match_masks
from protocol.errors import BadArgument, BadMask
from protocol.unposed import Unposed, find_in

_FRAME = re.compile(r"frame_(\d{6})")


def find_unposed(root: Path) -> Unposed | None:
    """Return the photographs or the video at ``root``; None if there are none, or if there are cameras.

    :func:`protocol.unposed.find_in` selects them. Photographs are sorted in natural order. Only names are read.

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
    found = find_in(root, names.below(root))
    if found is None or found.folder is None:
        return found
    photographs = sorted(found.photographs, key=lambda path: natural_key(found.path_below_root(path)))
    links = names.of(found.folder).outside
    first = f"(first: {links[0]})" if links else ""
    said = (f"{len(links)} links lead out of the scene folder and were ignored {first}.",) if links else ()
    return replace(found, photographs=tuple(photographs), warnings=(*found.warnings, *said))


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
    """Return how many photographs, or frames of the video, have a mask in the folder that the user specified.

    Raises:
        BadArgument: if there is no such folder.
        BadMask: if it contains no mask that is named after one.
    """
    if not folder.is_dir():
        raise BadArgument(f"The mask folder {folder} does not exist.")
    files = [str(path) for path in Names(folder).below(folder) if is_one_of(path.name, MASK_ENDINGS)]
    if source.folder is None:
        numbers = {int(number) for file in files for number in _FRAME.findall(file)}
        names = [frame_name(number) for number in sorted(numbers)]
    else:
        names = [path.relative_to(source.folder).as_posix() for path in source.photographs]
    match = match_masks(names, files)
    count = sum(map(bool, match.masks)) + len(match.conflicts)
    if not count:
        found = f" (found {files[0]})" if files else ""
        named = (
            f"a photograph of {source.root}" if source.folder else f"a frame of {source.video}, such as {frame_name(0)}"
        )
        raise BadMask(
            f"The folder {folder} contains no mask with the name of {named}{found}.",
            "Rename the masks, or remove them.",
        )
    return count

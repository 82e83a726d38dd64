"""Finds the mask of each photograph, and reads its ids as seen by the photograph's camera."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from backend.scene.capture import Capture
from backend.scene.files import Names
from backend.scene.lens import undistort_mask
from backend.scene.mask_files import load_ids, load_parts
from backend.scene.mask_fit import fitted, stored_size
from backend.scene.types import View
from backend.scene.unread import unread_masks
from protocol.annotations import ONE_ENTRY_EACH, Annotated, Id, find_annotated, may_be_annotations
from protocol.endings import MASK_ENDINGS, RLE_ENDING, is_one_of
from protocol.errors import BadArgument, BadMask
from protocol.folder_names import (
    MASK_FOLDERS,
    PHOTOGRAPH_FOLDERS,
    TRUTH,
    folded,
    mask_folders,
    names_among,
    other_mask_folders,
    says_masks,
)
from protocol.lists import first_of
from protocol.mask_folders import FolderMatch, assumptions, match_beside, match_folders
from protocol.mask_names import ONE_MASK_EACH, MaskMatch, match_masks

INSTEAD_MOST = 3
"""Most other findings that one sentence lists."""


@dataclass(frozen=True)
class FoundMasks:
    """The masks of a capture.

    Attributes:
        files: for each photograph none, one, or one per instance.
        source: the folder that contains them, or the file that lists them or contains all; None if there are none.
        warnings: sentences about assumptions and skipped files.
        without: if there are none, what was expected and found, as the end of a sentence.
        entries: for each photograph the id of its entry, if its file has annotations of many; empty if none has.
    """

    files: list[tuple[Path, ...]]
    source: Path | None
    warnings: tuple[str, ...] = ()
    without: str = ""
    entries: tuple[Id | None, ...] = ()


def find_masks(
    names: Names, place: Path, capture: Capture, views: Sequence[str], given: Path | Sequence[Path] | None
) -> FoundMasks:
    """Return the masks of each photograph: from the user's folder, else the capture's list, else usual places.

    Usual places are, in this order: folders next to the cameras or above, up to the scene folder, or in the folder of
    the photographs, with one of ``capture.mask_folders`` or a similar name; files next to the photographs that are
    named as masks; files in COCO's format, anywhere in the scene folder, with annotations of the photographs. If there
    are several, a warning names those that were not read.

    Args:
        names: of the scene folder.
        place: the folder of the capture, the scene folder or a subfolder.
        capture: the capture.
        views: the name of each photograph's view.
        given: the folder or annotation files that the user specified, which may be outside the scene folder.

    Raises:
        BadArgument: if ``given`` does not exist.
        BadMask: if it contains no mask of any photograph, several files may be the mask of one, or several folders may
            be the mask folder.
    """
    if isinstance(given, Path):
        return _given(names, given, capture, views)
    if given is not None:
        return _given_files(given, capture)
    found = _match_folders(names, _mask_folders(names, place, capture), capture, views)
    if not any(each.holds_masks for each in found) and capture.mask_folders == MASK_FOLDERS:
        others = _match_folders(names, _other_mask_folders(names, place, capture), capture, views)
        found += [each for each in others if each.holds_masks]
    annotated = _annotated(_annotation_files(names), capture)
    chosen = _separate(names, found, capture, views)
    if chosen is not None and annotated.files:
        said = f"{first_of(annotated.files)} also contains masks, which were not read."
        return replace(chosen, warnings=(*chosen.warnings, said))
    if chosen is not None:
        return chosen
    if annotated.files:
        return _of_annotations(annotated, capture)
    nothing = _nothing(names, place, capture, views, found, annotated.named)
    return replace(nothing, warnings=(*nothing.warnings, *annotated.warnings))


def _separate(names: Names, found: Sequence[FolderMatch], capture: Capture, views: Sequence[str]) -> FoundMasks | None:
    """Return masks in files of their own for each photograph, or None."""
    listed = [(shot.mask,) if shot.mask else () for shot in capture.shots]
    if any(listed):
        return FoundMasks(listed, capture.listing, _unmasked(listed, capture))
    holding = [each for each in found if each.holds_masks]
    return _of_folders(names, holding, capture) if holding else _beside_photographs(names, capture, views)


def _annotation_files(names: Names) -> list[Path]:
    below = names.below(names.root)
    return [names.root / path for path in below if may_be_annotations(path) and TRUTH not in path.parts]


def _annotated(files: Sequence[Path], capture: Capture) -> Annotated:
    return find_annotated([shot.path for shot in capture.shots], files)


def _of_annotations(annotated: Annotated, capture: Capture) -> FoundMasks:
    """Return the masks in files with annotations of many photographs.

    Raises:
        BadMask: if a photograph has several entries.
    """
    if annotated.rivals:
        raise BadMask(f"{annotated.rivals[0]}.", ONE_ENTRY_EACH)
    files = [() if entry is None else (entry[0],) for entry in annotated.entries]
    used = annotated.files
    source = used[0] if len(used) == 1 else Path(os.path.commonpath([file.parent for file in used]))
    said = f"The masks were read from {first_of(used)}."
    ids = tuple(None if entry is None else entry[1] for entry in annotated.entries)
    return FoundMasks(files, source, (said, *annotated.warnings, *_unmasked(files, capture)), entries=ids)


def _of_folders(names: Names, holding: Sequence[FolderMatch], capture: Capture) -> FoundMasks:
    """Return the masks of the first of several folders that contain masks.

    Raises:
        BadMask: if none of them has a usual name.
    """
    first, *rest = holding
    folder = names.root / first.folders[0]
    listed = [str(names.root / other) for match in rest for other in match.folders]
    others = " and ".join(listed)
    is_known = bool(names_among([folder.name], capture.mask_folders))
    if others and not is_known:
        raise BadMask(f"Masks were found in {folder} and in {others}.", "Give one of the folders as the mask folder.")
    where = str(folder)
    if len(first.folders) > 1:
        where = f"{len(first.folders)} folders, one for each camera (first: {folder})"
    also = f"; {others} also {'contains' if len(listed) == 1 else 'contain'} masks" if others else ""
    said = f"The masks were read from {where}{also}."
    is_usual = is_known and not others and len(first.folders) == 1
    folders = [names.root / each for each in first.folders]
    return _settled(names.root / first.base, folders, first.match, names, capture, () if is_usual else (said,))


def _nothing(
    names: Names,
    place: Path,
    capture: Capture,
    views: Sequence[str],
    found: Sequence[FolderMatch],
    warned: Sequence[Path],
) -> FoundMasks:
    """Return that there are no masks, with what was expected and what was found instead.

    Args:
        warned: files that have a warning of their own.
    """
    searched = [(names.root / folder, each.match) for each in found for folder in each.folders]
    warnings = tuple(
        f"The folder {folder} contains no mask with the name of a photograph{_found(match)}.{_remedy(match)}"
        for folder, match in searched
    )
    photographs = {shot.file for shot in capture.shots}
    links = _links_of_masks(names, place, capture)
    named = {*photographs, *(folder for folder, _ in searched), *warned}
    unread = unread_masks(names.root, names.below(names.root), named)
    if unread or links:
        warnings += (f"No masks were read; {first_of(unread + links)}.",)
    where = " and ".join(f"{folder}{_found(match)}" for folder, match in searched)
    where = where or f"folders such as {', '.join(capture.mask_folders[:4])}"
    instead = [*links, *_instead(names, place, capture, views)][:INSTEAD_MOST]
    without = f": expected {_looked_for(capture)} in {where}{''.join(f'; {each}' for each in instead)}"
    return FoundMasks([()] * len(capture.shots), None, warnings, without)


def _remedy(match: MaskMatch) -> str:
    """Return what to do with files in a folder of masks that match no photograph, as a further sentence."""
    if not match.strays:
        return ""
    if not any(is_one_of(file, MASK_ENDINGS) for file in match.strays):
        return " Save the masks as PNG."
    return " Give each mask the name of its photograph."


def _mask_folders(names: Names, place: Path, capture: Capture) -> list[Path]:
    """Return the possible mask folders, those with usual names first."""
    above = _above(names, place, capture)
    found = [up / name for up in above for name in mask_folders(names.of(up).folders, capture.mask_folders)]
    return sorted(found, key=lambda folder: not names_among([folder.name], capture.mask_folders))


def _other_mask_folders(names: Names, place: Path, capture: Capture) -> list[Path]:
    """Return the folders that are searched if the usual ones contain no masks, without those of photographs."""
    photographs = {parent for shot in capture.shots for parent in shot.file.parents}
    above = _above(names, place, capture)
    found = [
        up / other for up in above for other in other_mask_folders(lambda path, up=up: names.of(up / path).folders)
    ]
    return [folder for folder in dict.fromkeys(found) if folder not in photographs]


def _above(names: Names, place: Path, capture: Capture) -> list[Path]:
    """Return the folders that may contain a mask folder: those above the cameras, then those above photographs."""
    of_photographs = sorted(
        {up for shot in capture.shots for up in shot.file.parents}, key=lambda up: (-len(up.parts), up)
    )
    return list(dict.fromkeys(up for up in (place, *place.parents, *of_photographs) if up.is_relative_to(names.root)))


def _instead(names: Names, place: Path, capture: Capture, views: Sequence[str]) -> list[str]:
    """Return what may be meant as masks but was not used, each as a part of a sentence."""
    found: list[str] = []
    photographs = {parent for shot in capture.shots for parent in shot.file.parents}
    for up in _above(names, place, capture):
        here = names.of(up)
        found += [f"found the file {up / name}" for name in here.files if says_masks(name.partition(".")[0])]
        scaled = {up / name for name in names_among(here.folders, PHOTOGRAPH_FOLDERS)}
        others = [up / name for name in here.folders if folded(name) != TRUTH]
        others = [folder for folder in others if folder not in photographs | scaled]
        named = [match for match in _match_folders(names, others, capture, views) if any(match.match.masks)]
        found += [
            f"{names.root / folder} contains files with the names of photographs"
            for match in named
            for folder in match.folders
        ]
    return found


def _links_of_masks(names: Names, place: Path, capture: Capture) -> list[str]:
    return [
        f"{up / name} leads out of the scene folder and was ignored"
        for up in _above(names, place, capture)
        for name in mask_folders(names.of(up).outside, capture.mask_folders)
    ]


def _unmasked(masks: Sequence[tuple[Path, ...]], capture: Capture) -> tuple[str, ...]:
    """Count the photographs without a mask, excluding test photographs."""
    bare = [shot for shot, files in zip(capture.shots, masks, strict=True) if not files and not shot.held_out]
    if not bare:
        return ()
    return (f"{len(bare)} of {len(capture.shots)} photographs have no mask (first: {bare[0].file}).",)


def _match_folders(names: Names, folders: Sequence[Path], capture: Capture, views: Sequence[str]) -> list[FolderMatch]:
    """Match the files of folders below the root of ``names`` to the photographs."""
    inside = {
        PurePosixPath(folder.relative_to(names.root).as_posix()): _masks_below(names, folder) for folder in folders
    }
    photographs = [PurePosixPath(shot.path) for shot in capture.shots]
    return match_folders(photographs, inside, views, _others(capture))


def _masks_below(names: Names, folder: Path) -> list[PurePosixPath]:
    """Return the files below a folder with the ending of a mask, or all if there are none."""
    files = names.below(folder)
    return [file for file in files if is_one_of(file.name, MASK_ENDINGS)] or files


def _others(capture: Capture) -> list[str]:
    """Return the names of photographs that get no mask."""
    return [*(file.name for file in capture.others), *capture.absent]


def _given(names: Names, folder: Path, capture: Capture, views: Sequence[str]) -> FoundMasks:
    check_masks_given(folder)
    if folder.is_file():
        return _given_files([folder], capture)
    names = names if folder.resolve().is_relative_to(names.root.resolve()) else Names(folder)
    files = list(map(str, _masks_below(names, folder)))
    match = match_masks([shot.path for shot in capture.shots], files, views, _others(capture))
    if not any(match.masks) and not match.conflicts:
        raise BadMask(
            f"The mask folder {folder} contains no mask of any photograph: expected {_looked_for(capture)}"
            f"{_found(match)}.",
            "Give each mask the name of its photograph.",
        )
    return _settled(folder, [folder], match, names, capture)


def _given_files(files: Sequence[Path], capture: Capture) -> FoundMasks:
    annotated = _annotated(files, capture)
    if not annotated.files:
        raise no_annotation(files[0], annotated)
    return _of_annotations(annotated, capture)


def check_masks_given(path: Path) -> None:
    """Refuse a path that is neither a folder of masks nor a file with annotations of many photographs.

    Raises:
        BadArgument: with the path.
    """
    if path.is_file() and path.suffix.lower() != RLE_ENDING:
        raise BadArgument(
            f"The mask folder {path} is a file.",
            "Give the folder that contains the masks, or annotations in COCO's format (.json).",
        )
    if not path.exists():
        raise BadArgument(f"The mask folder {path} does not exist.")


def no_annotation(file: Path, found: Annotated) -> BadMask:
    """Return the error for an annotation file that the user specified and that has no mask of any photograph."""
    if found.warnings:
        return BadMask(f"{file} contains no mask of any photograph. {found.warnings[0]}", "Export it again.")
    return BadMask(
        f"{file} does not contain annotations in COCO's format: the lists images and annotations are expected.",
        "Export the masks as COCO JSON, or give a folder of masks.",
    )


def _beside_photographs(names: Names, capture: Capture, views: Sequence[str]) -> FoundMasks | None:
    """Search masks among the photographs."""
    photographs = {shot.file for shot in capture.shots}
    folders = sorted({file.parent for file in photographs})
    files = [folder / name for folder in folders for name in names.of(folder).files]
    rest = [file.relative_to(names.root).as_posix() for file in files if file not in photographs]
    match = match_beside(names.root, [shot.path for shot in capture.shots], rest, views)
    if not match.rows:
        return None
    said = (f"The masks were read from {folders[0]}, the folder of the photographs.",)
    return _settled(names.root, [], match, names, capture, said)


def _settled(
    base: Path,
    folders: Sequence[Path],
    match: MaskMatch,
    names: Names,
    capture: Capture,
    warnings: tuple[str, ...] = (),
) -> FoundMasks:
    """Return the masks of a match, if it has no conflict.

    Args:
        base: the folder that the files of the match are relative to.
        folders: the folders of masks; none if the masks are next to the photographs.
        match: of the photographs of ``capture``.
        names: of a folder that contains ``base``.
        capture: the capture.
        warnings: to which others are added.

    Raises:
        BadMask: with the files that may all be the mask of one photograph.
    """
    for number, candidates in match.conflicts.items():
        listed = first_of([base / file for file in candidates])
        raise BadMask(
            f"Several files match the photograph {capture.shots[number].file} as its mask: {listed}; this "
            f"affects {len(match.conflicts)} of {len(capture.shots)} photographs.",
            ONE_MASK_EACH,
        )
    where = folders[0] if len(folders) == 1 else "the folders of the masks" if folders else names.root
    warnings += assumptions(match, base, where, [shot.file for shot in capture.shots])
    links = [name for folder in folders for name in names.of(folder).outside]
    if links:
        count = f"{len(links)} links in {where} lead out of the scene folder and were ignored"
        warnings += (f"{count} (first: {links[0]}).",)
    files = [tuple(base / file for file in files) for files in match.masks]
    source = _common_folder(files, folders[0] if folders else base)
    return FoundMasks(files, source, (*warnings, *_unmasked(files, capture)))


def _common_folder(files: Sequence[tuple[Path, ...]], folder: Path) -> Path:
    """Return the folder that contains all masks, at or below ``folder``."""
    parents = {file.parent for each in files for file in each}
    return Path(os.path.commonpath(parents)) if parents else folder


def _looked_for(capture: Capture) -> str:
    """Return expected mask names: "v_1.png or v_1.npy or v_1.npz, v_1.png.png, v_1_mask.png or similar"."""
    file = capture.shots[0].file
    plain = " or ".join(file.stem + ending for ending in MASK_ENDINGS[:3])
    return f"{plain}, {file.name}.png, {file.stem}_mask.png or similar"


def _found(match: MaskMatch) -> str:
    """Return what was found instead."""
    found = ""
    for files, what in ((match.shared, ", each of which matches several photographs"), (match.strays, "")):
        if files:
            found += f", found {first_of(files)}{what}"
    return found


def no_mask(views: int, root: Path, without: str) -> BadMask:
    """Return the error if no view has a mask; ``without`` says what was expected and found."""
    return BadMask(
        f"None of the {views} views of {root} has an instance mask{without}.",
        "Put id maps with the names of the photographs into a folder named masks next to them.",
    )


def read_mask(view: View) -> NDArray[np.int32] | None:
    """Return the instance ids of ``view`` as seen by its pinhole camera: (H', W') int32, 0 is background.

    H' and W' are the photograph's height and width scaled by one factor and rounded. Ids are only valid in this view;
    :data:`~backend.scene.types.VOID` means unlabelled. None if the view has no mask.

    Raises:
        BadMask: if the file cannot be read or does not fit the photograph.
    """
    ids = stored_ids(view)
    return ids if ids is None or view.lens is None else undistort_mask(view.lens, ids)


def stored_ids(view: View) -> NDArray[np.int32] | None:
    """As :func:`read_mask`, for the stored photograph with lens distortion."""
    if view.mask_path is None:
        return None
    size = stored_size(view)
    ids = load_parts(view.mask_parts, size) if view.mask_parts else load_ids(view.mask_path, size, view.mask_entry)
    return fitted(ids, view, view.mask_path)

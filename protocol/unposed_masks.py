"""Finds the masks of photographs without cameras: in folders, next to them, or in files of COCO's format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from protocol.annotations import Annotated, find_annotated, may_be_annotations
from protocol.endings import MASK_ENDINGS, is_one_of
from protocol.lists import first_of
from protocol.mask_folders import FolderMatch, assumptions, match_beside, search_folders
from protocol.mask_names import MaskMatch
from protocol.unposed import Unposed
from protocol.unposed_photographs import HERE


def with_masks(
    root: Path,
    paths: Sequence[PurePosixPath],
    place: PurePosixPath,
    pictures: Sequence[PurePosixPath],
    said: Sequence[str],
) -> Unposed | None:
    """Separate masks next to photographs from photographs, and find the masks: in folders, beside them or in files.

    Args:
        root: the folder that the user named.
        paths: all files, relative to it.
        place: the folder of the photographs, relative to it.
        pictures: the photographs, and masks next to them, relative to ``root``.
        said: warnings, to which others are added.

    Returns:
        None if all pictures are masks.
    """
    taken, beside = _separate(root, paths, pictures)
    if not taken:
        return None
    plain = Unposed(root, tuple(root / path for path in taken), folder=root / place, warnings=tuple(said))
    plain = replace(plain, masks_of=((),) * len(taken))
    found = _mask_folders(paths, place, taken)
    chosen = next((each for each in found if each.holds_masks), None)
    annotated = _annotated(root, paths, place, taken)
    if chosen is None and not beside.rows:
        strays = [each.base / file for each in found for file in each.match.strays]
        strays = [path for path in strays if root / path not in annotated.files]
        return _in_annotations(_with_strays(plain, strays), annotated)
    masked = _beside(plain, beside) if chosen is None else _in_folders(plain, paths, chosen)
    unread = [root / folder for each in found if each.holds_masks and each is not chosen for folder in each.folders]
    if unread := [*unread, *annotated.files]:
        masked = _warned(masked, f"{first_of(unread)} also contains masks, which were not read.")
    return _unmasked(masked)


def _separate(
    root: Path, paths: Sequence[PurePosixPath], pictures: Sequence[PurePosixPath]
) -> tuple[list[PurePosixPath], MaskMatch]:
    """Return the photographs among ``pictures``, and the masks in their folders."""
    near = {path.parent for path in pictures}
    candidates = [str(path) for path in paths if path.parent in near and is_one_of(path.name, MASK_ENDINGS)]
    marked = match_beside(root, list(map(str, pictures)), candidates)
    is_mask = {file for files in marked.masks for file in files} | {f for c in marked.conflicts.values() for f in c}
    rows = [number for number, path in enumerate(pictures) if str(path) not in is_mask]
    conflicts = {row: marked.conflicts[number] for row, number in enumerate(rows) if number in marked.conflicts}
    return [pictures[row] for row in rows], MaskMatch([marked.masks[row] for row in rows], conflicts, [], [])


def _warned(found: Unposed, *said: str) -> Unposed:
    return replace(found, warnings=(*found.warnings, *said))


def _with_strays(found: Unposed, strays: Sequence[PurePosixPath]) -> Unposed:
    """Add the files in folders of masks of which none is the mask of a photograph."""
    if not strays:
        return found
    parent = found.root / strays[0].parent
    said = (
        f"The folder {parent} contains no mask with the name of a photograph (first: {strays[0].name}). Give each "
        "mask the name of its photograph."
    )
    return _warned(replace(found, strays=tuple(found.root / path for path in strays)), said)


def _matched(found: Unposed, match: MaskMatch, base: PurePosixPath, where: Path) -> Unposed:
    """Add the masks of a match, whose files are relative to ``base``."""
    masks_of = tuple(tuple(found.root / base / file for file in files) for files in match.masks)
    rivals = next(iter(match.conflicts.values()), [])
    found = replace(
        found,
        masks_of=masks_of,
        masked=len(match.rows),
        rivals=tuple(found.root / base / file for file in rivals),
    )
    return _warned(found, *assumptions(match, found.root / base, where, found.photographs))


def _beside(found: Unposed, match: MaskMatch) -> Unposed:
    """Add masks in the folders of the photographs."""
    files = sorted({file for files in match.masks for file in files})
    found = replace(found, masks_beside=tuple(found.root / file for file in files))
    return _matched(found, match, HERE, found.folder or found.root)


def _in_folders(found: Unposed, paths: Sequence[PurePosixPath], chosen: FolderMatch) -> Unposed:
    """Add the masks in one folder, or in one folder for each camera."""
    root = found.root
    inside = [root / path for path in paths if set(chosen.folders) & set(path.parents)]
    first = root / chosen.folders[0]
    if len(chosen.folders) > 1:
        said = f"The masks were read from {len(chosen.folders)} folders, one for each camera (first: {first})."
        found = _warned(replace(found, masks_beside=tuple(inside)), said)
        return _matched(found, chosen.match, chosen.base, found.folder or root)
    files = tuple(path for path in inside if is_one_of(path.name, MASK_ENDINGS))
    return _matched(replace(found, masks=first, mask_files=files), chosen.match, chosen.base, first)


def _in_annotations(found: Unposed, annotated: Annotated) -> Unposed:
    """Add the masks in files of COCO's format, if there are any."""
    found = _warned(replace(found, named=tuple(annotated.named)), *annotated.warnings)
    if not annotated.files:
        return found
    masks_of = tuple(() if entry is None else (entry[0],) for entry in annotated.entries)
    found = replace(
        found,
        masks=annotated.files[0],
        mask_files=tuple(annotated.files),
        masks_of=masks_of,
        entries=tuple(None if entry is None else entry[1] for entry in annotated.entries),
        masked=sum(map(bool, masks_of)),
        unclear=tuple(annotated.rivals[:1]),
    )
    return _unmasked(_warned(found, f"The masks were read from {first_of(annotated.files)}."))


def _unmasked(found: Unposed) -> Unposed:
    """Add a warning if some photographs have no mask and others have one."""
    bare = [path for path, masks in zip(found.photographs, found.masks_of, strict=True) if not masks]
    if not bare or not any(found.masks_of):
        return found
    return _warned(found, f"{len(bare)} of {len(found.photographs)} photographs have no mask (first: {bare[0]}).")


def _annotated(
    root: Path, paths: Sequence[PurePosixPath], place: PurePosixPath, photographs: Sequence[PurePosixPath]
) -> Annotated:
    """Return the masks in files of COCO's format: the one with the most photographs, and others with other ones.

    A warning names files that were not read.
    """
    names = [str(path.relative_to(place)) for path in photographs]
    tried = [find_annotated(names, [root / path]) for path in paths if may_be_annotations(path)]
    joined = Annotated([None] * len(names), [], [])
    others: list[Path] = []
    for each in sorted(tried, key=lambda one: one.count, reverse=True):
        if joined.count and any(old and new for old, new in zip(joined.entries, each.entries, strict=True)):
            others += each.files
        else:
            entries = [old or new for old, new in zip(joined.entries, each.entries, strict=True)]
            joined = Annotated(
                entries,
                [*joined.rivals, *each.rivals],
                [*joined.warnings, *each.warnings],
                [*joined.named, *each.named],
            )
    said = [f"{first_of(others)} also contains masks, which were not read."] if others else []
    return replace(joined, warnings=[*joined.warnings, *said])


def _mask_folders(
    paths: Sequence[PurePosixPath], place: PurePosixPath, photographs: Sequence[PurePosixPath]
) -> list[FolderMatch]:
    """Return the masks of each folder of masks, in the order of preference."""
    above = sorted({up for path in photographs for up in path.parents}, key=lambda up: (up != HERE, up != place, up))
    return search_folders(photographs, [path for path in paths if is_one_of(path.name, MASK_ENDINGS)], above)

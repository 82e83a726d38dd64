"""Folders of masks: which of them belong to which photographs, one for all photographs or one for each camera.

Captures of several cameras have ``cam1/images`` and ``cam1/masks``, or ``images/cam1`` and ``images/cam1/masks``. Such
a folder only contains masks of the photographs of its camera, because those of the others may have the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from protocol.annotations import describes_masks
from protocol.endings import RLE_ENDING, is_one_of
from protocol.folder_names import MASK_FOLDERS, folded, mask_folders, other_mask_folders
from protocol.mask_names import MaskMatch, match_masks


@dataclass(frozen=True)
class FolderMatch:
    """Masks of one folder, or of one folder for each of several cameras.

    Attributes:
        folders: at least one, relative to the scene folder; several have the same name.
        base: the folder that the files of the match are relative to: the only folder, or the scene folder.
        match: of all photographs.
    """

    folders: tuple[PurePosixPath, ...]
    base: PurePosixPath
    match: MaskMatch

    @property
    def holds_masks(self) -> bool:
        """Whether a photograph has a mask, or several files that may be its mask."""
        return bool(self.match.rows)

    @property
    def count(self) -> int:
        """Number of photographs with a mask, or with several files that may be its mask."""
        return len(self.match.rows)


def match_folders(
    photographs: Sequence[PurePosixPath],
    folders: Mapping[PurePosixPath, Sequence[PurePosixPath]],
    names: Sequence[str] = (),
    others: Sequence[str] = (),
) -> list[FolderMatch]:
    """Match the files of each folder of masks to photographs.

    A folder next to, or in, a folder that contains only some of the photographs is matched to these. Folders of the
    same name next to other photographs are joined with it, at the place of the first one.

    Args:
        photographs: relative to the scene folder.
        folders: for each folder, relative to the scene folder, its files, relative to it; best first.
        names, others: as in :func:`protocol.mask_names.match_masks`.
    """
    groups: dict[object, list[tuple[PurePosixPath, MaskMatch]]] = {}
    for folder, files in folders.items():
        rows = [row for row, path in enumerate(photographs) if path.is_relative_to(folder.parent)]
        is_of_camera = 0 < len(rows) < len(photographs)
        rows = rows if is_of_camera else list(range(len(photographs)))
        match = match_masks(
            [str(photographs[row]) for row in rows],
            [str(file) for file in files],
            [names[row] for row in rows] if names else (),
            others,
        )
        spread = _spread(match, rows, len(photographs))
        group = groups.setdefault(folded(folder.name) if is_of_camera else folder, [])
        if any(set(spread.rows) & set(other.rows) for _, other in group):
            group = groups.setdefault(folder, [])
        group.append((folder, spread))
    return [_group(group) for group in groups.values()]


def search_folders(
    photographs: Sequence[PurePosixPath],
    files: Sequence[PurePosixPath],
    above: Sequence[PurePosixPath],
    wanted: Sequence[str] = MASK_FOLDERS,
) -> list[FolderMatch]:
    """Return the masks of each folder of masks, in the order of preference.

    If the folders with usual names contain none, other folders that do are added.

    Args:
        photographs: relative to the scene folder.
        files: all files that may be masks, relative to the scene folder.
        above: the folders in which folders of masks are searched, best first.
        wanted: usual names; other folders are only searched if these are :data:`MASK_FOLDERS`.
    """

    def subfolders(of: PurePosixPath) -> list[str]:
        inside = (path.relative_to(of).parts for path in files if path.is_relative_to(of))
        return sorted({parts[0] for parts in inside if len(parts) > 1})

    def matched(folders: Iterable[PurePosixPath]) -> list[FolderMatch]:
        inside = {up: [path.relative_to(up) for path in files if path.is_relative_to(up)] for up in folders}
        return match_folders(photographs, inside)

    found = matched(up / name for up in above for name in mask_folders(subfolders(up), wanted))
    if wanted == MASK_FOLDERS and not any(each.holds_masks for each in found):
        of_photographs = {up for path in photographs for up in path.parents}
        for up in above:
            others = other_mask_folders(lambda path, up=up: subfolders(up / path))
            held = matched(up / other for other in others if up / other not in of_photographs)
            found += [each for each in held if each.holds_masks]
    return found


def match_beside(root: Path, photographs: Sequence[str], files: Sequence[str], names: Sequence[str] = ()) -> MaskMatch:
    """Match files in the folders of the photographs to photographs.

    Files with names of masks count, as RealityScan writes them. Without such files, JSON files with the names of
    photographs count if their content is masks, as LabelMe writes them.

    Args:
        root: the scene folder.
        photographs, files: relative to it, with forward slashes.
        names: as in :func:`protocol.mask_names.match_masks`.
    """
    match = match_masks(photographs, files, names, marked=True)
    if not match.rows:
        texts = [file for file in files if is_one_of(file, (RLE_ENDING,)) and describes_masks(root / file)]
        match = match_masks(photographs, texts, names)
    return replace(match, strays=[], shared=[])


def assumptions(match: MaskMatch, base: Path, where: Path | str, photographs: Sequence[Path]) -> tuple[str, ...]:
    """Return warnings about what a match assumes and ignores.

    Args:
        match: of the photographs.
        base: the folder that its files are relative to.
        where: the folder of masks, for the sentences.
        photographs: in the order of the match.
    """
    said: list[str] = []
    row = next((row for row, files in enumerate(match.masks) if files), None)
    if row is not None and (match.by_number or match.by_order):
        how = "number" if match.by_number else "order, because there are as many masks as photographs"
        example = f"{base / match.masks[row][0]} belongs to {photographs[row].name}"
        said.append(f"Masks were matched to photographs by {how} ({example}).")
    several = sum(len(files) > 1 for files in match.masks)
    if several:
        said.append(f"{several} photographs have several masks in {where}; each file was treated as one instance.")
    if match.strays:
        count = f"{len(match.strays)} files in {where} do not match any photograph and were ignored"
        said.append(f"{count} (first: {match.strays[0]}).")
    if match.shared:
        count = f"{len(match.shared)} files in {where} match several photographs and were ignored"
        said.append(
            f"{count} (first: {match.shared[0]}); put them into folders with the names of the photograph folders."
        )
    return tuple(said)


def _spread(match: MaskMatch, rows: Sequence[int], count: int) -> MaskMatch:
    """Return the match of the photographs ``rows`` as a match of all."""
    masks: list[tuple[str, ...]] = [()] * count
    for row, files in zip(rows, match.masks, strict=True):
        masks[row] = files
    return replace(match, masks=masks, conflicts={rows[row]: files for row, files in match.conflicts.items()})


def _group(matches: Sequence[tuple[PurePosixPath, MaskMatch]]) -> FolderMatch:
    """Return the masks of one folder, or of several with masks of different photographs."""
    folders = tuple(folder for folder, _ in matches)
    if len(matches) == 1:
        return FolderMatch(folders, *matches[0])
    masks: list[tuple[str, ...]] = [()] * len(matches[0][1].masks)
    conflicts: dict[int, list[str]] = {}
    strays: list[str] = []
    shared: list[str] = []
    for folder, match in matches:
        for row in match.rows:
            masks[row] = tuple(_within(folder, match.masks[row]))
        conflicts |= {row: _within(folder, files) for row, files in match.conflicts.items()}
        strays += _within(folder, match.strays)
        shared += _within(folder, match.shared)
    by_number = any(match.by_number for _, match in matches)
    by_order = any(match.by_order for _, match in matches)
    return FolderMatch(folders, PurePosixPath(), MaskMatch(masks, conflicts, strays, shared, by_number, by_order))


def _within(folder: PurePosixPath, files: Sequence[str]) -> list[str]:
    return [str(folder / file) for file in files]

"""Folders of masks: which of them belong to which photographs, one for all photographs or one for each camera.

Captures of several cameras have ``cam1/images`` and ``cam1/masks``, or ``images/cam1`` and ``images/cam1/masks``. Such
a folder only contains masks of the photographs of its camera, because those of the others may have the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from protocol.capture_names import MaskMatch, folded, match_masks


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
        names, others: as in :func:`protocol.capture_names.match_masks`.
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

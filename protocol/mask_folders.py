"""Folders of masks: which of them belong to which photographs, one for all photographs or one for each camera.

Captures of several cameras have ``cam1/images`` and ``cam1/masks``, or ``images/cam1`` and ``images/cam1/masks``. Such
a folder only contains masks of the photographs of its camera, because those of the others may have the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

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
        return bool(_rows(self.match))

    @property
    def count(self) -> int:
        """Number of photographs with a mask, or with several files that may be its mask."""
        return len(_rows(self.match))


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
        if any(set(_rows(spread)) & set(_rows(other)) for _, other in group):
            group = groups.setdefault(folder, [])
        group.append((folder, spread))
    return [_group(group) for group in groups.values()]


def _spread(match: MaskMatch, rows: Sequence[int], count: int) -> MaskMatch:
    """Return the match of the photographs ``rows`` as a match of all."""
    masks: list[tuple[str, ...]] = [()] * count
    for row, files in zip(rows, match.masks, strict=True):
        masks[row] = files
    return replace(match, masks=masks, conflicts={rows[row]: files for row, files in match.conflicts.items()})


def _rows(match: MaskMatch) -> list[int]:
    return [row for row, files in enumerate(match.masks) if files or row in match.conflicts]


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
        for row in _rows(match):
            masks[row] = tuple(_within(folder, match.masks[row]))
        conflicts |= {row: _within(folder, files) for row, files in match.conflicts.items()}
        strays += _within(folder, match.strays)
        shared += _within(folder, match.shared)
    by_number = any(match.by_number for _, match in matches)
    return FolderMatch(folders, PurePosixPath(), MaskMatch(masks, conflicts, strays, shared, by_number))


def _within(folder: PurePosixPath, files: Sequence[str]) -> list[str]:
    return [str(folder / file) for file in files]

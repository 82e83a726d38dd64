"""Corrects a result folder: what would change, and writing it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.corrections.anchors import anchored, points_of
from backend.corrections.replay import replay
from backend.corrections.solve import State
from protocol.errors import BadArgument, BadResult, NotFound
from protocol.ply import write_ply
from protocol.result.colours import colour_of
from protocol.result.corrections import Correction, Kind, Place, places_of, read_corrections, write_corrections
from protocol.result.evidence import read_evidence
from protocol.result.folder import whole_folder
from protocol.result.gaussians import read_splats, rows_of_labels
from protocol.result.meshes import texture_path
from protocol.result.names import (
    BACKUP,
    CONFIDENCE,
    CORRECTIONS,
    LABEL,
    LABELS,
    MESHES,
    OBJECTS,
    OVERVIEW,
    PART,
    PARTS,
    SPLATS,
    TABLE,
    mesh_path,
    object_path,
)
from protocol.result.part_table import parts_under
from protocol.result.parts import read_parts, write_parts
from protocol.result.table import ObjectRow, ObjectTable, object_row, read_table, rewrite_table
from protocol.splats import Splats
from protocol.store import link_or_copy

NOT_LINKED = (SPLATS, TABLE, PARTS, CORRECTIONS, OBJECTS, MESHES, LABELS, OVERVIEW, BACKUP)
"""What a corrected result does not share with the result before: it is written again, or no longer true."""


@dataclass(frozen=True)
class Change:
    """What a correction changes.

    Attributes:
        lines: a sentence for each object that changes.
        labels: (N,) int32, the labels after it.
        corrections: all corrections of the result after it.
    """

    lines: list[str]
    labels: NDArray[np.int32]
    corrections: list[Correction]


@dataclass(frozen=True)
class _Opened:
    """A result and its labels under its own corrections."""

    folder: Path
    table: ObjectTable
    splats: Splats
    state: State


def correct(folder: Path, kind: Kind, targets: Sequence[str], *, here: bool = False, apply: bool = False) -> Change:
    """Solve the labels of a result again under one more correction.

    Args:
        folder: a result folder.
        kind: see :class:`protocol.result.corrections.Correction`.
        targets: ids or names of objects, or Gaussians as ``@`` and rows of ``splats.ply`` separated by commas.
        here: whether similar mistakes elsewhere stay.
        apply: whether the result is changed.

    Raises:
        BadResult: if the folder is not a result that can be corrected. NotFound: if it lacks a target. BadArgument: if
            the correction contradicts another one or does nothing.
    """
    opened = _open(folder)
    if len(targets) != places_of(kind):
        raise BadArgument(f"A correction of the kind {kind} needs {places_of(kind)} targets, not {len(targets)}.")
    places = [_place(opened, target) for target in targets]
    return _extended(opened, [Correction(kind=kind, places=places, here=here)], apply)


def _extended(opened: _Opened, added: Sequence[Correction], apply: bool) -> Change:
    for each in anchored(opened.splats.means, opened.state.evidence, added):
        opened.state.take(each)
    corrections = [each.correction for each in opened.state.taken]
    return _finish(opened, opened.state.gaussians, corrections, apply)


def correct_from(folder: Path, corrections: Sequence[Correction], *, apply: bool = False) -> Change:
    """As :func:`correct`, with several corrections, such as those of another result of the same capture."""
    return _extended(_open(folder), corrections, apply)


def undo(folder: Path, *, apply: bool = False) -> Change:
    """Take back the last correction of a result.

    Without corrections left, the result becomes what it was before them, unless objects were renamed or moved since.

    Raises:
        BadArgument: if there are no corrections. BadResult: as :func:`correct`.
    """
    opened = _open(folder)
    kept = [each.correction for each in opened.state.taken[:-1]]
    if not opened.state.taken:
        raise BadArgument(f"{folder} has no corrections.")
    state, _ = replay(opened.splats.means, opened.state.evidence, kept)
    restored = not kept and _only_corrected(opened)
    change = _finish(opened, state.gaussians, kept, apply and not restored)
    if apply and restored:
        with whole_folder(folder) as new:
            _copy(folder / BACKUP, new, ())
    return change


def _only_corrected(opened: _Opened) -> bool:
    """Whether ``before-edits`` can replace the result: nobody has renamed, coloured or moved an object since."""
    if not (opened.folder / BACKUP).is_dir():
        return False
    before = {row.id: row for row in read_table(opened.folder / BACKUP).objects}
    return all(
        (row.name, row.colour, row.matrix) == (before[row.id].name, before[row.id].colour, before[row.id].matrix)
        for row in opened.table.objects
        if row.id in before
    )


def _open(folder: Path) -> _Opened:
    table, splats = read_table(folder), read_splats(folder)
    evidence = read_evidence(folder, len(splats))
    if evidence is None:
        raise BadResult(
            f"{folder} has no evidence to correct its objects with.", "Segment the scene again, with masks."
        )
    state, notes = replay(splats.means, evidence, read_corrections(folder))
    if notes or not np.array_equal(state.gaussians, splats.extra[LABEL]):
        raise BadResult(
            f"The objects of {folder} were edited after they were segmented.", "Correct a result before editing it."
        )
    return _Opened(folder, table, splats, state)


def _place(opened: _Opened, target: str) -> Place:
    labels, region = opened.splats.extra[LABEL], opened.state.evidence.region
    if target.startswith("@"):
        words = target[1:].split(",")
        rows = np.array([int(word) if word.isdecimal() and len(word) < 10 else -1 for word in words])
        if rows.min() < 0 or rows.max() >= len(labels):
            raise NotFound(f"{target} does not name Gaussians.", f"Give rows from 0 to {len(labels) - 1}, as @12,40.")
        name = target if len(target) < 60 else f"{target[:56]}..."
    else:
        row = _object(opened, target)
        rows, name = np.flatnonzero(labels == row.id), row.name
    if not (region[rows] >= 0).any():
        raise NotFound(f"{target} has no Gaussians that the masks show.", "Choose other Gaussians.")
    return Place(name=name, points=points_of(opened.splats.means, region, rows))


def _object(opened: _Opened, word: str) -> ObjectRow:
    for row in opened.table.objects:
        if word in (str(row.id), row.name) and row.count:
            return row
    raise NotFound(f"{opened.folder} has no object {word!r}.", "Choose an id or a name from objects.json.")


def _finish(opened: _Opened, labels: NDArray[np.int32], corrections: list[Correction], apply: bool) -> Change:
    change = Change(list(_lines(opened, labels)), labels, corrections)
    if apply:
        _write(opened, change)
    return change


def _lines(opened: _Opened, labels: NDArray[np.int32]) -> Iterator[str]:
    """Yield a sentence for each object that loses Gaussians: how many go where."""
    before = opened.splats.extra[LABEL].astype(np.int64)
    names = {0: "the background"} | {row.id: row.name for row in opened.table.objects}
    moved = before != labels
    pairs, count = np.unique(np.stack([before[moved], labels[moved]]), axis=1, return_counts=True)
    for (old, new), number in zip(pairs.T.tolist(), count.tolist(), strict=True):
        target = names.get(new, f"the new object {new}")
        yield f"{number:,} Gaussians of {names[old]} go to {target}."


def _write(opened: _Opened, change: Change) -> None:
    """Replace the result folder: meshes of changed objects and images of labels only remain in the copy in it."""
    folder, labels, before = opened.folder, change.labels, opened.splats.extra[LABEL]
    moved = before != labels
    changed = set(np.unique(np.concatenate([before[moved], labels[moved]])).tolist())
    splats, table = opened.splats.with_columns(**{LABEL: labels}), read_parts(folder)
    with whole_folder(folder) as new:
        _copy(folder, new, NOT_LINKED)
        _copy(folder / BACKUP if (folder / BACKUP).is_dir() else folder, new / BACKUP, ())
        if table is not None:
            table, part = parts_under(table, splats.extra.get(PART), before, labels)
            splats = splats if part is None else splats.with_columns(**{PART: part})
            write_parts(new, table)
        write_ply(splats, new / SPLATS)
        (new / OBJECTS).mkdir()
        (new / MESHES).mkdir()
        rows = []
        for label, own in rows_of_labels(labels).items():
            if label == 0:
                continue
            known = _known(opened, label)
            rows.append(known if known and label not in changed else _row(opened, label, own))
            if label in changed:
                write_ply(splats.pick(own).without_columns(), object_path(new, label))
                continue
            for path_of in (object_path, mesh_path, _texture_path):
                if path_of(folder, label).is_file():
                    link_or_copy(path_of(folder, label), path_of(new, label))
        rewrite_table(new, rows, present=folder, original=folder)
        write_corrections(new, change.corrections)


def _texture_path(folder: Path, label: int) -> Path:
    return texture_path(mesh_path(folder, label))


def _known(opened: _Opened, label: int) -> ObjectRow | None:
    return next((row for row in opened.table.objects if row.id == label), None)


def _row(opened: _Opened, label: int, rows: NDArray[np.int64]) -> ObjectRow:
    """Return the row of an object whose Gaussians changed; a new object has the views of the one it came from."""
    known = _known(opened, label)
    before = opened.splats.extra[LABEL][rows]
    origin = known or _known(opened, int(np.bincount(before).argmax()))
    return object_row(
        label,
        known.name if known else f"Object {label}",
        opened.splats.means[rows],
        opened.splats.opacities[rows],
        opened.splats.extra[CONFIDENCE][rows],
        colour=known.colour if known else colour_of(label),
        views=origin.views if origin else 0,
        matrix=known.matrix if known else None,
    )


def _copy(source: Path, target: Path, leave: Sequence[str]) -> None:
    """Copy a result, but for some of its files and folders; large files are linked, as nobody writes into them."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        return set(leave) & set(names) if Path(folder) == source else set()

    shutil.copytree(source, target, copy_function=link_or_copy, ignore=ignored, dirs_exist_ok=True)

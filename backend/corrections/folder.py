"""Corrects a result folder: what would change, and writing it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.corrections.anchors import anchored, points_of
from backend.corrections.replay import replay
from backend.corrections.solve import State
from protocol.errors import BadArgument, BadResult, NotFound
from protocol.ply import write_ply
from protocol.result.colours import colour_of
from protocol.result.corrections import Correction, Kind, Move, Place, places_of, read_corrections, write_corrections
from protocol.result.evidence import read_evidence
from protocol.result.folder import whole_folder
from protocol.result.gaussians import read_splats, rows_of_labels
from protocol.result.meshes import texture_path
from protocol.result.names import (
    BACKUP,
    CONFIDENCE,
    CORRECTIONS,
    GALLERY,
    LABEL,
    LABELS,
    MESHES,
    OBJECTS,
    OVERVIEW,
    PART,
    PARTS,
    SPLATS,
    TABLE,
    TURNTABLE,
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
        moves: the same as the lines, in numbers.
        rows: (M,) int64, the Gaussians that change, in the order of the moves.
        restores: whether the result becomes the one in ``before-edits``.
    """

    lines: list[str]
    labels: NDArray[np.int32]
    corrections: list[Correction]
    moves: list[Move]
    rows: NDArray[np.int64]
    restores: bool = False


@dataclass(frozen=True)
class OpenedResult:
    """A result and its labels under its own corrections."""

    folder: Path
    table: ObjectTable
    splats: Splats
    state: State


@dataclass(frozen=True)
class Wish:
    """A requested correction of objects, or of some of their Gaussians.

    Attributes:
        kind: see :class:`protocol.result.corrections.Correction`.
        targets: for each place the id of an object, or (r,) int64 rows of ``splats.ply``.
        here: whether similar mistakes elsewhere stay.
    """

    kind: Kind
    targets: Sequence[int | NDArray[np.int64]]
    here: bool = False


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
            the correction contradicts another one or has no effect.
    """
    opened = open_corrected(folder)
    _check_count(kind, len(targets))
    places = [_place(opened, target) for target in targets]
    return _written(opened, _extended(opened, [Correction(kind=kind, places=places, here=here)]), apply)


def correct_from(folder: Path, corrections: Sequence[Correction], *, apply: bool = False) -> Change:
    """As :func:`correct`, with several corrections, such as those of another result of the same capture."""
    opened = open_corrected(folder)
    return _written(opened, _extended(opened, corrections), apply)


def correct_opened(opened: OpenedResult, wishes: Sequence[Wish]) -> Change:
    """Return what corrections would change; nothing is written, and ``opened`` is not changed.

    After the first, corrections that the labels fulfil already are kept without a change: merging A with B may have
    merged C with them.

    Raises:
        NotFound: if an object no longer exists. BadArgument: if there are no such Gaussians, or a correction
            contradicts another one or has no effect.
    """
    corrections = []
    for wish in wishes:
        _check_count(wish.kind, len(wish.targets))
        places = [_place_of(opened, target) for target in wish.targets]
        corrections.append(Correction(kind=wish.kind, places=places, here=wish.here))
    return _extended(opened, corrections, lenient=True)


def undo(folder: Path, *, apply: bool = False) -> Change:
    """Take back the last correction of a result.

    Without corrections left, the result becomes what it was before them, unless objects were renamed or moved since.

    Raises:
        BadArgument: if there are no corrections. BadResult: as :func:`correct`.
    """
    opened = open_corrected(folder)
    return _written(opened, undone(opened), apply)


def undone(opened: OpenedResult) -> Change:
    """As :func:`undo`; nothing is written."""
    kept = [each.correction for each in opened.state.taken[:-1]]
    if not opened.state.taken:
        raise BadArgument(f"{opened.folder} has no corrections.")
    state, _ = replay(opened.splats.means, opened.state.evidence, kept)
    change = _change(opened, state.gaussians, kept, np.zeros(len(state.gaussians), bool))
    return replace(change, restores=not kept and _only_corrected(opened))


def _check_count(kind: Kind, count: int) -> None:
    if count != places_of(kind):
        raise BadArgument(f"A correction of the kind {kind} needs {places_of(kind)} targets, not {count}.")


def _extended(opened: OpenedResult, added: Sequence[Correction], lenient: bool = False) -> Change:
    state = replace(opened.state, taken=list(opened.state.taken))
    elsewhere = np.zeros(len(state.label), bool)
    for number, each in enumerate(anchored(opened.splats.means, state.evidence, added)):
        if lenient and number and state.is_done(each):
            state.taken.append(each)
            continue
        alone = state.take(each)
        elsewhere |= state.label != alone
    corrections = [each.correction for each in state.taken]
    region = state.evidence.region
    return _change(opened, state.gaussians, corrections, (region >= 0) & elsewhere[np.maximum(region, 0)])


def _only_corrected(opened: OpenedResult) -> bool:
    """Whether ``before-edits`` can replace the result: no object was renamed, coloured or moved since."""
    if not (opened.folder / BACKUP).is_dir():
        return False
    before = {row.id: row for row in read_table(opened.folder / BACKUP).objects}
    return all(
        (row.name, row.colour, row.matrix) == (before[row.id].name, before[row.id].colour, before[row.id].matrix)
        for row in opened.table.objects
        if row.id in before
    )


def open_corrected(folder: Path) -> OpenedResult:
    """Read a result for corrections.

    Raises:
        BadResult: if the folder is not a result that can be corrected.
    """
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
    return OpenedResult(folder, table, splats, state)


def _place(opened: OpenedResult, target: str) -> Place:
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


def _object(opened: OpenedResult, word: str) -> ObjectRow:
    for row in opened.table.objects:
        if word in (str(row.id), row.name) and row.count:
            return row
    raise NotFound(f"{opened.folder} has no object {word!r}.", "Choose an id or a name from objects.json.")


def _place_of(opened: OpenedResult, target: int | NDArray[np.int64]) -> Place:
    """Return the place of an object, or of Gaussians.

    Of Gaussians, regions stand that have most of their own among them, if there are any: a selection rarely follows
    the borders of regions, and two places must not share one.
    """
    labels, region = opened.splats.extra[LABEL], opened.state.evidence.region
    if isinstance(target, int):
        row = next((row for row in opened.table.objects if row.id == target and row.count), None)
        if row is None:
            raise NotFound(
                f"{opened.folder} has no object {target}.", "It was merged or removed; choose another object."
            )
        rows, name = np.flatnonzero(labels == target), row.name
    else:
        rows, name = target, f"{len(target):,} selected Gaussians"
        if not len(rows) or rows.min() < 0 or rows.max() >= len(labels):
            raise BadArgument(
                f"The Gaussians of a correction do not exist in {opened.folder}.",
                f"Give rows from 0 to {len(labels) - 1}.",
            )
        size = len(opened.state.size)
        inside = np.bincount(region[rows][region[rows] >= 0], minlength=size)
        mostly = 2 * inside > opened.state.size
        within = (region[rows] >= 0) & mostly[np.maximum(region[rows], 0)]
        rows = rows[within] if within.any() else rows
    if not (region[rows] >= 0).any():
        raise NotFound(f"{name} has no Gaussians that the masks show.", "Choose other Gaussians.")
    return Place(name=name, points=points_of(opened.splats.means, region, rows))


def _change(
    opened: OpenedResult, labels: NDArray[np.int32], corrections: list[Correction], elsewhere: NDArray[np.bool_]
) -> Change:
    before = opened.splats.extra[LABEL].astype(np.int64)
    rows = np.flatnonzero(before != labels)
    keys = np.stack([elsewhere[rows], before[rows], labels[rows]])
    groups, group, count = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    known = {0, *np.unique(before).tolist()}
    moves = [
        Move(source, target, number, bool(is_elsewhere), target not in known)
        for (is_elsewhere, source, target), number in zip(groups.T.tolist(), count.tolist(), strict=True)
    ]
    rows = rows[np.argsort(group.ravel(), kind="stable")]
    return Change(list(_lines(opened, labels)), labels, corrections, moves, rows)


def _written(opened: OpenedResult, change: Change, apply: bool) -> Change:
    if apply:
        write_change(opened, change, opened.folder)
    return change


def _lines(opened: OpenedResult, labels: NDArray[np.int32]) -> Iterator[str]:
    """Yield a sentence for each object that loses Gaussians: how many go where."""
    before = opened.splats.extra[LABEL].astype(np.int64)
    names = {0: "the background"} | {row.id: row.name for row in opened.table.objects}
    moved = before != labels
    pairs, count = np.unique(np.stack([before[moved], labels[moved]]), axis=1, return_counts=True)
    for (old, new), number in zip(pairs.T.tolist(), count.tolist(), strict=True):
        target = names.get(new, f"the new object {new}")
        yield f"{number:,} Gaussians of {names[old]} go to {target}."


def write_change(opened: OpenedResult, change: Change, out: Path) -> None:
    """Write the changed result to ``out``, which is replaced if it exists.

    Meshes of changed objects and images of labels only remain in the copy of the first result in it:
    :func:`outdated_meshes` lists those, and :func:`backend.gallery.redraw.redraw` draws these again.
    """
    if change.restores:
        with whole_folder(out) as new:
            _copy(opened.folder / BACKUP, new, ())
        return
    folder, labels, before = opened.folder, change.labels, opened.splats.extra[LABEL]
    moved = before != labels
    changed = set(np.unique(np.concatenate([before[moved], labels[moved]])).tolist())
    splats, table = opened.splats.with_columns(**{LABEL: labels}), read_parts(folder)
    with whole_folder(out) as new:
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
        (new / GALLERY / TURNTABLE).unlink(missing_ok=True)
        rewrite_table(new, rows, present=folder, original=folder)
        write_corrections(new, change.corrections)


def outdated_meshes(folder: Path) -> list[int]:
    """Return the ids of the objects of a corrected result that have no mesh because their Gaussians changed."""
    before = folder / BACKUP
    if not (before / MESHES).is_dir():
        return []
    known = {row.id for row in read_table(before).objects}
    return [
        row.id
        for row in read_table(folder).objects
        if not mesh_path(folder, row.id).is_file() and (mesh_path(before, row.id).is_file() or row.id not in known)
    ]


def _texture_path(folder: Path, label: int) -> Path:
    return texture_path(mesh_path(folder, label))


def _known(opened: OpenedResult, label: int) -> ObjectRow | None:
    return next((row for row in opened.table.objects if row.id == label), None)


def _row(opened: OpenedResult, label: int, rows: NDArray[np.int64]) -> ObjectRow:
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
    """Copy a result without some of its files and folders; large files are linked, because they are never modified."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        return set(leave) & set(names) if Path(folder) == source else set()

    shutil.copytree(source, target, copy_function=link_or_copy, ignore=ignored, dirs_exist_ok=True)

"""Writes a result in which the holes beneath objects are filled. The added Gaussians are marked as invented."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from backend.objects.export import ids_of
from backend.objects.hole import draw_depths, fill_hole
from backend.objects.result import read_cameras
from backend.progress import Progress, silent
from protocol.errors import BadArgument, Unavailable
from protocol.ply import write_ply
from protocol.result.embedding import read_embedding, write_embedding
from protocol.result.folder import check_out, whole_folder
from protocol.result.gaussians import read_splats
from protocol.result.names import (
    BACKUP,
    CONFIDENCE,
    CORRECTIONS,
    EMBEDDING,
    EVIDENCE,
    INVENTED,
    LABEL,
    PART,
    ROW,
    SPLATS,
    TABLE,
    object_path,
)
from protocol.result.table import ObjectTable, object_row, read_table, write_table
from protocol.splats import Splats, merge
from protocol.store import link_or_copy


def fill(
    folder: Path, wanted: Sequence[str], out: Path, *, device: str = "auto", progress: Progress = silent
) -> tuple[int, list[str]]:
    """Write a result in which the surface beneath objects has no holes. The objects stay.

    The evidence of the masks and the corrections describe the old Gaussians, so the new result has neither.

    Args:
        folder: a result.
        wanted: ids or names from ``objects.json``; "all" means every object.
        out: the new result; not ``folder``.

    Returns:
        The number of copied Gaussians, and a sentence about each object.

    Raises:
        BadResult: if the folder is not a result or has no cameras. NotFound: if it lacks an object. BadArgument: if
            ``out`` is ``folder`` or contains anything but a result. Unavailable: if ``out`` cannot be written.
    """
    check_out(out)
    if out.resolve() == folder.resolve():
        raise BadArgument(f"The output {out} is the result that is filled.", "Choose another folder.")
    table = read_table(folder)
    names = {row.id: row.name for row in table.objects}
    labels = [label for label in ids_of(table, wanted, folder) if label]
    splats = read_splats(folder)
    views = draw_depths(splats, list(read_cameras(folder).values()))
    parts, rows, notes = [], [], []
    replaced = np.zeros(len(splats), bool)
    # Users remove these objects together, so none of them may be copied beneath another.
    source = ~np.isin(splats.extra[LABEL], labels)
    for done, label in enumerate(labels):
        progress("objects", done / len(labels), f"hole {done + 1} of {len(labels)}")
        filled = fill_hole(splats, splats.extra[LABEL] == label, source, views, device)
        if filled.splats is None:
            notes.append(f"{names[label]}: {filled.note}")
            continue
        notes.append(f"{names[label]}: {len(filled.rows):,} Gaussians fill {filled.share:.0%} of the hole beneath it.")
        parts.append(filled.splats)
        rows.append(filled.rows)
        replaced |= filled.replaced
    kept = np.flatnonzero(~replaced)
    try:
        _write(folder, out, table, _marked(splats.pick(kept), parts), np.concatenate([kept, *rows]), len(kept))
    except OSError as error:
        raise Unavailable(
            f"The result cannot be written to {out}: {error.strerror or error}.",
            "Choose a folder with write permission.",
        ) from error
    return sum(len(part) for part in parts), notes


def _marked(splats: Splats, parts: Sequence[Splats]) -> Splats:
    """Return all Gaussians with a column that marks the copies. Earlier marks are kept."""
    before = splats.extra.get(INVENTED, np.zeros(len(splats), np.uint8)).astype(np.uint8)
    kept = {name: column for name, column in splats.extra.items() if name != ROW}
    own = replace(splats, extra=kept | {INVENTED: before})
    new = [replace(part, extra=part.extra | _extra(part)) for part in parts]
    return merge([own, *new])


def _extra(copies: Splats) -> dict[str, NDArray]:
    """Return the columns of copies that differ from those of their originals: they belong to no part of an object."""
    no_part = {PART: np.zeros_like(copies.extra[PART])} if PART in copies.extra else {}
    return {INVENTED: np.ones(len(copies), np.uint8), **no_part}


def _write(folder: Path, out: Path, table: ObjectTable, splats: Splats, rows: NDArray[np.int64], count: int) -> None:
    """Write the new result; everything that does not change is linked.

    Args:
        splats: of the new result.
        rows: (N,) int64, for each the row of the old result that it is, or is a copy of.
        count: number of Gaussians that are not copies; they come first.
    """
    left = {SPLATS, TABLE, EMBEDDING, EVIDENCE, CORRECTIONS, BACKUP}
    labels, before = splats.extra[LABEL], read_splats(folder)
    changed = {row.id for row in table.objects if row.count != np.count_nonzero(labels == row.id)}
    changed |= set(np.unique(labels[count:]).tolist())
    embedding = read_embedding(folder, len(before))
    with whole_folder(out) as new:
        shutil.copytree(
            folder, new, copy_function=link_or_copy, dirs_exist_ok=True,
            ignore=lambda where, names: left & set(names) if Path(where) == folder else set(),
        )  # fmt: skip
        write_ply(splats, new / SPLATS)
        if embedding is not None:
            write_embedding(new, embedding[rows])
        listed = []
        for row in table.objects:
            if row.id not in changed:
                listed.append(row)
                continue
            own = splats.pick(labels == row.id)
            made = object_row(
                row.id, row.name, own.means, own.opacities, own.extra[CONFIDENCE], colour=row.colour, views=row.views,
                matrix=row.matrix,
            )  # fmt: skip
            listed.append(made)
            path = object_path(new, row.id)
            path.unlink(missing_ok=True)  # it may be a link to the file of the old result
            write_ply(own.without_columns(), path)
        write_table(new, structs.replace(table, objects=listed))

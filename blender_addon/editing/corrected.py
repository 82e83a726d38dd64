"""Applies corrections of a server to an imported scene: Gaussians go to the objects that the server names.

Gaussians are found by the attribute :data:`protocol.result.names.ROW`, their rows in the result. A scene may have been
edited since it was imported: Gaussians that are gone are left out, but those that belong to other objects than on the
server are a conflict, because the correction was solved for other objects than those in Blender.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument, Refused
from protocol.messages import Constraint, Target
from protocol.result.colours import colour_of
from protocol.result.names import ROW
from protocol.wire import MAX_ARRAYS

from .. import session
from ..client.correction import Correction, bits_of
from .columns import read_column
from .merge import merge
from .modes import outside_edit_mode
from .moving import Taken, cut, join_rows
from .parts import (
    Counterparts,
    Piece,
    background_for,
    check_parts,
    inner_of,
    new_part,
    parts_of,
    pieces_of,
    points_of,
    refresh_or_dissolve,
    refresh_part,
)
from .selection import selected

CONFLICT = "Undo these edits, or import the result again."


@dataclass(frozen=True)
class Asked:
    """What is asked of the server: constraints, and the arrays of their targets."""

    constraints: list[Constraint]
    arrays: list[NDArray[np.uint8]]


def merged(parts: Sequence[Any], into: Any = None) -> Asked:
    """Return the correction that says that objects are one; they become ``into``, or the largest.

    Raises:
        BadArgument: if there are not at least two objects of one scene, or one is the background or a part of another.
    """
    several = check_parts([*parts, *([into] if into is not None else [])])
    if len(several) < 2:
        raise BadArgument("At least two objects are needed to merge.", "Select two or more objects.")
    if any(part.splatlift.kind == "BACKGROUND" for part in several):
        raise BadArgument(
            "The background cannot be merged together with everything like it.", "Assign objects to the background."
        )
    if any(part.splatlift.kind == "PART" for part in several):
        raise BadArgument(
            "Parts of objects cannot be merged together with everything like it.", "Set the level to Whole Objects."
        )
    if into is None:
        into = max(several, key=lambda part: part.splatlift.count)
    first = Target(into.splatlift.label)
    return Asked([Constraint("one", [first, Target(part.splatlift.label)]) for part in several if part != into], [])


@outside_edit_mode
def separate(parts: Sequence[Any]) -> Asked:
    """Return the correction that says that the selected Gaussians of each object are an object of their own.

    Raises:
        BadArgument: if nothing is selected, or only whole objects.
    """
    chosen = _selections(parts)
    partly = [bits_of(rows) for rows, is_whole, _ in chosen if not is_whole]
    if not partly:
        raise BadArgument(
            "The whole object is selected." if chosen else "No Gaussians are selected.",
            "Select a part of an object in Edit Mode.",
        )
    return Asked([Constraint("own", [Target(gaussians=number)]) for number in range(len(partly))], partly)


@outside_edit_mode
def assigned(parts: Sequence[Any], to: Any) -> Asked:
    """Return the correction that says that the selected Gaussians belong to the object ``to``, or to the background.

    Raises:
        BadArgument: if nothing is selected outside of ``to``, or ``to`` belongs to another scene.
    """
    several = check_parts([*parts, *([to] if to is not None else [])])
    to = None if to is None else session.object_of(to)
    others = [part for part in several if session.object_of(part) != to]
    sources = [part for part in others if to is not None or part.splatlift.kind != "BACKGROUND"]
    chosen = _selections(sources) if sources else []
    if not chosen:
        raise BadArgument("No Gaussians outside of the target are selected.", "Select Gaussians in Edit Mode.")
    constraints = []
    for number, (_, is_whole, label) in enumerate(chosen):
        place = Target(gaussians=number)
        if to is not None and to.splatlift.kind == "OBJECT":
            constraints.append(Constraint("there", [place, Target(to.splatlift.label)]))
        elif is_whole:
            constraints.append(Constraint("background", [Target(label)]))
        else:
            # Only whole objects can be background, so the selection becomes an object first.
            constraints += [Constraint("own", [place]), Constraint("background", [place])]
    return Asked(constraints, [bits_of(rows) for rows, _, _ in chosen])


def check_conflicts(scene: Any, correction: Correction) -> None:
    """Refuse a correction that does not fit the objects of a scene.

    Raises:
        Refused: if Gaussians that change belong to other objects than on the server, or an object that they go to is
            missing, or is there though it is new on the server.
        BadSplats: if Gaussians no longer have their row.
    """
    where = _Where(correction)
    fitting, there = np.zeros(len(where.after), bool), np.zeros(len(where.after), bool)
    parts = parts_of(scene)
    for part in parts:
        for piece in pieces_of(part):
            rows = where.rows_of(piece)
            there[rows[rows >= 0]] = True
            fitting[rows[where.moving(rows, part)]] = True
    wrong = int(np.count_nonzero(there & ~fitting & (where.after >= 0)))
    if wrong:
        raise Refused(
            f"{wrong:,} Gaussians of the change were edited in Blender, or belong to another version.", CONFLICT
        )
    labels = {part.splatlift.label for part in parts}
    for move in correction.moves:
        if move.is_new and move.target in labels:
            raise Refused(f"The number {move.target} of a new object is already used by an edit in Blender.", CONFLICT)
        if not move.is_new and move.target not in {0, *labels}:
            raise Refused(f"The object {move.target}, to which Gaussians go, is no longer in the scene.", CONFLICT)


@outside_edit_mode
def apply_correction(scene: Any, correction: Correction) -> list[Any]:
    """Move the Gaussians of a scene to the objects that a correction names; return the objects that got some.

    All Gaussians keep their position. Objects that become empty are removed.

    Raises:
        Refused, BadSplats: as :func:`check_conflicts`; then nothing is changed. BadSplats: also if an object is scaled
            non-uniformly or mirrored relative to the object that gets its Gaussians.
    """
    check_conflicts(scene, correction)
    where = _Where(correction)
    changed: list[Any] = []
    heirs: dict[Any, Any] = {}
    targets = dict.fromkeys(move.target for move in correction.moves)
    for target in targets:
        taken = {
            part: pieces
            for part in parts_of(scene)
            if part.splatlift.label != target and (pieces := _leaving(part, where, target))
        }
        if not taken:
            continue
        to = _part(scene, target, next(iter(taken)))
        for part, pieces in taken.items():
            remains = part.splatlift.label in targets
            if not remains and _are_all(part, pieces) and to.splatlift.kind == "OBJECT" and pieces_of(to):
                merge([part, to], to)  # it keeps the parts of both
                continue
            _move(pieces, part, to)
            # Labels decide what moves next, so parts keep them until all have moved.
            heirs[part] = to
        changed.append(to)
    for part, heir in heirs.items():
        refresh_or_dissolve(part, heir)
    for part in changed:
        refresh_part(part)
    return changed


def _leaving(part: Any, where: _Where, target: int) -> list[tuple[Piece, NDArray[np.bool_]]]:
    """Return the Gaussians of a part that go to the object with the label ``target``."""
    found = []
    for piece in pieces_of(part):
        rows = where.rows_of(piece)
        going = where.moving(rows, part) & where.going(rows, target)
        if going.any():
            found.append((piece, going))
    return found


def _are_all(part: Any, pieces: list[tuple[Piece, NDArray[np.bool_]]]) -> bool:
    """Whether these Gaussians are all of a part."""
    total = sum(points_of(piece.thing) for piece in pieces_of(part))
    return sum(int(np.count_nonzero(rows)) for _, rows in pieces) == total


def _move(pieces: list[tuple[Piece, NDArray[np.bool_]]], part: Any, to: Any) -> None:
    """Move Gaussians of one part to another; an empty one gets the inner parts of the old one."""
    there = sorted(pieces_of(to), key=lambda piece: -points_of(piece.thing) if inner_of(piece) else 0)
    if there:
        join_rows(there[0], [Taken(piece, rows) for piece, rows in pieces])
        return
    places = Counterparts(to, part)
    for piece, rows in pieces:
        place = places.of(piece) if to.splatlift.kind == "OBJECT" else to
        if of_place := pieces_of(place):
            join_rows(of_place[0], [Taken(piece, rows)])
        else:
            cut(piece, rows, place, place.name)


def names_in(scene: Any) -> dict[int, str]:
    """Return the names of the objects of a scene by label, without the background."""
    return {part.splatlift.label: part.name for part in parts_of(scene) if part.splatlift.kind == "OBJECT"}


class _Where:
    """Where each row of a result belongs, before and after a correction; -1 for rows that stay."""

    def __init__(self, correction: Correction) -> None:
        count = int(correction.rows.max(initial=-1)) + 1
        self.before, self.after = np.full(count, -1), np.full(count, -1)
        self.before[correction.rows], self.after[correction.rows] = correction.labels()

    def rows_of(self, piece: Piece) -> NDArray[np.int64]:
        """Return the row of each Gaussian of a piece; -1 for those after the last row that changes."""
        rows = read_column(piece.thing.data, ROW).astype(np.int64)
        return np.where((rows >= 0) & (rows < len(self.after)), rows, -1)

    def moving(self, rows: NDArray[np.int64], part: Any) -> NDArray[np.bool_]:
        """Return which of the Gaussians with these rows, in a part, leave it."""
        if not len(self.after):
            return np.zeros(len(rows), bool)
        return (rows >= 0) & (self.after[rows] >= 0) & (self.before[rows] == part.splatlift.label)

    def going(self, rows: NDArray[np.int64], target: int) -> NDArray[np.bool_]:
        """Return which of the Gaussians with these rows go to the object with the label ``target``."""
        return (rows >= 0) & (self.after[rows] == target)


def _selections(parts: Sequence[Any]) -> list[tuple[NDArray[np.int64], bool, int]]:
    """Return for each object with selected Gaussians their rows, whether they are all of it, and its label.

    Raises:
        BadArgument: if they are more than a message has room for.
    """
    rows: dict[Any, list[NDArray[np.int64]]] = {}
    found = []
    for part in check_parts(parts):
        for piece in pieces_of(part):
            chosen = read_column(piece.thing.data, ROW)[selected(piece)].astype(np.int64)
            rows.setdefault(session.object_of(part), []).append(chosen)
    for whole, chosen in rows.items():
        own = np.concatenate(chosen)
        total = sum(points_of(piece.thing) for piece in pieces_of(whole))
        if len(own):
            found.append((own, len(own) == total, whole.splatlift.label))
    if len(found) > MAX_ARRAYS:
        raise BadArgument(
            f"Gaussians of {len(found)} objects are selected; at most {MAX_ARRAYS} objects are corrected at once.",
            "Select Gaussians of fewer objects.",
        )
    return found


def _part(scene: Any, label: int, like: Any) -> Any:
    """Return the part of a scene with a label, created like another part if it is missing."""
    if label == 0:
        return background_for(like)
    objects = [each for each in scene.children_recursive if each.splatlift.kind == "OBJECT"]
    found = next((each for each in objects if each.splatlift.label == label), None)
    if found is not None:
        return found
    part = new_part(session.object_of(like), f"Object {label}")
    part.splatlift.label = label
    part.splatlift.colour = colour_of(label)
    return part

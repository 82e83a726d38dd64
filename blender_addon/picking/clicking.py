"""Clicks: the object at a pixel, its part at the next click there, then the object again.

The selection consists of Blender objects, so every operation of Blender and the add-on on selected objects works with
it. A splat without labels is one Blender object; a click selects Gaussians of it, as in Edit Mode: the connected piece,
and at the next click the connected Gaussians of similar colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument
from protocol.ray_picking import SAME_PLACE, Hits, Met, Mode, combined, composited, label_of

from ..editing.selection import read_selection, store_selection
from ..sight import Sight
from ..splats.columns import count_of
from ..splats.export import world_matrix
from .prepared import prepared
from .rays import Ray, ray_through
from .shown import Shown, shown_in

Rows = NDArray[np.bool_]


DID: dict[Mode, str] = {"set": "Selected", "add": "Added", "subtract": "Deselected", "intersect": "Intersected with"}


class Clicked(NamedTuple):
    """The object or Gaussians that a click selected.

    Attributes:
        mode: what the click did with the selection so far.
        name: of the object, or of a splat without labels.
        whole: the collection of the object; None for a splat without labels.
        part: the collection of the part, if only the part was selected.
        alike: whether Gaussians of similar colour were selected.
        gaussians: number of selected Gaussians of a splat without labels, after the click.
    """

    mode: Mode
    name: str
    whole: Any = None
    part: Any = None
    alike: bool = False
    gaussians: int = 0

    @property
    def sentence(self) -> str:
        """The effect of the click, for the user."""
        if self.whole is None:
            what = "Gaussians of similar colour" if self.alike else "connected Gaussians"
            return f"{DID[self.mode]}: {what} of {self.name}, {self.gaussians:,} in total."
        what = f"{self.part.name}, a part of {self.name}" if self.part is not None else self.name
        return f"{DID[self.mode]}: {what}."


class _Place(NamedTuple):
    """The last click, and how many clicks of its mode were made there before."""

    sight: Sight
    x: float
    y: float
    what: str
    mode: Mode
    repeats: int = 0

    def continued_by(self, other: _Place) -> bool:
        """Whether another click is at the same place, with the same mode."""
        is_near = np.hypot(self.x - other.x, self.y - other.y) <= SAME_PLACE
        return bool(is_near) and self[3:5] == other[3:5] and self.sight.same_as(other.sight)


@dataclass
class Selection:
    """The selected objects and Gaussians.

    Attributes:
        things: names of visible Blender objects.
        rows: (N,) bool by the name of a splat without labels, its selected Gaussians.
    """

    things: set[str] = field(default_factory=set)
    rows: dict[str, Rows] = field(default_factory=dict)


class Clicks:
    """The clicks of one run of the tool."""

    def __init__(self) -> None:
        self._before = Selection()
        self._splats: set[str] = set()
        self._last: _Place | None = None

    def click(
        self, layer: Any, sight: Sight, x: float, y: float, mode: Mode = "set", *, is_visible: Callable[[Any], bool]
    ) -> Clicked:
        """Select what is at a pixel of a view.

        Args:
            layer: the view layer.
            x, y: pixels from the lower left corner of the view.
            mode: what the click does with the selection so far. Further clicks of the same mode at the same place
                replace what the first one there did.
            is_visible: whether the view shows a Blender object.

        Raises:
            BadArgument: if no object is at this place; the selection is unchanged.
        """
        shown = shown_in(layer, is_visible)
        hits = hits_of(shown, ray_through(sight, x, y))
        met = _first(shown, hits)
        if met is None:
            raise BadArgument("No object is here.", "Click an object.")
        what = met.thing.name if met.whole is None else met.whole.splatlift.object_id
        place = _Place(sight, x, y, what, mode)
        if self._last is not None and self._last.continued_by(place):
            place = place._replace(repeats=self._last.repeats + 1)
        else:
            self._before = self._selection(shown)
        self._last = place
        wants_part = (place.repeats % 2 == 1) != (met.level == "PART")
        part = None
        if met.whole is None:
            chosen = self._of_splat(met, hits, shown, wants_part)
        else:
            part = _part_of(shown, hits, met.whole) if wants_part else None
            own = [each for each in shown if each.whole == met.whole and part in (None, each.part)]
            chosen = Selection({each.seen.name for each in own})
        selection = _joined(self._before, chosen, mode)
        self._show(layer, shown, selection, min(chosen.things), keeps_others=mode in ("add", "subtract"))
        if met.whole is None:
            count = int(np.count_nonzero(selection.rows.get(met.thing.name, ())))
            return Clicked(mode, met.thing.name, alike=wants_part, gaussians=count)
        return Clicked(mode, met.whole.name, met.whole, part)

    def prepare(self, layer: Any, is_visible: Callable[[Any], bool]) -> None:
        """Prepare the visible objects for clicks, so that the first click is as fast as the others.

        Raises:
            BadSplats: if Gaussians cannot be read.
        """
        for each in shown_in(layer, is_visible):
            known = prepared.of(each.thing.data)
            if each.whole is None:
                known.likeness(each.thing.data)

    @property
    def splats(self) -> set[str]:
        """Names of the splats without labels in which clicks have selected Gaussians."""
        return self._splats

    def _selection(self, shown: Sequence[Shown]) -> Selection:
        selected = [each for each in shown if each.seen.select_get()]
        things = {each.seen.name for each in selected}
        # Blender selects all points of new data. The user did not select those.
        rows = {
            each.thing.name: read_selection(each.thing.data) for each in selected if each.thing.name in self._splats
        }
        return Selection(things - {each.thing.name for each in selected if each.whole is None}, rows)

    def _of_splat(self, met: Shown, hits: tuple[Hits, NDArray], shown: Sequence[Shown], alike: bool) -> Selection:
        number = shown.index(met)
        blended, owners = hits
        own = owners == number
        likeness = prepared.of(met.thing.data).likeness(met.thing.data)
        row = int(blended.rows[own][blended.weights[own].argmax()])
        rows = likeness.alike(row) if alike else likeness.piece(row)
        return Selection({met.thing.name}, {met.thing.name: rows})

    def _show(
        self, layer: Any, shown: Sequence[Shown], selection: Selection, clicked: str, *, keeps_others: bool
    ) -> None:
        """Apply a selection in Blender.

        Args:
            keeps_others: whether Blender objects that clicks cannot select keep their state.
        """
        splats = {each.thing.name: each.thing.data for each in shown if each.whole is None}
        for name, data in splats.items():
            if name in selection.rows or name in self._splats:
                store_selection(data, selection.rows.get(name, np.zeros(count_of(data), bool)))
        self._splats = {name for name, rows in selection.rows.items() if rows.any()}
        wanted = selection.things - splats.keys() | self._splats
        ours = {each.seen.name for each in shown}
        for thing in layer.objects:
            if thing.name in ours or not keeps_others:
                thing.select_set(thing.name in wanted)
        if clicked in wanted:
            layer.objects.active = layer.objects[clicked]


def hits_of(shown: Sequence[Shown], ray: Ray) -> tuple[Hits, NDArray[np.intp]]:
    """Return the hits of a ray in the world with several Blender objects, and (n,) the index in ``shown`` of each."""
    found, owners = [], []
    for number, each in enumerate(shown):
        local = ray.seen_from(np.array(world_matrix(each.thing), np.float64))
        if local is None:
            continue
        met = prepared.of(each.thing.data).index.meets(*local)
        found.append(met)
        owners.append(np.full(len(met.rows), number))
    if not found:
        return Hits(np.empty(0, np.int64), np.empty(0), np.empty(0)), np.empty(0, np.intp)
    rows, alphas, distances = (np.concatenate(column) for column in zip(*found, strict=True))
    order = composited(Met(np.arange(len(rows)), alphas, distances))
    hits = Hits(rows[order.rows], order.weights, order.distances)
    return hits, np.concatenate(owners)[order.rows]


def _first(shown: Sequence[Shown], hits: tuple[Hits, NDArray[np.intp]]) -> Shown | None:
    """Return one of the Blender objects of the object with most weight along a ray; None for background or nothing."""
    wholes = [
        None if each.whole is not None and each.whole.splatlift.kind == "BACKGROUND" else each.whole or each.thing
        for each in shown
    ]
    numbers = {whole: number for number, whole in enumerate(dict.fromkeys(wholes), 1) if whole is not None}
    label = _label([numbers.get(whole, 0) for whole in wholes], hits)
    return next((each for each, whole in zip(shown, wholes, strict=True) if numbers.get(whole) == label), None)


def _part_of(shown: Sequence[Shown], hits: tuple[Hits, NDArray[np.intp]], whole: Any) -> Any:
    """Return the collection of the part of an object with most weight along a ray, or None."""
    parts = [each.part if each.whole == whole else None for each in shown]
    numbers = {part: number for number, part in enumerate(dict.fromkeys(parts), 1) if part is not None}
    blended, owners = hits
    weights = np.zeros(len(numbers) + 2)
    np.add.at(weights, np.array([numbers.get(part, 0) for part in parts])[owners], blended.weights)
    weights[0] = 0
    best = int(weights.argmax())
    return next((part for part, number in numbers.items() if number == best and weights[best] > 0), None)


def _label(labels: list[int], hits: tuple[Hits, NDArray[np.intp]]) -> int:
    blended, owners = hits
    return label_of(Hits(owners.astype(np.int64), blended.weights, blended.distances), np.array(labels, np.int64))


def _joined(before: Selection, chosen: Selection, mode: Mode) -> Selection:
    names = sorted(before.things | chosen.things)
    was = np.array([name in before.things for name in names])
    now = np.array([name in chosen.things for name in names])
    kept = combined(was, now, mode)
    rows = {}
    for name in before.rows.keys() | chosen.rows.keys():
        some = before.rows.get(name, chosen.rows.get(name))
        assert some is not None
        none = np.zeros(len(some), bool)
        rows[name] = combined(before.rows.get(name, none), chosen.rows.get(name, none), mode)
    return Selection({name for name, keep in zip(names, kept, strict=True) if keep}, rows)

"""Solves the labels of regions again under the corrections of a user.

Corrections are taken in their order. Each changes the regions that it names, and teaches how far the masks are to be
trusted on pairs of its kind. So it is also applied elsewhere, unless that would break an earlier correction:

- "one": the masks joined both objects in a share s of the views showing both, too few for the threshold. Objects whose
  masks agree more than that are joined as well.
- "two": the object is contracted again while both places repel each other. The masks joined both halves in a share s.
  Other objects are split if contraction at threshold s leaves two large halves that agree no more than that.
- "there": regions of the same object that agree with the other one as much as the named place go with it.
- "background": objects that are no larger and have masks in no larger share of their views go with it.
- "own": what contraction joins with the place, within the object or background that contains it, goes with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.corrections.graph import agreement, grouped, joined
from protocol.errors import BadArgument, NotFound
from protocol.result.corrections import Correction
from protocol.result.evidence import RegionEvidence
from protocol.result.names import MAX_LABEL

LEAST_AGREEMENT = 0.25
"""A pair of objects that masks join in a smaller share of views teaches nothing about other pairs."""
MOST_AGREEMENT = 0.9
"""Halves that masks join in a larger share of views teach nothing about other objects."""
LEAST_HALF = 0.1
"""Least share of an object's Gaussians in each half when it is split because another one was."""
MOST_PRESENCE = 0.5
"""A removed object with masks in a larger share of its views teaches nothing about other objects."""


@dataclass(frozen=True)
class Anchored:
    """A correction and the regions, (r,) int64, at each of its places."""

    correction: Correction
    regions: tuple[NDArray[np.int64], ...]


@dataclass
class State:
    """The labels of the regions after some corrections.

    Attributes:
        evidence: on the regions.
        size: (R,) int64, Gaussians of each region.
        label: (R,) int32, the current labels.
        taken: the corrections so far.
    """

    evidence: RegionEvidence
    size: NDArray[np.int64]
    label: NDArray[np.int32]
    taken: list[Anchored]

    @classmethod
    def start(cls, evidence: RegionEvidence) -> State:
        """Return the labels before all corrections."""
        size = np.bincount(evidence.region[evidence.region >= 0], minlength=len(evidence.label))
        return cls(evidence, size, evidence.label.copy(), [])

    @property
    def gaussians(self) -> NDArray[np.int32]:
        """(N,) int32, the label of each Gaussian; 0 for those in no region."""
        region = self.evidence.region
        return np.where(region >= 0, self.label[np.maximum(region, 0)], 0).astype(np.int32)

    def fulfils(self, anchored: Anchored) -> bool:
        """Whether the labels are as a correction says."""
        at = [self._label_at(regions) for regions in anchored.regions]
        kind = anchored.correction.kind
        if kind == "one":
            return at[0] == at[1] != 0
        if kind == "there":
            return at[0] == at[1]
        if kind == "two":
            return at[0] != at[1]
        return (at[0] == 0) == (kind == "background")

    def is_done(self, anchored: Anchored) -> bool:
        """Whether a correction need not be taken, because the labels are as it says.

        The place of "own" must also have most of the Gaussians of its object, which is then no other one.
        """
        if anchored.correction.kind != "own":
            return self.fulfils(anchored)
        (regions,) = anchored.regions
        label = self._label_at(regions)
        inside = regions[self.label[regions] == label]
        return label != 0 and 2 * self.size[inside].sum() > self.size[self.label == label].sum()

    def take(self, anchored: Anchored) -> NDArray[np.int32]:
        """Apply one correction, and then, one by one, what follows elsewhere and breaks no correction.

        Returns:
            (R,) int32, the labels after the correction itself, before what follows elsewhere.

        Raises:
            BadArgument: if it contradicts an earlier one or has no effect; then nothing is changed. NotFound: if an
                object that it names is gone.
        """
        correction = anchored.correction
        labels = [self._label_at(regions) for regions in anchored.regions]
        self._check(correction, labels)
        if correction.kind == "own" and self.is_done(anchored):
            raise BadArgument(
                f"Correction {len(self.taken) + 1} ({correction.title}) has no effect: the place is most of an object.",
                "Choose a smaller part of it.",
            )
        before, proposals = self.label, self._proposals(anchored, labels)
        self.label = next(proposals)
        self.taken.append(anchored)
        broken = self._broken()
        if broken is not None:
            number, title = len(self.taken), self.taken[broken].correction.title
            self.label = before
            self.taken.pop()
            raise BadArgument(
                f"Correction {number} ({correction.title}) contradicts correction {broken + 1} ({title}).",
                "Undo the earlier correction first.",
            )
        alone = self.label
        if correction.here:
            return alone
        for proposed in proposals:
            kept, self.label = self.label, proposed
            if self._broken() is not None:
                self.label = kept
        return alone

    def _check(self, correction: Correction, labels: list[int]) -> None:
        """Refuse a correction of objects that no longer exist, or one that is already satisfied."""
        number = f"Correction {len(self.taken) + 1} ({correction.title})"
        objects = {"own": [], "there": [1], "one": [0, 1], "two": [0, 1], "background": [0]}[correction.kind]
        for place in objects:
            if labels[place] == 0:
                name = correction.places[place].name
                raise NotFound(f"{number} names {name}, which is no longer an object.", "Remove the correction.")
        if correction.kind == "two" and labels[0] != labels[1]:
            raise BadArgument(f"{number} has no effect: the two places are two objects already.")
        if correction.kind in ("one", "there") and labels[0] == labels[1]:
            raise BadArgument(f"{number} has no effect: both places are one object already.")

    def _label_at(self, regions: NDArray[np.int64]) -> int:
        """Return the label of most Gaussians of some regions; ties go to the lowest."""
        return int(np.bincount(self.label[regions], self.size[regions]).argmax())

    def _broken(self) -> int | None:
        """Return the index of the first correction that the labels do not fulfil."""
        return next((index for index, each in enumerate(self.taken) if not self.fulfils(each)), None)

    def _proposals(self, anchored: Anchored, labels: list[int]) -> Iterator[NDArray[np.int32]]:
        """Yield the labels after the correction itself, and then after each change that it suggests elsewhere."""
        kind, regions = anchored.correction.kind, anchored.regions
        if kind == "one":
            return self._join(labels[0], labels[1])
        if kind == "two":
            return self._split(labels[0], regions[0], regions[1])
        if kind == "there":
            return self._move(regions[0], labels[0], labels[1])
        if kind == "background":
            return self._drop(labels[0])
        return self._separate(regions[0], labels[0])

    def _join(self, first: int, second: int) -> Iterator[NDArray[np.int32]]:
        count = int(self.label.max()) + 1
        share = agreement(grouped(self.evidence, self.label, count))
        here = share[first, second]
        yield np.where(self.label == second, first, self.label)
        if here < LEAST_AGREEMENT:
            return
        row, column = (np.asarray(part) for part in share.nonzero())
        value = np.asarray(share[row, column]).ravel()
        alike = (value >= here) & (row < column) & (row > 0)
        order = np.argsort(-value[alike], kind="stable")
        into = np.arange(count)
        into[into == second] = first
        grown = {first}
        for a, b in zip(row[alike][order], column[alike][order], strict=True):
            known = all(into[each] == each and int(each) not in grown for each in (a, b))
            a, b = into[a], into[b]
            if a == b or not (known or self._agreement(self.label == a, self.label == b) >= here):
                continue
            proposed = np.where(self.label == b, a, self.label)
            yield proposed
            if self.label is proposed:
                into[into == b] = a
                grown.add(int(a))

    def _split(self, label: int, first: NDArray, second: NDArray) -> Iterator[NDArray[np.int32]]:
        inside = self.label == label
        first, second = (part[inside[part]] for part in (first, second))
        if len(np.intersect1d(first, second)):
            raise BadArgument(
                "The two places share a region that the masks never separate.",
                "Choose places farther apart, or split the object in Blender.",
            )
        other = self._second_half(inside, first, second)
        share = self._agreement(inside & ~other, other)
        yield self._with_new(other)
        if not 0 < share < MOST_AGREEMENT:
            return
        for rows, alone in self._other_objects(np.unique(self.label[inside | other])):
            halves = alone._largest_groups(np.arange(len(rows)), share)
            if halves is None or alone._agreement(*map(alone._mask, halves)) > share:
                continue
            half = alone._second_half(np.ones(len(rows), bool), *halves)
            if not half.all():
                yield self._with_new(self._mask(rows[half]))

    def _other_objects(self, left_out: NDArray) -> Iterator[tuple[NDArray[np.int64], State]]:
        """Yield the regions of each object, and the state of these alone, so that each costs only its own size."""
        evidence = self.evidence
        label, first, second = self.label.copy(), evidence.first, evidence.second
        inner = np.flatnonzero(label[first] == label[second])
        inner = inner[np.argsort(label[first[inner]], kind="stable")]
        of_pair = label[first[inner]]
        place = np.empty(len(label), np.int64)
        for each in np.setdiff1d(label, [0, *left_out]):
            rows = np.flatnonzero(label == each)
            place[rows] = np.arange(len(rows))
            pairs = inner[slice(*np.searchsorted(of_pair, [each, each + 1]))]
            alone = evidence._replace(
                label=label[rows],
                first=place[first[pairs]],
                second=place[second[pairs]],
                attraction=evidence.attraction[pairs],
                visible=evidence.visible[rows],
            )
            yield rows, State(alone, self.size[rows], label[rows], [])

    def _move(self, regions: NDArray, source: int, target: int) -> Iterator[NDArray[np.int32]]:
        moved = np.intersect1d(regions, np.flatnonzero(self.label == source))
        inside = np.setdiff1d(np.flatnonzero(self.label == source), moved)
        node = np.full(len(self.label), -1, np.int64)
        node[self.label == target], node[moved], node[inside] = 0, 1, 2 + np.arange(len(inside))
        share = agreement(grouped(self.evidence, node, 2 + len(inside)))
        proposed = self.label.copy()
        proposed[moved] = target
        yield proposed
        alike = share[2:, [0]].toarray().ravel() > max(share[1, 0] - 1e-6, LEAST_AGREEMENT)
        # The rest of the object keeps what agrees with it more than with the named place.
        rest = self._agreement_with(inside, inside)
        alike &= share[2:, [0]].toarray().ravel() >= rest
        if alike.any():
            proposed = self.label.copy()
            proposed[inside[alike]] = target
            yield proposed

    def _drop(self, label: int) -> Iterator[NDArray[np.int32]]:
        size = np.bincount(self.label, self.size)
        yield np.where(self.label == label, 0, self.label)
        known = self.evidence.presence
        if label >= len(known) or known[label] > MOST_PRESENCE:
            return
        for each in np.flatnonzero(size[: len(known)]):
            if each not in (0, label) and known[each] <= known[label] and size[each] <= size[label]:
                yield np.where(self.label == each, 0, self.label)

    def _separate(self, regions: NDArray, source: int) -> Iterator[NDArray[np.int32]]:
        own = self._mask(np.intersect1d(regions, np.flatnonzero(self.label == source)))
        proposed = self._with_new(own)
        yield proposed
        node = np.full(len(self.label), -1, np.int64)
        rest = np.flatnonzero((self.label == source) & ~own)
        node[own], node[rest] = 0, 1 + np.arange(len(rest))
        group = joined(grouped(self.evidence, node, 1 + len(rest)), float(self.evidence.tau), [])
        with_it = rest[group[1:] == group[0]]
        if len(with_it) and (source == 0 or len(with_it) < len(rest)):
            proposed = self.label.copy()
            proposed[with_it] = self.label[own][0]
            yield proposed

    def _mask(self, rows: NDArray) -> NDArray[np.bool_]:
        mask = np.zeros(len(self.label), bool)
        mask[rows] = True
        return mask

    def _with_new(self, rows: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return the labels with a new object of the regions ``rows`` (R,) bool."""
        label = int(max(self.label.max(initial=0), self.evidence.label.max(initial=0))) + 1
        if label > MAX_LABEL:
            raise BadArgument(f"A result can have at most {MAX_LABEL} objects.")
        return np.where(rows, label, self.label).astype(np.int32)

    def _agreement(self, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
        """Return the share of the views showing both in which masks put two sets of regions (R,) bool in one."""
        node = np.where(first, 0, np.where(second, 1, -1))
        return float(agreement(grouped(self.evidence, node, 2))[0, 1])

    def _agreement_with(self, rows: NDArray, others: NDArray) -> NDArray[np.float64]:
        """Return (r,) the agreement of each of some regions with all of the ``others``, without itself."""
        graph = grouped(self.evidence, np.arange(len(self.label)), len(self.label))
        pulled = np.asarray(graph.attraction[rows][:, others].sum(1)).ravel()
        both = graph.visible[rows] @ graph.visible[others].sum(0) - graph.visible[rows].sum(1)
        return pulled / np.maximum(both, 1)

    def _second_half(self, inside: NDArray[np.bool_], first: NDArray, second: NDArray) -> NDArray[np.bool_]:
        """Return (R,) bool, the regions of ``inside`` that belong to the ``second`` of two seeds (lists of regions).

        Contraction joins regions to the seeds, which repel each other. Groups that join neither take the seed that they
        agree with more, the first if equal.
        """
        rest = np.flatnonzero(inside & ~self._mask(first) & ~self._mask(second))
        node = np.full(len(self.label), -1, np.int64)
        node[first], node[second], node[rest] = 0, 1, 2 + np.arange(len(rest))
        group = joined(grouped(self.evidence, node, 2 + len(rest)), float(self.evidence.tau), [(0, 1)])
        node = np.where(node >= 0, group[np.maximum(node, 0)], -1)
        share = agreement(grouped(self.evidence, node, len(group)))
        to_second = (share[:, [group[1]]] > share[:, [group[0]]]).toarray().ravel()
        to_second[group[:2]] = False, True
        return (node >= 0) & to_second[np.maximum(node, 0)]

    def _largest_groups(self, rows: NDArray, tau: float) -> tuple[NDArray, NDArray] | None:
        """Return the regions of the two largest groups of ``rows`` at a threshold; None if the second is small."""
        if len(rows) < 2:
            return None
        node = np.full(len(self.label), -1, np.int64)
        node[rows] = np.arange(len(rows))
        group = joined(grouped(self.evidence, node, len(rows)), tau, [])
        size = np.bincount(group, self.size[rows])
        second, first = np.argsort(size, kind="stable")[-2:] if len(size) > 1 else (0, 0)
        if first == second or size[second] < LEAST_HALF * size.sum():
            return None
        return rows[group == first], rows[group == second]

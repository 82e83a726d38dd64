"""Panoptic quality of a whole scene as in the published tables: things and stuff, per class.

This is the protocol of Panoptic-Lifting (Siddiqui et al., CVPR 2023), which Contrastive-Lift (Bhalgat et al., NeurIPS
2023), PCF-Lift and UniC-Lift use. :mod:`backend.evaluate.panoptic` scores objects only, at the size of the truth.

A segment is a pair (class, instance). All views form one list of pixels, so an instance must keep its id in all of
them. Two segments of one class match if their intersection over union is above one half. Unexpected details of the
published program are documented where they are implemented.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.evaluate.panoptic import resize_nearest
from protocol.errors import BadArgument

SIZE = (512, 512)
"""Every map is resized to this height and width before counting, whatever its aspect ratio."""
SMALLEST_SHARE = 0.005
"""Classes with a smaller share of the pixels are not scored."""

Segment = tuple[int, int]
Overlaps = Mapping[tuple[Segment, Segment], int]
"""Pixels per (predicted segment, true segment)."""

VOID: Segment = (-1, 0)


@dataclass(frozen=True)
class Classes:
    """The meaning of the numbers in a semantic map.

    Attributes:
        names: name of each class, by its number.
        things: numbers of the classes with instances; all others are stuff.
        without_truth: pixels of this true class are removed from both maps; None removes none.
    """

    names: tuple[str, ...]
    things: frozenset[int]
    without_truth: int | None = None


MESSY_ROOMS = Classes(("background", "objects"), frozenset({1}))
"""PQ is the mean over the background and all objects as one class."""

SCANNET_NAMES = """
void wall floor cabinet bed chair sofa table door window counter shelves curtain ceiling refrigerator television person
toilet sink lamp bag otherprop
"""
SCANNET = Classes(
    tuple(SCANNET_NAMES.split()),
    frozenset({4, 5, 6, 14, 15, 16, 17, 18, 20}),
    without_truth=0,
)
"""The 21 reduced classes of Panoptic-Lifting, for ScanNet, Replica and HyperSim. Void is a stuff class for predictions:
if it covers at least 0.5 % of the pixels it is scored as 0 and lowers the mean."""


@dataclass(frozen=True)
class View:
    """One view's maps, (H, W) integers: class and instance of each pixel. The two may differ in size."""

    semantic: NDArray[np.integer]
    instance: NDArray[np.integer]


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class, shares from 0 to 1.

    Attributes:
        iou_sum: sum of the IoU of the matched segments.
        tp, fp, fn: segments matched, predicted without a match, true without a match.
    """

    iou_sum: float
    tp: int
    fp: int
    fn: int

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of matched segments."""
        return self.iou_sum / self.tp if self.tp else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality; 0 if every segment of the class was skipped as mostly void."""
        segments = self.tp + 0.5 * self.fp + 0.5 * self.fn
        return self.tp / segments if segments else 0.0

    @property
    def pq(self) -> float:
        """Panoptic quality, ``sq * rq`` (Kirillov et al. 2019)."""
        return self.sq * self.rq


@dataclass(frozen=True)
class SceneScore:
    """Scores of a scene, shares from 0 to 1.

    Attributes:
        classes: the scored classes by number.
        dropped: numbers of classes that were too small.
        mean_iou: of the semantic maps, see :func:`semantic_iou`.
        views: number of compared views.
        kinds: the meaning of the numbers.
    """

    classes: dict[int, ClassScore]
    dropped: tuple[int, ...]
    mean_iou: float
    views: int
    kinds: Classes

    @property
    def pq(self) -> float:
        """The PQ of the published tables: the mean over all classes, of things and of stuff."""
        return _mean([score.pq for score in self.classes.values()])

    def as_dict(self) -> dict:
        """Scores in percent, as in the published tables."""
        names = self.kinds.names
        things = [score.pq for number, score in self.classes.items() if number in self.kinds.things]
        stuff = [score.pq for number, score in self.classes.items() if number not in self.kinds.things]
        return {
            "pq": _percent(self.pq),
            "pq_things": _percent(_mean(things)) if things else None,
            "pq_stuff": _percent(_mean(stuff)) if stuff else None,
            "sq": _percent(_mean([score.sq for score in self.classes.values()])),
            "rq": _percent(_mean([score.rq for score in self.classes.values()])),
            "mean_iou": _percent(self.mean_iou),
            "views": self.views,
            "dropped": [names[number] for number in self.dropped],
            "classes": {
                names[number]: {
                    "pq": _percent(score.pq),
                    "sq": _percent(score.sq),
                    "rq": _percent(score.rq),
                    "tp": score.tp,
                    "fp": score.fp,
                    "fn": score.fn,
                }
                for number, score in sorted(self.classes.items())
            },
        }


def score_scene(pairs: Iterable[tuple[View, View]], classes: Classes = MESSY_ROOMS) -> SceneScore:
    """Score predicted views against true ones.

    Args:
        pairs: predicted and true view, one pair at a time; only one is held in memory.
        classes: the meaning of the numbers in the semantic maps.

    Raises:
        BadArgument: if there are no views, or no class is large enough.
    """
    overlaps: Counter[tuple[Segment, Segment]] = Counter()
    views = 0
    for predicted, truth in pairs:
        overlaps.update(count_overlaps(predicted, truth, classes.without_truth))
        views += 1
    if not overlaps:
        raise BadArgument(f"{views} views have no pixel to score.", "Give folders that contain the same views.")
    scored, dropped = robust_classes(overlaps, classes)
    if not scored:
        raise BadArgument(
            f"None of the {len(classes.names)} classes covers {SMALLEST_SHARE:.1%} of the pixels, predicted or true.",
            "Check that the semantic maps use the class numbers of this protocol.",
        )
    merged = _merge(overlaps, scored, classes.things)
    return SceneScore(match(merged, scored), dropped, semantic_iou(overlaps, len(classes.names)), views, classes)


def count_overlaps(predicted: View, truth: View, without_truth: int | None = None) -> Counter[tuple[Segment, Segment]]:
    """Count the pixels of each pair of segments of one view, all four maps at :data:`SIZE`.

    Maps are resized by nearest neighbour. For 512 pixels a side this selects the same pixels as Pillow's NEAREST: both
    take the pixel under the centre, and steps of 1/512 are exact in binary.
    """
    columns = [predicted.semantic, predicted.instance, truth.semantic, truth.instance]
    pixels = np.stack([resize_nearest(ids, SIZE).ravel() for ids in columns], axis=1).astype(np.int64)
    if without_truth is not None:
        pixels = pixels[pixels[:, 2] != without_truth]
    if not len(pixels):
        return Counter()
    # Neighbouring pixels mostly agree, so there are far fewer runs than pixels to count.
    starts = np.flatnonzero(np.r_[True, (pixels[1:] != pixels[:-1]).any(axis=1)])
    lengths = np.diff(np.r_[starts, len(pixels)])
    overlaps: Counter[tuple[Segment, Segment]] = Counter()
    for (a, b, c, d), length in zip(pixels[starts].tolist(), lengths.tolist(), strict=True):
        overlaps[(a, b), (c, d)] += length
    return overlaps


def robust_classes(overlaps: Overlaps, classes: Classes) -> tuple[frozenset[int], tuple[int, ...]]:
    """Return the classes to score, and the classes that are present but too small.

    A class is too small if its share of the pixels is below :data:`SMALLEST_SHARE` on a side where it occurs. A side
    where it does not occur is ignored: a class that was missed entirely is scored as 0, while one of which a few pixels
    were found is not scored.
    """
    total = sum(overlaps.values())
    predicted: Counter[int] = Counter()
    true: Counter[int] = Counter()
    for ((p, _), (t, _)), pixels in overlaps.items():
        predicted[p] += pixels
        true[t] += pixels
    present = (predicted.keys() | true.keys()) & set(range(len(classes.names)))
    small = {c for side in (predicted, true) for c, pixels in side.items() if pixels / total < SMALLEST_SHARE}
    return frozenset(present - small), tuple(sorted(present & small))


def match(overlaps: Overlaps, classes: Iterable[int]) -> dict[int, ClassScore]:
    """Match segments and count them per class of ``classes``; all segments are of these classes or :data:`VOID`.

    A match needs equal classes and IoU > 0.5, where the union excludes what either segment shares with void of the
    other map. An unmatched segment is skipped if more than half of it is void in the other map.
    """
    predicted: Counter[Segment] = Counter()
    true: Counter[Segment] = Counter()
    for (p, t), pixels in overlaps.items():
        predicted[p] += pixels
        true[t] += pixels

    iou = {}
    for (p, t), shared in overlaps.items():
        if p[0] != t[0] or t == VOID:
            continue
        union = predicted[p] - overlaps.get((p, VOID), 0) + true[t] - overlaps.get((VOID, t), 0) - shared
        if shared / union > 0.5:
            iou[p, t] = shared / union
    found = {p for p, _ in iou}
    known = {t for _, t in iou}
    false = [p for p, n in predicted.items() if p not in found | {VOID} and overlaps.get((p, VOID), 0) / n <= 0.5]
    missed = [t for t, n in true.items() if t not in known | {VOID} and overlaps.get((VOID, t), 0) / n <= 0.5]
    return {
        c: ClassScore(
            iou_sum=float(sum(value for (p, _), value in iou.items() if p[0] == c)),
            tp=sum(p[0] == c for p, _ in iou),
            fp=sum(p[0] == c for p in false),
            fn=sum(t[0] == c for t in missed),
        )
        for c in sorted(classes)
    }


def semantic_iou(overlaps: Overlaps, classes: int) -> float:
    """Return the mean IoU of the semantic maps, ignoring instances.

    Pixels of classes beyond ``classes`` are ignored. A class is excluded from the mean if it is below
    :data:`SMALLEST_SHARE` in both prediction and truth.
    """
    confusion = np.zeros((classes, classes))
    for ((p, _), (t, _)), pixels in overlaps.items():
        if 0 <= p < classes and 0 <= t < classes:
            confusion[p, t] += pixels
    predicted, true, shared = confusion.sum(1), confusion.sum(0), np.diag(confusion)
    large = np.maximum(predicted, true) >= SMALLEST_SHARE * max(confusion.sum(), 1)
    return _mean((shared / np.maximum(predicted + true - shared, 1))[large].tolist())


def _merge(overlaps: Overlaps, scored: frozenset[int], things: frozenset[int]) -> Counter[tuple[Segment, Segment]]:
    """Turn classes that are not scored into void, and join all segments of each stuff class."""

    def merged(segment: Segment) -> Segment:
        number, instance = segment
        if number not in scored:
            return VOID
        return (number, instance if number in things else 0)

    result: Counter[tuple[Segment, Segment]] = Counter()
    for (p, t), pixels in overlaps.items():
        result[merged(p), merged(t)] += pixels
    return result


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _percent(share: float) -> float:
    return round(100 * share, 2)

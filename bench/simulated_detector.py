"""A simulated detector, which reads the exact ids of a view instead of the photograph.

It misses an object in one view of three, and puts one box in ten on another object or at a random place. If an object
and a similar object are both visible, it puts three boxes in ten on the similar one. A word that matches nothing but
has a similar object gets a box on it in one view of five. Instead of photographs the detector gets pictures of one
value, the number of the view (:func:`numbered_picture`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.words.detecting import Box
from backend.words.views import boxes_of

MISSED, WRONG, MISTAKEN = 1 / 3, 0.1, 0.3
"""Chances of the simulated detector in a view; see above."""
MISTAKEN_ABSENT = 0.2
"""Chance that a word that matches nothing is detected at its similar object in a view."""
VISIBLE = 60
"""Pixels from which an object is detected."""


@dataclass
class SimulatedDetector:
    """Detects objects in maps of exact ids; see the module.

    Attributes:
        truth: per view the (K, 4) boxes of the true objects, and the objects that are visible.
        named: the true object of each word that names one.
        alike: the similar object of each word that has one.
        rng: of every chance.
    """

    truth: list[tuple[NDArray[np.float64], NDArray[np.int64]]]
    named: Mapping[str, int]
    alike: Mapping[str, int]
    rng: np.random.Generator

    def __call__(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> list[list[Box]]:
        boxes, visible = self.truth[int(photograph[0, 0, 0])]
        return [self._of(word, boxes, visible, photograph.shape[:2]) for word in words]

    def _of(self, word: str, boxes: NDArray, visible: NDArray, size: tuple[int, ...]) -> list[Box]:
        rng = self.rng
        target = self.named.get(word, 0)
        alike = self.alike.get(word, 0)
        found: int | None = target if target in visible else None
        if alike in visible and rng.random() < (MISTAKEN if target else MISTAKEN_ABSENT):
            found = alike
            if not target:
                return [self._box(boxes[alike], rng.normal(0.45, 0.15))]
        if rng.random() < WRONG:
            if len(visible) and rng.random() < 0.7:
                return [self._box(boxes[rng.choice(visible)], rng.normal(0.45, 0.15))]
            place = np.sort(rng.uniform(0, 1, (2, 2)), axis=0) * size[::-1]
            return [self._box(place.ravel(), rng.normal(0.45, 0.15))]
        if found is None or rng.random() < MISSED:
            return []
        return [self._box(boxes[found], rng.normal(0.6, 0.15))]

    def _box(self, corners: NDArray, score: float) -> Box:
        """Return a box whose sides are off by about a twentieth of its size."""
        sides = np.tile(corners[2:] - corners[:2], 2)
        left, top, right, bottom = corners + self.rng.normal(0, 0.05, 4) * sides
        return Box(float(np.clip(score, 0.25, 0.95)), left, top, max(right, left + 1), max(bottom, top + 1))


def true_boxes(ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the boxes of the objects in a map of exact ids, and which are large enough to be detected."""
    area = np.bincount(ids.ravel())
    visible = np.flatnonzero(area >= VISIBLE)
    return boxes_of(ids, len(area)), visible[visible > 0]


def look_alikes(objects: Sequence[int], rng: np.random.Generator) -> dict[str, int]:
    """Return random pairs of objects that count as similar, so that every object has one."""
    order = rng.permutation(objects)
    turned = np.roll(order, 1)
    return {str(each): int(other) for each, other in zip(order, turned, strict=True)}


def numbered_picture(number: int, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the picture of view ``number``, 0 to 255, of height and width ``size``."""
    return np.full((*size, 3), number, np.uint8)

"""A process that finds objects by words with a simulated detector, in results of two balls.

Run as ``python -m tests.backend.server.simulated_words DEVICE STORE FOLDER``. The detector sees the large ball in the
left half of a picture and the small one in its right half.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.server.question_loop import answer_questions
from backend.server.words_worker import Searcher
from backend.words.detecting import Box, Detector
from protocol.errors import Unavailable

HALVES = {"large ball": [0], "small ball": [1], "ball": [0, 1]}


class SimulatedDetector:
    """Detects what :data:`HALVES` has, with a score of 0.6.

    Attributes:
        looks: sizes of the pictures in which it looked.
    """

    def __init__(self) -> None:
        self.looks: list[tuple[int, ...]] = []

    def __call__(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> list[list[Box]]:
        self.looks.append(photograph.shape[:2])
        middle = photograph.shape[1] // 2
        halves = []
        for left, half in ((0, photograph[:, :middle]), (middle, photograph[:, middle:])):
            rows, columns = np.nonzero(half.max(2) > 40)
            box = Box(0.6, left + columns.min(), rows.min(), left + columns.max() + 1.0, rows.max() + 1.0)
            halves.append(box)
        return [[halves[half] for half in HALVES.get(word, [])] for word in words]


def load(model: str | None, device: str) -> Detector:
    """Return the detector; only the default one is there."""
    if model is not None:
        raise Unavailable(f"The server has no model {model}.")
    return SimulatedDetector()


if __name__ == "__main__":
    answer_questions(lambda store, folder: Searcher(store, folder, "cpu", load))

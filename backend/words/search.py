"""Searches for the objects that words name: looks in some views, weighs the evidence, and looks again where it is open.

The first views are a cover of all objects. Then the view that shows the open candidates best is next, as in next best
view planning. An answer must have more evidence than words that match nothing have on the same views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.progress import Progress, silent
from backend.words.choosing import cover, next_view
from backend.words.detecting import NULL_WORDS, Box, BoxMasker, Detector
from backend.words.evidence import explained_away, false_rates, view_evidence
from backend.words.matching import strengths
from backend.words.views import Shown

ACCEPT, REJECT = 5.0, -6.0
"""Log-odds from which an object is accepted, and below which it is rejected."""
MOST_VIEWS = 60
"""Most views in which a detector looks."""
NULL_RANK = 2
"""Answers must exceed all words that match nothing, except the best one: the scene may contain that thing."""
PRIOR_VIEWS = 2.0
"""Views without a detection that are assumed when detection rates are compared."""
OPEN_RATIO = 4.0
"""Objects whose log-odds are this much below those of the best candidate are not searched in further views."""

Picture = Callable[[Shown], NDArray[np.uint8]]


@dataclass(frozen=True)
class Found:
    """An object that a word names.

    Attributes:
        label: of the object.
        log_odds: of the evidence, natural logarithm.
        detected: views in which the object was detected.
        looked: views in which it is visible and the detector looked.
    """

    label: int
    log_odds: float
    detected: int
    looked: int

    @property
    def score(self) -> float:
        """The probability that belongs to the log-odds, 0 to 1."""
        return float(1 / (1 + np.exp(-np.clip(self.log_odds, -50, 50))))


@dataclass(frozen=True)
class Answer:
    """The objects that one word names.

    Attributes:
        word: as searched for.
        found: best first; empty if nothing matches.
        best: the object with most evidence, accepted or not; None if no view shows any object.
        views: the names of the views in which the detector looked.
    """

    word: str
    found: tuple[Found, ...]
    best: Found | None
    views: tuple[str, ...]


def find_words(
    words: Sequence[str],
    views: Sequence[Shown],
    picture: Picture,
    detector: Detector,
    *,
    masker: BoxMasker | None = None,
    most: int = MOST_VIEWS,
    null_words: Sequence[str] = NULL_WORDS,
    progress: Progress = silent,
) -> list[Answer]:
    """Return the objects that each word names.

    Args:
        words: from :func:`protocol.words.check_word`.
        views: what the views show.
        picture: gives the picture of a view.
        detector: finds boxes.
        masker: finds the thing in a box; None to compare boxes with objects.
        most: largest number of views in which the detector looks.
        null_words: words that are assumed to match nothing; those that contain a searched word, or are contained in
            one, are left out.
        progress: told under the stage "words".

    Raises:
        Fault: from ``picture`` or ``detector``. Cancelled: from ``progress``.
    """
    nulls = [null for null in null_words if not any(null in word or word in null for word in words)]
    looking = _Looking([*words, *nulls], len(words), views, picture, detector, masker)
    queue = cover(looking.shown[:, 1:], most)
    while queue:
        progress("words", len(looking.looked) / most, f"view {len(looking.looked) + 1} of at most {most}")
        looking.look(queue.pop(0))
        if not queue and len(looking.looked) < most:
            following = looking.next()
            queue = [] if following is None else [following]
    return looking.answers()


class _Looking:
    """What was seen so far; words are rows 0 to ``count`` - 1, words that match nothing come after them."""

    def __init__(
        self,
        words: Sequence[str],
        count: int,
        views: Sequence[Shown],
        picture: Picture,
        detector: Detector,
        masker: BoxMasker | None,
    ) -> None:
        self.words, self.count, self.views = words, count, views
        self.picture, self.detector, self.masker = picture, detector, masker
        self.shown = np.array([view.shown for view in views]) if views else np.zeros((0, 1))
        self.looked: list[int] = []
        self.strengths = np.zeros((len(words), 0, self.shown.shape[1]))

    def look(self, number: int) -> None:
        view = self.views[number]
        photograph = self.picture(view)
        height, width = view.ids.shape
        factor = width / photograph.shape[1], height / photograph.shape[0]
        found = []
        for boxes in self.detector(photograph, self.words):
            masks = None
            if self.masker is not None and boxes:
                masks = [_resized(mask, width, height) for mask in self.masker(photograph, boxes)]
            found.append(strengths([_scaled(box, *factor) for box in boxes], view, masks))
        self.looked.append(number)
        self.strengths = np.concatenate([self.strengths, np.array(found)[:, None]], 1)

    def evidence(self) -> NDArray[np.float64]:
        """Return (W, V, K + 1), of the views looked in."""
        shown = self.shown[self.looked]
        return view_evidence(self.strengths, shown, false_rates(self.strengths[self.count :], shown))

    def next(self) -> int | None:
        """Return the view to look in next, or None if no answer is open."""
        odds = self.evidence()[: self.count].sum(1)
        top = odds.max(1, keepdims=True)
        is_open = (odds > REJECT) & (odds < ACCEPT) & (odds > top - OPEN_RATIO * ACCEPT)
        # The likely ones first: the others are many, and the views before the limit may not suffice for all.
        likely = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
        uncertain = (is_open * np.maximum(likely, 1e-3)).sum(0)
        uncertain[0] = 0
        return next_view(self.shown, self.looked, uncertain)

    def answers(self) -> list[Answer]:
        names = tuple(self.views[number].name for number in self.looked)
        if not self.looked or self.shown.shape[1] < 2:
            return [Answer(word, (), None, names) for word in self.words[: self.count]]
        evidence = self.evidence()
        least = max(ACCEPT, self._null_level(evidence))
        return [
            self._answer(word, self.strengths[number], evidence[number], least, names)
            for number, word in enumerate(self.words[: self.count])
        ]

    def _null_level(self, evidence: NDArray[np.float64]) -> float:
        """Return the log-odds of the best object of words that match nothing, without the best of these words."""
        tops = np.sort(evidence[self.count :, :, 1:].sum(1).max(1)) if evidence.shape[2] > 1 else np.zeros(0)
        return float(tops[-NULL_RANK]) if len(tops) >= NULL_RANK else -np.inf

    def _answer(
        self,
        word: str,
        strength: NDArray[np.float64],
        evidence: NDArray[np.float64],
        least: float,
        names: tuple[str, ...],
    ) -> Answer:
        shown = self.shown[self.looked]

        def found(label: int) -> Found:
            detected = int(np.count_nonzero(strength[:, label]))
            return Found(label, float(evidence[:, label].sum()), detected, int(np.count_nonzero(shown[:, label])))

        best = found(1 + int(evidence[:, 1:].sum(0).argmax()))
        # The object that is detected most often explains the others: its look-alikes may be visible in more views.
        rate = ((strength > 0) * shown).sum(0) / (shown.sum(0) + PRIOR_VIEWS)
        accepted: list[Found] = []
        left = np.ones(evidence.shape[1], bool)
        left[0] = False
        while (candidates := np.flatnonzero(left & (evidence.sum(0) > 0))).size:
            label = int(candidates[rate[candidates].argmax()])
            if evidence[:, label].sum() >= least:
                accepted.append(found(label))
            left[label] = False
            evidence = explained_away(strength, shown, evidence, label)
        accepted.sort(key=lambda each: -each.log_odds)
        return Answer(word, tuple(accepted), best, names)


def _scaled(box: Box, x: float, y: float) -> Box:
    return replace(box, left=box.left * x, right=box.right * x, top=box.top * y, bottom=box.bottom * y)


def _resized(mask: NDArray[np.bool_], width: int, height: int) -> NDArray[np.bool_]:
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))

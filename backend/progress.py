"""Progress reports and cancellation of long work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Cancelled(Exception):
    """The work was cancelled. Raised by a :class:`Progress`, caught by the code that started the work."""


class Stopped(Cancelled):
    """The work is to stop and will be continued later: whoever keeps a checkpoint writes it before passing this on."""


class Progress(Protocol):
    """Called by long work several times a second.

    Args of the call:
        stage: the name of the current stage, one of :data:`STAGES`.
        fraction: the share of that stage that is done, 0 to 1.
        note: a short text for the user, such as "29.8 dB".

    The call raises :class:`Cancelled` to stop the work. The work must not catch it, and must leave nothing incomplete
    under a final name.
    """

    def __call__(self, stage: str, fraction: float, note: str = "") -> None: ...


STAGES = ("scene", "poses", "masks", "reconstruct", "contributions", "lift", "refine", "objects", "write")
"""The stages of a segmentation, in order."""

COMPILING = "compiling kernels (once per installation)"
"""The note of a report while numba compiles."""


def silent(stage: str, fraction: float, note: str = "") -> None:
    """A :class:`Progress` that shows nothing and never cancels."""


def part_of(progress: Progress, start: float, share: float) -> Progress:
    """Return a :class:`Progress` for a part of a stage, which begins at ``start`` and is the given share of it."""
    return lambda stage, fraction, note="": progress(stage, start + share * fraction, note)


Watch = Callable[[Callable[[], NDArray[np.float32]]], object]
"""Called from time to time by training, with a function that returns the current (N, d) embedding."""


def unwatched(embedding: Callable[[], NDArray[np.float32]]) -> None:
    """A :data:`Watch` that ignores the embedding."""

"""Selects Gaussians of a result, by asking the server that has the result: those similar to one, or by a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadFrames, NotFound
from protocol.messages import Match, Matches, Select, Selected, SelectText

from .connection import Connection
from .coroutines import Steps
from .result_request import Tell, ask_about_result, check_feature

_JOB = re.compile(r"[0-9a-f]{32}")


def job_of(result: Path | str) -> str:
    """Return the id of the job of a downloaded result folder; an id is returned unchanged.

    Raises:
        NotFound: if the folder was not downloaded from a server, so that no server has the result.
    """
    name = Path(result).name
    if not _JOB.fullmatch(name):
        raise NotFound(
            f"The result {result} was not downloaded from a server.",
            "Choose one from the list of captures in the panel.",
        )
    return name


def select(connection: Connection, wanted: Select) -> Steps[NDArray[np.bool_]]:
    """Request a selection and return (N,) bool, in the order of the result's ``splats.ply``.

    Raises:
        Fault: the server's; Unavailable without a connection, or if the server is too old.
        BadFrames: if the number of bits in the answer is wrong.
        ConnectionLost: if the link is closed.
    """
    check_feature(connection, "select", "selections")
    answer, arrays = yield from ask_about_result(connection, wanted, Selected)
    return (yield from _bits(arrays, answer.count, answer.total))


@dataclass(frozen=True)
class TextSelection:
    """What a text selects in a result.

    Attributes:
        gaussians: (N,) bool, in the order of its ``splats.ply``: all of the objects that the text names.
        objects: number of these objects; 0 if nothing matches.
        best: the best of them with scores, best first; if nothing matches, the best candidate, which is not selected.
        views: number of views in which the detector looked.
        rendered: whether the views were rendered, because the server has no photographs of them.
    """

    gaussians: NDArray[np.bool_]
    objects: int
    best: list[Match]
    views: int
    rendered: bool


def select_text(
    connection: Connection, wanted: SelectText, tell: Tell = lambda fraction, note: None
) -> Steps[TextSelection]:
    """Request the objects that a text names. Raises as :func:`select`.

    Args:
        wanted: with a text from :func:`protocol.words.check_word`.
        tell: called with the share of the work that is done, and a note.
    """
    check_feature(connection, "text", "searches by words")
    answer, arrays = yield from ask_about_result(connection, wanted, Matches, tell)
    gaussians = yield from _bits(arrays, answer.count, answer.total)
    return TextSelection(gaussians, answer.objects, answer.best, answer.views, answer.rendered)


def _bits(arrays: Sequence[NDArray], count: int, total: int) -> Steps[NDArray[np.bool_]]:
    """Return (total,) bool of the bits in ``arrays``; raises BadFrames if they are not as declared."""
    if any(array.dtype != np.uint8 or array.ndim != 1 for array in arrays):
        raise BadFrames("The server sent a selection of the wrong type.")
    size = sum(map(len, arrays))
    if size != (total + 7) // 8:
        raise BadFrames(f"The server sent {size} bytes for a selection of {total} Gaussians.")
    chosen = np.empty(8 * size, bool)
    done = 0
    for array in arrays:
        chosen[done : done + 8 * len(array)] = np.unpackbits(array)
        done += 8 * len(array)
        yield True
    chosen = chosen[:total]
    if np.count_nonzero(chosen) != count:
        raise BadFrames(f"The server sent a selection that does not have the declared {count} Gaussians.")
    return chosen

"""Corrects the objects of a result, by asking the server that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from protocol.errors import BadArgument, BadFrames
from protocol.messages import Correct, Corrected, Result
from protocol.result.corrections import Move
from protocol.wire import MAX_ARRAY

from .cache import Cache
from .connection import Connection
from .coroutines import Steps
from .result_request import ask_about_result, check_feature
from .version import check_newest, renew_folder


@dataclass(frozen=True)
class Correction:
    """What a correction changes in a result.

    Attributes:
        moves: which Gaussians go where, as numbers.
        rows: (M,) int64, the rows in ``splats.ply`` of the Gaussians that change, in the order of the moves.
        corrections: number of corrections of the result after the change.
        base: the version of the result that was corrected.
        version: the new version if the change was kept, else None.
        size: bytes of the manifest of the new version.
    """

    moves: list[Move]
    rows: NDArray[np.int64]
    corrections: int
    base: str
    version: str | None = None
    size: int = 0

    def lines(self, names: Mapping[int, str] | None = None) -> list[str]:
        """Return a sentence per move; ``names`` has names of objects by label."""
        known = {0: "the background", **(names or {})}
        return [
            f"{move.count:,} Gaussians of {known.get(move.source, f'object {move.source}')} go to "
            f"{known.get(move.target, f'the new object {move.target}' if move.is_new else f'object {move.target}')}"
            f"{', as similar ones do' if move.elsewhere else ''}."
            for move in self.moves
        ]

    def labels(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the labels of the Gaussians ``rows`` before and after, (M,) each."""
        counts = [move.count for move in self.moves]
        before, after = ([getattr(move, name) for move in self.moves] for name in ("source", "target"))
        return np.repeat(np.array(before, np.int32), counts), np.repeat(np.array(after, np.int32), counts)


def bits_of(rows: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the bits of a target of a correction: the Gaussians ``rows`` of ``splats.ply``.

    Raises:
        BadArgument: if there are none, or one is negative or too large to be sent.
    """
    if not len(rows) or rows.min() < 0 or rows.max() >= 8 * MAX_ARRAY:
        raise BadArgument(
            "The Gaussians of a correction are not rows of a result.", f"Give rows from 0 to {8 * MAX_ARRAY - 1}."
        )
    chosen = np.zeros(int(rows.max()) + 1, bool)
    chosen[rows] = True
    return np.packbits(chosen)


def correct(connection: Connection, wanted: Correct, arrays: Sequence[NDArray] = ()) -> Steps[Correction]:
    """Ask for a correction.

    Args:
        wanted: what is asked.
        arrays: the bits of its targets.

    Raises:
        Fault: the server's; Unavailable without a connection, or if the server is too old.
        BadFrames: if the arrays of the answer contradict each other.
        ConnectionLost: if the link is closed.
    """
    check_feature(connection, "corrections", "corrections")
    answer, found = yield from ask_about_result(connection, wanted, Corrected, arrays=arrays)
    return _checked(answer, found)


def correct_and_renew(
    connection: Connection, cache: Cache, wanted: Correct, arrays: Sequence[NDArray] = ()
) -> Steps[Correction]:
    """As :func:`correct`; the change is kept, and the folder of the result in the cache becomes the new version.

    Raises:
        Refused: as :func:`.version.check_newest`; then nothing is changed.
    """
    check_feature(connection, "corrections", "corrections")
    newest = yield from check_newest(connection, cache, wanted.job)
    correction = yield from correct(connection, replace(wanted, take=True, base=newest.manifest), arrays)
    if correction.version is None:
        raise BadFrames("The server sent no version of the corrected result.")
    yield from renew_folder(connection, cache, Result(wanted.job, correction.version, correction.size))
    return correction


def _checked(answer: Corrected, arrays: list[NDArray]) -> Correction:
    first, *rest = arrays or [np.zeros((0, 5), np.int32)]
    whole = (
        first.dtype == np.int32
        and first.shape == (answer.moves, 5)
        and all(array.dtype == np.uint32 and array.ndim == 1 for array in rest)
        and bool(np.all(first >= 0))
    )
    found = np.concatenate(rest) if whole and rest else np.zeros(0, np.uint32)
    # Sorting uint32 takes a fraction of the time of np.unique.
    ordered = np.sort(found)
    if (
        not whole
        or int(first[:, 2].sum(dtype=np.int64)) != len(ordered)
        or bool(np.any(ordered[1:] == ordered[:-1]))
        or (len(ordered) > 0 and int(ordered[-1]) >= answer.total)
    ):
        raise BadFrames("The server sent a correction whose arrays contradict each other.")
    rows = found.astype(np.int64)
    moves = [Move(source, target, count, bool(like), bool(new)) for source, target, count, like, new in first.tolist()]
    return Correction(moves, rows, answer.corrections, answer.base, answer.version, answer.size)

"""The process that corrects results: finds what would change, and stores new versions of results.

Started by the server as ``python -m backend.server.correction_worker STORE FOLDER``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.corrections.folder import (
    Change,
    OpenedResult,
    Wish,
    correct_opened,
    open_corrected,
    undone,
    write_change,
)
from backend.progress import Progress
from backend.server.opened_results import OpenedResults
from backend.server.question_loop import answer_questions
from backend.server.question_protocol import Question, Reply
from backend.server.store_version import check_base, store_version
from protocol.errors import BadArgument
from protocol.messages import Correct, Corrected, Target
from protocol.store import Store

OPEN = 2
"""Most results kept open: the version that was corrected, and the version that was made from it."""


def main() -> None:
    answer_questions(Corrector)


class Corrector:
    """Corrects stored results.

    Args:
        store: the store with the results, which gets their new versions.
        folder: a working folder for their files; emptied first.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.results = OpenedResults(store, folder / "results", open_corrected, OPEN, keep=True)

    def __call__(self, question: Question, tell: Progress) -> Reply:
        """Return the answer to a :class:`protocol.messages.Correct`."""
        wanted = question.wanted
        assert isinstance(wanted, Correct)
        if wanted.undo == bool(wanted.constraints):
            raise BadArgument("A correction needs either constraints or an undo.", "Give exactly one of the two.")
        check_base(self.store, question.manifest, question.newest)
        opened = self.results.get(question.manifest)
        if wanted.undo:
            change = undone(opened)
        else:
            change = correct_opened(
                opened, [self._wish(question, number, opened) for number in range(len(wanted.constraints))]
            )
        version, size = self._store(opened, change) if wanted.take else (None, 0)
        corrected = Corrected(
            job=wanted.job,
            base=question.manifest,
            moves=len(change.moves),
            total=len(change.labels),
            corrections=len(change.corrections),
            version=version,
            size=size,
        )
        rows = [(move.source, move.target, move.count, move.elsewhere, move.is_new) for move in change.moves]
        moves = np.array(rows, "<i4").reshape(-1, 5)
        return Reply(question.number, corrected, moves.tobytes() + change.rows.astype("<u4").tobytes())

    def _wish(self, question: Question, number: int, opened: OpenedResult) -> Wish:
        assert isinstance(question.wanted, Correct)
        constraint = question.wanted.constraints[number]
        total = len(opened.splats)
        targets = [_target(target, question.arrays, total) for target in constraint.targets]
        return Wish(constraint.kind, targets, constraint.here)

    def _store(self, opened: OpenedResult, change: Change) -> tuple[str, int]:
        """Store the changed result; return the hash and the size of its manifest."""
        out = self.folder / "changed"
        try:
            write_change(opened, change, out)
            return store_version(self.store, out)
        finally:
            shutil.rmtree(out, ignore_errors=True)


def _target(target: Target, arrays: list[bytes], total: int) -> int | NDArray[np.int64]:
    """Return the label of an object, or the rows of Gaussians."""
    if (target.label is None) == (target.gaussians is None):
        raise BadArgument("A target is either one object or some Gaussians.", "Give exactly one of the two.")
    if target.label is not None:
        return target.label
    assert target.gaussians is not None
    if target.gaussians >= len(arrays):
        raise BadArgument("A target names an array that the message does not have.", "Send an array for each target.")
    chosen = np.flatnonzero(np.unpackbits(np.frombuffer(arrays[target.gaussians], np.uint8)))
    if not len(chosen):
        raise BadArgument("A target of the correction has no Gaussians.", "Select some Gaussians.")
    if chosen[-1] >= total:
        raise BadArgument(
            f"A target of the correction has the Gaussian {chosen[-1]}, but the result has {total}.",
            f"Give rows from 0 to {total - 1}.",
        )
    return chosen


if __name__ == "__main__":
    main()

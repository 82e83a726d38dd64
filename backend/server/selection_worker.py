"""The process that selects in results, so that the server loads neither results nor the code that reads them.

Started by the server as ``python -m backend.server.selection_worker STORE FOLDER``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.progress import Progress
from backend.select import Opened, Selection, open_result, select_gaussian, select_pixel
from backend.server.opened_results import OpenedResults
from backend.server.question_loop import answer_questions
from backend.server.question_protocol import Question, Reply
from protocol.errors import BadArgument
from protocol.messages import Select, Selected
from protocol.result.names import CAMERAS, EMBEDDING, SPLATS, TABLE
from protocol.store import Store

OPEN = 2
"""Most results kept open: one with a million Gaussians of degree 3 takes about 300 MB."""
NEEDED = frozenset({TABLE, SPLATS, CAMERAS, EMBEDDING})


def main() -> None:
    answer_questions(Selector)


class Selector:
    """Selects in stored results.

    Args:
        store: the store with the results.
        folder: a working folder for their files; emptied first.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.results = OpenedResults(store, folder, open_result, OPEN, NEEDED)

    def __call__(self, question: Question, tell: Progress) -> Reply:
        """Return the answer to a :class:`protocol.messages.Select`."""
        select = question.wanted
        assert isinstance(select, Select)
        selection = _select(self.results.get(question.manifest), select)
        chosen = selection.gaussians
        selected = Selected(select.job, int(np.count_nonzero(chosen)), len(chosen), selection.label)
        return Reply(question.number, selected, np.packbits(chosen).tobytes())


def _select(opened: Opened, wanted: Select) -> Selection:
    if (wanted.gaussian is None) == (wanted.view is None):
        raise BadArgument(
            "A selection needs either one Gaussian or one pixel of a view.", "Give exactly one of the two."
        )
    if wanted.gaussian is not None:
        return select_gaussian(opened, wanted.gaussian, wanted.threshold, wanted.hull)
    assert wanted.view is not None
    return select_pixel(opened, wanted.view, wanted.x, wanted.y, wanted.threshold, wanted.hull)


if __name__ == "__main__":
    main()

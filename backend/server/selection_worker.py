"""The process that selects in results, so that the server need not load results or the code that reads them.

Started by the server as ``python -m backend.server.selection_worker STORE FOLDER``; exits at the end of its standard
input. The last few results stay open, so that only the first selection in each has to wait for its files.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import OrderedDict
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import numpy as np

from backend.select import Opened, Selection, open_result, select_gaussian, select_pixel
from backend.server.child_pipes import listen, take_stdout
from backend.server.selection_protocol import Answer, Question, pack_answer, unpack_question
from protocol.errors import BadArgument, Fault, Unavailable
from protocol.messages import Error, Select
from protocol.result.names import CAMERAS, EMBEDDING, SPLATS, TABLE
from protocol.store import Store, read_manifest

OPEN = 2
"""Most results kept open: one with a million Gaussians of degree 3 takes about 300 MB."""
NEEDED = frozenset({TABLE, SPLATS, CAMERAS, EMBEDDING})


def main() -> None:
    store, folder = Path(sys.argv[1]), Path(sys.argv[2])
    channel = take_stdout()
    selector = Selector(Store(store), folder)
    questions: SimpleQueue[bytes] = SimpleQueue()
    listen(questions.put)
    while True:
        _write(channel, pack_answer(selector.answer(unpack_question(questions.get()))))


class Selector:
    """Answers questions about stored results.

    Args:
        store: the store with the results.
        folder: a working folder for their files; emptied first.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.opened: OrderedDict[str, Opened] = OrderedDict()
        shutil.rmtree(folder, ignore_errors=True)

    def answer(self, question: Question) -> Answer:
        """Return the answer, or an error about the question or the result."""
        begin = time.perf_counter()
        try:
            opened = self._open(question.manifest)
            at = time.perf_counter()
            selection = _select(opened, question.select)
        except Fault as fault:
            return Answer(question.number, error=Error(fault.code, fault.sentence[:2000], fault.remedy[:2000]))
        except OSError as error:
            reason = f"The result cannot be read: {error.strerror}."
            return Answer(question.number, error=Error(Unavailable.code, reason))
        chosen = selection.gaussians
        count = int(np.count_nonzero(chosen))
        bits = np.packbits(chosen).tobytes()
        now = time.perf_counter()
        print(f"{count} of {len(chosen)}: opened in {at - begin:.3f} s, selected in {now - at:.3f} s", file=sys.stderr)
        return Answer(question.number, len(chosen), count, selection.label, bits)

    def _open(self, manifest: str) -> Opened:
        if manifest not in self.opened:
            entries = [entry for entry in read_manifest(self.store, manifest) if entry.path in NEEDED]
            place = self.folder / manifest
            self.store.checkout(entries, place)
            self.opened[manifest] = open_result(place)
            shutil.rmtree(place)
            while len(self.opened) > OPEN:
                self.opened.popitem(last=False)
        self.opened.move_to_end(manifest)
        return self.opened[manifest]


def _write(channel: BinaryIO, data: bytes) -> None:
    """Write all of ``data``; an unbuffered write may be partial."""
    while data:
        data = data[channel.write(data) :]


def _select(opened: Opened, wanted: Select) -> Selection:
    if (wanted.gaussian is None) == (wanted.view is None):
        raise BadArgument(
            "A selection needs exactly one Gaussian or one pixel of a view.", "Give exactly one of the two."
        )
    if wanted.gaussian is not None:
        return select_gaussian(opened, wanted.gaussian, wanted.threshold, wanted.hull)
    assert wanted.view is not None
    return select_pixel(opened, wanted.view, wanted.x, wanted.y, wanted.threshold, wanted.hull)


if __name__ == "__main__":
    main()

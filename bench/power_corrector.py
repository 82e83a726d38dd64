"""The process that corrects results around a small correction, for :mod:`bench.chaos_power`.

A correction adds a line to ``report.json``; how the changed result is written and stored is as in
:mod:`backend.server.correction_worker`. Importing this takes less time than that, which strace would multiply.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from backend.progress import Progress
from backend.server.question_loop import answer_questions
from backend.server.question_protocol import Question, Reply
from backend.server.store_version import check_base, store_version
from protocol.messages import Correct, Corrected
from protocol.result.folder import whole_folder
from protocol.store import Store, read_manifest


class Corrector:
    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def __call__(self, question: Question, tell: Progress) -> Reply:
        wanted = question.wanted
        assert isinstance(wanted, Correct)
        check_base(self.store, question.manifest, question.newest)
        out = self.folder / "changed"
        with whole_folder(out) as folder:
            self.store.checkout(read_manifest(self.store, question.manifest), folder)
            report = folder / "report.json"
            text = report.read_text() + "\ncorrected"
            report.unlink()  # it is a hard link to the stored one
            report.write_text(text)
        version, size = store_version(self.store, out)
        shutil.rmtree(out)
        count = text.count("corrected")
        said = Corrected(wanted.job, question.manifest, 0, 0, count, version, size)
        return Reply(question.number, said)


def main() -> None:
    answer_questions(Corrector)

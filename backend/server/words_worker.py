"""The process that finds objects of results by words, with detectors on the server's machine.

Started by the server as ``python -m backend.server.words_worker DEVICE STORE FOLDER``. Nothing is downloaded: a model
that is not on the machine is refused. Models and the last result stay loaded between questions.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from backend.progress import Progress
from backend.render import device_of
from backend.scene.types import View
from backend.segmenter.library import INSTALL, is_installed
from backend.segmenter.weights import find_weights
from backend.select import Opened, open_result, select_objects
from backend.server.opened_results import OpenedResults
from backend.server.question_loop import answer_questions
from backend.server.question_protocol import Question, Reply
from backend.server.store_version import check_base, store_version
from backend.words import Answer, find_words
from backend.words.detecting import Detector
from backend.words.models import KNOWN, load_detector
from backend.words.naming import name_objects, photographs_of
from backend.words.search import Found
from backend.words.views import Pictures, Shown, views_of
from protocol.errors import BadArgument, BadScene, NotFound, Unavailable
from protocol.job_request import check_model
from protocol.messages import MOST_MATCHES, Match, Matches, Named, NameObjects, SelectText
from protocol.result.table import read_table
from protocol.store import Store, link_or_copy, read_manifest
from protocol.words import check_words

OPEN = 1
"""Most results kept open, each with what its views show."""
MODELS = 2
"""Most detectors kept loaded."""


def main() -> None:
    device = sys.argv[1]
    answer_questions(lambda store, folder: Searcher(store, folder, device, load))


def load(model: str | None, device: str) -> Detector:
    """Return a detector of this machine: the named one, or the first known one for None.

    Raises:
        Unavailable: if there is none, or packages are missing. BadArgument: if the model is not a detector.
    """
    if not is_installed():
        raise Unavailable(
            "The server cannot find objects by words: the package transformers is not installed there.",
            f"On the server: {INSTALL}",
        )
    names = [known.name for known in KNOWN] if model is None else [model]
    found = next((weights for name in names if (weights := find_weights(name)) is not None), None)
    if found is None:
        what = "no model that finds objects by words" if model is None else f"no model {model}"
        raise Unavailable(
            f"The server has {what}.",
            f"On the server, run backend select RESULT --text cup --model {names[0]} --yes once to download it.",
        )
    detector, _ = load_detector(found, device)
    return detector


@dataclass(frozen=True)
class _Searched:
    """A result, the names of its objects, which objects its views show, and their pictures."""

    opened: Opened
    names: Mapping[int, str]
    views: Sequence[Shown]
    pictures: Pictures


class Searcher:
    """Searches stored results.

    Args:
        store: the store with the results and their scenes.
        folder: a working folder for their files; emptied first.
        device: "auto", "cuda" or "cpu".
        load: returns a detector by name and device; the default one for None.
    """

    def __init__(self, store: Store, folder: Path, device: str, load: Callable[[str | None, str], Detector]) -> None:
        self.store = store
        self.folder = folder
        self.device = device
        self._load = load
        self._detectors: dict[str | None, Detector] = {}
        self._views: dict[str, _Searched] = {}
        self.results = OpenedResults(store, folder / "results", self._open, OPEN, keep=True)
        shutil.rmtree(folder / "scenes", ignore_errors=True)

    def __call__(self, question: Question, tell: Progress) -> Reply:
        """Return the answer to a :class:`protocol.messages.SelectText` or :class:`protocol.messages.NameObjects`."""
        wanted = question.wanted
        assert isinstance(wanted, SelectText | NameObjects)
        words = check_words([wanted.text] if isinstance(wanted, SelectText) else wanted.words)
        check_base(self.store, question.manifest, question.newest)
        detector = self._detector(wanted.model)
        searched = self._searched(question, tell)
        answers = find_words(words, searched.views, searched.pictures, detector, progress=tell)
        if isinstance(wanted, NameObjects):
            return self._name(question, wanted.job, answers)
        return self._select(question, wanted.job, answers[0], searched)

    def _select(self, question: Question, job: str, answer: Answer, searched: _Searched) -> Reply:
        chosen = select_objects(searched.opened, tuple(found.label for found in answer.found)).gaussians
        listed = answer.found[:MOST_MATCHES] if answer.found else ((answer.best,) if answer.best else ())
        matches = Matches(
            job=job,
            text=answer.word,
            objects=len(answer.found),
            best=[_match(found, searched.names) for found in listed],
            views=len(answer.views),
            rendered=not searched.pictures.photographs,
            count=int(np.count_nonzero(chosen)),
            total=len(chosen),
        )
        return Reply(question.number, matches, np.packbits(chosen).tobytes())

    def _name(self, question: Question, job: str, answers: Sequence[Answer]) -> Reply:
        """Store a version of the result with the names."""
        out = self.folder / "named"
        try:
            shutil.copytree(self.results.path(question.manifest), out, copy_function=link_or_copy)
            named, total = name_objects(out, answers)
            version, size = store_version(self.store, out)
        finally:
            shutil.rmtree(out, ignore_errors=True)
        data = msgspec.json.encode({str(label): name for label, name in named.items()})
        return Reply(question.number, Named(job, question.manifest, len(named), total, version, size), data)

    def _detector(self, model: str | None) -> Detector:
        if model is not None:
            check_model(model)
            if Path(model).exists():
                raise BadArgument(
                    f"The model {model} is a folder of the server.", "Give a model of the hub as owner/name."
                )
        if model not in self._detectors:
            detector = self._load(model, device_of(self.device))
            while len(self._detectors) >= MODELS:
                del self._detectors[next(iter(self._detectors))]
            self._detectors[model] = detector
        return self._detectors[model]

    def _open(self, folder: Path) -> Opened:
        return open_result(folder, self.device)

    def _searched(self, question: Question, tell: Progress) -> _Searched:
        opened = self.results.get(question.manifest)
        if question.manifest not in self._views:
            self._views.clear()
            folder = self.results.path(question.manifest)
            photographs = self._photographs(question.scene, opened)
            views, pictures = views_of(opened, folder, photographs, tell)
            names = {row.id: row.name for row in read_table(folder).objects}
            self._views[question.manifest] = _Searched(opened, names, views, pictures)
        return self._views[question.manifest]

    def _photographs(self, scene: str, opened: Opened) -> dict[str, View]:
        """Return the photographs of the result's views; none if the store lacks the scene, or it has no cameras."""
        scenes = self.folder / "scenes"
        shutil.rmtree(scenes, ignore_errors=True)
        try:
            self.store.checkout(read_manifest(self.store, scene), scenes / scene)
            return photographs_of(scenes / scene, opened)
        except (NotFound, BadScene):
            return {}


def _match(found: Found, names: Mapping[int, str]) -> Match:
    name = "".join(each if each.isprintable() else " " for each in names.get(found.label, f"Object {found.label}"))[:60]
    return Match(found.label, name, min(max(found.score, 0.0), 1.0), found.detected, found.looked)


if __name__ == "__main__":
    main()

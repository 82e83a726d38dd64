"""Searches in a result folder, and writes names into its table of objects."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from backend.objects.photographs import photographed
from backend.progress import Progress, silent
from backend.scene import load_scene
from backend.scene.types import View
from backend.segmenter.weights import Weights
from backend.select.selection import Opened
from backend.words.models import load_detector, load_masker
from backend.words.search import Answer, Found, find_words
from backend.words.views import views_of
from protocol.result.names import TABLE
from protocol.result.table import read_table, rewrite_table


def search_result(
    words: Sequence[str],
    folder: Path,
    opened: Opened,
    weights: Weights,
    *,
    masks: Weights | None = None,
    scene: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> tuple[list[Answer], list[str]]:
    """Return the objects of a result that each word names, and warnings.

    Args:
        words: from :func:`protocol.words.check_word`.
        folder: the result.
        opened: the same result.
        weights: of the detector.
        masks: weights of a mask model for the boxes; None to compare boxes with objects.
        scene: the folder with the photographs; None to render the views.
        device: "cpu" or "cuda".

    Raises:
        BadArgument: if no photograph of ``scene`` belongs to a view of the result, or a model is not usable.
        Fault: if the scene or the result is broken. Cancelled: from ``progress``.
    """
    photographs = {} if scene is None else photographed(scene, opened.cameras, folder)
    detector, warnings = load_detector(weights, device)
    masker = None if masks is None else load_masker(masks, device)
    views, pictures = views_of(opened, folder, photographs, progress)
    return find_words(words, views, pictures, detector, masker=masker, progress=progress), list(warnings)


def photographs_of(scene: Path, opened: Opened) -> dict[str, View]:
    """Return the views of a scene that a result shows, by name.

    Raises:
        BadScene: if the folder ``scene`` cannot be read, or its photographs have no cameras.
    """
    return {view.name: view for view in load_scene(scene).views if view.name in opened.cameras}


def describe_answer(folder: Path, answer: Answer) -> Iterator[str]:
    """Yield one line per object found, or one that says that nothing matches, with the best candidate."""
    names = {row.id: row.name for row in read_table(folder).objects}

    def line(found: Found) -> str:
        name = names.get(found.label, f"Object {found.label}")
        return f"object {found.label} ({name}), score {found.score:.3f}, detected in {found.detected} of {found.looked}"

    for found in answer.found:
        yield f"{line(found)} views"
    if not answer.found:
        best = "" if answer.best is None else f" The best candidate is {line(answer.best)} views."
        yield f"Nothing in the result matches {answer.word!r} after {len(answer.views)} views.{best}"


def name_objects(folder: Path, answers: Sequence[Answer]) -> tuple[dict[int, str], int]:
    """Name objects in ``objects.json``; an object that no word names keeps its name.

    Args:
        folder: the result.
        answers: one per word. An object gets the word with most evidence; the second and later objects of a word get
            a number, such as "cup 2".

    Returns:
        The new names by label, ascending, and the number of objects in the table.

    Raises:
        BadResult: if the table is broken.
    """
    table = read_table(folder)
    listed = {row.id for row in table.objects}
    best: dict[int, tuple[float, str]] = {}
    for answer in answers:
        for found in answer.found:
            if found.label in listed and found.log_odds > best.get(found.label, (-float("inf"), ""))[0]:
                best[found.label] = found.log_odds, answer.word
    counts: dict[str, int] = {}
    named = {}
    for label in sorted(best, key=lambda label: (-best[label][0], label)):
        word = best[label][1]
        counts[word] = counts.get(word, 0) + 1
        named[label] = word if counts[word] == 1 else f"{word} {counts[word]}"
    rows = [msgspec.structs.replace(row, name=named.get(row.id, row.name)) for row in table.objects]
    with tempfile.TemporaryDirectory(prefix=".names.", dir=folder) as part:
        rewrite_table(Path(part), rows, present=folder, original=folder)
        (Path(part) / TABLE).replace(folder / TABLE)
    return dict(sorted(named.items())), len(listed)

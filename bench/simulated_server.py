"""A server for Blender whose searches by words use a simulated detector, where no model is at hand.

    python -m bench.simulated_server SCENE "violet ball=6" "green box=7"

SCENE is the folder whose copy Blender sends: photographs in ``images``, and exact ids of them in ``gt/instance``. Each
further argument is a word and the id of the object that it names. Everything but the detector is that of
``backend serve``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from backend.server.question_loop import answer_questions
from backend.server.server import serve
from backend.server.words_worker import Searcher
from backend.words.detecting import Box
from bench.simulated_detector import SimulatedDetector, numbered_picture, true_boxes
from protocol.address import DEFAULT

DETECT = "--detect"
SEED = 3


class OfPhotographs:
    """A simulated detector that is given photographs, and finds out which of a scene they are.

    Args:
        scene: the folder of the scene.
        named: the object of each word.
    """

    def __init__(self, scene: Path, named: Mapping[str, int]) -> None:
        files = sorted((scene / "images").iterdir())
        self._photographs = [_pixels(file) for file in files]
        exact = [scene / "gt" / "instance" / f"{file.stem}.png" for file in files]
        truth = [true_boxes(np.asarray(Image.open(file)).astype(np.int64)) for file in exact]
        self._detector = SimulatedDetector(truth, named, {}, np.random.default_rng(SEED))

    def __call__(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> list[list[Box]]:
        shown = photograph.astype(np.float64)
        number = int(np.argmin([np.abs(each - shown).mean() for each in self._photographs]))
        return self._detector(numbered_picture(number, photograph.shape[:2]), words)


def _pixels(file: Path) -> NDArray[np.float64]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"), np.float64)


def main(
    scene: Annotated[Path, typer.Argument(metavar="SCENE", help="A scene with exact ids.")],
    named: Annotated[list[str], typer.Argument(metavar="WORD=ID...", help="Words and the objects that they name.")],
    bind: Annotated[str, typer.Option(help="Address to listen at.")] = DEFAULT,
    data: Annotated[Path, typer.Option(help="Folder of uploads, jobs and results.")] = Path("splatlift-data"),
    detect: Annotated[bool, typer.Option(DETECT, hidden=True, help="Answer the questions of a server.")] = False,
) -> None:
    """Serve Blender, with a simulated detector."""
    if not detect:
        itself = [sys.executable, "-m", "bench.simulated_server", DETECT, "--", str(scene.absolute()), *named]
        serve(bind, data, searcher_command=itself)
        return
    # The server adds its device, its store and a folder.
    words = {word: int(id) for word, id in (each.rsplit("=", 1) for each in named if "=" in each)}
    answer_questions(lambda store, folder: Searcher(store, folder, "cpu", lambda *_: OfPhotographs(scene, words)))


if __name__ == "__main__":
    typer.run(main)

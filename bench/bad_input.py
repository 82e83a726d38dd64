"""Runs the named bad inputs of the tests and prints the resulting errors, as recorded in `docs/errors.md`.

The tests hold the sentences against their patterns; this shows them whole, to be read by a person.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

from backend.cli import main
from backend.lift import METHODS
from bench.scenes import MadeScene, make_scene
from protocol.errors import Fault
from protocol.formats.read import read_splats
from protocol.ply import read_ply
from protocol.wire import decode
from tests.backend.lift.test_bad_lifts import BAD_LIFTS, attempt
from tests.backend.scene.test_bad_photographs import BAD_PHOTOGRAPHS, look
from tests.backend.scene.test_bad_scenes import BAD_SCENES, load_all
from tests.backend.segmenter.test_fetch import BAD_FETCHES
from tests.backend.segmenter.test_weights import BAD_MODELS, spoil
from tests.backend.segmenter.test_weights import load as load_model
from tests.backend.segmenter.tiny import build
from tests.backend.test_cli import BAD_ARGUMENTS, write_scene
from tests.protocol.formats.test_read import BAD_FILES
from tests.protocol.test_ply import BAD_PLY
from tests.protocol.test_wire import BAD_FRAMES

Case = tuple[str, Callable[[Path], object]]


def scenes() -> Iterator[Case]:
    for name, (write, _, _) in BAD_SCENES.items():
        yield name, lambda folder, write=write: (write(folder), load_all(folder))


def photographs() -> Iterator[Case]:
    for name, (write, masks, _) in BAD_PHOTOGRAPHS.items():
        yield name, lambda folder, write=write, masks=masks: (write(folder), look(folder, masks))


def splat_files() -> Iterator[Case]:
    for name, (data, _) in BAD_PLY.items():
        yield name, lambda folder, data=data: read_ply(written(folder / "scene.ply", data))
    for name, (file, data, _) in BAD_FILES.items():
        yield name, lambda folder, file=file, data=data: read_splats(written(folder / file, data))


def models() -> Iterator[Case]:
    for name in BAD_MODELS:
        yield name, lambda folder, name=name: load_model(spoil(build("sam2", folder / "model"), name))
    for name, (attempt_fetch, _, _) in BAD_FETCHES.items():
        yield name, attempt_fetch


def frames() -> Iterator[Case]:
    for name, (parts, _) in BAD_FRAMES.items():
        yield name, lambda folder, parts=parts: decode(parts)


def command_lines() -> Iterator[Case]:
    for line, _ in BAD_ARGUMENTS.values():
        yield f"`backend {line.format(tmp='.', scene='scene')}`", lambda folder, line=line: run(line, folder)


def lifts() -> None:
    """Print one line a case; all methods are tried and a sentence is shown once where they agree on it."""
    made = make_scene(objects=5, gaussians=4000, views=12, test_views=0, size=64, noise="mild", seed=3)
    print("\n## Lifting\n\nTried with every method.\n\n| case | the user is told, or what is found |\n|---|---|")
    for name in BAD_LIFTS:
        said: dict[str, list[str]] = {}
        for method in METHODS:
            said.setdefault(found(made, name, method), []).append(method)
        together = "; ".join(f"{sentence} ({', '.join(who)})" for sentence, who in said.items())
        print(f"| {name} | {next(iter(said)) if len(said) == 1 else together} |")


def found(made: MadeScene, name: str, method: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            objects = int(attempt(made, Path(folder), name, method).labels.max(initial=0))
        except Fault as fault:
            return str(fault)
    return "*runs*, nothing found" if objects == 0 else "*runs*"


def run(line: str, folder: Path) -> None:
    scene = write_scene(folder / "scene")
    said = io.StringIO()
    arguments = ["backend", *line.format(tmp=folder, scene=scene).split()]
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(sys, "argv", arguments))
        stack.enter_context(contextlib.redirect_stderr(said))
        # What is found before an error does not belong into the table.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.suppress(SystemExit))
        main()
    raise Fault(said.getvalue().strip().splitlines()[-1])


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def told(case: Callable[[Path], object]) -> str:
    """Return the error message without this run's temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            case(Path(folder))
        except Fault as fault:
            sentence = str(fault).replace(f"{folder}/", "").replace(folder, "SCENE")
            return sentence.replace("|", "\\|").replace("\n", " ")
    return "*accepted*"


def table(title: str, cases: Iterator[Case]) -> None:
    print(f"\n## {title}\n\n| case | the user is told |\n|---|---|")
    for name, case in cases:
        print(f"| {name} | {told(case)} |")


if __name__ == "__main__":
    print("# Bad input that was tried\n\nPrinted by `python -m bench.bad_input`; the tests hold each of these.")
    table("Scenes and masks", scenes())
    table("Photographs without cameras", photographs())
    table("Splat files", splat_files())
    lifts()
    table("Models", models())
    table("Frames from the wire", frames())
    table("Command lines", command_lines())

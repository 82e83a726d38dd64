"""Naming objects from a list of words in the panel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.operators import waiting  # noqa: E402
from blender_addon.operators.naming import naming, split  # noqa: E402
from blender_addon.operators.versions import base_of  # noqa: E402
from blender_addon.timer import timer  # noqa: E402
from protocol.errors import Unavailable  # noqa: E402
from protocol.messages import Named, NameObjects, Withdraw, Working  # noqa: E402
from tests.blender.addon import Windowed, answering, draw, registered, says  # noqa: E402
from tests.blender.clumps import REAL, write_clumps  # noqa: E402
from tests.blender_addon.client.mock_server import MockServer, Stage  # noqa: E402

OPS = bpy.ops.splatlift
JOB = "1" * 32
BASE, VERSION = "a" * 64, "b" * 64


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A result that a server has, imported: mug 1, plant 2, lamp 3. The server names the second and the third one."""
    with registered():
        stage = Stage(tmp_path / "cache")
        timer._job_list = stage.job_list
        write_clumps(tmp_path / JOB)
        OPS.import_result(*REAL, display="POINTS", directory=str(tmp_path / JOB))
        server = server_of(stage)
        server.features = ["names", "withdraw"]
        names = np.frombuffer(b'{"2": "fern", "3": "green lamp"}', np.uint8)
        said = Named(JOB, BASE, 2, 3, VERSION, 9)
        server.answers[NameObjects] = lambda wanted: [(Working(0.5, "view 2"), []), (said, [names])]
        stage.connect()
        yield stage
        naming.lines, naming.request = [], None
        stage.close()


def server_of(stage: Stage) -> MockServer:
    assert stage.server is not None
    return stage.server


def names() -> list[str]:
    return sorted(each.name for each in session.objects_of(session.scenes()[0]))


def name(stage: Stage, words: str) -> None:
    bpy.context.scene.splatlift.names = words
    with answering(server_of(stage), {}, stage.connection):
        OPS.name_objects(*REAL)


def asked(stage: Stage) -> list[NameObjects]:
    return [each for each in server_of(stage).heard if isinstance(each, NameObjects)]


def test_objects_get_the_names_of_the_server(stage: Stage) -> None:
    before = names()
    name(stage, " Fern,green  lamp; ,submarine")
    assert asked(stage)[0].words == ["fern", "green lamp", "submarine"]
    assert names() == sorted(["fern", "green lamp", *before[1:2]])
    assert naming.lines == ["2 of 3 objects named", "plant: fern", "lamp: green lamp"]
    assert says(draw("SPLATLIFT_PT_words"), "2 of 3 objects named")
    scene = session.scenes()[0]
    assert (asked(stage)[0].base, base_of(scene)) == (None, VERSION)
    name(stage, "fern")
    assert asked(stage)[1].base == VERSION, "what the scene shows is named"
    scene.splatlift.version = ""
    assert base_of(scene) == BASE, "Blender's undo leads back to the version that was imported"


def test_with_a_window_naming_runs_while_blender_does_and_can_be_cancelled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "bpy", Windowed(bpy))
    bpy.context.scene.splatlift.names = "fern"
    assert OPS.name_objects() == {"FINISHED"}
    assert not OPS.name_objects.poll()
    drawn = draw("SPLATLIFT_PT_words")
    assert drawn[-2:] == ["<splatlift.stop_naming>", "{Naming}"]
    stage.play(lambda: naming.request is None)
    assert "fern" in names()
    before = names()
    server_of(stage).answers[NameObjects] = lambda wanted: None
    OPS.name_objects()
    stage.play(lambda: len(asked(stage)) == 2)
    assert OPS.stop_naming() == {"FINISHED"}
    assert naming.request is None
    stage.play(lambda: any(isinstance(each, Withdraw) for each in server_of(stage).heard))
    assert names() == before


def test_why_objects_cannot_be_named_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, sentence in ((" , ", "list of words is empty"), ("cup, яблоко", "Word 2 of the list: .* not a Latin")):
        with pytest.raises(RuntimeError, match=sentence):
            name(stage, words)
    assert not asked(stage)

    def refuse(wanted: NameObjects) -> Any:
        raise Unavailable("The server cannot find objects by words.", "Install it.")

    server_of(stage).answers[NameObjects] = refuse
    monkeypatch.setattr(waiting, "bpy", Windowed(bpy))
    bpy.context.scene.splatlift.names = "cup"
    OPS.name_objects()
    stage.play(lambda: naming.request is None)
    assert naming.lines == ["The server cannot find objects by words. Install it."]


def test_words_are_separated_by_commas() -> None:
    assert split("a cup, b;c\nd,,") == ["a cup", " b", "c", "d"]

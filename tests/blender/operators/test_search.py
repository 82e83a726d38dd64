"""Searching by words in the panel: what is selected, shown and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon.operators import waiting  # noqa: E402
from blender_addon.operators.search import search  # noqa: E402
from blender_addon.settings import chosen_object  # noqa: E402
from blender_addon.timer import timer  # noqa: E402
from protocol.errors import Unavailable  # noqa: E402
from protocol.messages import Match, Matches, SelectText, Working  # noqa: E402
from tests.blender.addon import Windowed, answering, draw, registered, says  # noqa: E402
from tests.blender.clumps import REAL, write_clumps  # noqa: E402
from tests.blender_addon.client.mock_server import Stage  # noqa: E402

OPS = bpy.ops.splatlift
JOB = "1" * 32
WORDS = {"green plant": [2], "thing": [1, 3]}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A result that a server has, imported; the server knows :data:`WORDS`."""
    with registered():
        stage = Stage(tmp_path / "cache")
        timer._job_list = stage.job_list
        splats = write_clumps(tmp_path / JOB)
        OPS.import_result(*REAL, display="POINTS", directory=str(tmp_path / JOB))
        labels = splats.extra["label"]

        def answer(wanted: SelectText) -> list[Any]:
            named = WORDS.get(wanted.text, [])
            chosen = np.isin(labels, named)
            best = [Match(label, "server's name", 0.9, 3, 4) for label in named] or [Match(3, "lamp", 0.2, 1, 4)]
            found = Matches(JOB, wanted.text, len(named), best, 5, True, int(chosen.sum()), len(chosen))
            return [(Working(0.5, "view 2"), []), (found, [np.packbits(chosen)])]

        server = stage.server
        assert server is not None
        server.features = ["text"]
        server.answers[SelectText] = answer
        stage.connect()
        yield stage
        search.lines, search.request = [], None
        stage.close()


def selected() -> list[str]:
    return sorted(each.name for each in bpy.context.selected_objects)


def look_for(stage: Stage, text: str) -> None:
    bpy.context.scene.splatlift.search = text
    assert stage.server is not None
    with answering(stage.server, {}, stage.connection):
        OPS.search(*REAL)


def test_a_text_selects_its_objects(stage: Stage) -> None:
    look_for(stage, " Green  plant")
    assert selected() == ["plant"]
    assert bpy.context.view_layer.objects.active.name == "plant"
    assert chosen_object(bpy.context).name == "plant"
    assert search.lines == [
        "1 object for 'green plant', in 5 rendered images",
        "plant, score 0.90, in 3 of 4 views",
    ]
    assert search.note == "view 2"
    look_for(stage, "thing")
    assert selected() == ["lamp", "mug"]
    drawn = draw("SPLATLIFT_PT_words")
    assert drawn[1] == "<Search>"
    assert says(drawn, "2 objects for 'thing'")


def test_nothing_matches_is_said_and_the_selection_stays(stage: Stage) -> None:
    look_for(stage, "thing")
    look_for(stage, "submarine")
    assert search.lines == ["Nothing matches 'submarine'. The best candidate is lamp, score 0.20, in 1 of 4 views"]
    assert selected() == ["lamp", "mug"]


def test_objects_that_cannot_be_selected_are_said(stage: Stage) -> None:
    bpy.data.collections["plant"].hide_viewport = True
    look_for(stage, "green plant")
    assert search.lines[-1] == "Hidden objects are not selected"
    bpy.data.collections["plant"].hide_viewport = False
    bpy.context.view_layer.objects.active = bpy.data.objects["mug"]
    bpy.ops.object.mode_set(mode="EDIT")
    look_for(stage, "green plant")
    assert search.lines[-1] == "Objects are selected in Object Mode: press Tab, search again"
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.data.objects.remove(bpy.data.objects["plant"])
    look_for(stage, "green plant")
    assert search.lines == ["The objects that match 'green plant' are no longer in this scene"]


def test_with_a_window_the_search_goes_on_while_blender_does(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    server = stage.server
    assert server is not None
    bpy.context.scene.splatlift.search = "green plant"
    monkeypatch.setattr(waiting, "bpy", Windowed(bpy))
    assert OPS.search() == {"FINISHED"}
    assert not OPS.search.poll()
    drawn = draw("SPLATLIFT_PT_words")
    assert drawn[1:3] == ["<splatlift.stop_search>", "{Searching}"]
    stage.play(lambda: search.request is None)
    assert selected() == ["plant"]
    server.answers[SelectText] = lambda wanted: None
    OPS.search()
    assert OPS.stop_search() == {"FINISHED"}
    assert search.request is None


def test_a_failed_search_is_said_in_the_panel(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(wanted: SelectText) -> None:
        raise Unavailable("The server cannot find objects by words.", "Install it.")

    server = stage.server
    assert server is not None
    server.answers[SelectText] = refuse
    bpy.context.scene.splatlift.search = "cup"
    monkeypatch.setattr(waiting, "bpy", Windowed(bpy))
    OPS.search()
    stage.play(lambda: search.request is None)
    assert search.lines == ["The server cannot find objects by words. Install it."]


@pytest.mark.parametrize(("text", "sentence"), [("", "text is empty"), ("яблоко", "not a Latin letter")])
def test_bad_words_are_refused_before_they_are_sent(stage: Stage, text: str, sentence: str) -> None:
    bpy.context.scene.splatlift.search = text
    with pytest.raises(RuntimeError, match=sentence):
        OPS.search(*REAL)
    assert stage.server is not None
    assert not [each for each in stage.server.heard if isinstance(each, SelectText)]

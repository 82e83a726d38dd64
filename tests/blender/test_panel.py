"""The panel in every state it can show, and what its buttons do. There is no window here: ticks are made by hand."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import panels, preferences, session  # noqa: E402
from blender_addon.operators import connect  # noqa: E402
from blender_addon.operators.importing import in_one_undo_step  # noqa: E402
from blender_addon.pump import pump  # noqa: E402
from protocol.errors import BadScene  # noqa: E402
from protocol.messages import Cancel, Error, Hello  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from tests.blender.addon import Layout, answering, draw, files_of, registered, tick_until  # noqa: E402
from tests.blender.example import NAMES, write_example  # noqa: E402
from tests.blender_addon.conftest import capture  # noqa: E402, F401
from tests.blender_addon.mock_server import Stage  # noqa: E402


@pytest.fixture(autouse=True)
def addon():
    with registered():
        yield


@pytest.fixture
def stage(tmp_path: Path):
    """The panel's connection, a scripted server and a clock."""
    stage = Stage(tmp_path / "cache")
    pump._connection = stage.connection
    yield stage
    stage.close()


@pytest.fixture
def result(tmp_path: Path) -> Path:
    write_example(tmp_path / "result")
    return tmp_path / "result"


def test_the_server_panel_in_each_state(stage):
    assert draw("SPLATLIFT_PT_server") == ["tcp://127.0.0.1:5757", "<Connect>"]
    stage.connection.connect(stage.server.address)
    assert draw("SPLATLIFT_PT_server") == [f"Calling {stage.server.address}", "<splatlift.disconnect>"]
    stage.play(lambda: stage.connection.state == "connected")
    assert draw("SPLATLIFT_PT_server") == ["Mock 1 (cpu)", "<splatlift.disconnect>"]
    stage.vanish()
    stage.play(lambda: stage.connection.state == "disconnected")
    drawn = draw("SPLATLIFT_PT_server")
    assert drawn[0].startswith("Calling")
    assert "no longer answers" in " ".join(drawn)
    stage.connection.close()
    assert draw("SPLATLIFT_PT_server") == ["tcp://127.0.0.1:5757", "<Connect>"]


def test_a_wrong_version_is_shown_beside_the_button(stage):
    stage.server.answers[Hello] = lambda _: Error("version-mismatch", "The server speaks 2.", "Update the add-on.")
    stage.connection.connect(stage.server.address)
    stage.play(lambda: stage.connection.state == "error")
    drawn = draw("SPLATLIFT_PT_server")
    assert drawn[:2] == ["tcp://127.0.0.1:5757", "<Connect>"]
    assert " ".join(drawn[2:]) == "The server speaks 2. Update the add-on."


def test_the_methods_are_the_servers(stage):
    assert draw("SPLATLIFT_MT_method") == ["<Best>"]
    stage.connect()
    assert draw("SPLATLIFT_MT_method") == ["<Best>", "<Quick>"]
    bpy.ops.wm.context_set_string(data_path="scene.splatlift.method", value="quick")
    assert "<Quick>" in draw("SPLATLIFT_PT_capture")
    stage.connection.close()
    assert "<Quick>" in draw("SPLATLIFT_PT_capture"), "what is known is shown without a connection"


def test_a_job_in_each_state(stage, capture):  # noqa: F811
    stage.connect()
    before = draw("SPLATLIFT_PT_capture")
    job = pump.job = stage.connection.submit(capture())
    assert draw("SPLATLIFT_PT_capture") == [*before, "{Looking at the files 0%}", "<splatlift.cancel>"]
    stage.play(lambda: job.state == "queued")
    stage.server.push(job.id, state="running", stage="lift", fraction=0.5, note="29.8 dB")
    stage.play(lambda: job.state == "running")
    assert draw("SPLATLIFT_PT_capture") == [*before, "{Finding objects 50%}", "<splatlift.cancel>", "29.8 dB"]
    assert bpy.ops.splatlift.cancel() == {"FINISHED"}
    assert "{Cancelling 50%}" in draw("SPLATLIFT_PT_capture")
    stage.play(lambda: stage.server.kinds(Cancel))
    stage.server.push(job.id, state="cancelled")
    stage.play(lambda: job.final)
    assert draw("SPLATLIFT_PT_capture") == [*before, "kitchen: cancelled"]
    assert not bpy.ops.splatlift.cancel.poll()
    job.left_out = 2
    job.error = BadScene("The folder has no cameras, and so on for longer than one line of a panel is.", "Add them.")
    drawn = draw("SPLATLIFT_PT_capture")[len(before) + 1 :]
    assert len(drawn) > 3
    assert "2 links out of the folder were not sent." in " ".join(drawn)
    assert " ".join(drawn).endswith("longer than one line of a panel is. Add them.")


def test_no_line_is_wider_than_the_panel():
    for width in (120, 200, 280, 600):
        layout = Layout()
        region = SimpleNamespace(width=width)
        context = SimpleNamespace(preferences=bpy.context.preferences, region=region)
        panels.draw_text(layout, context, "word " * 40, "ERROR")
        assert "".join(layout.drawn).replace(" ", "") == "word" * 40
        widest = max(12, (width - panels.MARGIN) / panels.CHARACTER)
        assert all(len(line) <= widest for line in layout.drawn)


def test_from_connect_to_export_in_background_mode(stage, capture, result, monkeypatch, tmp_path):  # noqa: F811
    stage.connection._clock = time.monotonic
    monkeypatch.setattr(connect, "address", lambda: stage.server.address)
    assert not bpy.ops.splatlift.segment.poll()
    with answering(stage.server, files_of(result)):
        assert bpy.ops.splatlift.connect() == {"FINISHED"}
        assert stage.connection.state == "connected"
        assert not bpy.ops.splatlift.segment.poll(), "no folder is chosen"
        bpy.context.scene.splatlift.folder = str(capture())
        assert bpy.ops.splatlift.segment() == {"FINISHED"}
    assert pump.job is not None
    assert pump.job.state == "finished"
    assert "<Import Result>" in draw("SPLATLIFT_PT_objects")
    assert not bpy.ops.splatlift.export.poll()
    assert bpy.ops.splatlift.import_result(directory=str(pump.job.folder)) == {"FINISHED"}

    drawn = draw("SPLATLIFT_PT_objects")
    assert [word for word in drawn if word == "[name]"] == ["[name]"] * (len(NAMES) + 1)
    shown = session.scenes()[0]
    assert bpy.context.scene.splatlift.scene_id == shown.splatlift.scene_id
    assert f"<{shown.name}>" in drawn
    assert draw("SPLATLIFT_MT_scene") == [f"<{shown.name}>"]

    out = tmp_path / "all.ply"
    assert bpy.ops.splatlift.export(filepath=str(out), what="SCENE") == {"FINISHED"}
    assert len(read_ply(out)) == len(read_ply(result / "splats.ply"))
    assert bpy.ops.splatlift.export(filepath=str(tmp_path / "one.ply"), what="OBJECT") == {"FINISHED"}
    first = session.objects_of(shown)[0]
    assert len(read_ply(tmp_path / "one.ply")) == first.splatlift.count


def test_the_list_has_the_objects_by_label_and_the_background_last(result):
    scene = session.import_folder(result)
    rows: Any = panels.SPLATLIFT_UL_objects.filter_items
    narrow = SimpleNamespace(filter_name="LA", bitflag_filter_item=1)
    flags, places = rows(narrow, bpy.context, scene, "children")
    shown = sorted(
        (place, child.name) for place, child, flag in zip(places, scene.children, flags, strict=True) if flag
    )
    assert [name for _, name in shown] == [name for name in NAMES if "la" in name]
    everything = SimpleNamespace(filter_name="", bitflag_filter_item=1)
    flags, places = rows(everything, bpy.context, scene, "children")
    assert all(flags)
    by_place = [
        child.splatlift.label for _, child in sorted(zip(places, scene.children, strict=True), key=lambda p: p[0])
    ]
    assert by_place == [1, 2, 3, 0]


def test_select_an_object_of_the_list(result):
    scene = session.import_folder(result)
    first, second, *_ = session.objects_of(scene)
    select = bpy.ops.splatlift.select_object
    assert select(object_id=first.splatlift.object_id) == {"FINISHED"}
    assert {thing.name for thing in bpy.context.selected_objects} == {thing.name for thing in first.all_objects}
    assert bpy.context.view_layer.objects.active in list(first.all_objects)
    select(object_id=second.splatlift.object_id)
    assert not {thing.name for thing in bpy.context.selected_objects} & {thing.name for thing in first.all_objects}
    select(object_id=first.splatlift.object_id, extend=True)
    both = [*first.all_objects, *second.all_objects]
    assert {thing.name for thing in bpy.context.selected_objects} == {thing.name for thing in both}
    first.name = "renamed"
    assert select(object_id=first.splatlift.object_id) == {"FINISHED"}, "ids, not names"
    with pytest.raises(RuntimeError, match="no longer in this file"):
        select(object_id="gone")
    first.hide_viewport = True
    bpy.context.view_layer.update()
    assert select(object_id=first.splatlift.object_id) == {"CANCELLED"}


def test_export_of_what_is_selected(result, tmp_path):
    scene = session.import_folder(result)
    export = bpy.ops.splatlift.export
    for thing in bpy.context.selected_objects:
        thing.select_set(False)
    with pytest.raises(RuntimeError, match="No imported object is selected"):
        export(filepath=str(tmp_path / "x.ply"), what="SELECTED")
    two = session.objects_of(scene)[:2]
    for each in two:
        bpy.ops.splatlift.select_object(object_id=each.splatlift.object_id, extend=True)
    assert export(filepath=str(tmp_path / "x.ply"), what="SELECTED") == {"FINISHED"}
    assert len(read_ply(tmp_path / "x.ply")) == sum(each.splatlift.count for each in two)
    with pytest.raises(RuntimeError, match=r"\.ply"):
        export(filepath=str(tmp_path / "x.obj"), what="SCENE", check_existing=False)


def test_errors_of_operators_are_sentences(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="No result folder was named"):
        bpy.ops.splatlift.import_result()
    with pytest.raises(RuntimeError, match="nowhere"):
        bpy.ops.splatlift.import_result(directory=str(tmp_path / "nowhere"))
    monkeypatch.setattr(connect, "address", lambda: "nonsense")
    with pytest.raises(RuntimeError, match="not of the form"):
        bpy.ops.splatlift.connect()
    monkeypatch.setattr(connect, "address", lambda: "tcp://10.0.0.1:5757")
    with pytest.raises(RuntimeError, match="encrypted" if bpy.app.online_access else "go online"):
        bpy.ops.splatlift.connect()


def test_an_import_in_ticks(result):
    pump.begin_import(session.import_steps(result, "POINTS"), in_one_undo_step)
    pump.tick()
    if pump.importing is not None:
        assert any(word.startswith("{import") for word in draw("SPLATLIFT_PT_objects"))
        assert not bpy.ops.splatlift.import_result.poll()
    tick_until(lambda: pump.importing is None)
    assert pump.error is None
    assert len(session.objects_of(session.scenes()[0])) == len(NAMES)
    assert pump.idle


def test_an_import_that_fails_says_so_in_the_panel(tmp_path):
    pump.begin_import(session.import_steps(tmp_path / "nowhere", "POINTS"), in_one_undo_step)
    tick_until(lambda: pump.importing is None)
    assert pump.error is not None
    assert "nowhere" in " ".join(draw("SPLATLIFT_PT_objects"))
    assert session.scenes() == []


def test_an_import_can_be_stopped(result):
    pump.begin_import(session.import_steps(result, "POINTS"), in_one_undo_step)
    assert bpy.ops.splatlift.stop_import() == {"FINISHED"}
    assert not bpy.ops.splatlift.stop_import.poll()
    pump.tick()
    assert session.scenes() == []


def test_drawing_makes_no_connection_and_reads_no_disk(monkeypatch):
    def touched(*_: object, **__: object) -> None:
        raise AssertionError("drawing went beyond what is known")

    monkeypatch.setattr(Path, "stat", touched)
    monkeypatch.setattr("builtins.open", touched)
    monkeypatch.setattr("os.scandir", touched)
    bpy.context.scene.splatlift.folder = "/nowhere"
    for name in ("SPLATLIFT_PT_server", "SPLATLIFT_PT_capture", "SPLATLIFT_PT_objects", "SPLATLIFT_MT_method"):
        draw(name)
    assert pump.known_connection is None


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (999_949, "999.9k"), (999_950, "1.0M")],
)
def test_counts_are_short(count, shown):
    assert panels.short(count) == shown


def test_the_cache_is_one_of_blenders_own_folders():
    assert preferences.cache_folder().name == "splatlift"
    assert preferences.address() == "tcp://127.0.0.1:5757"

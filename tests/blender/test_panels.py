"""The panel in every state it can show, and what its buttons do. There is no window here: ticks are made by hand."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import panels, preferences, session, values  # noqa: E402
from blender_addon.operators import connect, segment  # noqa: E402
from blender_addon.operators.importing import in_one_undo_step  # noqa: E402
from blender_addon.timer import BUSY_PERIOD, DRAWING_PERIOD, PERIOD, tick, timer  # noqa: E402
from protocol.errors import BadScene  # noqa: E402
from protocol.messages import Cancel, Error, Facts, Hello, MaskModel, MaskModels, MethodInfo, Picture  # noqa: E402
from protocol.ply import read_ply, write_ply  # noqa: E402
from protocol.pull import CHUNK  # noqa: E402
from protocol.settings import Setting  # noqa: E402
from tests.blender.addon import Layout, answering, draw, files_of, registered, says, tick_until  # noqa: E402
from tests.blender.example import NAMES, some_splats, write_example  # noqa: E402
from tests.blender_addon.client.conftest import capture  # noqa: E402, F401
from tests.blender_addon.client.mock_server import Stage  # noqa: E402
from tests.blender_addon.client.test_local_server import program  # noqa: E402

NOT_CONNECTED = ["Not connected", "<Connect>", "tcp://127.0.0.1:5757"]

NO_BACKEND = "To start a server here, set Backend in the preferences (gear)."


def without_hint(drawn: list[str]) -> list[str]:
    """Return the lines of the server's panel without those that say why no server can be started here."""
    start = drawn.index("<Start a Server Here>") + 1
    end = next(n for n in range(start, len(drawn) + 1) if says(drawn[start:n], NO_BACKEND))
    return drawn[:start] + drawn[end:]


@pytest.fixture(autouse=True)
def addon():
    with registered():
        yield


@pytest.fixture
def stage(tmp_path: Path):
    """The panel's connection, a scripted server and a clock."""
    stage = Stage(tmp_path / "cache")
    timer._job_list = stage.job_list
    yield stage
    stage.close()


@pytest.fixture
def result(tmp_path: Path) -> Path:
    write_example(tmp_path / "result")
    return tmp_path / "result"


def test_the_server_panel_in_each_state(stage):
    assert without_hint(draw("SPLATLIFT_PT_server")) == [*NOT_CONNECTED, "<Start a Server Here>"]
    stage.connection.connect(stage.server.address)
    assert draw("SPLATLIFT_PT_server") == [f"Connecting to {stage.server.address}", "<splatlift.disconnect>"]
    stage.play(lambda: stage.connection.state == "connected")
    assert draw("SPLATLIFT_PT_server") == ["Mock 1", "<splatlift.disconnect>"]
    stage.vanish()
    stage.play(lambda: stage.connection.state == "disconnected")
    drawn = draw("SPLATLIFT_PT_server")
    assert drawn[0].startswith("Connecting")
    assert says(drawn, "no longer answers")
    stage.connection.close()
    assert without_hint(draw("SPLATLIFT_PT_server")) == [*NOT_CONNECTED, "<Start a Server Here>"]


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        (
            Facts("cpu", "Mock processor", 3 << 30, 8 << 30),
            ["Processor: Mock processor", "3 of 9 GB of memory free"],
        ),
        (Facts("cuda", "H200", 0, 8 << 30), ["Graphics card: H200"]),
        (Facts("cuda", "", 0, 0, "No device is there."), ["No device is there."]),
    ],
    ids=["processor", "graphics card", "problem"],
)
def test_what_the_server_works_on_is_shown(stage, facts, lines):
    stage.server.facts = facts
    declaring(stage)
    assert draw("SPLATLIFT_PT_server") == ["Mock 1", "<splatlift.disconnect>", *lines]


def declaring(stage, *settings: Setting) -> None:
    """Connect to a server that declares its machine, and these settings of a method no add-on knows."""
    stage.server.methods = [MethodInfo("novel", "Novel", "Of a later server."), *stage.server.methods]
    stage.server.settings["novel"] = list(settings)
    stage.server.features = ["facts"]
    stage.connect()
    stage.play(lambda: not stage.connection.requests)
    timer.settle()


NOVEL = (
    Setting("on", "On", "bool", True, help="Whether it is on."),
    Setting("count", "Count", "int", 7, 1.0, 9.0),
    Setting("rate", "Rate", "float", 0.05, 0.0, None),
    Setting("mode", "Mode", "choice", "fast", choices=["fast", "good"]),
    Setting("name", "Name", "text", "x"),
)


def test_settings_of_an_unknown_method_are_drawn_and_sent(stage, capture):  # noqa: F811
    declaring(stage, *NOVEL)
    assert draw("SPLATLIFT_MT_method") == ["<Best>", "<Novel>", "<Quick>"]
    reset = "<splatlift.reset_value>"
    drawn = ["[On]", reset, "[Count]", reset, "[Rate]", reset, "Mode", "<fast>", reset, "[Name]", reset]
    assert draw("SPLATLIFT_PT_values") == drawn
    assert bpy.types.SPLATLIFT_PT_values.poll(bpy.context)

    chosen = bpy.context.scene.splatlift
    assert values.changed(chosen, "novel") == {}
    by_name = {each.name: each for each in chosen.values}
    by_name["on"].flag = False
    by_name["count"].whole = 100
    assert not values.is_inside(by_name["count"])
    by_name["rate"].number = 0.1
    assert bpy.ops.splatlift.choose_value(method="novel", setting="mode", choice="good") == {"FINISHED"}
    with pytest.raises(RuntimeError, match="cannot be 'best'"):
        bpy.ops.splatlift.choose_value(method="novel", setting="mode", choice="best")
    wanted = {"on": False, "count": 9, "rate": 0.1, "mode": "good"}
    assert values.changed(chosen, "novel") == wanted
    assert segment.request_of(chosen, capture()).settings == wanted, "the best is the first, which is the novel one"

    chosen.method = "quick"
    assert segment.request_of(chosen, stage.cache).settings == {}
    assert not bpy.types.SPLATLIFT_PT_values.poll(bpy.context)
    chosen.method = "novel"
    assert bpy.ops.splatlift.reset_value(method="novel", setting="count") == {"FINISHED"}
    assert "count" not in values.changed(chosen, "novel")
    help = bpy.types.SPLATLIFT_OT_reset_value.description
    assert help(bpy.context, SimpleNamespace(method="novel", setting="on")).startswith("Whether it is on.")


def test_what_was_set_outlives_another_declaration_and_the_file(stage, tmp_path):
    declaring(stage, *NOVEL)
    chosen = bpy.context.scene.splatlift
    {each.name: each for each in chosen.values}["rate"].number = 0.25
    {each.name: each for each in chosen.values}["mode"].text = "good"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "x.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not bpy.context.scene.splatlift.values
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "x.blend"))
    chosen = bpy.context.scene.splatlift
    assert values.changed(chosen, "novel") == {"rate": 0.25, "mode": "good"}
    later = [Setting("rate", "Rate", "float", 0.5), Setting("mode", "Mode", "choice", "best", choices=["best"])]
    values.declare(chosen, {"novel": later})
    assert values.changed(chosen, "novel") == {"rate": 0.25}, "the choice is none any more"


def test_a_wrong_version_is_shown_beside_the_button(stage):
    stage.server.answers[Hello] = lambda _: Error("version-mismatch", "The server speaks 2.", "Update the add-on.")
    stage.connection.connect(stage.server.address)
    stage.play(lambda: stage.connection.state == "error")
    drawn = draw("SPLATLIFT_PT_server")
    rest = without_hint(drawn)
    assert rest[:4] == [*NOT_CONNECTED, "<Start a Server Here>"]
    assert " ".join(rest[4:]) == "The server speaks 2. Update the add-on."


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
    job = stage.job_list.submit(capture())
    assert draw("SPLATLIFT_PT_jobs") == ["kitchen", "{Reading the folder 0%}", "<splatlift.cancel>"]
    stage.play(lambda: job.state == "queued")
    job.ahead = 1
    assert draw("SPLATLIFT_PT_jobs") == [
        "kitchen",
        "{Waiting 0%}",
        "<splatlift.cancel>",
        "1 of your captures ahead in the queue",
    ]
    stage.server.push(job.id, state="running", stage="lift", fraction=0.5, note="29.8 dB")
    stage.play(lambda: job.state == "running")
    assert draw("SPLATLIFT_PT_jobs") == ["kitchen", "{Finding objects 50%}", "<splatlift.cancel>", "29.8 dB"]
    job.left, job.speed = 150.0, 12.3e6
    assert draw("SPLATLIFT_PT_jobs")[-1] == "12 MB/s, 2 min left"
    stage.connection.close()
    assert draw("SPLATLIFT_PT_jobs")[1:] == ["{Waiting for the server 50%}", "<splatlift.cancel>", "29.8 dB"]
    stage.connect()
    job.left = job.speed = None
    assert bpy.ops.splatlift.cancel(job=job.id) == {"FINISHED"}
    assert "{Cancelling 50%}" in draw("SPLATLIFT_PT_jobs")
    stage.play(lambda: stage.server.kinds(Cancel))
    stage.server.push(job.id, state="cancelled")
    stage.play(lambda: job.final)
    assert draw("SPLATLIFT_PT_jobs") == ["kitchen: cancelled", "<splatlift.forget>"]
    assert not bpy.ops.splatlift.cancel.poll()
    job.left_out = 2
    job.error = BadScene("The folder has no cameras, and so on for longer than one line of a panel is.", "Add them.")
    drawn = draw("SPLATLIFT_PT_jobs")[2:]
    assert len(drawn) > 3
    assert says(drawn, "2 links to files outside the folder were not sent.")
    assert says(drawn, f"{job.error.sentence} {job.error.remedy}")
    assert bpy.ops.splatlift.forget(job=job.id) == {"FINISHED"}
    assert not bpy.types.SPLATLIFT_PT_jobs.poll(bpy.context)


def test_several_jobs_and_the_picture_of_one(stage, capture, monkeypatch):  # noqa: F811
    stage.connect()
    first, second = stage.job_list.submit(capture("a")), stage.job_list.submit(capture("b"))
    stage.play(lambda: first.state == second.state == "queued")
    stage.server.push(first.id, state="running", stage="lift", fraction=0.5)
    stage.server.send(Picture(first.id), [np.full((4, 6, 3), 200, np.uint8)])
    stage.play(lambda: first.pictures == 1)
    timer.settle()
    monkeypatch.setattr(timer.pictures, "icon", lambda job: 7 * (job in timer.pictures._shown))
    drawn = draw("SPLATLIFT_PT_jobs")
    assert [word for word in drawn if word in "ab"] == ["b", "a"], "the newest is first"
    assert drawn[-1] == "(picture)"
    for n in range(panels.JOBS):
        stage.job_list.submit(capture(f"more{n}"))
    assert draw("SPLATLIFT_PT_jobs")[-1] == "2 older captures"
    first.stop()
    timer.settle()
    assert not timer.pictures._shown, "a job that has ended shows no picture"


def test_jobs_are_there_again_in_the_next_session(stage, capture, result, monkeypatch):  # noqa: F811
    monkeypatch.setattr("blender_addon.timer.cache_folder", lambda: stage.cache)
    stage.connect()
    job = stage.job_list.submit(capture())
    stage.play(lambda: job.state == "queued")
    stage.server.finish(job.id, files_of(result))
    stage.play(lambda: job.final)
    timer.settle()
    timer._job_list = None
    assert [again.id for again in timer.job_list.jobs] == [job.id]
    assert draw("SPLATLIFT_PT_jobs") == ["kitchen", "<Import>", "<splatlift.forget>"]
    assert bpy.ops.splatlift.import_result(directory=str(timer.jobs[0].folder)) == {"FINISHED"}
    bpy.ops.splatlift.forget()
    timer.settle()
    timer._job_list = None
    assert timer.job_list.jobs == []


def test_what_is_in_the_folder_is_shown_before_anything_is_sent(stage, tmp_path):
    scene = tmp_path / "scene"
    for name in ("sparse/0/cameras.bin", "images/0.jpg", "images/1.jpg", "masks/0.png"):
        (scene / name).parent.mkdir(parents=True, exist_ok=True)
        (scene / name).write_text("x")
    write_ply(some_splats(2, 0), scene / "room.ply")
    chosen = bpy.context.scene.splatlift
    assert bpy.ops.splatlift.drop_capture(filepath=str(scene / "images" / "0.jpg")) == {"FINISHED"}
    assert chosen.folder == str(scene)
    assert "Reading the folder" in draw("SPLATLIFT_PT_capture")
    tick_until(lambda: timer.surveyed is not None)
    drawn = draw("SPLATLIFT_PT_capture")
    for line in ("COLMAP", "2 photographs", "1 mask in masks", "5 files, 0 MB", "[Use room.ply]"):
        assert line in drawn
    assert segment.request_of(chosen, scene).splats == "room.ply"
    chosen.use_splats = False
    assert segment.request_of(chosen, scene).splats is None
    chosen.folder = str(tmp_path / "nowhere")
    draw("SPLATLIFT_PT_capture")
    tick_until(lambda: timer.surveyed is not None)
    assert says(draw("SPLATLIFT_PT_capture"), f"{tmp_path / 'nowhere'} is not an existing folder")
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "a.jpg").write_text("x")
    chosen.folder = str(tmp_path / "holiday")
    draw("SPLATLIFT_PT_capture")
    tick_until(lambda: timer.surveyed is not None)
    drawn = draw("SPLATLIFT_PT_capture")
    assert {"1 photographs", "Poses will be computed", GEOMETRY} <= set(drawn)
    assert says(drawn, f"{tmp_path / 'holiday'} holds 1 photographs; poses need at least 5.")
    with pytest.raises(RuntimeError, match=r"gone\.json does not exist"):
        bpy.ops.splatlift.drop_capture(filepath=str(tmp_path / "gone.json"))


def shown(scene: Path) -> list[str]:
    """Return the panel's text for a scene, without the text that every scene has."""
    bpy.context.scene.splatlift.folder = str(scene)
    draw("SPLATLIFT_PT_capture")
    tick_until(lambda: timer.surveyed is not None)
    drawn = draw("SPLATLIFT_PT_capture")
    assert drawn[:2] == ["[Capture]", "<splatlift.drop_capture>"]
    assert drawn.count(CHOICE) == 1
    return drawn[2 : drawn.index(CHOICE)]


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    return root


JPEGS = [f"images/{number}.jpg" for number in range(29)]
GEOMETRY = "No masks: by a model, or geometry"
CHOICE = "[Objects From]"


def test_what_will_be_done_for_what_is_missing_is_said(stage, tmp_path):
    plain = touch(tmp_path / "plain", *JPEGS)
    assert shown(plain) == ["29 photographs", "Poses will be computed", GEOMETRY, "29 files, 0 MB"]
    masked = touch(tmp_path / "masked", *JPEGS, "masks/0.png")
    lines = ["29 photographs", "Poses will be computed", "1 mask in masks", "30 files, 0 MB"]
    drawn = shown(masked)
    assert drawn[:4] == lines
    assert says(drawn[4:], "28 of 29 photographs have no mask")
    posed = touch(tmp_path / "posed", *JPEGS, "sparse/0/cameras.bin")
    assert shown(posed) == ["COLMAP", "29 photographs", GEOMETRY, "30 files, 0 MB"]
    clip = touch(tmp_path / "video", "clip.mp4") / "clip.mp4"
    for named in (clip, clip.parent):
        assert shown(named) == ["Video", "Poses will be computed", GEOMETRY, "1 file, 0 MB"]
    (tmp_path / "splats").mkdir()
    write_ply(some_splats(2, 0), tmp_path / "splats" / "room.ply")
    assert shown(tmp_path / "splats") == ["Splats", "No masks: found by geometry", "1 file, 0 MB"]
    strays = shown(touch(tmp_path / "strays", *JPEGS, "masks/frame_x.png"))
    assert strays[2:5] == ["1 mask file matches no photograph", GEOMETRY, "29 files, 0 MB"]
    assert says(strays, "contains no mask with the name of a photograph (first: frame_x.png)")


SMALL = MaskModel("owner/small", "Small", 184_000_000, False)
LARGE = MaskModel("owner/large", "Large", 898_000_000, True)
BY_GEOMETRY = "No masks: found by geometry"


@pytest.mark.parametrize(
    ("models", "wanted", "line", "hint"),
    [
        (MaskModels(True, [SMALL, LARGE]), "", "No masks: made by Large", ""),
        (MaskModels(True, [SMALL, LARGE]), "owner/other", "No masks: made by owner/other", ""),
        (MaskModels(True, [SMALL, LARGE]), SMALL.name, "No masks: the model is missing", "--model owner/small"),
        (
            MaskModels(True, [SMALL]),
            "",
            BY_GEOMETRY,
            "Small is not on the server. Run backend masks SCENE --model owner/small",
        ),
        (MaskModels(True), "", BY_GEOMETRY, ""),
        (MaskModels(False, [SMALL]), "", BY_GEOMETRY, "Run pip install 'splatlift[masks]' there."),
        (MaskModels(False, [SMALL]), SMALL.name, "No masks: the model cannot run", "cannot run mask models"),
    ],
    ids=["here", "unknown", "missing", "none", "no models", "not installed", "wanted but not installed"],
)
def test_how_the_server_makes_missing_masks_is_said(stage, tmp_path, models, wanted, line, hint):
    stage.server.masks = models
    stage.server.features = ["facts", "masks"]
    stage.connect()
    stage.play(lambda: not stage.connection.requests)
    bpy.context.scene.splatlift.masks_model = wanted
    drawn = shown(touch(tmp_path / "plain", *JPEGS))
    assert drawn[2] == line
    assert says(drawn[3:-1], hint)
    bpy.context.scene.splatlift.masks_from = "geometry"
    assert shown(tmp_path / "plain")[2:4] == [BY_GEOMETRY, "29 files, 0 MB"]


def test_what_is_wrong_with_a_capture_is_said_with_a_way_out(stage, tmp_path):
    posed = touch(tmp_path / "posed", *JPEGS, "sparse/0/cameras.bin")
    drawn = shown(posed / "images")
    assert says(drawn, "Cameras of these photographs are in posed.")
    assert drawn[-1] == "<Choose posed>"
    touch(tmp_path / "videos", "a.mp4", "b.mp4")
    assert says(shown(tmp_path / "videos"), "holds 2 videos (first: a.mp4). Give one of them.")
    assert bpy.ops.splatlift.drop_capture(filepath=str(tmp_path / "videos" / "b.mp4")) == {"FINISHED"}
    assert bpy.context.scene.splatlift.folder == str(tmp_path / "videos" / "b.mp4")
    rivals = touch(tmp_path / "rivals", *JPEGS, "masks/0.png", "masks/0_mask.png")
    assert says(shown(rivals), "Several files match one photograph as its mask")
    assert says(shown(touch(tmp_path / "none", "a.txt")), "contains no photographs or video.")


def test_the_panel_says_why_segment_is_grey(stage, tmp_path):
    assert draw("SPLATLIFT_PT_capture")[-2:] == ["<Segment>", "Connect to a server first."]
    stage.connect()
    assert not bpy.ops.splatlift.segment.poll()
    assert says(draw("SPLATLIFT_PT_capture")[-2:], "Choose the folder of a capture first.")
    shown(touch(tmp_path / "plain", *JPEGS))
    assert bpy.ops.splatlift.segment.poll()
    assert draw("SPLATLIFT_PT_capture")[-1] == "<Segment>"


def test_no_method_is_asked_for_where_there_are_no_masks(stage, tmp_path):
    chosen = bpy.context.scene.splatlift
    chosen.method = "novel"
    plain = touch(tmp_path / "plain", *JPEGS)
    assert segment.request_of(chosen, plain).method is None
    write_ply(some_splats(2, 0), tmp_path / "room.ply")
    request = segment.request_of(chosen, tmp_path / "room.ply")
    assert (request.method, request.splats) == (None, None)
    assert segment.request_of(chosen, touch(plain, "masks/0.png")).method == "novel"
    assert segment.request_of(chosen, touch(plain, "transforms.json")).method == "novel"


def test_files_are_dropped_on_a_view_that_shows_the_panel():
    handler = getattr(bpy.types, "SPLATLIFT_FH_capture", None)
    assert (handler is not None) == hasattr(bpy.types, "FileHandler")
    if handler is None:
        return
    panel = SimpleNamespace(type="UI", width=200, active_panel_category="SplatLift")
    view = SimpleNamespace(type="VIEW_3D", regions=[panel])
    assert handler.poll_drop(SimpleNamespace(area=view))
    panel.active_panel_category = "Item"
    assert not handler.poll_drop(SimpleNamespace(area=view))
    assert not handler.poll_drop(SimpleNamespace(area=SimpleNamespace(type="OUTLINER", regions=[panel])))
    assert not handler.poll_drop(SimpleNamespace(area=None))


def test_a_server_here_in_each_state(stage, tmp_path, monkeypatch):
    assert not bpy.ops.splatlift.start_server.poll(), "nobody has said what runs it"
    assert says(draw("SPLATLIFT_PT_server"), NO_BACKEND)
    monkeypatch.setattr(connect, "environment", lambda: tmp_path / "backend")
    assert draw("SPLATLIFT_PT_server")[-1] == "<Start a Server Here>"
    with pytest.raises(RuntimeError, match=r"program .* does not exist"):
        bpy.ops.splatlift.start_server()
    program(tmp_path, "print('serves at', sys.argv[0], flush=True)", "sys.exit('It is full')")
    with pytest.raises(RuntimeError, match=r"not of the form|It is full"):
        bpy.ops.splatlift.start_server()
    end = time.monotonic() + 10
    while timer.local.state != "stopped":
        assert time.monotonic() < end
        timer.local.tick()
    assert says(draw("SPLATLIFT_PT_server"), "stopped: It is full")

    address = stage.server.address
    program(tmp_path, f"print('serves at {address}', flush=True)", "time.sleep(60)")
    timer.start_local(tmp_path / "backend")
    assert draw("SPLATLIFT_PT_server") == ["Starting the server", "<splatlift.stop_server>"]

    def moved() -> bool:
        timer.tick()
        return stage.connection.state == "connected"

    stage.play(moved)
    assert draw("SPLATLIFT_PT_server") == ["Mock 1", "<Stop>"]
    assert not timer.idle
    assert timer.local._process is not None
    timer.local._process.kill()
    tick_until(lambda: timer.local.state == "stopped")
    drawn = draw("SPLATLIFT_PT_server")
    assert drawn[0] == "Not connected", "one that has died is not called for ever"
    assert "<Start a Server Here>" in drawn
    assert says(drawn, "The server on this machine stopped")
    timer.start_local(tmp_path / "backend")
    stage.play(moved)
    assert draw("SPLATLIFT_PT_server") == ["Mock 1", "<Stop>"]
    assert bpy.ops.splatlift.stop_server() == {"FINISHED"}
    assert stage.connection.state == "disconnected"
    assert not bpy.ops.splatlift.stop_server.poll()
    assert draw("SPLATLIFT_PT_server")[:3] == NOT_CONNECTED


def test_no_line_is_wider_than_the_panel():
    for width in (120, 200, 280, 600):
        layout = Layout()
        region = SimpleNamespace(width=width)
        context = SimpleNamespace(preferences=bpy.context.preferences, region=region)
        panels.draw_text(layout, context, "word " * 40, "ERROR")
        assert "".join(layout.drawn).replace(" ", "") == "word" * 40
        widest = max(12, (width - panels.MARGIN) / panels.CHARACTER)
        assert all(len(line) <= widest for line in layout.drawn)


def test_commands_in_a_text_are_broken_between_words_only() -> None:
    layout, narrow = Layout(), SimpleNamespace(preferences=bpy.context.preferences, region=SimpleNamespace(width=260))
    panels.draw_text(layout, narrow, "Run backend masks SCENE --model facebook/sam2.1-hiera-small there once.", "INFO")
    assert "facebook/sam2.1-hiera-small" in " ".join(layout.drawn).split()
    assert "--model" in " ".join(layout.drawn).split()


def test_from_connect_to_export_in_background_mode(stage, capture, result, monkeypatch, tmp_path):  # noqa: F811
    stage.connection._clock = time.monotonic
    monkeypatch.setattr(connect, "address", lambda: stage.server.address)
    assert not bpy.ops.splatlift.segment.poll()
    with answering(stage.server, files_of(result), stage.connection):
        assert bpy.ops.splatlift.connect() == {"FINISHED"}
        assert stage.connection.state == "connected"
        assert not bpy.ops.splatlift.segment.poll(), "no folder is chosen"
        bpy.context.scene.splatlift.folder = str(capture())
        assert bpy.ops.splatlift.segment() == {"FINISHED"}
    (job,) = timer.jobs
    assert job.state == "finished"
    assert "<Import Result>" in draw("SPLATLIFT_PT_objects")
    assert not bpy.ops.splatlift.export.poll()
    assert bpy.ops.splatlift.import_result(directory=str(job.folder)) == {"FINISHED"}

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
    with pytest.raises(RuntimeError, match="encrypted" if bpy.app.online_access else "Online access is disabled"):
        bpy.ops.splatlift.connect()


def test_ticks_come_soon_while_files_are_on_their_way_and_only_then(stage, capture):  # noqa: F811
    stage.connect()
    stage.play(lambda: not stage.connection.requests)
    assert tick() == PERIOD
    job = stage.job_list.submit(capture(a=8 * CHUNK))
    assert tick() == BUSY_PERIOD
    stage.play(lambda: job.state == "uploading" and job.bytes_done > CHUNK)
    while stage.connection.busy:
        stage.connection.step(0)
    # All that the server asked for is sent; it will ask for more.
    assert tick() == BUSY_PERIOD
    stage.vanish()
    stage.play(lambda: stage.connection.state == "disconnected")
    assert tick() == PERIOD
    assert job.state == "uploading"


def test_panels_are_drawn_now_and_then_and_the_last_news_always(stage, monkeypatch):
    drawn = []
    monkeypatch.setattr("blender_addon.timer.redraw_panels", lambda: drawn.append(len(news)))
    news = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < 3.5 * DRAWING_PERIOD:
        news.append(0)
        timer.redraw()
        timer.tick()
    assert 2 <= len(drawn) <= (time.perf_counter() - begin) / DRAWING_PERIOD + 1
    tick_until(lambda: timer.idle)
    assert drawn[-1] == len(news)


def test_an_import_in_ticks(result):
    timer.begin_import(session.import_steps(result, "POINTS"), in_one_undo_step)
    timer.tick()
    if timer.importing is not None:
        assert any(word.startswith("{Importing") for word in draw("SPLATLIFT_PT_objects"))
        assert not bpy.ops.splatlift.import_result.poll()
    tick_until(lambda: timer.importing is None)
    assert timer.error is None
    assert len(session.objects_of(session.scenes()[0])) == len(NAMES)
    tick_until(lambda: timer.idle)


@pytest.mark.parametrize("display", ["POINTS", "MESH"])
def test_an_import_says_what_it_does_in_words(result, display):
    notes = {note for _, note in session.import_steps(result, display)}
    assert "Reading the result" in notes
    assert all(note[0].isupper() and "." not in note for note in notes - {*NAMES, "background"}), notes


def test_an_import_that_fails_says_so_in_the_panel(tmp_path):
    timer.begin_import(session.import_steps(tmp_path / "nowhere", "POINTS"), in_one_undo_step)
    tick_until(lambda: timer.importing is None)
    assert timer.error is not None
    assert says(draw("SPLATLIFT_PT_objects"), str(tmp_path / "nowhere"))
    assert session.scenes() == []


def test_an_import_can_be_stopped(result):
    timer.begin_import(session.import_steps(result, "POINTS"), in_one_undo_step)
    assert bpy.ops.splatlift.stop_import() == {"FINISHED"}
    assert not bpy.ops.splatlift.stop_import.poll()
    timer.tick()
    assert session.scenes() == []


def test_drawing_makes_no_connection_and_reads_no_disk(monkeypatch):
    def touched(*_: object, **__: object) -> None:
        raise AssertionError("drawing went beyond what is known")

    monkeypatch.setattr(Path, "stat", touched)
    monkeypatch.setattr("builtins.open", touched)
    monkeypatch.setattr("os.scandir", touched)
    bpy.context.scene.splatlift.folder = "/nowhere"
    names = ("server", "capture", "options", "values", "jobs", "objects")
    for name in (*(f"SPLATLIFT_PT_{each}" for each in names), "SPLATLIFT_MT_method"):
        draw(name)
    assert timer.known_connection is None


def test_objects_of_another_scene_of_blender_are_said_to_be_there(result):
    session.import_folder(result)
    here = bpy.context.scene
    here.name = "Kitchen"
    assert not says(draw("SPLATLIFT_PT_objects"), "another Blender scene")
    bpy.context.window.scene = bpy.data.scenes.new("Empty")
    try:
        assert says(draw("SPLATLIFT_PT_objects"), "It is in another Blender scene: Kitchen")
    finally:
        bpy.context.window.scene = here


@pytest.mark.parametrize("width", [200, 300])
def test_a_narrow_list_has_room_for_names_alone(result, width):
    session.import_folder(result)
    (mug, *_) = session.objects_of(session.scenes()[0])
    scale = bpy.context.preferences.system.ui_scale or 1.0
    region = SimpleNamespace(width=width * scale)
    layout, context = Layout(), SimpleNamespace(region=region, preferences=bpy.context.preferences)
    kind: Any = panels.SPLATLIFT_UL_objects
    kind.draw_item(None, context, layout, None, mug, 0, None, "", 0, 0)
    assert "[name]" in layout.drawn
    assert (panels.short(mug.splatlift.count) in layout.drawn) == (width == 300)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (999_949, "999.9k"), (999_950, "1.0M")],
)
def test_counts_are_short(count, shown):
    assert panels.short(count) == shown


def test_the_cache_is_one_of_blenders_own_folders():
    assert preferences.cache_folder().name == "splatlift"
    assert preferences.address() == "tcp://127.0.0.1:5757"


def test_the_preferences_are_a_click_away(monkeypatch):
    def buttons() -> list[str]:
        layout = Layout()
        bpy.types.SPLATLIFT_PT_server.draw_header_preset(SimpleNamespace(layout=layout), bpy.context)
        return layout.drawn

    assert buttons() == [], "an add-on that is not installed has none"
    monkeypatch.setattr(panels, "preferences", lambda: SimpleNamespace())
    assert buttons() == ["<preferences.addon_show>"]

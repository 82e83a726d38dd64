"""Registering and unregistering leave Blender as it was."""

from __future__ import annotations

import gc
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

import blender_addon  # noqa: E402
from blender_addon import panels, session, timer  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.example import write_example  # noqa: E402
from tests.blender_addon.client.mock_server import MockServer  # noqa: E402

KINDS = ("Operator", "Panel", "Menu", "UIList", "AddonPreferences", "PropertyGroup", "FileHandler", "Header")


@pytest.fixture(autouse=True)
def not_registered() -> None:
    """A script that imports without the add-on registers what it needs; other tests may have done so."""
    session.unregister()


def ours() -> set[str]:
    """What of SplatLift Blender knows."""
    classes = {cls.__name__ for kind in KINDS for cls in getattr(bpy.types, kind).__subclasses__() if cls.is_registered}
    classes = {name for name in classes if "splatlift" in name.lower()}
    operators = {f"splatlift.{name}" for name in dir(bpy.ops.splatlift)}
    owners = (bpy.types.Scene, bpy.types.Collection, bpy.types.Object, bpy.types.WindowManager)
    properties = {f"{owner.__name__}.{name}" for owner in owners for name in dir(owner) if "splatlift" in name.lower()}
    handlers = {
        f"{name}: {each}"
        for name in dir(bpy.app.handlers)
        for each in (getattr(bpy.app.handlers, name) if isinstance(getattr(bpy.app.handlers, name), list) else [])
        if "blender_addon" in getattr(each, "__module__", "")
    }
    timers = {"timer"} if bpy.app.timers.is_registered(timer.tick) else set()
    return classes | operators | properties | handlers | timers


def test_twenty_times_leave_nothing_behind():
    before = ours()
    assert not before
    during: set[str] = set()
    for _ in range(20):
        with registered():
            during = ours()
    gc.collect()
    assert ours() == before
    assert {"splatlift.connect", "splatlift.segment", "splatlift.import_result", "splatlift.export"} <= during
    assert {"Scene.splatlift", "Collection.splatlift"} <= during


def test_no_data_are_left_by_an_add_on_that_did_nothing():
    def blocks() -> dict[str, int]:
        owners = (name for name in dir(bpy.data) if hasattr(getattr(bpy.data, name), "bl_rna"))
        return {name: len(getattr(bpy.data, name)) for name in owners if hasattr(getattr(bpy.data, name), "__len__")}

    before = blocks()
    assert before["node_groups"] == before["materials"] == before["collections"] == 0
    for _ in range(3):
        with registered():
            bpy.context.view_layer.update()
    assert blocks() == before


def test_a_second_unregistration_changes_nothing():
    with registered():
        blender_addon.unregister()
        assert not ours()
    assert not ours()


def test_a_module_that_fails_takes_the_others_with_it(monkeypatch):
    def fail() -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(panels, "register", fail)
    with pytest.raises(RuntimeError):
        blender_addon.register()
    assert not ours()


def test_unregistering_closes_the_connection(monkeypatch, tmp_path):
    monkeypatch.setattr(timer, "cache_folder", lambda: tmp_path)
    server = MockServer()
    with registered():
        connection = timer.timer.connection
        connection.connect(server.address)
        connection.step()
        context = connection._context
        # In a window the timer would run; here it is only registered.
        bpy.app.timers.register(timer.tick)
        timer.timer.begin_import((step for step in ((0.0, ""),)), print)
    assert context is not None
    assert context.closed
    assert timer.timer.known_connection is None
    assert not ours()
    server.close()


def test_the_manifest_says_what_the_platform_asks_for():
    manifest = tomllib.loads((Path(blender_addon.__file__).parent / "blender_manifest.toml").read_text())
    assert manifest["schema_version"] == "1.0.0"
    assert (manifest["id"], manifest["name"], manifest["type"]) == ("splatlift", "SplatLift", "add-on")
    assert manifest["blender_version_min"] == "4.2.0"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert manifest["tags"] == ["3D View", "Import-Export", "Pipeline"]
    assert set(manifest["permissions"]) == {"files", "network"}
    assert all(reason and len(reason) <= 64 and reason[-1] != "." for reason in manifest["permissions"].values())
    assert len(manifest["tagline"]) <= 64
    assert manifest["tagline"][-1] != "."


FORGETFUL = """
import blender_addon
from blender_addon.client.connection import Connection
blender_addon.register()
connection = Connection()
connection.connect("tcp://127.0.0.1:1")
connection.step()
"""


BUSY = """
import sys
import bpy
import blender_addon
for _ in range(20):
    blender_addon.register()
    blender_addon.unregister()
blender_addon.register()
bpy.ops.splatlift.import_result(directory=sys.argv[1], display="SPLATS")
bpy.ops.splatlift.show_colours(colours="LABELS")
bpy.ops.splatlift.export(filepath=sys.argv[1] + "/out.ply", what="SCENE")
"""


@pytest.mark.parametrize("end", ["blender_addon.unregister()", "pass", "sys.exit(0)"])
def test_a_busy_script_ends_with_status_0(tmp_path, end):
    write_example(tmp_path / "in")
    root = Path(blender_addon.__file__).parents[1]
    command = [sys.executable, "-c", BUSY + end, str(tmp_path / "in")]
    done = subprocess.run(command, cwd=root, timeout=60, check=False)
    assert done.returncode == 0
    assert (tmp_path / "in" / "out.ply").is_file()


def test_a_script_that_lets_everything_stand_ends_in_order():
    root = Path(blender_addon.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", FORGETFUL], cwd=root, timeout=30, check=False)
    assert done.returncode == 0

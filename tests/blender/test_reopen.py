"""Save, close, reopen, in Blenders of their own: the session is whole, and exports need no backend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from protocol.ply import read_ply
from protocol.splats import merge
from tests.blender.example import object_of, same, write_example
from tests.blender.splats.test_cameras import write_cameras

pytest.importorskip("bpy")

ROOT = Path(__file__).parents[2]

FIRST = """
import sys
from pathlib import Path

import bpy
from mathutils import Matrix

import blender_addon
from blender_addon import api, session

folder = Path(sys.argv[1])
bpy.ops.wm.read_homefile(use_empty=True)
blender_addon.register()
scene = api.import_result(folder / "in", "SPLATS", scale=2.0, cameras=True)
mug, plant, lamp = session.objects_of(scene)
mug.name = "blue mug"
bpy.context.view_layer.update()
plant.objects[0].matrix_world = (
    Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(0.5, 4, "X") @ Matrix.Scale(0.5, 4) @ plant.objects[0].matrix_world
)
twin = lamp.objects[0].copy()
twin.location = (4, 0, 0)
lamp.objects.link(twin)
bpy.data.objects.remove(mug.objects[0])
api.show_colours("LABELS")
api.export_scene(scene, folder / "first.ply")
api.export_object(plant, folder / "first_plant.ply")
print("KNOWN", [(c.name, c.splatlift.object_id, c.splatlift.label) for c in scene.children])
bpy.ops.wm.save_as_mainfile(filepath=str(folder / "a.blend"))
blender_addon.unregister()
"""

WITHOUT = """
import sys
from pathlib import Path

import bpy

folder = Path(sys.argv[1])
bpy.ops.wm.open_mainfile(filepath=str(folder / "a.blend"))
bpy.ops.wm.save_as_mainfile(filepath=str(folder / "b.blend"))
"""

SECOND = """
import sys
from pathlib import Path

import bpy

import blender_addon

folder, file = Path(sys.argv[1]), sys.argv[2]
blender_addon.register()
bpy.ops.wm.open_mainfile(filepath=str(folder / file))
from blender_addon import api, timer, session
from blender_addon.settings import shown_scene
from blender_addon.splats.colours import labels_shown
from tests.blender.addon import draw

(scene,) = session.scenes()
assert shown_scene(bpy.context) == scene
assert labels_shown()
assert len(session.cameras_of(scene).objects) == 5
assert "<Export Object>" in draw("SPLATLIFT_PT_objects")
mug, plant, lamp, background, cameras = scene.children
assert session.find(plant.splatlift.object_id) == plant
assert [each.name for each in session.objects_of(scene)] == ["plant", "lamp"]
api.export_scene(scene, folder / "second.ply")
api.export_object(plant, folder / "second_plant.ply")
assert timer.timer.known_connection is None
print("KNOWN", [(c.name, c.splatlift.object_id, c.splatlift.label) for c in scene.children])
"""


def in_a_blender_of_its_own(script: str, *arguments: object) -> str:
    """Run a script in another process and return what it printed of what it knows."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.partition("KNOWN ")[2].partition("\n")[0]


@pytest.mark.parametrize("file", ["a.blend", "b.blend"], ids=["as saved", "saved again without the add-on"])
def test_a_session_survives_its_blender(tmp_path: Path, file: str) -> None:
    splats = write_example(tmp_path / "in")
    write_cameras(tmp_path / "in")
    before = in_a_blender_of_its_own(FIRST, tmp_path)
    # The result may be gone as well as the backend: all is in the file.
    (tmp_path / "in").rename(tmp_path / "away")
    if file == "b.blend":
        in_a_blender_of_its_own(WITHOUT, tmp_path)
    after = in_a_blender_of_its_own(SECOND, tmp_path, file)
    assert "blue mug" in before
    assert after == before
    for name in ("", "_plant"):
        first, second = ((tmp_path / f"{which}{name}.ply").read_bytes() for which in ("first", "second"))
        assert first == second
    whole = read_ply(tmp_path / "second.ply")
    lamp, background = object_of(splats, 3), object_of(splats, 0)
    plant = read_ply(tmp_path / "second_plant.ply")
    assert len(whole) == len(plant) + 2 * len(lamp) + len(background)
    # The plant, the lamp, its twin, the background.
    rows = np.arange(len(whole))
    still = (rows >= len(plant)) & (rows < len(plant) + len(lamp)) | (rows >= len(whole) - len(background))
    assert same(whole.pick(still), merge([lamp, background]))

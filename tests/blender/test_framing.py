"""After an import the views show the scene, unless the user was looking at something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import atan, cos
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Quaternion, Vector  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.framing import HALF_SENSOR, frame  # noqa: E402
from blender_addon.operators import importing  # noqa: E402
from blender_addon.splats.collections import splat_objects  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.clumps import write_clumps  # noqa: E402

LENS = 50.0
AWAY, WHOLE, NEAR = "away", "whole", "near"
EYES = {AWAY: (5.0, 5.0, -30.0), WHOLE: (5.0, 5.0, -30.0), NEAR: (0.0, 0.0, -3.0)}
"""Of the cameras of the capture; AWAY looks in the opposite direction."""
BEFORE = (9.0, 9.0, 9.0)


@pytest.fixture(autouse=True)
def add_on() -> Iterator[None]:
    with registered():
        for each in list(bpy.data.objects):
            bpy.data.objects.remove(each)
        yield


def a_view(perspective: str = "PERSP") -> Any:
    """A 3D view; Blender in background mode may have none."""
    region = SimpleNamespace(
        view_perspective=perspective, view_rotation=Quaternion(), view_location=Vector(BEFORE), view_distance=7.0
    )
    return SimpleNamespace(region_3d=region, lens=LENS)


def imported(folder: Path, cameras: bool = True) -> Any:
    write_clumps(folder)
    rows = []
    for name, eye in EYES.items():
        rotation = np.diag([-1.0, 1.0, -1.0]) if name == AWAY else np.eye(3)
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ eye
        K = [[400, 0, 200], [0, 400, 150], [0, 0, 1]]
        rows.append({"name": name, "width": 400, "height": 300, "K": K, "viewmat": viewmat.tolist()})
    (folder / "cameras.json").write_text(json.dumps({"format": 1, "views": rows}))
    return session.import_folder(folder, "SPLATS", cameras=cameras)


def eye_of(view: Any) -> Vector:
    region = view.region_3d
    return region.view_location + region.view_rotation @ Vector((0, 0, region.view_distance))


def test_a_view_goes_to_the_camera_that_sees_most_objects(tmp_path: Path) -> None:
    scene = imported(tmp_path / "in")
    view = a_view()
    frame(scene, [view])
    camera = bpy.data.objects[WHOLE]
    assert (eye_of(view) - camera.matrix_world.translation).length < 1e-3
    back = camera.matrix_world.to_quaternion()
    assert view.region_3d.view_rotation.rotation_difference(back).angle == pytest.approx(0, abs=1e-2)
    assert view.region_3d.view_distance == pytest.approx(30, abs=1), "the view turns about the objects"


@pytest.mark.parametrize(("perspective", "cameras"), [("PERSP", False), ("ORTHO", True)])
def test_other_views_keep_their_direction_and_show_every_object(
    tmp_path: Path, perspective: str, cameras: bool
) -> None:
    scene = imported(tmp_path / "in", cameras)
    view = a_view(perspective)
    frame(scene, [view])
    assert view.region_3d.view_rotation == Quaternion()
    angle = atan(HALF_SENSOR / LENS)
    for each in session.objects_of(scene):
        (thing,) = each.all_objects
        centre = thing.matrix_world @ (sum((Vector(corner) for corner in thing.bound_box), Vector()) / 8)
        across = (centre - view.region_3d.view_location).length
        assert across < view.region_3d.view_distance * np.tan(angle) * cos(angle)


def test_a_view_through_a_camera_stays(tmp_path: Path) -> None:
    view = a_view("CAMERA")
    frame(imported(tmp_path / "in"), [view])
    assert view.region_3d.view_location == Vector(BEFORE)


@pytest.mark.parametrize(("name", "turned"), [("Cube", True), ("Statue", False)])
def test_views_of_a_user_with_objects_of_their_own_stay(tmp_path: Path, name: str, turned: bool) -> None:
    own = bpy.data.objects.new(name, bpy.data.meshes.new(name))
    bpy.context.scene.collection.objects.link(own)
    view = a_view()
    frame(imported(tmp_path / "in"), [view])
    assert (view.region_3d.view_location != Vector(BEFORE)) == turned


def test_a_scene_without_gaussians_turns_no_view(tmp_path: Path) -> None:
    scene = imported(tmp_path / "in")
    for thing in splat_objects(scene):
        bpy.data.objects.remove(thing)
    view = a_view()
    frame(scene, [view])
    assert view.region_3d.view_location == Vector(BEFORE)


def test_an_import_in_a_window_turns_the_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = a_view()
    monkeypatch.setattr(importing, "views", lambda: [view])
    monkeypatch.setattr(importing, "show", lambda collection: None)
    importing.in_one_undo_step(imported(tmp_path / "in"))
    assert view.region_3d.view_location != Vector(BEFORE)


def test_an_import_shows_splats_unless_asked_for_another_display() -> None:
    assert bpy.context.scene.splatlift.display == "SPLATS"

"""The active row of the list and the selection in the view follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.following import follow_active  # noqa: E402
from blender_addon.settings import chosen_object  # noqa: E402
from blender_addon.splats.collections import splat_objects  # noqa: E402
from tests.blender.addon import draw, registered, says  # noqa: E402
from tests.blender.clumps import part, write_parted  # noqa: E402


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Any]:
    with registered():
        write_parted(tmp_path / "in")
        yield session.import_folder(tmp_path / "in")


def _selected() -> set[str]:
    return {thing.name for thing in bpy.context.view_layer.objects if thing.select_get()}


def _names(collection: str) -> set[str]:
    return {thing.name for thing in splat_objects(part(collection))}


def _next_event() -> None:
    """Evaluate the scene, and do what Blender does then in a window: it calls timers."""
    bpy.context.view_layer.update()
    if bpy.app.timers.is_registered(follow_active):
        bpy.app.timers.unregister(follow_active)
        follow_active()


def test_a_clicked_row_selects_its_object(scene: Any) -> None:
    for name in ("lamp", "mug"):
        bpy.context.scene.splatlift.row = scene.children[:].index(part(name))
        assert _selected()
        assert bpy.context.view_layer.objects.active.name in _selected()
        assert chosen_object(bpy.context) == part(name)
    scene.splatlift.level = "PART"
    bpy.context.scene.splatlift.part_row = 1
    assert _selected() == _names("mug part 2")


def test_the_row_follows_the_active_object(scene: Any) -> None:
    (lamp,) = splat_objects(part("lamp"))[:1]
    bpy.context.view_layer.objects.active = lamp
    _next_event()
    assert chosen_object(bpy.context) == part("lamp")
    assert not lamp.select_get(), "only a click on a row selects"
    scene.splatlift.level = "PART"
    bpy.context.view_layer.objects.active = splat_objects(part("mug part 2"))[0]
    _next_event()
    assert chosen_object(bpy.context) == part("mug part 2")


def test_the_panel_says_that_rows_select_nothing_in_edit_mode(scene: Any) -> None:
    for name, hint in (("mug", False), ("lamp", True)):
        bpy.context.scene.splatlift.row = scene.children[:].index(part("mug"))
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.context.scene.splatlift.row = scene.children[:].index(part(name))
        assert says(draw("SPLATLIFT_PT_objects"), "Rows select objects in Object Mode only") == hint
        bpy.ops.object.mode_set(mode="OBJECT")
        assert not says(draw("SPLATLIFT_PT_objects"), "in Object Mode only")


def test_a_row_of_a_hidden_object_stays_the_active_row(scene: Any) -> None:
    layer = bpy.context.view_layer.layer_collection.children[scene.name].children["lamp"]
    layer.exclude = True
    bpy.context.scene.splatlift.row = scene.children[:].index(part("lamp"))
    _next_event()
    assert chosen_object(bpy.context) == part("lamp")
    assert not _selected()

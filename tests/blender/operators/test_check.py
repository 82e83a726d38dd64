"""The least certain objects, offered one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.checking import unchecked  # noqa: E402
from blender_addon.editing.remove import delete  # noqa: E402
from blender_addon.settings import chosen_object  # noqa: E402
from tests.blender.addon import draw, registered  # noqa: E402
from tests.blender.clumps import REAL, part  # noqa: E402
from tests.blender.splats.test_painting import write_unsure  # noqa: E402


@pytest.fixture(autouse=True)
def addon() -> Iterator[None]:
    with registered():
        yield


def selected() -> list[str]:
    return [thing.name for thing in bpy.context.view_layer.objects if thing.select_get()]


def test_a_button_steps_from_the_least_certain_object_to_the_next(tmp_path: Path) -> None:
    write_unsure(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    assert draw("SPLATLIFT_PT_check") == [
        "<mug, 50%>",
        "<plant, 75%>",
        "<lamp, 100%>",
        "<Next>",
        "3 of 3 objects not checked",
    ]
    for name in ("mug", "plant", "lamp"):
        assert bpy.ops.splatlift.check_next() == {"FINISHED"}
        assert selected() == [name]
        assert unchecked(session.objects_of(scene))[0].name == name, "it is checked when the next one is asked for"
    assert bpy.ops.splatlift.check_next() == {"FINISHED"}
    assert draw("SPLATLIFT_PT_check") == ["All objects are checked", "<Start Again>"]
    bpy.ops.splatlift.check_again()
    assert [each.name for each in unchecked(session.objects_of(scene))] == ["mug", "plant", "lamp"]


def test_any_of_the_three_is_shown_without_being_checked(tmp_path: Path) -> None:
    write_unsure(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    bpy.ops.splatlift.check_object(object_id=part("lamp").splatlift.object_id)
    assert selected() == ["lamp"]
    assert chosen_object(bpy.context) == part("lamp")
    assert len(unchecked(session.objects_of(scene))) == 3
    # Edits of what is looked at are no obstacle.
    delete([part("lamp")])
    bpy.ops.splatlift.check_next()
    assert selected() == ["mug"]
    assert [each.name for each in unchecked(session.objects_of(scene))] == ["mug", "plant"]


def test_hidden_and_missing_objects_are_said(tmp_path: Path) -> None:
    write_unsure(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    part("mug").hide_viewport = True
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="mug is hidden"):
        bpy.ops.splatlift.check_next()
    bpy.ops.splatlift.check_next()
    assert selected() == ["plant"], "the hidden object is passed"
    with pytest.raises(RuntimeError, match="no longer in this file"):
        bpy.ops.splatlift.check_object(object_id="gone")


def test_what_was_checked_is_undone_and_saved(tmp_path: Path) -> None:
    write_unsure(tmp_path / "in")
    bpy.ops.splatlift.import_result(*REAL, directory=str(tmp_path / "in"), display="POINTS")
    bpy.ops.ed.undo_push(message="start")
    bpy.ops.splatlift.check_next(*REAL)
    bpy.ops.splatlift.check_next(*REAL)
    assert part("mug").splatlift.is_checked
    bpy.ops.ed.undo()
    assert not part("mug").splatlift.is_checked
    bpy.ops.ed.redo()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert [each.name for each in unchecked(session.objects_of(session.scenes()[0]))] == ["plant", "lamp"]

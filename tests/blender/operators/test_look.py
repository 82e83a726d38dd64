"""The panel's pieces for what was imported: colours, points or discs, cameras, more ways to export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from protocol.ply import read_ply
from tests.blender.example import labelled_splats, write_example
from tests.blender.splats.test_cameras import write_cameras

bpy = pytest.importorskip("bpy")

from mathutils import Vector  # noqa: E402

from blender_addon import panels_result, session  # noqa: E402
from blender_addon.operators import importing  # noqa: E402
from blender_addon.operators.export import draw_in_menu  # noqa: E402
from blender_addon.splats.cameras import photographs_of  # noqa: E402
from blender_addon.splats.collections import placement_of, shown_as  # noqa: E402
from blender_addon.splats.colours import confidence_shown, labels_shown  # noqa: E402
from blender_addon.splats.display import MODIFIER  # noqa: E402
from blender_addon.splats.native import can_draw_splats  # noqa: E402
from blender_addon.viewport import handler  # noqa: E402
from blender_addon.viewport.handler import drawing  # noqa: E402
from tests.blender.addon import Layout, draw, registered, says  # noqa: E402


@pytest.fixture(autouse=True)
def add_on() -> Iterator[None]:
    session.unregister()
    with registered():
        yield


def imported(folder: Path, **choices: object):
    asked = {"display": "POINTS", **choices}
    assert bpy.ops.splatlift.import_result(directory=str(folder), **asked) == {"FINISHED"}
    return session.scenes()[0]


def test_nothing_is_drawn_or_done_before_an_import() -> None:
    assert not bpy.types.SPLATLIFT_PT_look.poll(bpy.context)
    for name in ("show_colours", "show_as", "add_cameras", "look_through", "export_mesh"):
        assert not getattr(bpy.ops.splatlift, name).poll()


def test_one_click_changes_the_colours(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    imported(tmp_path / "in")
    assert draw("SPLATLIFT_PT_look")[:3] == ["<Photographs>", "<Objects>", "<Confidence>"]
    for colours in ("LABELS", "CONFIDENCE", "PHOTOGRAPHS"):
        assert bpy.ops.splatlift.show_colours(colours=colours) == {"FINISHED"}
        assert labels_shown() == (colours != "PHOTOGRAPHS")
        assert confidence_shown() == (colours == "CONFIDENCE")


def test_the_button_that_is_down_says_what_the_view_shows(tmp_path: Path) -> None:
    def seen(kind: str, colours: str) -> str:
        shading = SimpleNamespace(type=kind, color_type=colours)
        return panels_result.colours_seen(SimpleNamespace(space_data=SimpleNamespace(shading=shading)))

    write_example(tmp_path / "in")
    imported(tmp_path / "in")
    for colours in ("LABELS", "PHOTOGRAPHS", "CONFIDENCE"):
        bpy.ops.splatlift.show_colours(colours=colours)
        solid = "CONFIDENCE" if colours == "CONFIDENCE" else "LABELS"
        assert [seen("SOLID", "OBJECT"), seen("SOLID", "MATERIAL")] == [solid, "PHOTOGRAPHS"]
        assert seen("MATERIAL", "OBJECT") == seen("RENDERED", "MATERIAL") == colours


def test_one_click_shows_points_as_splats_or_discs_and_back(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = imported(tmp_path / "in", display="MESH")
    modifiers = [thing.modifiers[MODIFIER] for thing in scene.all_objects if MODIFIER in thing.modifiers]
    assert len(modifiers) == 4
    assert {each.node_group.name for each in modifiers} == {"SplatLift Splats"}, "what has no mesh"
    before = {each.node_group for each in modifiers}
    bpy.ops.splatlift.show_as(display="POINTS")
    assert {each.node_group.name for each in modifiers} == {"SplatLift Points"}
    bpy.ops.splatlift.show_as(display="DISCS")
    assert {each.node_group.name for each in modifiers} == {"SplatLift Discs"}
    bpy.ops.splatlift.show_as(display="SPLATS")
    assert {each.node_group for each in modifiers} == before


def test_how_many_discs_are_drawn_is_chosen_and_told(tmp_path: Path) -> None:
    total = len(write_example(tmp_path / "in", labelled_splats(1000)))
    scene = imported(tmp_path / "in")
    chosen = bpy.context.scene.splatlift
    assert shown_as(scene) == ("POINTS", 1.0)
    assert "[Draw at Most]" not in draw("SPLATLIFT_PT_look")
    bpy.ops.splatlift.show_as(display="DISCS")
    assert shown_as(scene) == ("DISCS", 1.0)
    assert "[Draw at Most]" in draw("SPLATLIFT_PT_look")
    chosen.budget = total // 4
    bpy.ops.splatlift.show_as(display="DISCS")
    assert shown_as(scene) == ("DISCS", pytest.approx(0.25, abs=1e-3))
    assert "25% of them are drawn" in draw("SPLATLIFT_PT_look")
    bpy.ops.splatlift.show_as(display="SPLATS")
    assert shown_as(scene) == ("SPLATS", 1.0), "all splats are drawn"
    assert "[Draw at Most]" not in draw("SPLATLIFT_PT_look")
    chosen.budget = total // 2
    again = bpy.data.collections["kitchen"]
    assert bpy.ops.splatlift.import_result(directory=str(tmp_path / "in"), display="SPLATS") == {"FINISHED"}
    (second,) = [each for each in session.scenes() if each != again]
    assert shown_as(second) == ("SPLATS", 1.0), "an import draws them all"
    bpy.context.scene.splatlift.scene_id = second.splatlift.scene_id
    assert "[Draw at Most]" not in draw("SPLATLIFT_PT_look")
    assert ("[View-Dependent Colour]" in draw("SPLATLIFT_PT_look")) == (not can_draw_splats())


def test_the_panel_says_why_no_splats_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_example(tmp_path / "in")
    imported(tmp_path / "in")
    bpy.ops.splatlift.show_as(display="SPLATS")
    monkeypatch.setattr(drawing, "draw", lambda context: 1 / 0)
    handler._draw()
    handler._draw()
    assert says(draw("SPLATLIFT_PT_look"), "Splats cannot be drawn here: division by zero.")
    bpy.ops.splatlift.show_as(display="SPLATS")
    assert not says(draw("SPLATLIFT_PT_look"), "cannot be drawn"), "choosing splats again tries again"


def test_solid_views_show_photographs_where_they_can(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    imported(tmp_path / "in")
    shading = importing.views()[0].shading
    shading.color_type = "OBJECT"
    bpy.ops.splatlift.show_as(display="SPLATS")
    assert shading.color_type == "MATERIAL"
    bpy.ops.splatlift.show_colours(colours="LABELS")
    assert shading.color_type == "OBJECT"
    bpy.ops.splatlift.show_as(display="SPLATS")
    assert shading.color_type == "OBJECT", "labels stay chosen"
    bpy.ops.splatlift.show_colours(colours="PHOTOGRAPHS")
    assert (shading.type, shading.color_type) == ("SOLID", "MATERIAL")
    bpy.ops.splatlift.show_as(display="POINTS")
    assert shading.color_type == "OBJECT", "all points would be of the same grey"
    shading.color_type = "RANDOM"
    bpy.ops.splatlift.show_as(display="SPLATS")
    assert shading.color_type == "RANDOM", "that is a person's choice"


def test_the_background_is_hidden_by_a_click(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = imported(tmp_path / "in")
    assert "[Hide Background]" in draw("SPLATLIFT_PT_look")
    bpy.data.batch_remove([session.background_of(scene)])
    assert "[Hide Background]" not in draw("SPLATLIFT_PT_look")


def test_the_panel_says_how_a_click_imports(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    chosen = bpy.context.scene.splatlift
    assert {"[Show As]", "[Up]", "[Scale]"} <= set(draw("SPLATLIFT_PT_objects"))
    chosen.up, chosen.scale = "X", 2.0
    # Without a window Blender takes no click; what one gives is the folder alone.
    given = SimpleNamespace(is_property_set=lambda name: name == "directory")
    click = SimpleNamespace(properties=given, execute=lambda context: {"CANCELLED"})
    bpy.types.SPLATLIFT_OT_import_result.invoke(click, bpy.context, None)
    scene = imported(tmp_path / "in", display=click.display, up=click.up, scale=click.scale)
    matrix = placement_of(scene).matrix_basis
    np.testing.assert_allclose(matrix @ Vector((1, 0, 0)), (0, 0, 2), atol=1e-6)


def test_an_import_brings_the_cameras_that_the_result_has(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    assert session.cameras_of(imported(tmp_path / "in")) is None
    with pytest.raises(RuntimeError, match=r"has no cameras\.json"):
        bpy.ops.splatlift.add_cameras()
    write_cameras(tmp_path / "in", photographs=True)
    assert "<Add Cameras>" in draw("SPLATLIFT_PT_look")
    assert bpy.ops.splatlift.add_cameras(photographs=str(tmp_path / "in" / "capture")) == {"FINISHED"}
    assert "5 cameras, 5 with a photograph" in draw("SPLATLIFT_PT_look")


def test_photographs_that_are_not_found_are_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in", photographs=True)
    imported(tmp_path / "in")
    assert "<Find Photographs...>" in draw("SPLATLIFT_PT_look")
    # Without a window no file dialog opens; a click on the button asks for one.
    asked: list[Any] = []
    window = SimpleNamespace(window_manager=SimpleNamespace(fileselect_add=asked.append), scene=bpy.context.scene)
    button = SimpleNamespace(ask=True, photographs="")
    assert bpy.types.SPLATLIFT_OT_add_cameras.invoke(button, window, None) == {"RUNNING_MODAL"}
    assert asked == [button]
    bpy.ops.splatlift.add_cameras()
    assert "Choose the folder 'kitchen' under Capture" in capfd.readouterr().out
    (tmp_path / "in" / "capture").rename(tmp_path / "in" / "kitchen")
    bpy.context.scene.splatlift.folder = str(tmp_path / "in" / "kitchen")
    bpy.ops.splatlift.add_cameras()
    assert "5 cameras, 5 with their photograph" in capfd.readouterr().out
    bpy.context.scene.splatlift.folder = ""
    bpy.ops.splatlift.add_cameras(directory=str(tmp_path / "in" / "kitchen"))
    assert "5 cameras, 5 with their photograph" in capfd.readouterr().out


def test_the_panels_capture_lends_its_photographs_where_it_is_the_one(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in", photographs=True)
    for name, found in (("kitchen", 5), ("bathroom", 0)):
        (tmp_path / "in" / "capture").rename(tmp_path / "in" / name)
        bpy.context.scene.splatlift.folder = str(tmp_path / "in" / name)
        cameras = session.cameras_of(imported(tmp_path / "in"))
        assert photographs_of(cameras) == found
        assert f"5 cameras, {found or 'none'} with a photograph" in draw("SPLATLIFT_PT_look")
        (tmp_path / "in" / name).rename(tmp_path / "in" / "capture")
        bpy.ops.wm.read_homefile(use_empty=True)


def test_looking_through_one_camera_after_the_other(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    rows = write_cameras(tmp_path / "in")
    scene = imported(tmp_path / "in")
    render = bpy.context.scene.render
    cameras = list(session.cameras_of(scene).objects)
    for step, n in ((0, 0), (1, 1), (1, 2), (-1, 1), (-1, 0), (-1, 4), (1, 0)):
        assert bpy.ops.splatlift.look_through(step=step) == {"FINISHED"}
        assert bpy.context.scene.camera == cameras[n]
        assert (render.resolution_x, render.resolution_y) == (rows[n]["width"], rows[n]["height"])
    bpy.context.view_layer.layer_collection.children[0].children["Cameras"].exclude = True
    with pytest.raises(RuntimeError, match="camera centred is hidden"):
        bpy.ops.splatlift.look_through()


def test_one_click_renders_the_colours_of_the_photographs(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    imported(tmp_path / "in")
    seen, button = bpy.context.scene.view_settings, "<Render Photographed Colours>"
    for transform, offered in (("AgX", True), ("Raw", False), ("Filmic", True)):
        seen.view_transform = transform
        assert (button in draw("SPLATLIFT_PT_look")) == offered
    assert bpy.ops.splatlift.use_standard_colours() == {"FINISHED"}
    assert seen.view_transform == "Standard"
    assert button not in draw("SPLATLIFT_PT_look")


def test_only_the_camera_that_is_looked_through_is_shown(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in")
    cameras = list(session.cameras_of(imported(tmp_path / "in")).objects)
    do = bpy.ops.splatlift
    assert all(each.hide_get() for each in cameras)
    for n in (0, 1):
        do.look_through(step=n)
        assert [each for each in cameras if not each.hide_get()] == [cameras[n]]
    do.show_cameras()
    assert not any(each.hide_get() for each in cameras)
    do.look_through(step=1)
    assert not any(each.hide_get() for each in cameras), "they were shown, so none is hidden"
    do.show_cameras()
    assert all(each.hide_get() for each in cameras)
    bpy.data.batch_remove(cameras)
    for operator in (do.show_cameras, do.look_through):
        with pytest.raises(RuntimeError, match="The scene has no cameras of the capture"):
            operator()


def test_scale_and_up_are_choices_of_the_import(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = imported(tmp_path / "in", up="Z", scale=3.0)
    np.testing.assert_allclose(np.array(scene.splatlift.placement).reshape(4, 4)[:3, :3], 3 * np.eye(3), atol=1e-6)


def test_the_whole_scene_selected_objects_and_meshes_are_exported(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    labels = splats.extra["label"]
    scene = imported(tmp_path / "in", display="MESH")
    drawn = draw("SPLATLIFT_PT_export")
    assert drawn == ["<Selected Objects>", "<Scene without Background>", "<Object as Mesh>", "<Scene as Mesh>"]
    layout = Layout()
    draw_in_menu(SimpleNamespace(layout=layout), bpy.context)
    assert layout.drawn == ["<Gaussians of SplatLift>", "<Meshes of SplatLift>"]
    path = str(tmp_path / "out.ply")
    for choices, count in (
        ({"what": "SCENE"}, len(splats)),
        ({"what": "SCENE", "background": False}, int((labels > 0).sum())),
        ({"what": "OBJECT", "background": False}, int((labels == 1).sum())),
    ):
        assert bpy.ops.splatlift.export(filepath=path, **choices) == {"FINISHED"}
        assert len(read_ply(path)) == count
    select([scene.children[1], scene.children[2]])
    assert bpy.ops.splatlift.export(filepath=path, what="SELECTED") == {"FINISHED"}
    assert len(read_ply(path)) == int(np.isin(labels, (2, 3)).sum())
    assert bpy.ops.splatlift.export_mesh(filepath=str(tmp_path / "out.stl"), what="SCENE") == {"FINISHED"}
    select([scene.children[2]])
    with pytest.raises(RuntimeError, match="no surface to export in lamp"):
        bpy.ops.splatlift.export_mesh(filepath=str(tmp_path / "none.stl"), what="SELECTED")


def select(collections: list) -> None:
    for thing in bpy.context.view_layer.objects:
        if thing.visible_get():
            thing.select_set(any(thing.name in each.objects for each in collections))


def content() -> dict[str, object]:
    """What the operators of this file change."""
    scene = bpy.context.scene
    things = sorted((thing for thing in bpy.data.objects if thing.users_collection), key=lambda thing: thing.name)
    return {
        "objects": [(thing.name, thing.type, [list(row) for row in thing.matrix_world]) for thing in things],
        "collections": [(each.name, each.splatlift.kind, each.splatlift.object_id) for each in scenes_parts()],
        "groups": [thing.modifiers[MODIFIER].node_group.name for thing in things if MODIFIER in thing.modifiers],
        "photographs": [
            (thing.name, [picture.image.filepath for picture in thing.data.background_images])
            for thing in things
            if thing.type == "CAMERA"
        ],
        "colours": labels_shown(),
        "camera": scene.camera and scene.camera.name,
        "size": (scene.render.resolution_x, scene.render.resolution_y, scene.render.pixel_aspect_x),
    }


def scenes_parts() -> list:
    return [each for scene in session.scenes() for each in (scene, *scene.children)]


def test_every_step_is_undone_and_redone(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in", photographs=True)
    kept = bpy.context.preferences.edit.undo_steps
    bpy.context.preferences.edit.undo_steps = 64
    capture = str(tmp_path / "in" / "capture")
    do = bpy.ops.splatlift
    click = ("EXEC_DEFAULT", True)  # as a click does, with an undo step of its own
    folder = str(tmp_path / "in")
    next_camera = [lambda: do.look_through(*click, step=1)]
    colours = [
        lambda: do.show_colours(*click, colours="LABELS"),
        lambda: do.show_colours(*click, colours="PHOTOGRAPHS"),
    ]
    displays = [lambda: do.show_as(*click, display="SPLATS"), lambda: do.show_as(*click, display="POINTS")]
    steps = [
        lambda: do.import_result(*click, directory=folder, display="POINTS", cameras=False),
        lambda: do.add_cameras(*click),
        *4 * next_camera,
        *3 * colours,
        *2 * displays,
        lambda: do.add_cameras(*click, photographs=capture),
        *2 * next_camera,
        lambda: do.import_result(*click, directory=folder, display="MESH", up="X"),
    ]
    assert len(steps) == 20
    bpy.ops.ed.undo_push(message="start")
    history = [content()]
    for step in steps:
        assert step() == {"FINISHED"}
        bpy.context.view_layer.update()
        history.append(content())
        assert history[-1] != history[-2]
    for before in reversed(history[:-1]):
        bpy.ops.ed.undo()
        bpy.context.view_layer.update()
        assert content() == before
    for after in history[1:]:
        bpy.ops.ed.redo()
        bpy.context.view_layer.update()
        assert content() == after
    bpy.context.preferences.edit.undo_steps = kept

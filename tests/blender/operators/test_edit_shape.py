"""Gaussians or mesh, origin, collision hulls and real size: what is shown changes, and nothing moves or is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

import bmesh  # noqa: E402
from mathutils import Euler, Matrix, Vector  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.editing.forms import show_form  # noqa: E402
from blender_addon.editing.hulls import add_hulls  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.origin import set_origin  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.real_size import set_real_distance  # noqa: E402
from blender_addon.editing.remove import delete, delete_selection  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.editing.selection import write_selection  # noqa: E402
from blender_addon.operators import importing  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.collections import placement_of  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from blender_addon.splats.export import export_objects, world_matrix  # noqa: E402
from blender_addon.splats.export_mesh import surfaces_of  # noqa: E402
from blender_addon.splats.origins import origin_of  # noqa: E402
from protocol.errors import BadArgument, BadResult, Unavailable  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.result.gaussians import read_splats as read_result_splats  # noqa: E402
from protocol.result.table import read_table  # noqa: E402
from tests.blender.addon import draw, registered  # noqa: E402
from tests.blender.clumps import REAL, part, pick_parts, state, write_clumps  # noqa: E402
from tests.blender.example import same  # noqa: E402
from tests.blender.splats.test_cameras import write_cameras  # noqa: E402


@pytest.fixture
def scene(tmp_path: Path):
    write_clumps(tmp_path / "in", meshes=True)
    return session.import_folder(tmp_path / "in")


def piece(name: str):
    bpy.context.view_layer.update()
    return pieces_of(part(name))[0]


def places(thing) -> np.ndarray:
    """Where the points of an object are in the world."""
    matrix = np.array(world_matrix(thing))
    return read_positions(thing.data) @ matrix[:3, :3].T + matrix[:3, 3]


def turn(name: str) -> None:
    seen = piece(name).seen
    seen.location, seen.rotation_euler, seen.scale = (1, 2, 3), Euler((0.3, 0.2, 0.1)), (2, 2, 2)
    bpy.context.view_layer.update()


def test_an_object_is_shown_as_its_mesh_and_back(scene) -> None:
    turn("mug")
    before, thing = read_splats(piece("mug").thing.data), piece("mug").thing
    where = places(thing)
    show_form([part("mug")], "MESH")
    shown = piece("mug")
    assert shown.thing == thing
    assert (shown.seen.name, thing.name) == ("mug", "mug Gaussians")
    assert len(shown.surface.data.polygons) == 320
    assert [shown.surface.hide_viewport, thing.hide_viewport, thing.hide_render] == [False, True, True]
    np.testing.assert_allclose(places(thing), where, atol=1e-5)
    centre = places(shown.surface).mean(0)
    np.testing.assert_allclose(centre, np.array(world_matrix(thing))[:3, 3], atol=1e-4)
    surface = shown.surface
    show_form([part("mug")], "GAUSSIANS")
    assert piece("mug") == (thing, None)
    assert (thing.name, thing.hide_viewport, surface.hide_viewport) == ("mug", False, True)
    np.testing.assert_allclose(places(thing), where, atol=1e-5)
    assert same(read_splats(thing.data), before)
    thing.location.x += 5
    bpy.context.view_layer.update()
    show_form([part("mug")], "MESH")
    assert piece("mug").surface == surface, "the mesh is kept, and not read again"
    np.testing.assert_allclose(places(surface).mean(0), centre + np.array([5, 0, 0]), atol=1e-4)
    show_form([part("mug")], "MESH")
    assert piece("mug").surface == surface, "once more changes nothing"


def test_meshes_of_an_import_become_gaussians(tmp_path: Path) -> None:
    splats = write_clumps(tmp_path / "in", meshes=True)
    scene = session.import_folder(tmp_path / "in", "MESH")
    show_form([part("mug"), part("plant")], "GAUSSIANS")
    assert [piece(name).surface for name in ("mug", "plant")] == [None, None]
    export_objects([scene], tmp_path / "out.ply")
    assert len(read_ply(tmp_path / "out.ply")) == len(splats)
    assert len(surfaces_of([part("mug")])) == 1, "the mesh can be exported still"


def test_what_has_no_mesh_or_was_edited_is_refused_and_nothing_changes(scene) -> None:
    with pytest.raises(BadResult, match=r"0003\.ply"):
        show_form([part("mug"), part("lamp")], "MESH")
    assert piece("mug").surface is None
    rows = np.zeros(300, bool)
    rows[:10] = True
    write_selection(piece("mug").thing.data, rows)
    delete_selection([part("mug")])
    with pytest.raises(BadArgument, match="'mug' were edited since its mesh was made"):
        show_form([part("plant"), part("mug")], "MESH")
    assert piece("plant").surface is None
    show_form([part("plant")], "MESH")
    show_form([part("plant")], "GAUSSIANS")
    write_selection(piece("plant").thing.data, rows)
    delete_selection([part("plant")])
    with pytest.raises(BadArgument, match="'plant' were edited"):
        show_form([part("plant")], "MESH")
    with pytest.raises(BadArgument, match="form 'POINTS' does not exist"):
        show_form([part("plant")], "POINTS")  # pyright: ignore[reportArgumentType]


def test_a_mesh_set_aside_goes_with_its_object(scene) -> None:
    show_form([part("mug"), part("plant")], "MESH")
    add_hulls([part("mug"), part("plant")])
    show_form([part("mug"), part("plant")], "GAUSSIANS")
    (copy,) = duplicate([part("mug")])
    show_form([copy], "MESH")
    assert len(pieces_of(copy)[0].surface.data.polygons) == 320
    delete([copy])
    merge([part("mug"), part("plant")], part("mug"))
    meshes = [thing for thing in bpy.data.objects if thing.type == "MESH" and "plant" in thing.name]
    assert meshes == [], "neither a mesh nor a hull of the plant is left"


@pytest.mark.parametrize("form", ["GAUSSIANS", "MESH"])
@pytest.mark.parametrize("place", ["BASE", "CENTRE"])
def test_the_origin_moves_and_nothing_else(scene, form, place, tmp_path: Path) -> None:
    turn("plant")
    show_form([part("plant")], form)
    add_hulls([part("plant")], "BOX")
    shown = piece("plant")
    hull = next(each for each in shown.seen.children if each.name.startswith("UCX"))
    things = [each for each in (shown.thing, shown.surface, hull) if each is not None]
    before = [places(each) for each in things]
    export_objects([part("plant")], tmp_path / "before.ply")
    set_origin([part("plant")], place)
    bpy.context.view_layer.update()
    for each, where in zip(things, before, strict=True):
        np.testing.assert_allclose(places(each), where, atol=1e-4)
    export_objects([part("plant")], tmp_path / "after.ply")
    one, other = read_ply(tmp_path / "before.ply"), read_ply(tmp_path / "after.ply")
    np.testing.assert_allclose(one.means, other.means, atol=1e-4)
    np.testing.assert_allclose(one.sh, other.sh, atol=1e-6)
    origin = np.array(shown.seen.matrix_world.translation)
    bounds = before[1] if form == "MESH" else before[0]
    middle = (bounds.min(0) + bounds.max(0)) / 2
    if place == "BASE":
        middle[2] = bounds[:, 2].min()
    # One per cent of a ball of radius 2 at each end does not count.
    np.testing.assert_allclose(origin, middle, atol=0.3 if form == "GAUSSIANS" else 1e-4)
    assert np.linalg.norm(origin_of(shown.thing)) > 0.01


def test_a_mesh_is_where_its_gaussians_are_after_blenders_apply(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    session.import_folder(tmp_path / "in", origin="BASE")
    pick_parts(["plant"])
    (plant,) = bpy.context.selected_objects
    plant.rotation_euler, plant.location.z, plant.scale = (0.3, 0.2, 0.1), 7.0, (2.0, 2.0, 2.0)
    bpy.context.view_layer.update()
    centre = places(plant).mean(0)
    bpy.ops.object.transform_apply()
    show_form([part("plant")], "MESH")
    corners = places(piece("plant").surface)
    np.testing.assert_allclose(corners.mean(0), centre, atol=0.3)
    np.testing.assert_allclose(np.linalg.norm(corners - corners.mean(0), axis=1), 2 * 1.1, rtol=0.05)


def test_a_mesh_is_not_shown_for_gaussians_that_were_moved_one_by_one(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    session.import_folder(tmp_path / "in")
    data = piece("plant").thing.data
    data.vertices[0].co.x += 1.0
    with pytest.raises(BadArgument, match="were edited since its mesh was made"):
        show_form([part("plant")], "MESH")


def test_an_origin_is_not_an_edit_of_the_capture(scene, tmp_path: Path) -> None:
    splats = read_result_splats(tmp_path / "in")
    set_origin([part("plant"), part("background")], "BASE")
    show_form([part("plant")], "MESH")
    mesh = places(piece("plant").surface)
    save_edits(scene)
    assert all(row.matrix is None for row in read_table(tmp_path / "in").objects)
    np.testing.assert_allclose(read_result_splats(tmp_path / "in").means, splats.means, atol=1e-5)
    bpy.ops.wm.read_homefile(use_empty=True)
    session.import_folder(tmp_path / "in", "MESH")
    np.testing.assert_allclose(places(piece("plant").surface), mesh, atol=1e-5)


def test_an_unknown_origin_is_refused(scene) -> None:
    with pytest.raises(BadArgument, match="origin 'TOP' does not exist"):
        set_origin([part("mug")], "TOP")  # pyright: ignore[reportArgumentType]


def test_a_box_is_upright_and_around_the_object(scene) -> None:
    turn("mug")
    (box,) = add_hulls([part("mug")], "BOX")
    assert (box.name, box.parent, box.display_type, box.hide_render) == ("UCX_mug_01", piece("mug").seen, "WIRE", True)
    bpy.context.view_layer.update()
    corners = places(box)
    assert len(corners) == 8
    assert len(np.unique(corners[:, 2].round(4))) == 2, "its floor is level"
    where = places(piece("mug").thing)
    np.testing.assert_allclose(corners[:, 2].min(), where[:, 2].min(), atol=0.3)
    assert box.data.polygons[0].normal.length > 0.9


def test_a_convex_hull_holds_the_object_and_replaces_another(scene) -> None:
    show_form([part("mug")], "MESH")
    add_hulls([part("mug")], "BOX")
    (hull,) = add_hulls([part("mug")], "CONVEX")
    assert [each.name for each in piece("mug").surface.children if each.name.startswith("UCX")] == ["UCX_mug_01"]
    mesh = bmesh.new()
    mesh.from_mesh(hull.data)
    assert mesh.calc_volume() == pytest.approx(4 / 3 * np.pi * 1.1**3, rel=0.05)
    assert all(len(edge.link_faces) == 2 for edge in mesh.edges)
    mesh.free()
    assert surfaces_of([part("mug")]) == [piece("mug").surface], "hulls are no meshes to export"


def test_parts_need_a_mesh_and_coacd(scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadArgument, match="'mug' is shown as Gaussians"):
        add_hulls([part("mug")], "PARTS")
    show_form([part("mug")], "MESH")
    monkeypatch.setitem(sys.modules, "coacd", None)
    with pytest.raises(Unavailable, match="Convex parts need the package coacd"):
        add_hulls([part("mug")], "PARTS")
    given = []

    def run(mesh) -> list:
        given.append(mesh)
        half = len(mesh[0]) // 2
        return [(mesh[0][:half], mesh[1][:0]), (mesh[0][half:], mesh[1][:0])]

    stand_in = SimpleNamespace(Mesh=lambda points, faces: (points, faces), run_coacd=run)
    monkeypatch.setitem(sys.modules, "coacd", stand_in)
    made = add_hulls([part("mug")], "PARTS")
    assert [each.name for each in made] == ["UCX_mug_01", "UCX_mug_02"]
    assert [len(given[0][0]), len(given[0][1])] == [162, 320]


def test_flat_objects_and_unknown_hulls_are_refused(scene) -> None:
    data = piece("mug").thing.data
    flat = read_positions(data)
    flat[:, 2] = 0
    for name in ("position", "splatlift_place"):
        data.attributes[name].data.foreach_set("vector", flat.ravel())
    with pytest.raises(BadArgument, match="'mug' has no volume"):
        add_hulls([part("mug")], "CONVEX")
    with pytest.raises(BadArgument, match="hull 'BALL' does not exist"):
        add_hulls([part("mug")], "BALL")  # pyright: ignore[reportArgumentType]


def test_a_named_distance_scales_the_scene(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in")
    write_cameras(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", cameras=True)
    placement_of(scene).location = (1, 2, 3)
    bpy.context.view_layer.update()
    before = places(piece("plant").thing)
    camera = scene.children["Cameras"].objects[0]
    end = camera.data.clip_end
    export_objects([scene], tmp_path / "before.ply")
    first, second = before[0], before[1]
    assert set_real_distance(scene, first, second, 2 * float(np.linalg.norm(second - first))) == pytest.approx(2)
    bpy.context.view_layer.update()
    np.testing.assert_allclose(places(piece("plant").thing), 2 * (before - [1, 2, 3]) + [1, 2, 3], atol=1e-4)
    assert camera.data.clip_end == pytest.approx(2 * end)
    assert np.linalg.norm(np.array(scene.splatlift.placement).reshape(4, 4)[:3, 0]) == pytest.approx(2)
    placement_of(scene).location = (0, 0, 0)
    bpy.context.view_layer.update()
    export_objects([scene], tmp_path / "after.ply")
    after = read_ply(tmp_path / "after.ply")
    np.testing.assert_allclose(after.scales, read_ply(tmp_path / "before.ply").scales, atol=1e-5)


def test_distances_that_say_nothing_are_refused(scene) -> None:
    for first, second, length, sentence in (
        ((1, 1, 1), (1, 1, 1), 1, "in the same place"),
        ((0, 0, 0), (1, 1, 1), 0, "length of 0 m"),
        ((0, 0, 0), (1e-9, 0, 0), 1, "scaled by 1e"),
    ):
        with pytest.raises(BadArgument, match=sentence):
            set_real_distance(scene, first, second, length)
    bpy.data.objects.remove(placement_of(scene))
    with pytest.raises(BadArgument, match="placement object of the scene kitchen was deleted"):
        set_real_distance(scene, (0, 0, 0), (1, 0, 0), 1)


@pytest.fixture
def addon() -> Iterator[None]:
    session.unregister()
    with registered():
        yield


def test_every_click_is_undone_and_redone(addon: None, tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    ops = bpy.ops.splatlift
    ops.import_result(*REAL, display="POINTS", directory=str(tmp_path / "in"))
    pick_parts(["mug"])
    buttons = draw("SPLATLIFT_PT_edit")
    assert {"<As Gaussians>", "<As Mesh>", "<Origin to Base>", "<Origin to Centre>", "<Collision Hulls...>"} <= set(
        buttons
    )
    bpy.ops.ed.undo_push(message="picked")
    steps = [
        lambda: ops.show_form(*REAL, form="MESH"),
        lambda: ops.set_origin(*REAL, place="BASE"),
        lambda: ops.add_hulls(*REAL, kind="CONVEX"),
        lambda: ops.show_form(*REAL, form="GAUSSIANS"),
        lambda: ops.add_hulls(*REAL, kind="BOX"),
        lambda: ops.set_real_distance(*REAL, first=(0, 0, 0), second=(0, 0, 1), length=3.0),
    ]
    history = [state()]
    for step in steps:
        assert step() == {"FINISHED"}
        bpy.context.view_layer.update()
        history.append(state())
        assert history[-1] != history[-2]
    for before in reversed(history[:-1]):
        bpy.ops.ed.undo()
        assert state() == before
    for after in history[1:]:
        bpy.ops.ed.redo()
        assert state() == after


def test_points_are_measured_by_vertices_objects_or_the_cursor(addon: None, tmp_path: Path) -> None:
    from blender_addon.operators.measure import measured

    write_clumps(tmp_path / "in")
    bpy.ops.splatlift.import_result(*REAL, display="POINTS", directory=str(tmp_path / "in"))
    pick_parts(["mug"])
    assert measured(bpy.context) is None
    thing = piece("mug").thing
    bpy.ops.object.mode_set(mode="EDIT")
    mesh = bmesh.from_edit_mesh(thing.data)
    mesh.verts.ensure_lookup_table()
    for n in (3, 7):
        mesh.verts[n].select = True
    wanted = [thing.matrix_world @ mesh.verts[n].co for n in (3, 7)]
    found = measured(bpy.context)
    assert found is not None
    assert (found[0] - wanted[0]).length + (found[1] - wanted[1]).length < 1e-6
    bpy.ops.object.mode_set(mode="OBJECT")
    ends = [bpy.data.objects.new(name, None) for name in ("a", "b")]
    for place, each in enumerate(ends):
        bpy.context.scene.collection.objects.link(each)
        each.matrix_world = Matrix.Translation((place, 0, 0))
    bpy.context.view_layer.update()
    for each in bpy.context.view_layer.objects:
        each.select_set(each in ends)
    assert measured(bpy.context) == (Vector((0, 0, 0)), Vector((1, 0, 0)))
    pick_parts(["mug", "plant"])  # both have the origin of the capture
    bpy.context.view_layer.update()
    found = measured(bpy.context)
    assert found is not None
    assert abs((found[0] - found[1]).length - 10) < 0.5, "the middles of the clumps are 10 apart"
    bpy.context.scene.cursor.location = (0, 0, 1)
    bpy.ops.splatlift.start_measuring(*REAL)
    bpy.context.scene.cursor.location = (0, 0, 4)
    assert measured(bpy.context) == (Vector((0, 0, 1)), Vector((0, 0, 4)))
    with pytest.raises(RuntimeError, match="No points were measured"):
        bpy.ops.splatlift.set_real_distance(*REAL, length=1.0)
    assert "<Real Distance...>" in draw("SPLATLIFT_PT_look")


def test_solid_views_show_the_colours_of_meshes_beside_splats(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    shading = importing.views()[0].shading
    shading.color_type = "MATERIAL"
    with registered():
        assert bpy.ops.splatlift.import_result(directory=str(tmp_path / "in"), display="SPLATS") == {"FINISHED"}
        pick_parts(["mug"])
        for form, colours in (("MESH", "VERTEX"), ("GAUSSIANS", "MATERIAL"), ("MESH", "VERTEX")):
            assert bpy.ops.splatlift.show_form(form=form) == {"FINISHED"}
            assert shading.color_type == colours, "with MATERIAL, meshes are grey"
        assert piece("mug").surface.data.color_attributes.active_color.name == "Col"
        bpy.ops.splatlift.show_colours(colours="LABELS")
        assert shading.color_type == "OBJECT"
        bpy.ops.splatlift.show_colours(colours="PHOTOGRAPHS")
        assert (shading.type, shading.color_type) == ("SOLID", "VERTEX")

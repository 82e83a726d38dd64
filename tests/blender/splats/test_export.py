"""Objects back to files: untouched ones bit for bit, moved ones as `protocol.transform` moves them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadArgument, BadSplats
from protocol.formats.read import read_splats
from protocol.formats.registry import Format
from protocol.ply import read_ply
from protocol.splats import Splats, merge
from protocol.transform import transform
from tests.blender.example import labelled_splats, object_of, same, write_example

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.operators import export as export_operator  # noqa: E402
from blender_addon.splats.export import export_objects, formats_here  # noqa: E402
from tests.blender.addon import registered  # noqa: E402

MOVE = Matrix.Translation((0.5, -2, 3)) @ Matrix.Rotation(0.7, 4, (1, 2, 3)) @ Matrix.Scale(1.5, 4)


def exported(collections: list, folder: Path) -> Splats:
    count = export_objects(collections, folder / "out.ply")
    splats = read_ply(folder / "out.ply")
    assert len(splats) == count
    return splats


def close(a: Splats, b: Splats) -> bool:
    columns = ("means", "quats", "scales", "opacities", "sh")
    return all(np.allclose(getattr(a, name), getattr(b, name), rtol=1e-5, atol=2e-5) for name in columns)


def in_capture(scene, move: Matrix) -> np.ndarray:
    """A move in Blender's world as a matrix in the frame of the capture."""
    placement = np.array(scene.splatlift.placement).reshape(4, 4)
    return np.linalg.inv(placement) @ np.array(move) @ placement


@pytest.mark.parametrize("display", ["POINTS", "SPLATS", "MESH"])
def test_an_untouched_object_is_the_file_it_came_from(tmp_path: Path, display: session.Display) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", display)
    for label, child in enumerate(session.objects_of(scene), 1):
        export_objects([child], tmp_path / "out.ply")
        assert (tmp_path / "out.ply").read_bytes() == (tmp_path / "in" / "objects" / f"{label:04d}.ply").read_bytes()


def test_the_whole_scene_is_every_gaussian_once(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in", labelled_splats(200, 0))
    scene = session.import_folder(tmp_path / "in")
    whole = merge([object_of(splats, label) for label in (1, 2, 3, 0)])
    assert same(exported([scene], tmp_path), whole)
    assert same(exported([scene, *scene.children], tmp_path), whole)


@pytest.mark.parametrize("display", ["POINTS", "MESH"])
def test_a_moved_object_is_what_transform_says(tmp_path: Path, display: session.Display) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", display)
    child = session.objects_of(scene)[1]
    thing = child.objects[0]
    bpy.context.view_layer.update()
    thing.matrix_world = MOVE @ thing.matrix_world

    got = exported([child], tmp_path)

    assert close(got, transform(object_of(splats, 2), in_capture(scene, MOVE)))
    assert not np.allclose(got.means, object_of(splats, 2).means, atol=0.1)


def test_moving_the_scene_moves_every_object(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    (upright,) = scene.objects
    bpy.context.view_layer.update()
    upright.matrix_world = MOVE @ upright.matrix_world
    got = exported([scene.children[0]], tmp_path)
    assert close(got, transform(object_of(splats, 1), in_capture(scene, MOVE)))


def test_an_object_that_no_view_layer_shows_still_moves(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    child = scene.children[0]
    child.objects[0].hide_viewport = True
    child.objects[0].location = (1, 2, 3)
    got = exported([child], tmp_path)
    np.testing.assert_allclose(got.means, object_of(splats, 1).means + np.array([1, 2, 3], np.float32), atol=1e-6)


def test_deleted_vertices_are_gone_also_while_in_edit_mode(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    child = session.import_folder(tmp_path / "in").children[2]
    thing = child.objects[0]
    chosen = np.arange(len(thing.data.vertices)) % 3 == 0
    thing.data.vertices.foreach_set("select", chosen)
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.delete(type="VERT")
    kept = object_of(splats, 3).pick(~chosen)
    assert same(exported([child], tmp_path), kept)
    assert len(bpy.data.meshes) == 4
    bpy.ops.object.mode_set(mode="OBJECT")
    assert same(exported([child], tmp_path), kept)


def test_joined_objects_are_one(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    first, second = (child.objects[0] for child in scene.children[:2])
    with bpy.context.temp_override(active_object=first, object=first, selected_editable_objects=[first, second]):
        bpy.ops.object.join()
    got = exported([scene.children[0]], tmp_path)
    assert same(got, merge([object_of(splats, 1), object_of(splats, 2)]))
    assert [child.name for child in session.objects_of(scene)] == ["mug", "lamp"]


@pytest.mark.parametrize(
    ("scale", "word"), [((1, 2, 1), "non-uniform"), ((-1, 1, 1), "mirrors"), ((0, 0, 0), "zero"), ((1, 1, 0), "zero")]
)
@pytest.mark.parametrize("display", ["POINTS", "MESH"])
def test_a_scale_that_gaussians_cannot_follow_is_refused(
    tmp_path: Path, scale: tuple, word: str, display: session.Display
) -> None:
    write_example(tmp_path / "in")
    child = session.import_folder(tmp_path / "in", display).children[0]
    child.objects[0].scale = scale
    with pytest.raises(BadSplats, match=f"'mug' cannot be exported: .*{word}") as caught:
        export_objects([child], tmp_path / "out.ply")
    assert caught.value.remedy
    assert not (tmp_path / "out.ply").exists()


@pytest.mark.parametrize("display", ["POINTS", "MESH"])
def test_a_deleted_object_is_gone(tmp_path: Path, display: session.Display) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", display)
    with bpy.context.temp_override(selected_objects=[scene.children[0].objects[0]]):
        bpy.ops.object.delete()
    assert [child.name for child in session.objects_of(scene)] == ["plant", "lamp"]
    rest = merge([object_of(splats, label) for label in (2, 3, 0)])
    assert same(exported([scene], tmp_path), rest)
    with pytest.raises(BadArgument, match="no Gaussians to export in mug"):
        export_objects([scene.children[0]], tmp_path / "out.ply")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.obj", "file type of .*out.obj is not supported"),
        ("nowhere/out.ply", "cannot be exported to"),
        ("out", "file type of .*out is not supported"),
        ("folder.ply", "cannot be exported to"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path, name: str, says: str) -> None:
    write_example(tmp_path / "in")
    (tmp_path / "folder.ply").mkdir()
    scene = session.import_folder(tmp_path / "in")
    with pytest.raises(BadArgument, match=says):
        export_objects([scene], tmp_path / name)


def test_nothing_chosen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="no Gaussians to export in nothing"):
        export_objects([], tmp_path / "out.ply")


def test_the_background_is_left_out_where_it_is_not_wanted(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    count = export_objects([scene], tmp_path / "out.ply", background=False)
    assert count == int((splats.extra["label"] > 0).sum())
    assert same(read_ply(tmp_path / "out.ply"), merge([object_of(splats, label) for label in (1, 2, 3)]))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_duplicates_are_written_where_they_stand(tmp_path: Path, elsewhere: bool) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    mug = scene.children[0].objects[0]
    twin, linked = mug.copy(), mug.copy()
    twin.data = mug.data.copy()
    for thing, place in ((twin, (1, 0, 0)), (linked, (0, 5, 0))):
        thing.location = place
        (bpy.context.scene.collection if elsewhere else scene.children[0]).objects.link(thing)
    got = exported([scene], tmp_path)
    part = object_of(splats, 1)
    assert len(got) == len(splats) + 2 * len(part)
    for place in ((0, 0, 0), (1, 0, 0), (0, 5, 0)):
        apart = np.abs(got.means[:, None] - (part.means + np.array(place, np.float32))[None, :5]).max(-1)
        assert (apart.min(0) < 1e-5).all()


def test_in_the_worlds_frame_everything_is_where_blender_has_it(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", scale=2.0)
    bpy.context.view_layer.update()
    thing = scene.children[1].objects[0]
    thing.location = (3, 1, 2)
    bpy.context.view_layer.update()
    export_objects([scene.children[1]], tmp_path / "out.ply", frame="WORLD")
    expected = transform(object_of(splats, 2), np.array(thing.matrix_world))
    assert close(read_ply(tmp_path / "out.ply"), expected)
    with pytest.raises(BadArgument, match="frame 'MOON' does not exist"):
        export_objects([scene], tmp_path / "out.ply", frame="MOON")  # pyright: ignore[reportArgumentType]


def test_parents_are_baked_in(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    bpy.context.view_layer.update()
    thing = scene.children[1].objects[0]
    still = thing.matrix_world.copy()
    handle = bpy.data.objects.new("handle", None)
    bpy.context.scene.collection.objects.link(handle)
    handle.location = (1, 1, 1)
    bpy.context.view_layer.update()
    thing.parent = handle
    thing.matrix_parent_inverse = handle.matrix_world.inverted()
    thing.matrix_basis = still
    bpy.context.view_layer.update()
    handle.matrix_world = MOVE @ handle.matrix_world
    got = exported([scene.children[1]], tmp_path)
    assert close(got, transform(object_of(splats, 2), in_capture(scene, MOVE)))


# Other formats

HERE = [each for each in formats_here() if each.reads]


@pytest.mark.parametrize("wanted", HERE, ids=lambda each: each.name)
def test_every_format_holds_what_was_moved(tmp_path: Path, wanted: Format) -> None:
    splats = write_example(tmp_path / "in")
    child = session.import_folder(tmp_path / "in").children[0]
    bpy.context.view_layer.update()
    child.objects[0].matrix_world = MOVE @ child.objects[0].matrix_world
    path = tmp_path / f"out{wanted.endings[0]}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert export_objects([child], path, name=wanted.name) == len(object_of(splats, 1))
    assert any(f"{wanted.title} keeps" in str(each.message) for each in caught) == (not wanted.exact)
    export_objects([child], tmp_path / "plain.ply")
    plain, got = read_ply(tmp_path / "plain.ply"), read_splats(path)
    assert len(got) == len(plain)
    size = float(np.ptp(plain.means))
    assert np.abs(np.sort(got.means, 0) - np.sort(plain.means, 0)).max() < 2e-3 * size
    if wanted.degree:
        assert np.abs(np.sort(got.sh, 0) - np.sort(plain.sh, 0)).max() < 0.05


def test_in_the_worlds_frame_upright_formats_stand_upright(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    export_objects([scene.children[0]], tmp_path / "out.ply", frame="WORLD")
    export_objects([scene.children[0]], tmp_path / "out.glb", frame="WORLD")
    world, upright = read_ply(tmp_path / "out.ply").means, read_splats(tmp_path / "out.glb").means
    # Read as a capture the file is right, down, front.
    np.testing.assert_allclose(upright, world[:, [0, 2, 1]] * [1, -1, 1], atol=1e-5)


def test_labels_go_along(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    export_objects([scene], tmp_path / "out.ply", labels=True)
    count = export_objects(list(scene.children[:2]), tmp_path / "out.splat", labels=True)
    assert set(read_ply(tmp_path / "out.ply").extra["label"].tolist()) == {0, 1, 2, 3}
    beside = np.load(tmp_path / "out.splat.labels.npy")
    assert (len(beside), set(beside.tolist())) == (count, {1, 2})


def test_a_mesh_format_is_none_of_gaussians(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    with pytest.raises(BadArgument, match="format 'mesh-obj' does not exist"):
        export_objects([scene], tmp_path / "out.obj", name="mesh-obj")


def test_the_operator_reports_what_was_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_example(tmp_path / "in")
    with registered():
        session.import_folder(tmp_path / "in")
        assert "gaussians-glb" in [row[0] for row in export_operator.FORMATS]
        done = bpy.ops.splatlift.export(filepath=str(tmp_path / "out.splat"), what="SCENE", format="splat")
        assert done == {"FINISHED"}
        with pytest.raises(RuntimeError, match=r"does not have the ending of"):
            bpy.ops.splatlift.export(filepath=str(tmp_path / "out.spz"), what="SCENE", format="splat")
    assert "supports spherical harmonics up to degree 0" in capsys.readouterr().out
    assert (tmp_path / "out.splat").stat().st_size == 400 * 32


def test_a_collection_is_exported_by_blenders_own_exporter(tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    with registered():
        scene = session.import_folder(tmp_path / "in", "MESH")
        layers = bpy.context.view_layer.layer_collection.children
        bpy.context.view_layer.active_layer_collection = layers[scene.name].children["mug"]
        assert bpy.ops.collection.exporter_add(name="SPLATLIFT_FH_gaussians") == {"FINISHED"}
        assert bpy.ops.collection.exporter_add(name="SPLATLIFT_FH_meshes") == {"FINISHED"}
        gaussians, meshes = scene.children["mug"].exporters
        gaussians.export_properties.filepath = str(tmp_path / "mug.splat")
        meshes.export_properties.filepath = str(tmp_path / "mug.stl")
        assert bpy.ops.collection.export_all() == {"FINISHED"}
    assert (tmp_path / "mug.splat").stat().st_size == 32 * len(object_of(splats, 1))
    assert (tmp_path / "mug.stl").stat().st_size == 84 + 4 * 50, "four triangles"

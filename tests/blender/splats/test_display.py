"""What is seen of the Gaussians: points, discs, meshes and their colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadResult
from protocol.result.meshes import Mesh, Texture, read_mesh, write_mesh
from protocol.splats import Splats
from tests.blender.example import labelled_splats, object_of, write_example, write_tetrahedron
from tests.protocol.pictures import png

bpy = pytest.importorskip("bpy")

from mathutils import Quaternion, Vector  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.splats import collections  # noqa: E402
from blender_addon.splats.colours import labels_shown  # noqa: E402
from blender_addon.splats.columns import count_of  # noqa: E402
from blender_addon.splats.mesh import texture_of  # noqa: E402
from blender_addon.splats.native import can_draw_splats  # noqa: E402
from blender_addon.splats.painting import show_colours  # noqa: E402


def instances_of(thing) -> list:
    """Return the world matrices of the instances on an object's points."""
    graph = bpy.context.evaluated_depsgraph_get()
    every = graph.object_instances
    return [each.matrix_world.copy() for each in every if each.is_instance and each.parent.original == thing]


def as_discs(folder: Path):
    """Import a result whose Gaussians are seen as discs."""
    scene = session.import_folder(folder)
    collections.show_as(scene, "DISCS")
    return scene


def evaluated_points(thing) -> dict[str, np.ndarray]:
    """The points that the modifier makes, through a second modifier-free read of the evaluated geometry."""
    data = bpy.data.pointclouds.new("probe")
    probe = bpy.data.objects.new("probe", data)
    bpy.context.scene.collection.objects.link(probe)
    tree = bpy.data.node_groups.new("probe", "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    info, end = tree.nodes.new("GeometryNodeObjectInfo"), tree.nodes.new("NodeGroupOutput")
    info.inputs["Object"].default_value = thing
    tree.links.new(info.outputs["Geometry"], end.inputs[0])
    probe.modifiers.new("probe", "NODES").node_group = tree
    seen = probe.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    read = {}
    for name, key, width in (("radius", "value", 1), ("position", "vector", 3), ("Col", "color", 4)):
        if name not in seen.attributes:
            continue
        values = np.empty(len(seen.points) * width, np.float32)
        seen.attributes[name].data.foreach_get(key, values)
        read[name] = values.reshape(-1, width).squeeze(1) if width == 1 else values.reshape(-1, width)
    read["materials"] = np.array([material.name for material in seen.materials if material])
    return read


def test_points_have_the_mean_size_and_the_colour_of_their_gaussians(tmp_path: Path) -> None:
    splats = object_of(write_example(tmp_path / "in"), 1)
    thing = session.import_folder(tmp_path / "in").children[0].objects[0]
    seen = evaluated_points(thing)
    np.testing.assert_array_equal(seen["position"], splats.means)
    np.testing.assert_allclose(seen["radius"], 2**0.5 * np.exp(splats.scales.mean(1)), rtol=1e-5)
    np.testing.assert_allclose(seen["Col"][:, :3], np.clip(0.28209479 * splats.sh[:, 0] + 0.5, 0, 1), atol=1e-6)
    assert seen["materials"].tolist() == ["SplatLift Splat"]
    assert thing["3DGS_Mesh_Type"] == "vert"


def test_discs_have_the_axes_of_their_gaussians(tmp_path: Path) -> None:
    splats = object_of(write_example(tmp_path / "in"), 1)
    scene = as_discs(tmp_path / "in")
    thing = scene.children[0].objects[0]
    bpy.context.view_layer.update()
    seen = {_place(matrix.translation): matrix for matrix in instances_of(thing)}
    assert len(seen) == len(splats)
    for mean, quat, size in zip(splats.means, splats.quats, splats.sizes, strict=True):
        world = thing.matrix_world
        rotation = np.array(world.to_3x3() @ Quaternion(quat.tolist()).normalized().to_matrix())
        matrix = seen[_place(world @ Vector(mean.tolist()))]
        axes = np.array(matrix.to_3x3())
        np.testing.assert_allclose(axes @ axes.T, (rotation * size) @ (rotation * size).T, atol=1e-5)


def _place(point) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in point)


@pytest.mark.parametrize("display", ["POINTS", "SPLATS"])
def test_a_rendered_gaussian_has_the_colour_of_the_capture(tmp_path: Path, display: session.Display) -> None:
    colour = np.array([0.8, 0.3, 0.2], np.float32)
    write_example(tmp_path / "in", one_gaussian(colour))
    session.import_folder(tmp_path / "in", display)
    pixels = rendered(tmp_path / "seen.png")
    np.testing.assert_allclose(pixels[8, 8, :3], colour, atol=0.02)
    if display == "POINTS":
        np.testing.assert_array_equal(pixels[0, 0, :3], 0)


def test_a_disc_is_as_opaque_as_its_gaussian_along_a_ray(tmp_path: Path) -> None:
    size, turn = np.array([1.0, 0.5, 0.25]), Quaternion((0.8, 0.2, 0.4, 0.1)).normalized()
    splats = one_gaussian(np.array([1.0, 1.0, 1.0]))
    splats = replace(splats, scales=np.log(size)[None].astype(np.float32), quats=np.array([turn], np.float32))
    write_example(tmp_path / "in", splats)
    scene = session.import_folder(tmp_path / "in", up="Z")
    collections.show_as(scene, "SPLATS")
    seen = rendered(tmp_path / "seen.exr", samples=64)[..., 3]
    # The rays of the pixels, from a camera at (0, 0, 6) that sees 36 mm at 50 mm, meet the Gaussian's own axes.
    steps = (np.arange(16) + 0.5) / 16 - 0.5
    x, y = np.meshgrid(steps, steps)
    rays = np.stack([x * 36 / 50, y * 36 / 50, -np.ones_like(x)], -1)
    to_own = np.array(turn.to_matrix()).T / size[:, None]
    start, rays = to_own @ np.array([0, 0, 6.0]), rays @ to_own.T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    squares = start @ start - (rays @ start) ** 2
    expected = np.exp(-squares / 2)
    np.testing.assert_allclose(seen, np.where(expected > 0.02, expected, seen), atol=0.05)
    assert seen[expected < 0.001].max() < 0.02


def test_splats_are_rendered_as_discs_and_leave_only_their_bounds_in_views(tmp_path: Path) -> None:
    splats = object_of(write_example(tmp_path / "in"), 1)
    scene = session.import_folder(tmp_path / "in")
    collections.show_as(scene, "SPLATS")
    thing = scene.children[0].objects[0]
    assert len(instances_of(thing)) == 1, "the corners, which are of another kind than the mesh that has them"
    seen = evaluated_points(thing)
    np.testing.assert_array_equal(seen["radius"], np.zeros(8))
    np.testing.assert_allclose(seen["position"].min(0), splats.means.min(0), atol=1e-6)
    np.testing.assert_allclose(seen["position"].max(0), splats.means.max(0), atol=1e-6)


@pytest.mark.parametrize("display", ["POINTS", "SPLATS"])
def test_one_switch_shows_the_colours_of_labels_and_back(tmp_path: Path, display: session.Display) -> None:
    colour = np.array([0.8, 0.3, 0.2], np.float32)
    write_example(tmp_path / "in", one_gaussian(colour))
    scene = session.import_folder(tmp_path / "in", display)
    thing = scene.children[0].objects[0]
    before = written(thing.data)
    label_colour = (0.25, 0.5, 0.9)
    show_colours("LABELS")
    assert labels_shown()
    np.testing.assert_allclose(rendered(tmp_path / "labels.png")[8, 8, :3], label_colour, atol=0.02)
    thing.color = collections.linear((0.9, 0.1, 0.1))
    np.testing.assert_allclose(rendered(tmp_path / "red.png")[8, 8, :3], (0.9, 0.1, 0.1), atol=0.02)
    show_colours("PHOTOGRAPHS")
    assert not labels_shown()
    np.testing.assert_allclose(rendered(tmp_path / "photographs.png")[8, 8, :3], colour, atol=0.02)
    assert written(thing.data) == before


def test_the_choice_of_colours_is_saved_and_holds_for_what_comes_later(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    assert not labels_shown()
    session.import_folder(tmp_path / "in")
    show_colours("LABELS")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert labels_shown()
    session.import_folder(tmp_path / "in", "SPLATS")
    session.import_folder(tmp_path / "in", "MESH")
    materials = [each for each in bpy.data.materials if "SplatLift" in each.name]
    trees = {node.node_tree for each in materials for node in each.node_tree.nodes if node.type == "GROUP"}
    assert len(materials) == 3 + can_draw_splats()
    assert len(trees) == 1


def written(data) -> bytes:
    """All that a script could have written to the points of data."""
    values = np.empty(count_of(data) * 4, np.float32)
    data.attributes["Col"].data.foreach_get("color", values)
    return values.tobytes()


def rendered(path: Path, samples: int = 1) -> np.ndarray:
    """What a camera above the origin sees, (16, 16, 4): sRGB in a PNG file, or linear and without a world in an EXR."""
    scene = bpy.context.scene
    if scene.camera is None:
        camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        camera.location = (0, 0, 6)
        scene.collection.objects.link(camera)
        scene.camera = camera
        scene.render.engine = "CYCLES"
        scene.cycles.use_denoising = False
        scene.render.resolution_x = scene.render.resolution_y = 16
        scene.view_settings.view_transform = "Standard"
    scene.cycles.samples = samples
    scene.render.film_transparent = path.suffix == ".exr"
    scene.render.image_settings.file_format = "OPEN_EXR" if path.suffix == ".exr" else "PNG"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return np.array(bpy.data.images.load(str(path)).pixels[:]).reshape(16, 16, 4)


def one_gaussian(colour: np.ndarray) -> Splats:
    """A nearly opaque ball of deviation 1 at the origin, with label 1."""
    return Splats(
        np.zeros((1, 3), np.float32),
        np.array([[1, 0, 0, 0]], np.float32),
        np.zeros((1, 3), np.float32),
        np.array([12], np.float32),
        ((colour - 0.5) / 0.28209479177387814)[None, None],
        {"label": np.array([1], np.int32), "confidence": np.ones(1, np.float32)},
    )


def test_a_large_scene_shows_a_share_of_its_discs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collections, "DISC_BUDGET", 500)
    splats = write_example(tmp_path / "in", labelled_splats(4000))
    scene = as_discs(tmp_path / "in")
    shown = [len(instances_of(child.objects[0])) for child in scene.children]
    assert 400 < sum(shown) < 600
    counts = np.bincount(splats.extra["label"])[[1, 2, 3, 0]]
    np.testing.assert_allclose(np.array(shown) / counts, 0.125, atol=0.04)


def test_a_mesh_stands_for_its_gaussians(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "MESH")
    seen, beneath = scene.children[0].objects
    assert (len(seen.data.vertices), len(seen.data.polygons)) == (4, 4)
    assert seen.data.polygons[0].normal.dot((0, 0, -1)) > 0.99
    colours = np.empty(16, np.float32)
    seen.data.attributes["Col"].data.foreach_get("color_srgb", colours)
    np.testing.assert_allclose(colours.reshape(4, 4)[3], [128 / 255, 128 / 255, 128 / 255, 1], atol=0.003)
    assert beneath.hide_viewport
    assert beneath.hide_render
    assert beneath.parent == seen
    assert "invented" not in seen.data.attributes
    # The third object is too thin for a surface and the background has none: both are points to be seen.
    for child in scene.children[2:]:
        (thing,) = child.objects
        assert not thing.hide_viewport


def test_faces_that_no_camera_saw_are_marked(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    path = tmp_path / "in" / "meshes" / "0001.ply"
    write_mesh(read_mesh(path)._replace(invented=np.array([False, True, False, True])), path)
    scene = session.import_folder(tmp_path / "in", "MESH")
    marks = np.empty(4, bool)
    scene.children[0].objects[0].data.attributes["invented"].data.foreach_get("value", marks)
    assert marks.tolist() == [False, True, False, True]


def test_a_mesh_is_rendered_in_its_colours_without_a_lamp(tmp_path: Path) -> None:
    write_example(tmp_path / "in", one_gaussian(np.array([0.5, 0.5, 0.5])))
    # A cube looks the same however the capture is turned on import.
    corners = 2 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    squares = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]], np.int32)
    mesh = Mesh(
        corners,
        np.concatenate([squares[:, [0, 1, 2]], squares[:, [0, 2, 3]]]),
        np.tile(np.array([[200, 100, 40]], np.uint8), (8, 1)),
    )
    write_mesh(mesh, tmp_path / "in" / "meshes" / "0001.ply")
    session.import_folder(tmp_path / "in", "MESH")
    seen = rendered(tmp_path / "mesh.png")[8, 8, :3]
    np.testing.assert_allclose(255 * seen, [200, 100, 40], atol=2)


def test_a_texture_is_rendered_and_kept_in_the_file(tmp_path: Path) -> None:
    write_example(tmp_path / "in", one_gaussian(np.array([0.5, 0.5, 0.5])))
    cube = 2 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    squares = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]], np.int32)
    faces = np.concatenate([squares[:, [0, 1, 2]], squares[:, [0, 2, 3]]])
    # The right half of the picture.
    uv = np.tile(np.array([[0.7, 0.2], [0.9, 0.2], [0.9, 0.8]], np.float32), (12, 1, 1))
    picture = png(4, 1, [(200, 100, 40)] * 2 + [(40, 90, 210)] * 2)
    mesh = Mesh(cube, faces, np.full((8, 3), 90, np.uint8), None, Texture(uv, picture))
    write_mesh(mesh, tmp_path / "in" / "meshes" / "0001.ply")
    scene = session.import_folder(tmp_path / "in", "MESH")
    thing = scene.children[0].objects[0]
    kept = texture_of(thing.data)
    assert kept is not None
    assert kept[1] == picture
    np.testing.assert_array_equal(kept[0], uv.reshape(-1, 2))
    seen = rendered(tmp_path / "mesh.png")[8, 8, :3]
    np.testing.assert_allclose(255 * seen, [40, 90, 210], atol=2)
    (tmp_path / "in" / "meshes" / "0001.png").unlink()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    seen = rendered(tmp_path / "again.png")[8, 8, :3]
    np.testing.assert_allclose(255 * seen, [40, 90, 210], atol=2)


def test_a_result_without_meshes_is_refused_as_meshes(tmp_path: Path) -> None:
    write_example(tmp_path / "in", meshes=False)
    with pytest.raises(BadResult, match=r"no mesh .*0001\.ply") as caught:
        session.import_folder(tmp_path / "in", "MESH")
    assert "as points" in caught.value.remedy


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"ply\nformat binary_little_endian 1.0\nelement vertex 9000000000\nproperty float x\nend_header\n",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
        None,
    ],
    ids=["empty", "promises too much", "no faces", "is a splat"],
)
def test_a_broken_mesh_is_refused_and_leaves_nothing(tmp_path: Path, broken: bytes | None) -> None:
    write_example(tmp_path / "in")
    path = tmp_path / "in" / "meshes" / "0002.ply"
    path.write_bytes((tmp_path / "in" / "splats.ply").read_bytes() if broken is None else broken)
    with pytest.raises(BadResult, match=r"0002\.ply cannot be read"):
        session.import_folder(tmp_path / "in", "MESH")
    assert not bpy.data.collections
    assert not bpy.data.objects


@pytest.mark.parametrize("face", [(0, 1, 4), (0, 1, -1)])
def test_a_mesh_whose_faces_lead_nowhere_is_refused(tmp_path: Path, face: tuple) -> None:
    write_example(tmp_path / "in")
    write_tetrahedron(tmp_path / "in" / "meshes" / "0001.ply", [(0, 1, 2), face])
    with pytest.raises(BadResult, match="a vertex that does not exist"):
        session.import_folder(tmp_path / "in", "MESH")


def test_colours_of_objects_and_tags_follow_the_table(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    mug = scene.children["mug"]
    assert tuple(round(value, 4) for value in mug.splatlift.colour) == (0.25, 0.5, 0.9)
    np.testing.assert_allclose(mug.objects[0].color, (0.0509, 0.2140, 0.7874, 1), atol=1e-3)
    assert mug.color_tag == collections.nearest_tag((0.25, 0.5, 0.9)) == "COLOR_05"
    assert scene.children["background"].color_tag == "NONE"


def test_scenes_share_their_nodes_and_materials(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    for display in ("POINTS", "SPLATS", "MESH", "POINTS", "SPLATS", "MESH"):
        session.import_folder(tmp_path / "in", display)
    # Gaussians that Blender draws have a material and no nodes; beside meshes, the add-on draws them in every Blender.
    assert (len(bpy.data.node_groups), len(bpy.data.materials)) == (3, 3 + can_draw_splats())


def test_a_saved_scene_finds_its_nodes_again(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    before = len(bpy.data.node_groups)
    for group in bpy.data.node_groups:
        group.name = "renamed"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    session.import_folder(tmp_path / "in")
    assert len(bpy.data.node_groups) == before == 2

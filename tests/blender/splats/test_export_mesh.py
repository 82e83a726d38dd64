"""Surfaces to mesh files: read back by Blender they are where they were, in the colours they had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.errors import BadArgument
from protocol.formats import glb, usd
from protocol.result.meshes import Mesh, Texture, read_mesh, write_mesh
from tests.blender.example import write_example
from tests.protocol.pictures import png

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.splats.export_mesh import export_meshes  # noqa: E402

READ = {".obj": "wm.obj_import", ".stl": "wm.stl_import", ".ply": "wm.ply_import", ".glb": "import_scene.gltf"}
USD = {ending: "wm.usd_import" for ending in (".usdc", ".usda", ".usd") if bpy.app.build_options.usd}
IMPORT = READ | USD
RED, GREEN, BLUE, GREY = (200, 30, 20), (20, 180, 40), (30, 60, 210), (90, 100, 110)


def read_back(path: Path) -> list:
    before = set(bpy.data.objects)
    group, _, call = IMPORT[path.suffix].partition(".")
    assert getattr(getattr(bpy.ops, group), call)(filepath=str(path)) == {"FINISHED"}
    bpy.context.view_layer.update()
    return [each for each in bpy.data.objects if each not in before and each.type == "MESH"]


def corners(things: list) -> set[tuple[float, ...]]:
    every = [thing.matrix_world @ vertex.co for thing in things for vertex in thing.data.vertices]
    return {tuple(round(value, 3) + 0.0 for value in point) for point in every}


def write_textured(folder: Path, label: int) -> None:
    """Give the mesh of an object a texture with one colour for each face."""
    path = folder / "meshes" / f"{label:04d}.ply"
    centres = [((n % 2 + 0.5) / 2, 1 - (n // 2 + 0.5) / 2) for n in range(4)]
    uv = np.array([[(u - 0.1, v - 0.1), (u + 0.1, v - 0.1), (u, v + 0.1)] for u, v in centres], np.float32)
    colours = [RED, GREEN, BLUE, GREY][label - 1 :] + [RED, GREEN, BLUE, GREY][: label - 1]
    picture = png(4, 4, *[[colours[0]] * 2 + [colours[1]] * 2] * 2, *[[colours[2]] * 2 + [colours[3]] * 2] * 2)
    write_mesh(read_mesh(path)._replace(texture=Texture(uv, picture)), path)


def texels(thing: Any) -> dict[tuple[float, ...], tuple[int, ...]]:
    """The colour that the base of a surface has in each of its faces, by the middle of the face."""
    found = {}
    for face in thing.data.polygons:
        nodes = thing.material_slots[face.material_index].material.node_tree.nodes
        surface = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
        image = surface.inputs["Base Color"].links[0].from_node.image
        u, v = np.mean([thing.data.uv_layers.active.data[n].uv for n in face.loop_indices], 0)
        row, column = int(v * image.size[1]), int(u * image.size[0])
        pixel = np.array(image.pixels).reshape(image.size[1], image.size[0], -1)[row, column, :3]
        middle = thing.matrix_world @ face.center
        found[tuple(round(value, 2) + 0.0 for value in middle)] = tuple(np.rint(pixel * 255).astype(int).tolist())
    return found


def shown_texels(thing: Any) -> dict[tuple[float, ...], tuple[int, ...]]:
    path = Path(thing.users_collection[0].splatlift.source) / "meshes"
    label = thing.users_collection[0].splatlift.label
    colours = [RED, GREEN, BLUE, GREY][label - 1 :] + [RED, GREEN, BLUE, GREY][: label - 1]
    faces = read_mesh(path / f"{label:04d}.ply").faces
    assert [list(face.vertices) for face in thing.data.polygons] == faces.tolist()
    middles = [thing.matrix_world @ face.center for face in thing.data.polygons]
    return {
        tuple(round(value, 2) + 0.0 for value in middle): colour
        for middle, colour in zip(middles, colours, strict=True)
    }


@pytest.mark.parametrize("ending", [".obj", ".glb", *USD])
def test_textures_come_back(tmp_path: Path, ending: str) -> None:
    write_example(tmp_path / "in")
    write_textured(tmp_path / "in", 1)
    write_textured(tmp_path / "in", 2)
    scene = session.import_folder(tmp_path / "in", "MESH")
    mug, plant = (child.objects[0] for child in scene.children[:2])
    plant.location = (3, 0, 0)
    bpy.context.view_layer.update()
    expected = shown_texels(mug) | shown_texels(plant)
    blocks = [len(each) for each in (bpy.data.images, bpy.data.materials, bpy.data.objects)]
    assert export_meshes([scene], tmp_path / f"a{ending}") == 8
    assert [len(each) for each in (bpy.data.images, bpy.data.materials, bpy.data.objects)] == blocks
    written = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file())
    beside = {".obj": "", ".glb": None}.get(ending, "textures/")
    pictures = [] if beside is None else [f"{beside}a-texture-1.png", f"{beside}a-texture-2.png"]
    materials = ["a.mtl"] if ending == ".obj" else []
    assert [name for name in written if not name.startswith("in/")] == sorted([f"a{ending}", *materials, *pictures])

    moved = tmp_path / "moved"
    moved.mkdir()
    for each in list(tmp_path.iterdir()):
        if each.name not in ("in", "moved"):
            each.rename(moved / each.name)
    got = read_back(moved / f"a{ending}")

    assert {key: value for thing in got for key, value in texels(thing).items()} == expected
    if ending == ".glb":
        assert not any(thing.data.color_attributes for thing in got), "glTF would multiply them with the texture"


def test_a_painted_texture_and_a_material_of_the_user_are_exported(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_textured(tmp_path / "in", 1)
    scene = session.import_folder(tmp_path / "in", "MESH")
    mug, plant = (child.objects[0] for child in scene.children[:2])
    image: Any = next(image for image in bpy.data.images if image.name.startswith("mug"))
    image.pixels.foreach_set(np.tile(np.array([10, 20, 30, 255], np.float32) / 255, 16))
    own = bpy.data.materials.new("Mine")
    data: Any = plant.data
    data.materials[0] = own
    export_meshes([scene], tmp_path / "a.obj")
    got = {thing.name.partition(".")[0]: thing for thing in read_back(tmp_path / "a.obj")}
    assert set(texels(got["mug"]).values()) == {(10, 20, 30)}
    assert got["plant"].material_slots[0].material.name.startswith("Mine")
    assert (mug.material_slots[0].link, plant.material_slots[0].material) == ("DATA", own)


def test_lost_textures_are_said(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_textured(tmp_path / "in", 1)
    scene = session.import_folder(tmp_path / "in", "MESH")
    for ending in (".stl", ".ply"):
        with pytest.warns(UserWarning, match=f"{ending[1:].upper()} does not support textures"):
            export_meshes([scene], tmp_path / f"a{ending}")
    image = next(image for image in bpy.data.images if image.name.startswith("mug"))
    image.unpack(method="REMOVE")
    image.filepath = str(tmp_path / "nowhere.png")
    image.reload()
    with pytest.raises(BadArgument, match="pixels of the texture mug Texture are missing"):
        export_meshes([scene], tmp_path / "a.glb")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.ply", "a.stl", "in"]


@pytest.mark.parametrize("ending", list(READ))
def test_surfaces_come_back_where_they_were(tmp_path: Path, ending: str) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "MESH")
    mug, plant = (child.objects[0] for child in scene.children[:2])
    mug.location, mug.rotation_euler, mug.scale = (1, 2, 3), (0.3, 0.2, 0.1), (1, 2, 0.5)
    plant.hide_viewport = True
    bpy.context.view_layer.update()
    expected = corners([mug]) | {
        tuple(round(value, 3) + 0.0 for value in scene.objects[0].matrix_world @ vertex.co)
        for vertex in plant.data.vertices
    }
    before = set(bpy.data.collections)
    assert export_meshes([scene], tmp_path / f"out{ending}") == 8
    assert set(bpy.data.collections) == before
    assert [each.name for each in tmp_path.iterdir() if each.name != "in"] == [f"out{ending}"]
    assert (mug.name, plant.name, plant.hide_viewport) == ("mug", "plant", True)
    assert len(bpy.data.objects) == 7

    got = corners(read_back(tmp_path / f"out{ending}"))

    far = np.array(sorted(got))[:, None] - np.array(sorted(expected))[None]
    assert np.abs(far).max(-1).min(1).max() < 2e-3
    assert np.abs(far).max(-1).min(0).max() < 2e-3


@pytest.mark.parametrize("ending", [".obj", ".ply", ".glb", *USD])
def test_colours_come_back(tmp_path: Path, ending: str) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "MESH")
    before = set(bpy.data.meshes)
    export_meshes([scene.children[0]], tmp_path / f"out{ending}")
    assert set(bpy.data.meshes) == before
    (thing,) = read_back(tmp_path / f"out{ending}")
    check_colours(thing.data, "displayColor" if ending in USD else None)


def test_blenders_own_gltf_export_has_the_colours_and_no_light(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    session.import_folder(tmp_path / "in", "MESH", scale=2.0)
    mug = bpy.data.objects["mug"]
    mug.select_set(True)
    path = tmp_path / "out.glb"
    bpy.ops.export_scene.gltf(filepath=str(path), use_selection=True)
    (material,) = json.loads(path.read_bytes()[20:].split(b"BIN\0")[0][:-4])["materials"]
    assert "emissiveFactor" not in material
    assert "baseColorFactor" not in material["pbrMetallicRoughness"], "viewers multiply colours with it"
    (thing,) = read_back(path)
    check_colours(thing.data)
    assert corners([thing]) == corners([mug])


def check_colours(data: Any, name: str | None = None) -> None:
    """Check that a mesh has the colours of the example, as its first attribute of colours."""
    attribute = data.color_attributes[0]
    assert name in (None, attribute.name)
    colours = np.empty(4 * len(attribute.data), np.float32)
    attribute.data.foreach_get("color_srgb", colours)
    got = {tuple(row) for row in np.rint(colours.reshape(-1, 4)[:, :3] * 255).astype(int).tolist()}
    expected = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)])
    assert len(got) == 4
    assert all(np.abs(expected - each).max(1).min() <= 1 for each in got)


@pytest.mark.parametrize("ending", [".glb", ".usdc"])
def test_meshes_of_the_command_line_open_in_blender(tmp_path: Path, ending: str) -> None:
    """Upright, as both formats have y up, and in their colours, which both hold as linear ones."""
    if ending == ".usdc":
        pytest.importorskip("pxr.Sdf")
    colours = np.array([(255, 0, 0), (0, 255, 0), (10, 60, 200), (128, 128, 128)], np.uint8)
    points = np.array([(0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3)], np.float32)
    faces = np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)], np.int32)
    write = glb.write_mesh if ending == ".glb" else usd.write_mesh
    write(Mesh(points, faces, colours), tmp_path / f"a{ending}")
    (thing,) = read_back(tmp_path / f"a{ending}")
    assert len(thing.data.polygons) == 4
    # A capture's x right, y down, z front are Blender's x, -z, y.
    assert corners([thing]) == {(0, 0, 0), (1, 0, 0), (0, 0, -2), (0, 3, 0)}
    attribute = thing.data.color_attributes[0]
    got = np.empty(4 * len(attribute.data), np.float32)
    attribute.data.foreach_get("color_srgb", got)
    seen = {tuple(row) for row in np.rint(got.reshape(-1, 4)[:, :3] * 255).astype(int).tolist()}
    assert seen == {tuple(row) for row in colours.tolist()}


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    points = session.import_folder(tmp_path / "in", "POINTS")
    with pytest.raises(BadArgument, match="no surface to export in kitchen") as caught:
        export_meshes([points], tmp_path / "out.obj")
    assert "Mesh" in caught.value.remedy
    scene = session.import_folder(tmp_path / "in", "MESH")
    for name in ("out.fbx", "out", "nowhere/out.obj"):
        with pytest.raises(BadArgument, match="cannot be exported to"):
            export_meshes([scene], tmp_path / name)
    assert not list(tmp_path.glob("out*"))


def test_splats_beneath_a_mesh_are_no_surface(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "MESH")
    seen = scene.children[0].objects[0]
    seen.matrix_world = Matrix.Translation((1, 0, 0)) @ seen.matrix_world
    assert export_meshes([scene.children[0]], tmp_path / "out.stl") == 4

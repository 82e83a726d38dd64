"""Surfaces to mesh files: read back by Blender they are where they were, in the colours they had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadArgument
from protocol.formats import glb, usd
from protocol.result.meshes import Mesh
from tests.blender.example import write_example

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.splats.export_mesh import export_meshes  # noqa: E402

READ = {".obj": "wm.obj_import", ".stl": "wm.stl_import", ".ply": "wm.ply_import", ".glb": "import_scene.gltf"}
IMPORT = READ | {".usdc": "wm.usd_import"}


def read_back(path: Path) -> list:
    before = set(bpy.data.objects)
    group, _, call = IMPORT[path.suffix].partition(".")
    assert getattr(getattr(bpy.ops, group), call)(filepath=str(path)) == {"FINISHED"}
    bpy.context.view_layer.update()
    return [each for each in bpy.data.objects if each not in before and each.type == "MESH"]


def corners(things: list) -> set[tuple[float, ...]]:
    every = [thing.matrix_world @ vertex.co for thing in things for vertex in thing.data.vertices]
    return {tuple(round(value, 3) + 0.0 for value in point) for point in every}


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


@pytest.mark.parametrize("ending", [".obj", ".ply", ".glb"])
def test_colours_come_back(tmp_path: Path, ending: str) -> None:
    write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "MESH")
    export_meshes([scene.children[0]], tmp_path / f"out{ending}")
    (thing,) = read_back(tmp_path / f"out{ending}")
    attribute = thing.data.color_attributes[0]
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

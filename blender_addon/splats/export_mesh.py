"""Exports surfaces of objects to a mesh file with Blender's own exporters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from protocol.errors import BadArgument

from .attributes import is_splats
from .collections import HULL
from .export import world_matrix

ENDINGS = (".obj", ".glb", ".stl", ".ply")


def export_meshes(collections: Sequence[Any], path: Path) -> int:
    """Write the surfaces of collections to one mesh file, with transforms applied, and return the number of faces.

    Vertex colours are written if the format supports them. Axes are the defaults of Blender's exporters: y up in .obj
    and .glb, z up in .stl and .ply.

    Args:
        collections: of objects or whole scenes.
        path: ends in one of :data:`ENDINGS`, in an existing folder. An existing file is replaced.

    Raises:
        BadArgument: if there is no surface in them, or Blender cannot write ``path``.
    """
    path = Path(path).absolute()
    ending = path.suffix.lower()
    if ending not in ENDINGS or not path.parent.is_dir() or path.is_dir():
        raise BadArgument(
            f"Meshes cannot be exported to {path}.",
            f"Choose a file name that ends in {', '.join(ENDINGS)} in an existing folder.",
        )
    things = surfaces_of(collections)
    if not things:
        names = ", ".join(collection.name for collection in collections[:5]) or "nothing"
        raise BadArgument(
            f"There is no surface to export in {names}.",
            "Import the result with Show As set to Mesh, or export splats.",
        )
    bpy.context.view_layer.update()
    part = path.with_name(f".{path.stem}.part{ending}")
    try:
        with _shown_alone(things) as collection:
            _write(ending, str(part), collection)
        os.replace(part, path)
    except (RuntimeError, OSError) as error:
        raise BadArgument(f"Blender cannot export to {path}: {error}", "Choose another file.") from error
    finally:
        part.unlink(missing_ok=True)
    return sum(len(thing.data.polygons) for thing in things)


def surfaces_of(collections: Sequence[Any]) -> list[Any]:
    """Return the mesh objects with faces in collections and their subcollections, without duplicates and hulls."""
    things = {thing: None for collection in collections for thing in collection.all_objects if thing.type == "MESH"}
    return [thing for thing in things if len(thing.data.polygons) and not is_splats(thing.data) and not thing.get(HULL)]


@contextmanager
def _shown_alone(things: Sequence[Any]) -> Iterator[str]:
    """Give the name of a temporary collection with visible copies of ``things`` under their names.

    Exporters skip hidden objects, or get their transform wrong.
    """
    collection: Any = bpy.data.collections.new("SplatLift Export")
    names = [thing.name for thing in things]
    likes = []
    try:
        for thing, name in zip(things, names, strict=True):
            like = thing.copy()
            likes.append(like)
            like.parent = None
            like.matrix_world = world_matrix(thing)
            like.hide_viewport = like.hide_render = False
            thing.name = f"{name}.hidden"
            like.name = name
            collection.objects.link(like)
        bpy.context.scene.collection.children.link(collection)
        bpy.context.view_layer.update()
        yield collection.name
    finally:
        bpy.data.batch_remove([*likes, collection])
        for thing, name in zip(things, names, strict=True):
            thing.name = name


def _write(ending: str, path: str, collection: str) -> None:
    if ending == ".obj":
        bpy.ops.wm.obj_export(filepath=path, collection=collection, export_colors=True, export_materials=False)
    elif ending == ".stl":
        bpy.ops.wm.stl_export(filepath=path, collection=collection)
    elif ending == ".ply":
        bpy.ops.wm.ply_export(filepath=path, collection=collection, export_colors="SRGB")
    else:
        bpy.ops.export_scene.gltf(
            filepath=path,
            collection=collection,
            export_format="GLB",
            export_materials="NONE",
            export_vertex_color="ACTIVE",
        )

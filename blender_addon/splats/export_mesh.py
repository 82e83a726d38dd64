"""Exports surfaces of objects to a mesh file with Blender's own exporters."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bpy

from protocol.errors import BadArgument

from .attributes import is_splats
from .collections import HULL
from .columns import COLOUR
from .export import world_matrix
from .export_materials import plain_materials
from .mesh import texture_of

USD = (".usdc", ".usda", ".usd") if bpy.app.build_options.usd else ()
ENDINGS = (".obj", ".glb", *USD, ".stl", ".ply")
DISPLAY_COLOUR = "displayColor"
"""Name of the colours of a mesh in USD. Under another name, programs other than Blender do not show them."""
WITHOUT = (".stl", ".ply")
"""Endings of files that cannot have textures."""


def export_meshes(collections: Sequence[Any], path: Path) -> int:
    """Write the surfaces of collections to one mesh file, with transforms applied, and return the number of faces.

    A GLB contains its textures. Those of an OBJ are written next to it, and those of a USD file to the folder
    ``textures``, as PNG files whose names end in ``-texture.png``; several are numbered. Other formats drop them with a
    warning. Vertex colours are written if the format supports them. Axes are
    the defaults of Blender's exporters: y up in .obj and .glb, z up in the others.

    Args:
        collections: of objects or whole scenes.
        path: ends in one of :data:`ENDINGS`, in an existing folder. Existing files are replaced.

    Raises:
        BadArgument: if there is no surface in them, the pixels of a texture are missing, or Blender cannot write
            ``path``.
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
            "Show the objects as meshes (As Mesh in the Edit panel), or export their Gaussians.",
        )
    bpy.context.view_layer.update()
    if ending in WITHOUT and any(texture_of(thing.data) for thing in things):
        warnings.warn(f"{path}: {ending[1:].upper()} does not support textures; they were dropped.", stacklevel=2)
    try:
        # The files refer to one another by name, so they are written under their names, and replaced when complete.
        with TemporaryDirectory(prefix=f".{path.stem}.part", dir=path.parent) as folder:
            part, pictures = Path(folder, "new", path.name), Path(folder, f"{path.stem}-texture")
            part.parent.mkdir()
            colours = DISPLAY_COLOUR if ending in USD else COLOUR
            with _shown_alone(things, colours) as (collection, copies), plain_materials(copies, pictures):
                _write(ending, str(part), collection, any(map(_has_material, copies)))
            _move(part, path)
    except (RuntimeError, OSError) as error:
        raise BadArgument(f"Blender cannot export to {path}: {error}", "Choose another file.") from error
    return sum(len(thing.data.polygons) for thing in things)


def surfaces_of(collections: Sequence[Any]) -> list[Any]:
    """Return the mesh objects with faces in collections and their subcollections, without duplicates and hulls."""
    things = {thing: None for collection in collections for thing in collection.all_objects if thing.type == "MESH"}
    return [thing for thing in things if len(thing.data.polygons) and not is_splats(thing.data) and not thing.get(HULL)]


@contextmanager
def _shown_alone(things: Sequence[Any], colours: str) -> Iterator[tuple[str, list[Any]]]:
    """Give the name of a temporary collection with visible copies of ``things`` under their names, and the copies.

    Exporters skip hidden objects, or get their transform wrong.

    Args:
        colours: name of the attribute of colours in the copies.
    """
    collection: Any = bpy.data.collections.new("SplatLift Export")
    names = [thing.name for thing in things]
    likes, meshes = [], {}
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
            if colours != COLOUR and COLOUR in like.data.attributes:
                like.data = meshes[thing.data] = meshes.get(thing.data) or thing.data.copy()
                like.data.attributes[COLOUR].name = colours
        bpy.context.scene.collection.children.link(collection)
        bpy.context.view_layer.update()
        yield collection.name, likes
    finally:
        bpy.data.batch_remove([*likes, *meshes.values(), collection])
        for thing, name in zip(things, names, strict=True):
            thing.name = name


def _move(part: Path, path: Path) -> None:
    """Move a file, and all files next to it and below its folder, to another folder; the file last."""
    files = [file for file in part.parent.rglob("*") if file.is_file()]
    for file in sorted(files, key=lambda file: file == part):
        target = path.parent / file.relative_to(part.parent)
        target.parent.mkdir(exist_ok=True)
        os.replace(file, target)


def _has_material(thing: Any) -> bool:
    return any(slot.material is not None for slot in thing.material_slots)


def _write(ending: str, path: str, collection: str, materials: bool) -> None:
    if ending == ".obj":
        bpy.ops.wm.obj_export(
            filepath=path,
            collection=collection,
            export_colors=True,
            export_materials=materials,
            path_mode="COPY",
        )
    elif ending == ".stl":
        bpy.ops.wm.stl_export(filepath=path, collection=collection)
    elif ending == ".ply":
        bpy.ops.wm.ply_export(filepath=path, collection=collection, export_colors="SRGB")
    elif ending == ".glb":
        # Programs multiply a texture with colours of vertices, so a mesh has those only without a material.
        bpy.ops.export_scene.gltf(
            filepath=path,
            collection=collection,
            export_format="GLB",
            export_vertex_color="MATERIAL",
            export_all_vertex_colors=False,
        )
    else:
        bpy.ops.wm.usd_export(filepath=path, collection=collection, **_copying_textures())


def _copying_textures() -> dict[str, Any]:
    """Return the option of Blender's USD exporter for textures, which Blender 4.3 renamed."""
    operator: Any = bpy.ops.wm.usd_export
    known = operator.get_rna_type().properties.keys()
    return {"export_textures_mode": "NEW"} if "export_textures_mode" in known else {"export_textures": True}

"""Exports objects of a result folder to files for other programs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray

from backend.objects import export_masks
from backend.objects.mesh.stored import stored_mesh
from protocol.errors import BadArgument, NotFound
from protocol.formats import glb, usd
from protocol.formats.registry import Format, check_here, format_of
from protocol.formats.write import output_file, write_splats
from protocol.result.gaussians import read_splats
from protocol.result.meshes import Mesh, Texture
from protocol.result.names import LABEL
from protocol.result.table import ObjectTable, read_table
from protocol.splats import Splats
from protocol.transform import transform

BACKGROUND = "background"


class Exported(NamedTuple):
    """The number of written items, and their kind."""

    number: int
    what: str


def export_objects(
    folder: Path, wanted: Sequence[str], to: Path, name: str | None = None, *, labels: bool = False
) -> Exported:
    """Write objects of a result to ``to``, with moves from Blender applied.

    Warns about data that the format cannot store.

    Args:
        folder: a result folder.
        wanted: ids or names from ``objects.json``; "all" means every object, "background" the rest.
        to: a file, or a folder for formats that are folders.
        name: of one of :data:`protocol.formats.registry.FORMATS`; default: by the ending of ``to``.
        labels: whether the label of each Gaussian is written too, see :func:`protocol.formats.write.write_splats`.

    Raises:
        BadResult: if the folder is not a result. NotFound: if it lacks an object. BadSplats: if an object was scaled
            non-uniformly, there are no Gaussians, or the file cannot be written. BadArgument: if the format is unknown,
            or the objects have no surface. Unavailable: if the format needs a package that is not installed.
    """
    chosen = format_of(to, name)
    check_here(chosen)
    if labels and chosen.kind != "gaussians":
        raise BadArgument(f"The format {chosen.name} does not store Gaussians.", "Remove --labels.")
    table = read_table(folder)
    ids = ids_of(table, wanted, folder)
    if chosen.kind == "masks":
        return _export_masks(folder, table, ids, to, chosen)
    splats = read_splats(folder)
    splats = _placed(splats.pick(np.isin(splats.extra[LABEL], ids)), table)
    if chosen.kind == "gaussians":
        write_splats(splats, to, chosen, labels=labels)
        return Exported(len(splats), "Gaussians")
    if not len(splats):
        raise BadArgument(f"The objects {', '.join(wanted)} have no Gaussians.", "Choose other objects.")
    if chosen.kind == "labels":
        _write_labels(splats.extra[LABEL], to)
        return Exported(len(splats), "labels")
    mesh = stored_mesh(folder, table, ids, splats)
    if mesh is None:
        raise BadArgument(f"The objects {', '.join(wanted)} have too few Gaussians for a mesh.", "Export them as .ply.")
    write_mesh(mesh, to, chosen)
    return Exported(len(mesh.faces), "triangles")


def write_mesh(mesh: Mesh, to: Path, chosen: Format) -> None:
    """Write a mesh in one of the formats for meshes; warns about data that the format cannot store.

    The texture of an OBJ or USD file is written next to it, to a file whose name ends in ``-texture.png``.

    Raises:
        BadSplats: if the file cannot be written. Unavailable: if a package is missing.
    """
    lacks = chosen.lacks
    if mesh.texture is not None and not chosen.textures:
        mesh, lacks = mesh._replace(texture=None), " and ".join(each for each in (lacks, "textures") if each)
    if mesh.texture is not None and chosen.name != "mesh-glb":
        with output_file(_picture_of(to)) as part:
            part.write_bytes(mesh.texture.png)
    with output_file(to) as part:
        if chosen.name == "mesh-glb":
            glb.write_mesh(mesh, part)
        elif chosen.name == "mesh-usd":
            usd.write_mesh(mesh, part, f"./{_picture_of(to).name}")
        elif mesh.texture is not None:
            _write_textured_obj(mesh, mesh.texture, to, part)
        else:
            shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colours, process=False)
            data = shape.export(file_type=chosen.name.removeprefix("mesh-"))
            part.write_bytes(data if isinstance(data, bytes) else str(data).encode())
    if lacks:
        warnings.warn(f"{to}: {chosen.title} does not support {lacks}; they were dropped.", stacklevel=2)


def _picture_of(to: Path) -> Path:
    """Return the path of the texture of an exported mesh."""
    return to.with_name(f"{to.stem}-texture.png")


def _write_textured_obj(mesh: Mesh, texture: Texture, to: Path, part: Path) -> None:
    """Write an OBJ to ``part``, which is renamed to ``to``, and its materials next to it."""
    materials = to.with_name(f"{to.stem}.mtl")
    with output_file(materials) as file:
        file.write_text(f"newmtl texture\nKd 1 1 1\nmap_Kd {_picture_of(to).name}\n", "utf-8")
    uv, corner = np.unique(texture.uv.reshape(-1, 2), axis=0, return_inverse=True)
    both = np.stack([mesh.faces + 1, corner.reshape(-1, 3) + 1], -1).reshape(-1, 6)
    with part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"mtllib {materials.name}\nusemtl texture\n")
        np.savetxt(file, np.column_stack([mesh.vertices, mesh.colours / 255]), "v %.7g %.7g %.7g %.4f %.4f %.4f")
        np.savetxt(file, uv, "vt %.7g %.7g")
        np.savetxt(file, both, "f %d/%d %d/%d %d/%d")


def _export_masks(folder: Path, table: ObjectTable, ids: Sequence[int], to: Path, chosen: Format) -> Exported:
    rows = [row for row in table.objects if row.id in ids]
    moved = [row.name for row in rows if row.matrix is not None]
    if moved:
        warnings.warn(
            f"{to}: the masks show {', '.join(moved)} at their position in the photographs, without later moves.",
            stacklevel=3,
        )
    write = export_masks.write_pictures if chosen.name == "masks-png" else export_masks.write_coco
    return Exported(write(folder, rows, to), "masks")


def _write_labels(labels: NDArray, to: Path) -> None:
    with output_file(to) as part, part.open("wb") as file:
        np.save(file, labels.astype(np.int32), allow_pickle=False)


def ids_of(table: ObjectTable, wanted: Sequence[str], folder: Path) -> list[int]:
    """Return the labels of objects given by id or name; "all" means every object, "background" the rest.

    Raises:
        NotFound: if the table lacks one.
    """
    by_word = {BACKGROUND: 0} | {word: row.id for row in table.objects for word in (str(row.id), row.name)}
    ids: dict[int, None] = {}
    for word in wanted:
        if word not in by_word and word != "all":
            raise NotFound(f"{folder} has no object {word!r}.", f"Choose an object from 1 to {len(table.objects)}.")
        ids |= dict.fromkeys(row.id for row in table.objects) if word == "all" else {by_word[word]: None}
    return list(ids)


def _placed(splats: Splats, table: ObjectTable) -> Splats:
    """Move objects to their position in Blender."""
    moved = {row.id: row.matrix for row in table.objects if row.matrix is not None}
    for label, matrix in moved.items():
        rows = np.flatnonzero(splats.extra[LABEL] == label)
        own = transform(splats.pick(rows), np.array(matrix))
        for name in ("means", "quats", "scales", "sh"):
            getattr(splats, name)[rows] = getattr(own, name)
    return splats

"""Writes edits back to the result folder that a scene was imported from.

The new folder is a normal result, which can be imported, exported and edited again:

- ``objects.json``: a row per remaining object, with its name and colour. ``id`` is the label; labels of deleted objects
  are not reused, and new objects get new ones. ``count``, ``min``, ``max``, ``centre`` and ``confidence`` are computed
  from its Gaussians; ``views`` comes from the object that most of them came from. An object that was moved has
  ``matrix``, 4 rows of 4 numbers: the transform from the capture to the object's current position, in the frame of the
  capture. Moving the whole scene by its placement is not an edit.
- ``splats.ply``: the remaining Gaussians, including duplicates, with ``label``, ``confidence`` and, after any deletion
  or duplication, ``splat_row``: the row of a Gaussian in the ``splats.ply`` before all edits. Gaussians are stored at
  their captured position; ``matrix`` moves them. The background has no row for a matrix, so its transform is applied.
  If an object has several pieces, they are stored relative to the first.
- ``parts.json`` and the column ``part``, if the result has them: the parts that the objects have now, with their names
  and colours.
- ``embedding.npy`` in the same order. ``objects/NNNN.ply`` with ``matrix`` applied. ``meshes/NNNN.ply`` of objects that
  are shown as meshes, or whose Gaussians are unchanged.
- ``before-edits/``: the whole result before the first edit. ``labels/``, ``overview.png`` and the turntable show the
  original scene; once anything but names and colours has changed, they exist only there.

Everything is written to a new folder next to the old one, which then replaces it: if anything fails, the old folder is
complete.
"""

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import bpy
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from protocol.errors import BadSplats, Unavailable
from protocol.ply import write_ply
from protocol.result.colours import colour_of
from protocol.result.embedding import read_embedding, write_embedding
from protocol.result.folder import whole_folder
from protocol.result.gaussians import map_rows
from protocol.result.meshes import Mesh, Texture, texture_path, write_mesh
from protocol.result.names import (
    BACKUP,
    CONFIDENCE,
    EMBEDDING,
    LABEL,
    MAX_LABEL,
    MESHES,
    OBJECTS,
    PICTURES_OF_LABELS,
    ROW,
    SPLATS,
    TABLE,
    mesh_path,
    object_path,
)
from protocol.result.parts import read_parts, write_parts
from protocol.result.rows import Rows, read_rows
from protocol.result.table import Matrix4, ObjectRow, object_row, read_table, rewrite_table
from protocol.splats import Splats, merge
from protocol.store import link_or_copy
from protocol.transform import decompose, transform

from ..session import source_of
from ..splats.collections import placement_of
from ..splats.columns import COLOUR, read_positions
from ..splats.export import world_matrix
from ..splats.mesh import INVENTED, texture_of
from ..splats.origins import UNMOVED, is_unmoved, moved, origin_of, translation
from .modes import outside_edit_mode
from .parts import Piece, check_local, parts_of, pieces_of, refresh_part
from .saving_parts import inner_parts, named, read_piece, separate_inner, with_true_parts
from .surfaces import check_scale, relative

OF_OBJECTS = (OBJECTS, MESHES)
REMEDY = "Export the scene instead."


class Edited(NamedTuple):
    """A part to write: ``splats`` in the frame of the capture, and ``matrix`` (4, 4), their transform since."""

    part: Any
    splats: Splats
    matrix: NDArray[np.float64]

    @property
    def label(self) -> int:
        return self.part.splatlift.label


@dataclass(frozen=True)
class Original:
    """The result before its first edit.

    Attributes:
        folder: its path.
        labels: (N,) of its Gaussians.
        known: the row of each Gaussian of the first import.
        columns: names of the extra columns of its ``splats.ply``.
        rows: of its ``objects.json``, by id.
    """

    folder: Path
    labels: NDArray[np.int32]
    known: Rows
    columns: tuple[str, ...]
    rows: dict[int, ObjectRow]

    def places_of(self, splats: Splats) -> NDArray[np.int64]:
        """Return the original row of each Gaussian, (M,).

        Raises:
            BadSplats: if a Gaussian has no original row.
        """
        if ROW not in splats.extra:
            raise BadSplats(f"Gaussians no longer have the attribute {ROW}.", "Import the result again.")
        places = self.known.places_of(splats.extra[ROW])
        if (places < 0).any():
            raise BadSplats("Gaussians come from another result.", "Export the scene instead.")
        return places


@outside_edit_mode
def save_edits(scene: Any) -> Path:
    """Write the current state of an imported scene to its result folder and return that folder.

    Raises:
        BadResult: if the folder is missing or not a result.
        BadArgument: if the scene is linked from another file.
        BadSplats: if an object is scaled non-uniformly, mirrored or sheared, its Gaussians lost attributes, or none is
            left.
        Unavailable: if the disk fails; then the folder is unchanged.
    """
    check_local(scene)
    folder = source_of(scene)
    read_table(folder, REMEDY)
    backup = folder / BACKUP
    before = _read_original(backup if (backup / TABLE).is_file() else folder)
    bpy.context.view_layer.update()
    parts = parts_of(scene)
    _separate_labels(parts)
    separate_inner(parts)
    edited = [each for each in (_edited(part, _frame(scene)) for part in parts) if len(each.splats)]
    if not edited:
        raise BadSplats("The scene has no Gaussians left to save.", "Undo the last deletion.")
    try:
        with whole_folder(folder) as new:
            _copy_tree(folder, new, leave=(SPLATS, TABLE, EMBEDDING, *OF_OBJECTS))
            if before.folder == folder:
                _copy_tree(folder, new / BACKUP, leave=())
            if not _write_gaussians(new, edited, before, folder):
                for name in PICTURES_OF_LABELS:
                    _drop(new / name)
            _write_objects(new, edited, before)
            names = names_of([each.part for each in edited])
            rows = [_row(each, names[each.part], before) for each in edited if each.label]
            rewrite_table(new, rows, present=folder, original=before.folder)
    except OSError as error:
        raise Unavailable(
            f"The edits cannot be written to {folder}: {error.strerror}.", "The result is unchanged."
        ) from error
    return folder


def _read_original(folder: Path) -> Original:
    table = read_table(folder, REMEDY)
    stored = map_rows(folder, REMEDY)
    labels = np.array(stored[LABEL], np.int32)
    return Original(folder, labels, read_rows(folder), stored.dtype.names or (), {row.id: row for row in table.objects})


def _frame(scene: Any) -> NDArray[np.float64]:
    """Return the matrix (4, 4) from the capture to the current frame of the whole scene."""
    upright = placement_of(scene)
    if upright is None:
        return np.array(scene.splatlift.placement, np.float64).reshape(4, 4)
    frame = np.array(world_matrix(upright), np.float64)
    check_scale(upright, frame)
    return frame


def _separate_labels(parts: list[Any]) -> None:
    """Give parts that share a label, for example copies of a collection, labels of their own."""
    used: set[int] = set()
    for part in parts:
        known = part.splatlift
        if known.kind == "OBJECT" and known.label in used:
            known.label = 1 + max(each.splatlift.label for each in parts)
            known.object_id = str(uuid.uuid4())
            if known.label > MAX_LABEL:
                raise BadSplats(f"A result cannot have labels above {MAX_LABEL}.", "Merge objects first.")
            known.colour = colour_of(known.label)
            refresh_part(part)
        used.add(known.label)


def _edited(part: Any, frame: NDArray[np.float64]) -> Edited:
    first, *rest = pieces_of(part)
    matrix = np.linalg.solve(frame, np.array(world_matrix(first.thing), np.float64))
    origin = origin_of(first.thing)
    if is_unmoved(matrix, origin):
        matrix = translation(origin)
    try:
        decompose(matrix)
        splats = [read_piece(first)]
        splats += [_moved(read_piece(each), relative(first.thing, each.thing)) for each in rest]
        whole = merge(splats) if rest else splats[0]
        whole = moved(whole, origin)
        matrix[:3, 3] -= matrix[:3, :3] @ origin
        if part.splatlift.kind == "BACKGROUND":
            whole, matrix = _moved(whole, matrix), np.eye(4)
    except BadSplats as error:
        raise BadSplats(f"The object {part.name!r} cannot be saved: {error.sentence}", error.remedy) from error
    return Edited(part, whole, matrix)


def _moved(splats: Splats, matrix: NDArray[np.float64]) -> Splats:
    return splats if np.allclose(matrix, np.eye(4), rtol=0, atol=UNMOVED) else transform(splats, matrix)


def _write_gaussians(folder: Path, edited: list[Edited], before: Original, present: Path) -> bool:
    """Write ``splats.ply``, the table of parts and the embedding of the edited result of the folder ``present``.

    Returns whether all Gaussians have their original labels and positions.
    """
    whole = merge([each.splats.with_columns(**{LABEL: _labels(each)}) for each in edited])
    places = before.places_of(whole)
    order = np.argsort(places, kind="stable")
    whole, places = whole.pick(order), places[order]
    table, whole = with_true_parts(read_parts(before.folder), whole, before.labels[places])
    if table is not None:
        write_parts(folder, named(table, names_of(inner_parts([each.part for each in edited])), read_parts(present)))
    untouched = np.array_equal(places, np.arange(before.known.count))
    names = [name for name in before.columns if name in whole.extra and name != ROW]
    kept = {name: whole.extra[name] for name in names}
    if not untouched:
        kept[ROW] = whole.extra[ROW]
    write_ply(replace(whole, extra=kept), folder / SPLATS)
    embedding = read_embedding(before.folder, before.known.count)
    if embedding is not None:
        write_embedding(folder, embedding[places])
    still = all(np.array_equal(each.matrix, np.eye(4)) for each in edited)
    return untouched and still and np.array_equal(whole.extra[LABEL], before.labels)


def _labels(each: Edited) -> NDArray[np.int32]:
    return np.full(len(each.splats), each.label, np.int32)


def _write_objects(folder: Path, edited: list[Edited], before: Original) -> None:
    """Write each object's file of Gaussians, and the known surfaces."""
    for name in OF_OBJECTS:
        if (before.folder / name).is_dir():
            (folder / name).mkdir()
    for each in [each for each in edited if each.label]:
        if (folder / OBJECTS).is_dir():
            write_ply(_moved(each.splats.without_columns(), each.matrix), object_path(folder, each.label))
        if not (folder / MESHES).is_dir():
            continue
        pieces, known = pieces_of(each.part), mesh_path(before.folder, each.label)
        if pieces[0].surface is not None:
            write_mesh(_surface(pieces), mesh_path(folder, each.label))
        elif known.is_file() and _is_whole(each, before):
            for path in (known, texture_path(known)):
                if path.is_file():
                    link_or_copy(path, folder / MESHES / path.name)


def _is_whole(each: Edited, before: Original) -> bool:
    """Whether an object has exactly its original Gaussians."""
    return np.array_equal(np.sort(before.places_of(each.splats)), np.flatnonzero(before.labels == each.label))


def _surface(pieces: list[Piece]) -> Mesh:
    """Return the surfaces of an object as one, in the frame of the capture.

    A surface of several pieces, which have several textures, has the colours of its vertices alone.
    """
    origin = origin_of(pieces[0].thing)
    corners, faces, colours, invented, uv = [], [], [], [], []
    texture = None
    for piece in [piece for piece in pieces if piece.surface is not None]:
        matrix = relative(pieces[0].thing, piece.surface)
        data = piece.surface.data
        data.calc_loop_triangles()
        triangles = np.empty((len(data.loop_triangles), 3), np.int32)
        data.loop_triangles.foreach_get("vertices", triangles.ravel())
        faces.append(triangles + sum(len(each) for each in corners))
        corners.append(read_positions(data) @ matrix[:3, :3].T + matrix[:3, 3] + origin)
        colours.append(_surface_colours(data))
        invented.append(_invented(data))
        texture = texture_of(data)
        if texture is not None:
            loops = np.empty((len(data.loop_triangles), 3), np.int32)
            data.loop_triangles.foreach_get("loops", loops.ravel())
            uv.append(texture[0][loops])
    kept = Texture(uv[0], texture[1]) if texture is not None and len(faces) == 1 else None
    return Mesh(*(np.concatenate(each) for each in (corners, faces, colours, invented)), texture=kept)


def _invented(data: Any) -> NDArray[np.bool_]:
    """Return which triangles of a surface belong to faces that no camera saw."""
    attribute = data.attributes.get(INVENTED)
    marks = np.zeros(len(data.polygons), bool)
    if attribute is not None and attribute.domain == "FACE" and attribute.data_type == "BOOLEAN":
        attribute.data.foreach_get("value", marks)
    polygons = np.empty(len(data.loop_triangles), np.int32)
    data.loop_triangles.foreach_get("polygon_index", polygons)
    return marks[polygons]


def _surface_colours(data: Any) -> NDArray[np.uint8]:
    colours = np.full((len(data.vertices), 4), 0.5, np.float32)
    attribute = data.attributes.get(COLOUR)
    if attribute is not None and attribute.domain == "POINT" and len(colours):
        attribute.data.foreach_get("color_srgb", colours.ravel())
    return np.round(255 * colours[:, :3].clip(0, 1)).astype(np.uint8)


def names_of(parts: list[Any]) -> dict[Any, str]:
    """Return a unique name for each part of one scene.

    The suffix that Blender adds if another scene of the file has an object of the same name is removed.
    """
    taken = {part.name for part in parts}
    names = {}
    for part in parts:
        known = part.splatlift.label_name
        numbered = re.fullmatch(rf"{re.escape(known)}\.\d{{3,}}", part.name)
        names[part] = known if numbered and known not in taken else part.name
        taken.add(names[part])
    return names


def _row(each: Edited, name: str, before: Original) -> ObjectRow:
    """Return the object's row of ``objects.json``."""
    r, g, b = (round(float(channel), 6) for channel in each.part.splatlift.colour)
    colour, matrix = (r, g, b), _matrix(each)
    if _is_whole(each, before) and each.label in before.rows:
        return structs.replace(before.rows[each.label], name=name, colour=colour, matrix=matrix)
    splats = each.splats
    came_from = before.rows.get(int(np.bincount(before.labels[before.places_of(splats)]).argmax()))
    views = came_from.views if came_from else 0
    confidence = splats.extra.get(CONFIDENCE)
    return object_row(
        each.label, name, splats.means, splats.opacities, confidence, colour=colour, views=views, matrix=matrix
    )


def _matrix(each: Edited) -> Matrix4 | None:
    return None if np.array_equal(each.matrix, np.eye(4)) else each.matrix.tolist()


def _copy_tree(source: Path, target: Path, leave: tuple[str, ...]) -> None:
    """Copy a folder except some names, by hard links if possible, because files are never modified in place."""

    def ignored(where: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(where) == source and name in leave]

    shutil.copytree(source, target, copy_function=link_or_copy, ignore=ignored, dirs_exist_ok=True)


def _drop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

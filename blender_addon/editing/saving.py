"""Write edits back to the result folder that a scene was imported from.

What is written is a result as a segmentation leaves it, to be imported, exported from and edited again:

- ``objects.json``: a row per object that is left, with its name and colour. ``id`` is the label; labels of objects that
  are gone are not used again, and new objects have new ones. ``count``, ``min``, ``max``, ``centre`` and ``confidence``
  are those of its Gaussians; ``views`` those of the object that most of them came from. An object that was moved has
  ``matrix``, 4 rows of 4 numbers: it takes points of the capture to where the object is now, still in the frame of the
  capture. Moving the whole scene by its placement is no edit.
- ``splats.ply``: the Gaussians that are left, those of duplicates included, with ``label``, ``confidence`` and, once
  any was deleted or duplicated, ``splat_row``: the row that a Gaussian had in the ``splats.ply`` of before all edits.
  They lie where they were captured; what moved them is ``matrix``. The background has no row to carry a matrix, so it
  is written where it lies; and where an object has pieces, they are written as they lie to the first.
- ``embedding.npy`` in the same order. ``objects/NNNN.ply`` with ``matrix`` baked in. ``meshes/NNNN.ply`` of objects
  that are shown as meshes, or whose Gaussians are still the same.
- ``before-edits/``: the whole result as it was before the first edit. ``labels/`` and ``overview.png`` show the scene
  of then, so that once anything but names and colours has changed they are there only.

All is written to a new folder beside the old one, which then takes its place: whatever fails, one of them is whole.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError

from protocol.errors import BadResult, BadSplats, Unavailable
from protocol.ply import write_ply
from protocol.splats import Splats, merge
from protocol.transform import decompose, transform

from ..splats.attributes import read_splats
from ..splats.collections import placement_of
from ..splats.columns import COLOUR, read_positions
from ..splats.export import UNMOVED, world_matrix
from ..splats.result import MAX_LABEL, ROW
from .columns import LABEL
from .modes import outside_edit_mode
from .parts import Piece, colour_of, parts_of, pieces_of, recolour, settle
from .similar import EMBEDDING, places_of, read_embedding, row_places
from .surfaces import relative

TABLE = "objects.json"
SPLATS = "splats.ply"
BACKUP = "before-edits"
OF_LABELS = ("labels", "overview.png")
"""What shows labels in pictures, which Blender cannot draw anew."""
OF_OBJECTS = ("objects", "meshes")


class Edited(NamedTuple):
    """A part as it is written: ``splats`` in the frame of the capture, ``matrix`` (4, 4) is what moved them since."""

    part: Any
    splats: Splats
    matrix: NDArray[np.float64]

    @property
    def label(self) -> int:
        return self.part.splatlift.label


class Original(NamedTuple):
    """The result before its first edit.

    Attributes:
        folder: where it is.
        labels: (N,) of its Gaussians.
        count: N.
        places: of rows, as :func:`.similar.row_places` tells them.
        columns: names of the extra columns of its ``splats.ply``.
        rows: of its ``objects.json``, by id.
    """

    folder: Path
    labels: NDArray[np.int32]
    count: int
    places: NDArray[np.intp] | None
    columns: tuple[str, ...]
    rows: dict[int, dict[str, Any]]

    def places_of(self, splats: Splats) -> NDArray[np.intp]:
        """Return where each of the Gaussians was, (M,).

        Raises:
            BadSplats: if one was not there.
        """
        if ROW not in splats.extra:
            raise BadSplats(f"Gaussians have lost the attribute {ROW}.", "Import the result again.")
        places = places_of(splats.extra[ROW], self.count, self.places)
        if (places < 0).any():
            raise BadSplats("Gaussians have come from another result.", "Export the scene instead.")
        return places


@outside_edit_mode
def save_edits(scene: Any) -> Path:
    """Write an imported scene as it is now to its result folder and return that.

    Raises:
        BadResult: if the folder is gone or no result.
        BadSplats: if an object is scaled unevenly, mirrored or sheared, its Gaussians lost attributes, or none is left.
        Unavailable: if the disk refuses; the folder is as it was then.
    """
    folder = Path(scene.splatlift.source)
    table = _read_table(folder)
    backup = folder / BACKUP
    before = _read_original(backup if (backup / TABLE).is_file() else folder)
    bpy.context.view_layer.update()
    parts = parts_of(scene)
    _separate_labels(parts)
    edited = [_edited(part, _frame(scene)) for part in parts]
    if not edited:
        raise BadSplats("The scene has no Gaussians left to save.", "Undo the last deletion.")
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        _copy_tree(folder, new, leave=(SPLATS, TABLE, EMBEDDING, *OF_OBJECTS))
        if before.folder == folder:
            _copy_tree(folder, new / BACKUP, leave=())
        if not _write_gaussians(new, edited, before):
            for name in OF_LABELS:
                _drop(new / name)
        _write_objects(new, edited, before)
        names = names_of([each.part for each in edited])
        rows = [_row(each, names[each.part], before) for each in edited if each.label]
        _write_json(new / TABLE, {**table, "objects": rows})
        _take_the_place_of(folder, new)
    except OSError as error:
        raise Unavailable(
            f"The edits cannot be written to {folder}: {error.strerror}.", "The result is as it was."
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


def _read_table(folder: Path) -> dict[str, Any]:
    path = folder / TABLE
    try:
        table = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResult(
            f"{path} cannot be read, and edits cannot be saved to that result.", "Export the scene instead."
        ) from error
    if not isinstance(table, dict) or not isinstance(table.get("objects"), list):
        raise BadResult(f"{path} is no table of objects.", "Export the scene instead.")
    return table


def _read_original(folder: Path) -> Original:
    path = folder / SPLATS
    rows = {row["id"]: row for row in _read_table(folder)["objects"] if isinstance(row, dict) and "id" in row}
    count, places = row_places(folder)
    try:
        vertex = PlyData.read(str(path), mmap="r")["vertex"]
        names = tuple(each.name for each in vertex.properties)
        labels = np.array(vertex[LABEL], np.int32)
    except (PlyParseError, KeyError, ValueError, OSError) as error:
        raise BadResult(f"{path} cannot be read: {error}.", "Export the scene instead.") from error
    return Original(folder, labels, count, places, names, rows)


def _frame(scene: Any) -> NDArray[np.float64]:
    """The matrix (4, 4) from the capture to where the whole scene is now."""
    upright = placement_of(scene)
    if upright is None:
        return np.array(scene.splatlift.placement, np.float64).reshape(4, 4)
    return np.array(world_matrix(upright), np.float64)


def _separate_labels(parts: list[Any]) -> None:
    """Give parts that share a label, as copies of a collection do, labels of their own."""
    used: set[int] = set()
    for part in parts:
        known = part.splatlift
        if known.kind == "OBJECT" and known.label in used:
            known.label = 1 + max(each.splatlift.label for each in parts)
            known.object_id = str(uuid.uuid4())
            if known.label > MAX_LABEL:
                raise BadSplats(f"A result cannot have labels beyond {MAX_LABEL}.", "Merge objects first.")
            recolour(part, colour_of(known.label))
            settle(part)
        used.add(known.label)


def _edited(part: Any, frame: NDArray[np.float64]) -> Edited:
    first, *rest = pieces_of(part)
    matrix = np.linalg.solve(frame, np.array(world_matrix(first.thing), np.float64))
    if np.allclose(matrix, np.eye(4), rtol=0, atol=UNMOVED):
        matrix = np.eye(4)
    try:
        decompose(matrix)
        splats = [read_splats(first.thing.data)]
        splats += [_moved(read_splats(each.thing.data), relative(first.thing, each.thing)) for each in rest]
        whole = merge(splats) if rest else splats[0]
        if part.splatlift.kind == "BACKGROUND":
            whole, matrix = _moved(whole, matrix), np.eye(4)
    except BadSplats as error:
        raise BadSplats(f"The object {part.name!r} cannot be saved: {error.sentence}", error.remedy) from error
    return Edited(part, whole, matrix)


def _moved(splats: Splats, matrix: NDArray[np.float64]) -> Splats:
    return splats if np.allclose(matrix, np.eye(4), rtol=0, atol=UNMOVED) else transform(splats, matrix)


def _write_gaussians(folder: Path, edited: list[Edited], before: Original) -> bool:
    """Write ``splats.ply`` and the embedding; say whether all Gaussians have the labels and places they had."""
    whole = merge([each.splats.with_columns(**{LABEL: _labels(each)}) for each in edited])
    places = before.places_of(whole)
    order = np.argsort(places, kind="stable")
    whole, places = whole.pick(order), places[order]
    untouched = np.array_equal(places, np.arange(before.count))
    names = [name for name in before.columns if name in whole.extra and name != ROW]
    kept = {name: whole.extra[name] for name in names}
    if not untouched:
        kept[ROW] = whole.extra[ROW]
    write_ply(replace(whole, extra=kept), folder / SPLATS)
    embedding = read_embedding(before.folder)
    if embedding is not None:
        np.save(folder / EMBEDDING, embedding[places])
    still = all(np.array_equal(each.matrix, np.eye(4)) for each in edited)
    return untouched and still and np.array_equal(whole.extra[LABEL], before.labels)


def _labels(each: Edited) -> NDArray[np.int32]:
    return np.full(len(each.splats), each.label, np.int32)


def _write_objects(folder: Path, edited: list[Edited], before: Original) -> None:
    """Write each object's file of Gaussians, and the surfaces that are known."""
    for name in OF_OBJECTS:
        if (before.folder / name).is_dir():
            (folder / name).mkdir()
    for each in [each for each in edited if each.label]:
        name = f"{each.label:04d}.ply"
        if (folder / "objects").is_dir():
            write_ply(_moved(each.splats.without_columns(), each.matrix), folder / "objects" / name)
        if not (folder / "meshes").is_dir():
            continue
        pieces = pieces_of(each.part)
        if pieces[0].surface is not None:
            _write_surface(pieces, folder / "meshes" / name)
        elif (before.folder / "meshes" / name).is_file() and _is_whole(each, before):
            _link(before.folder / "meshes" / name, folder / "meshes" / name)


def _is_whole(each: Edited, before: Original) -> bool:
    """Whether an object has the very Gaussians that it had before."""
    return np.array_equal(np.sort(before.places_of(each.splats)), np.flatnonzero(before.labels == each.label))


def _write_surface(pieces: list[Piece], path: Path) -> None:
    """Write the surfaces of an object as results have them, in the frame of its Gaussians."""
    corners, faces, colours = [], [], []
    for piece in [piece for piece in pieces if piece.surface is not None]:
        matrix = relative(pieces[0].thing, piece.surface)
        data = piece.surface.data
        data.calc_loop_triangles()
        triangles = np.empty((len(data.loop_triangles), 3), np.int32)
        data.loop_triangles.foreach_get("vertices", triangles.ravel())
        faces.append(triangles + sum(len(each) for each in corners))
        corners.append(read_positions(data) @ matrix[:3, :3].T + matrix[:3, 3])
        colours.append(_surface_colours(data))
    places, paint = np.concatenate(corners), np.concatenate(colours)
    vertex = np.empty(len(places), [(axis, "<f4") for axis in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
    for n, axis in enumerate("xyz"):
        vertex[axis] = places[:, n]
    for n, channel in enumerate(("red", "green", "blue")):
        vertex[channel] = paint[:, n]
    face = np.empty(sum(len(each) for each in faces), [("vertex_indices", "<i4", (3,))])
    face["vertex_indices"] = np.concatenate(faces)
    PlyData([PlyElement.describe(vertex, "vertex"), PlyElement.describe(face, "face")], byte_order="<").write(str(path))


def _surface_colours(data: Any) -> NDArray[np.uint8]:
    colours = np.full((len(data.vertices), 4), 0.5, np.float32)
    attribute = data.attributes.get(COLOUR)
    if attribute is not None and attribute.domain == "POINT" and len(colours):
        attribute.data.foreach_get("color_srgb", colours.ravel())
    return np.round(255 * colours[:, :3].clip(0, 1)).astype(np.uint8)


def names_of(parts: list[Any]) -> dict[Any, str]:
    """Return what parts of one scene are called, each by a name of its own.

    That is without the number which Blender adds where another scene of the file has an object of that name.
    """
    taken = {part.name for part in parts}
    names = {}
    for part in parts:
        known = part.splatlift.label_name
        numbered = re.fullmatch(rf"{re.escape(known)}\.\d{{3,}}", part.name)
        names[part] = known if numbered and known not in taken else part.name
        taken.add(names[part])
    return names


def _row(each: Edited, name: str, before: Original) -> dict[str, Any]:
    """The object's row of ``objects.json``; fields that are not known here stay as they were."""
    known, splats = each.part.splatlift, each.splats
    if not _is_whole(each, before) or each.label not in before.rows:
        means = splats.means.astype(np.float64)
        alphas = np.maximum(splats.alphas.astype(np.float64), 1e-6)
        confidence = splats.extra.get("confidence")
        numbers = {
            "count": len(splats),
            "min": _rounded(means.min(0)),
            "max": _rounded(means.max(0)),
            "centre": _rounded(np.average(means, axis=0, weights=alphas)),
            "confidence": 0.0 if confidence is None else round(float(np.average(confidence, weights=alphas)), 4),
            "views": 0,
        }
        came_from = int(np.bincount(before.labels[before.places_of(splats)]).argmax())
        numbers["views"] = before.rows.get(came_from, {}).get("views", 0)
    else:
        numbers = {}
    row = {**before.rows.get(each.label, {}), "id": each.label, "name": name, **numbers}
    row["colour"] = [round(float(channel), 6) for channel in known.colour]
    row.pop("matrix", None)
    if not np.array_equal(each.matrix, np.eye(4)):
        row["matrix"] = each.matrix.tolist()
    return row


def _rounded(values: NDArray) -> list[float]:
    return [round(float(value), 6) for value in values]


def _write_json(path: Path, record: dict[str, Any]) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


def _copy_tree(source: Path, target: Path, leave: tuple[str, ...]) -> None:
    """Copy a folder but for some names in it, by links where the disk has them: no file is ever written into."""

    def ignored(where: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(where) == source and name in leave]

    shutil.copytree(source, target, copy_function=_link, ignore=ignored)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _drop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take_the_place_of(folder: Path, new: Path) -> None:
    old = new.with_suffix(".old")
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)

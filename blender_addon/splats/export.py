"""Exports Blender objects to a file of Gaussians, with their transforms applied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument, BadSplats
from protocol.formats.registry import FORMATS, Format, format_of
from protocol.formats.write import write_splats
from protocol.splats import Splats, merge
from protocol.transform import transform

from .attributes import is_splats, read_splats
from .collections import BENEATH, lay_beneath, placement_of, splat_objects
from .origins import is_unmoved, moved, origin_of

Frame = Literal["CAPTURE", "WORLD"]
UPRIGHT = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""Rotation from Blender's axes (right, front, up) to those of a capture (right, down, front)."""


def formats_here() -> list[Format]:
    """Return the formats of Gaussians that this Blender can write."""
    return [each for each in FORMATS if each.kind == "gaussians" and not each.missing]


def export_objects(
    collections: Sequence[Any],
    path: Path,
    *,
    background: bool = True,
    frame: Frame = "CAPTURE",
    name: str | None = None,
    labels: bool = False,
) -> int:
    """Write the Gaussians of collections to one file and return their number.

    Deleted Gaussians are missing, moved ones have their new position, and duplicates are written too. Warns about data
    that the format cannot store.

    Args:
        collections: of objects, backgrounds or whole scenes; an object in several of them is written once.
        path: in an existing folder. An existing file is replaced.
        background: whether the backgrounds of scenes are written too.
        name: of a format for Gaussians in :data:`protocol.formats.registry.FORMATS`; default: by the ending of
            ``path``.
        labels: whether labels and confidences are written too; if the format cannot store them, labels are written next
            to the file.
        frame: "CAPTURE": world matrices are relative to the placement at import, so an object that was not moved is
            exported with the same bits, and a moved one at its new position. "WORLD": positions are those in Blender,
            with z up; formats that define which way is up are written upright.

    Raises:
        BadArgument: if there is nothing to write, the folder of ``path`` does not exist, or ``name`` or ``frame`` is
            unknown.
        BadSplats: if an object is scaled non-uniformly, is mirrored, or lost splat attributes, or the file cannot be
            written.
        Unavailable: if the format needs a package that is not installed.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise BadArgument(f"Gaussians cannot be exported to {path}.", "Choose a file name in an existing folder.")
    wanted = format_of(path, name, ("gaussians",))
    if frame not in get_args(Frame):
        raise BadArgument(f"The frame {frame!r} does not exist.", f"Choose one of {', '.join(get_args(Frame))}.")
    bpy.context.view_layer.update()
    things = {
        thing: collection for collection in collections for thing in exported_objects(collection, background=background)
    }
    pieces = [_placed(thing, _placement(collection, frame)) for thing, collection in things.items()]
    if not sum(len(piece) for piece in pieces):
        names = ", ".join(collection.name for collection in collections[:5]) or "nothing"
        raise BadArgument(f"There are no Gaussians to export in {names}.", "Choose objects that SplatLift imported.")
    splats = pieces[0] if len(pieces) == 1 else merge(pieces)
    if frame == "WORLD" and wanted.upright:
        splats = transform(splats, UPRIGHT)
    write_splats(splats, path, wanted, labels=labels)
    return len(splats)


def exported_objects(collection: Any, *, background: bool = True) -> list[Any]:
    """Return the objects with Gaussians that an export of ``collection`` contains.

    A whole scene includes children of its placement that are in other collections, as duplicates often are.
    """
    lay_beneath(collection)
    things = splat_objects(collection)
    if not background:
        behind = {
            thing
            for each in (collection, *collection.children_recursive)
            if each.splatlift.kind == "BACKGROUND"
            for thing in each.all_objects
        }
        things = [thing for thing in things if thing not in behind]
    upright = placement_of(collection) if collection.splatlift.kind == "SCENE" else None
    if upright is not None:
        inside = set(collection.all_objects)
        things += [
            each
            for each in upright.children_recursive
            if each not in inside and each.users_scene and is_splats(each.data) and not each.get(BENEATH)
        ]
    return things


def world_matrix(thing: Any) -> Any:
    """Return an object's current world matrix, even if ``matrix_world`` is outdated.

    The dependency graph does not evaluate objects that are in no view layer, such as Gaussians hidden under a mesh.
    """
    if thing.visible_get():
        return thing.matrix_world
    if thing.parent is None:
        return thing.matrix_basis
    return world_matrix(thing.parent) @ thing.matrix_parent_inverse @ thing.matrix_basis


def _placed(thing: Any, placement: NDArray[np.float64]) -> Splats:
    matrix = np.linalg.solve(placement, np.array(world_matrix(thing), np.float64))
    try:
        splats = _gaussians(thing)
        origin = origin_of(thing)
        if is_unmoved(matrix, origin):
            return moved(splats, origin)
        return transform(splats, matrix)
    except BadSplats as error:
        seen = thing.parent if thing.get(BENEATH) else thing
        raise BadSplats(f"The object {seen.name!r} cannot be exported: {error.sentence}", error.remedy) from error


def _placement(collection: Any, frame: Frame) -> NDArray[np.float64]:
    known = collection.splatlift
    if known.kind == "NONE" or frame == "WORLD":
        return np.eye(4)
    return np.array(known.placement, np.float64).reshape(4, 4)


def _gaussians(thing: Any) -> Splats:
    if not getattr(thing.data, "is_editmode", False):  # the attributes of a point cloud are always accessible
        return read_splats(thing.data)
    # In Edit Mode the attributes of a mesh are not accessible; a copy of the data is not in Edit Mode.
    thing.update_from_editmode()
    copy = thing.data.copy()
    try:
        return read_splats(copy)
    finally:
        bpy.data.meshes.remove(copy)

"""Objects of Blender -> a file of Gaussians, with what was moved, turned and scaled baked into them."""

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

Frame = Literal["CAPTURE", "WORLD"]
UNMOVED = 1e-6
"""Entries of a matrix as near to the identity as this are rounding of Blender's float32, not somebody's move."""


UPRIGHT = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""From Blender's axes, right, front and up, to those of a capture: right, down, front."""


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
    """Write the Gaussians of collections as one file and return how many they are.

    What was deleted is not there, what was moved is at its new place, and a duplicate is there twice. Warns of what the
    format cannot hold.

    Args:
        collections: of objects, backgrounds or whole scenes; an object in several of them is written once.
        path: its folder exists. An earlier file of that name is replaced.
        background: whether the backgrounds of scenes are written too.
        name: of a format for Gaussians in :data:`protocol.formats.registry.FORMATS`; default: the ending says which.
        labels: whether labels and confidences are written too; where the format has no place for them, labels beside.
        frame: "CAPTURE": an object's world matrix counts relative to the placement it was imported with, so an object
            nobody moved comes out bit for bit as it came in, and a moved one at its new place among the others.
            "WORLD": everything is where Blender has it, with z up; in formats that say which way is up, upright.

    Raises:
        BadArgument: if there is nothing to write, ``path`` is no file in an existing folder, the format is none, or
            ``frame`` neither.
        BadSplats: if an object is scaled by different factors along its axes, is mirrored, or lost splat attributes, or
            the file cannot be written.
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
    """Return the objects with Gaussians that an export of ``collection`` is made of.

    To a whole scene belongs also what stands under the scene's placement but was put into another collection, as it
    happens to duplicates.
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
    """Return an object's present world matrix, also where Blender has left ``matrix_world`` behind.

    The dependency graph does not evaluate what no view layer shows, such as the Gaussians hidden under a mesh.
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
        return splats if np.allclose(matrix, np.eye(4), rtol=0, atol=UNMOVED) else transform(splats, matrix)
    except BadSplats as error:
        seen = thing.parent if thing.get(BENEATH) else thing
        raise BadSplats(f"The object {seen.name!r} cannot be exported: {error.sentence}", error.remedy) from error


def _placement(collection: Any, frame: Frame) -> NDArray[np.float64]:
    known = collection.splatlift
    if known.kind == "NONE" or frame == "WORLD":
        return np.eye(4)
    return np.array(known.placement, np.float64).reshape(4, 4)


def _gaussians(thing: Any) -> Splats:
    if not getattr(thing.data, "is_editmode", False):  # a point cloud is within reach all the time
        return read_splats(thing.data)
    # In Edit Mode attributes are out of reach; a copy of the data is not in Edit Mode.
    thing.update_from_editmode()
    copy = thing.data.copy()
    try:
        return read_splats(copy)
    finally:
        bpy.data.meshes.remove(copy)

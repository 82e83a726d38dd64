"""The collections of objects that edits work on, and the Blender objects in them that hold Gaussians.

A part is the collection of an object or of the background. It contains one or more pieces, each of which holds
Gaussians. If objects are shown as meshes, the Gaussians are a hidden child of the mesh.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import bmesh
import bpy

from protocol.errors import BadArgument, BadSplats
from protocol.result.colours import BACKGROUND, colour_of
from protocol.result.names import MAX_LABEL

from .. import session
from ..splats.attributes import catch_up
from ..splats.collections import (
    ASIDE,
    BENEATH,
    HULL,
    SURFACE_OF,
    lay_beneath,
    linear,
    nearest_tag,
    splat_objects,
)
from ..splats.columns import count_of
from ..splats.marks import recount
from .columns import relabel

KINDS = ("OBJECT", "BACKGROUND")


class Piece(NamedTuple):
    """A Blender object that holds Gaussians, and the mesh that is shown in its place, or None."""

    thing: Any
    surface: Any

    @property
    def seen(self) -> Any:
        """The Blender object that a user moves and selects."""
        return self.surface or self.thing


def pieces_of(part: Any) -> list[Piece]:
    """Return the pieces of a part, oldest first; copies of meshes first get copies of their Gaussians."""
    lay_beneath(part)
    return [Piece(thing, thing.parent if thing.get(BENEATH) else None) for thing in splat_objects(part)]


def parts_of(scene: Any) -> list[Any]:
    """Return the parts of an imported scene that hold Gaussians, in order of label, background last."""
    background = session.background_of(scene)
    return [*session.objects_of(scene), *([background] if background else [])]


def scene_of(part: Any) -> Any:
    """Return the collection of the imported scene that a part belongs to.

    Raises:
        BadArgument: if ``part`` does not belong to an imported scene.
    """
    scenes = [each for each in session.scenes() if each.splatlift.scene_id == part.splatlift.scene_id]
    scene = next((each for each in scenes if part in each.children_recursive), None)
    if scene is None or part.splatlift.kind not in KINDS:
        raise BadArgument(f"{part.name!r} is not an object of an imported scene.", "Choose an imported collection.")
    return scene


def check_parts(parts: Iterable[Any]) -> list[Any]:
    """Return ``parts`` without duplicates.

    Raises:
        BadArgument: if it is empty, one is not a part, or they belong to different scenes.
    """
    several = list(dict.fromkeys(parts))
    if not several:
        raise BadArgument("No object is selected.", "Select an object in the view or in the list.")
    if len({scene_of(part) for part in several}) > 1:
        raise BadArgument(
            "The objects belong to different imported scenes.", "Edit the objects of one scene at a time."
        )
    return several


def new_part(like: Any, name: str) -> Any:
    """Create the collection of a new object in the scene of ``like``, with a new label, id and colour.

    Raises:
        BadArgument: if the scene has as many objects as a result can have.
    """
    scene = scene_of(like)
    label = 1 + max(each.splatlift.label for each in scene.children_recursive)
    if label > MAX_LABEL:
        raise BadArgument(f"A scene cannot have labels above {MAX_LABEL}.", "Merge objects first.")
    part = _add(scene, like, "OBJECT", name)
    part.splatlift.label = label
    part.splatlift.confidence = like.splatlift.confidence
    recolour(part, colour_of(label))
    return part


def background_for(like: Any) -> Any:
    """Return the background collection in the scene of ``like``, created if missing."""
    scene = scene_of(like)
    there = next((each for each in scene.children_recursive if each.splatlift.kind == "BACKGROUND"), None)
    if there is not None:
        return there
    part = _add(scene, like, "BACKGROUND", "background")
    part.splatlift.colour = BACKGROUND
    return part


def recolour(part: Any, colour: Sequence[float]) -> None:
    """Set the sRGB colour of a part: in the list, of its collection's icon, and in views by object colour."""
    r, g, b = colour
    part.splatlift.colour = (r, g, b)
    part.color_tag = nearest_tag((r, g, b)) if part.splatlift.kind == "OBJECT" else "NONE"
    for thing in part.all_objects:
        thing.color = linear((r, g, b))


def refresh_part(part: Any) -> None:
    """Update the labels and the count of a part after its Gaussians have changed."""
    pieces = pieces_of(part)
    for piece in pieces:
        # Catch up before relabelling: the old labels separate Gaussians that Blender's Join has combined. Exports
        # report moves that cannot be applied.
        with suppress(BadSplats):
            catch_up(piece.thing.data)
        relabel(piece.thing.data, part.splatlift.label)
        recount(piece.thing.data)
    part.splatlift.count = sum(points_of(piece.thing) for piece in pieces)


def refresh_or_dissolve(part: Any, heir: Any) -> None:
    """As :func:`refresh_part`; an empty part is dissolved into ``heir``."""
    for piece in [piece for piece in pieces_of(part) if not points_of(piece.thing)]:
        remove_piece(piece)
    refresh_part(part)
    if not part.splatlift.count:
        dissolve_part(part, heir)


def dissolve_part(part: Any, heir: Any) -> None:
    """Remove the collection of a part; other objects in it move to the collection ``heir``."""
    for child in list(part.children):
        heir.children.link(child)
    for thing in list(part.objects):
        part.objects.unlink(thing)
        if thing.get(BENEATH) or thing.users_collection:
            continue
        if thing.get(HULL) or ASIDE in thing:
            _remove(thing)
            continue
        heir.objects.link(thing)
    bpy.data.collections.remove(part)


def remove_part(part: Any) -> None:
    """Remove a part and everything in it from the file."""
    things = list(part.all_objects)
    for child in part.children_recursive:
        bpy.data.collections.remove(child)
    bpy.data.collections.remove(part)
    for thing in things:
        # Objects that a user has also linked to another collection stay there.
        if not thing.users_collection:
            _remove(thing)


def remove_piece(piece: Piece) -> None:
    """Remove a piece with its surface and hulls from the file."""
    for each in [*hulls_of(piece.seen), aside_of(piece.thing)]:
        if each is not None:
            _remove(each)
    _remove(piece.thing)
    if piece.surface is not None:
        _remove(piece.surface)


def aside_of(thing: Any) -> Any:
    """Return the mesh that is hidden while Gaussians are seen, or None."""
    return next((each for each in thing.children if ASIDE in each), None)


def hulls_of(seen: Any) -> list[Any]:
    """Return the collision hulls of what is seen of a piece."""
    return [each for each in seen.children if each.get(HULL)]


def points_of(thing: Any) -> int:
    """Return the number of points of an object, also in Edit Mode."""
    if thing.type == "MESH" and thing.mode == "EDIT":
        return len(bmesh.from_edit_mesh(thing.data).verts)
    return count_of(thing.data)


def own_data(thing: Any) -> Any:
    """Return an object's data-block, copied first if shared, so that an edit affects only this object."""
    if thing.data.users > 1:
        thing.data = thing.data.copy()
    return thing.data


def copy_piece(piece: Piece, part: Any, name: str) -> Piece:
    """Copy a piece with its data and its transform into a part and return the copy."""
    surface = None
    if piece.surface is not None:
        surface = _copy(piece.surface, part, name)
    thing = _copy(piece.thing, part, f"{name} Gaussians" if surface else name)
    if surface is not None:
        thing.parent = surface
        surface[SURFACE_OF] = thing
    aside = aside_of(piece.thing)
    if aside is not None:
        _copy(aside, part, f"{name} Mesh").parent = thing
    return Piece(thing, surface)


def name_part(part: Any, name: str) -> None:
    """Rename a part's collection and the objects in it."""
    part.name = part.splatlift.label_name = name
    for piece in pieces_of(part):
        piece.seen.name = name
        piece.seen.data.name = name
        if piece.surface is not None:
            piece.thing.name = piece.thing.data.name = f"{name} Gaussians"


def _add(scene: Any, like: Any, kind: str, name: str) -> Any:
    part: Any = bpy.data.collections.new(name)
    scene.children.link(part)
    known, source = part.splatlift, like.splatlift
    known.kind = kind
    known.scene_id = source.scene_id
    known.object_id = str(uuid.uuid4())
    known.label_name = name
    known.source = source.source
    known.placement = source.placement
    return part


def _copy(thing: Any, part: Any, name: str) -> Any:
    copy = thing.copy()
    copy.data = thing.data.copy()
    copy.name = copy.data.name = name
    part.objects.link(copy)
    return copy


def _remove(thing: Any) -> None:
    data = thing.data
    bpy.data.objects.remove(thing)
    if data.users == 0:
        bpy.data.batch_remove([data])

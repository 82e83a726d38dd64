"""The collections of objects that edits work on, and the Blender objects in them that hold Gaussians.

A part is the collection of an object, of the background, or of an inner part: a part of an object, whose collection is
in that of the object. It contains one or more pieces, each of which holds Gaussians. If objects are shown as meshes,
the Gaussians are a hidden child of the mesh.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
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
    splat_objects,
)
from ..splats.columns import count_of
from ..splats.marks import recount
from ..splats.painting import paint
from .columns import relabel

KINDS = ("OBJECT", "PART", "BACKGROUND")


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
        BadArgument: if it is empty, one is not a part, or linked from another file, or they belong to different
            scenes.
    """
    several = list(dict.fromkeys(parts))
    if not several:
        raise BadArgument("No object is selected.", "Select an object in the view or in the list.")
    for part in several:
        check_local(part)
    if len({scene_of(part) for part in several}) > 1:
        raise BadArgument(
            "The objects belong to different imported scenes.", "Edit the objects of one scene at a time."
        )
    return several


def new_part(like: Any, name: str) -> Any:
    """Create the collection of a new object in the scene of ``like``, with a new label, id and colour.

    At the level of parts, if ``like`` is an inner part, the new collection is another part of the same object.

    Raises:
        BadArgument: if the scene has as many objects as a result can have.
    """
    scene = scene_of(like)
    if like.splatlift.kind == "PART" and scene.splatlift.level == "PART":
        return new_inner(session.object_of(like), like, name)
    return _new(scene, scene, like, "OBJECT", name)


def new_inner(whole: Any, like: Any, name: str) -> Any:
    """Create the collection of a new part of the object ``whole``, with a new label, id and colour.

    Raises:
        BadArgument: if the scene has as many parts as a result can have.
    """
    return _new(scene_of(whole), whole, like, "PART", name)


def check_filled(part: Any) -> None:
    """Refuse a part without Gaussians.

    Raises:
        BadArgument: if all of them were deleted, or lost their attributes.
    """
    if not splat_objects(part):
        raise BadArgument(
            f"{part.name!r} has no Gaussians: they were deleted, or lost their attributes.",
            "Undo that, or import the result again.",
        )


def check_local(collection: Any) -> None:
    """Refuse to edit a collection of another file.

    Raises:
        BadArgument: if ``collection`` is linked, or a library override.
    """
    if collection.library is not None or collection.override_library is not None:
        raise BadArgument(
            f"{collection.name!r} is linked from another file and cannot be edited here.",
            "Edit it in that file, or append it instead of linking it.",
        )


class Counterparts:
    """Where pieces go that become a new object: each part of the old object gets a part in the new one.

    Args:
        new: the collection of the new object or part.
        old: that of the old one. If it is an inner part, ``new`` has no parts.
    """

    def __init__(self, new: Any, old: Any) -> None:
        self._new = new
        self._is_flat = "PART" in (new.splatlift.kind, old.splatlift.kind)
        self._made: dict[Any, Any] = {}

    def of(self, piece: Piece) -> Any:
        """Return the collection for a piece of the old object."""
        inner = inner_of(piece)
        if inner is None or self._is_flat:
            return self._new
        if inner not in self._made:
            self._made[inner] = new_inner(self._new, inner, inner.name)
        return self._made[inner]


def inner_of(piece: Piece) -> Any:
    """Return the inner part that a piece is in, or None."""
    return next((each for each in piece.seen.users_collection if each.splatlift.kind == "PART"), None)


def nest(part: Any) -> None:
    """Make a part without inner parts one with a single inner part that holds all of it."""
    if session.parts_of_object(part):
        return
    inner = new_inner(part, part, part.name)
    for thing in list(part.objects):
        part.objects.unlink(thing)
        inner.objects.link(thing)


def background_for(like: Any) -> Any:
    """Return the background collection in the scene of ``like``, created if missing."""
    scene = scene_of(like)
    there = next((each for each in scene.children_recursive if each.splatlift.kind == "BACKGROUND"), None)
    if there is not None:
        return there
    part = _add(scene, like, "BACKGROUND", "background")
    part.splatlift.colour = BACKGROUND
    return part


def refresh_part(part: Any) -> None:
    """Update the labels, the count and the colours of a part after its Gaussians have changed."""
    whole = session.object_of(part)
    for piece in pieces_of(part):
        # Catch up before relabelling: the old labels separate Gaussians that Blender's Join has combined. Exports
        # report moves that cannot be applied.
        with suppress(BadSplats):
            catch_up(piece.thing.data)
        inner = inner_of(piece)
        relabel(piece.thing.data, whole.splatlift.label, inner.splatlift.label if inner is not None else None)
        recount(piece.thing.data)
    for each in {part, whole, *session.parts_of_object(part)}:
        each.splatlift.count = sum(points_of(thing) for thing in splat_objects(each))
    paint(scene_of(part))


def refresh_or_dissolve(part: Any, heir: Any) -> None:
    """As :func:`refresh_part`; an empty part is dissolved into ``heir``, and an empty inner part of it into itself."""
    for piece in [piece for piece in pieces_of(part) if not points_of(piece.thing)]:
        remove_piece(piece)
    refresh_part(part)
    if not part.splatlift.count:
        dissolve_part(part, heir)
        return
    for inner in [each for each in part.children if each.splatlift.kind == "PART" and not splat_objects(each)]:
        dissolve_part(inner, part)


def dissolve_part(part: Any, heir: Any) -> None:
    """Remove the collection of a part; other objects in it move to the collection ``heir``.

    An object whose last part this was is dissolved too.
    """
    whole = session.object_of(part)
    is_inner = whole != part
    for child in list(part.children):
        if child.splatlift.kind == "PART":
            _dissolve(child, heir)
        else:
            heir.children.link(child)
    _dissolve(part, heir)
    if is_inner and not splat_objects(whole):
        dissolve_part(whole, heir)


def _dissolve(part: Any, heir: Any) -> None:
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
    """Remove a part and everything in it from the file, and an object whose last part it was."""
    whole = session.object_of(part)
    if whole != part and not set(splat_objects(whole)) - set(splat_objects(part)):
        part = whole
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
    """Rename a part's collection and the objects in it, but for those of its inner parts."""
    part.name = part.splatlift.label_name = name
    inner = part.splatlift.kind == "PART"
    for piece in [piece for piece in pieces_of(part) if inner or inner_of(piece) is None]:
        piece.seen.name = name
        piece.seen.data.name = name
        if piece.surface is not None:
            piece.thing.name = piece.thing.data.name = f"{name} Gaussians"


def _new(scene: Any, parent: Any, like: Any, kind: str, name: str) -> Any:
    """Create the collection of a new object or part in ``parent``, with a label that its kind does not have yet."""
    known = [each.splatlift for each in scene.children_recursive if each.splatlift.kind == kind]
    label = 1 + max((each.label for each in known), default=0)
    if label > MAX_LABEL:
        raise BadArgument(f"A scene cannot have labels above {MAX_LABEL}.", "Merge objects first.")
    part = _add(parent, like, kind, name)
    part.splatlift.label = label
    part.splatlift.confidence = like.splatlift.confidence
    highest = max(each.splatlift.label for each in scene.children_recursive if each.splatlift.kind != "PART")
    part.splatlift.colour = colour_of(highest + label if kind == "PART" else label)
    return part


def _add(parent: Any, like: Any, kind: str, name: str) -> Any:
    part: Any = bpy.data.collections.new(name)
    parent.children.link(part)
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

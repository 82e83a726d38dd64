"""A result as collections: one for the scene, which contains one per object and one for the background.

The Gaussians keep the frame of the capture. An Empty per scene rotates that frame upright; it is the parent of every
object, so moving it moves the scene. Ids are stored as properties, because Blender may change names.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import bpy
import numpy as np
from mathutils import Matrix, Vector

from protocol.errors import BadArgument
from protocol.result.cameras import CameraRow
from protocol.result.meshes import Mesh

from .attributes import is_splats
from .cameras import NAME, add_cameras, remove_cameras
from .display import DISC_BUDGET, MODIFIER, disc_nodes, drawn_by, dress_cloud, points_nodes, splats_nodes
from .mesh import add_surface
from .native import TYPE, can_draw_splats, is_native
from .origins import ORIGIN, Place, extent_of, moved, origin_at
from .points import add_cloud, add_points
from .result import Inner, Part, Result

Origin = Literal["CAPTURE", Place]

BENEATH = "splatlift_beneath"
"""Custom property of an object with hidden Gaussians whose parent is the mesh that is shown instead."""

SURFACE_OF = "splatlift_surface_of"
"""Custom property of a mesh: the object that holds its Gaussians. A copy of the mesh still refers to it."""

ASIDE = "splatlift_aside"
"""Custom property of a mesh that is hidden while its Gaussians are shown: their number at that time."""

HULL = "splatlift_hull"
"""Custom property of a collision hull."""

PLACEMENT = "splatlift_placement"
"""Custom property of the object that rotates a scene upright."""

TAGS = {
    "COLOR_01": (0.89, 0.38, 0.36),
    "COLOR_02": (0.95, 0.64, 0.33),
    "COLOR_03": (0.95, 0.86, 0.33),
    "COLOR_04": (0.48, 0.80, 0.48),
    "COLOR_05": (0.36, 0.71, 0.92),
    "COLOR_06": (0.55, 0.35, 0.85),
    "COLOR_07": (0.78, 0.45, 0.72),
    "COLOR_08": (0.48, 0.33, 0.25),
}
"""sRGB colours of the collection colour tags in Blender's default theme."""


def add_scene(
    result: Result,
    display: str,
    surfaces: Mapping[int, Mesh],
    parent: Any,
    scale: float = 1.0,
    cameras: Sequence[CameraRow] = (),
    capture: Path | None = None,
    origin: Origin = "CAPTURE",
) -> Any:
    """Create the collections of a result in the collection ``parent`` and return the scene's.

    Args:
        display: "POINTS", "SPLATS", or "MESH": an object's surface if ``surfaces`` has its label, with the Gaussians
            as a hidden child for exports; else splats.
        scale: metres in Blender per unit of the capture.
        cameras: of the capture, added in a separate collection; if empty, there is no such collection.
        capture: the folder of the cameras' photographs.
        origin: of objects: that of the capture, or the middle of their base or of their bounds. The background keeps
            that of the capture.

    Raises:
        Fault: if Blender cannot store a part; then nothing of the scene is left.
    """
    with _all_or_nothing():
        scene: Any = bpy.data.collections.new(result.scene)
        parent.children.link(scene)
        upright = _add_placement(scene, result, scale)
        total = sum(len(part.splats) for part in result.parts)
        nodes = None if display == "SPLATS" and can_draw_splats() else _nodes(display, total)
        scene_id = str(uuid.uuid4())
        _describe(scene, "SCENE", scene_id, result, upright.matrix_basis)
        scene.splatlift.count = total
        for part in result.parts:
            child: Any = bpy.data.collections.new(part.name)
            scene.children.link(child)
            _describe(child, "OBJECT" if part.label else "BACKGROUND", scene_id, result, upright.matrix_basis)
            _describe_part(child, part, len(part.splats))
            surface = surfaces.get(part.label)
            if surface is not None or not part.inner:
                _add_part(child, part, upright, nodes, surface, origin)
                continue
            for inner in part.inner:
                under: Any = bpy.data.collections.new(inner.name)
                child.children.link(under)
                _describe(under, "PART", scene_id, result, upright.matrix_basis)
                _describe_part(under, inner, len(inner.rows))
                own = replace(part, name=inner.name, splats=part.splats.pick(inner.rows))
                _add_part(under, own, upright, nodes, None, origin)
        if cameras:
            _describe(add_cameras(scene, upright, cameras, capture), "CAMERAS", scene_id, result, upright.matrix_basis)
        return scene


def add_scene_cameras(scene: Any, cameras: Sequence[CameraRow], capture: Path | None) -> Any:
    """Add the capture's cameras to a scene's collection, replacing existing ones, and return their collection."""
    with _all_or_nothing():
        upright = placement_of(scene)
        if upright is None:
            raise BadArgument(
                f"The placement object of the scene {scene.name} was deleted.", "Import the result again, with cameras."
            )
        made = add_cameras(scene, upright, cameras, capture)
        known = made.splatlift
        known.kind = "CAMERAS"
        for name in ("scene_id", "source", "placement"):
            setattr(known, name, getattr(scene.splatlift, name))
    for each in list(scene.children):
        if each.splatlift.kind == "CAMERAS" and each != made:
            remove_cameras(each)
    made.name = NAME
    return made


def placement_of(scene: Any) -> Any:
    """Return the object that rotates a scene upright, the parent of all its imported objects, or None."""
    return next((each for each in scene.all_objects if each.get(PLACEMENT)), None)


def show_as(scene: Any, display: str, budget: int | None = None) -> None:
    """Show the Gaussians of a scene's collection as "POINTS", "SPLATS" or "DISCS".

    :mod:`..viewport` draws splats in the views, and renders show discs; "DISCS" shows in the views what is rendered. If
    the scene was imported as Blender's native Gaussians, both show those.

    Args:
        budget: most discs that views show, a random subset if there are more Gaussians; None for the default.
    """
    things = _drawn(scene)
    nodes = _nodes(display, sum(len(thing.data.vertices) for thing in things), budget)
    for thing in things:
        thing.modifiers[MODIFIER].node_group = nodes
    for cloud in _clouds(scene):
        dress_cloud(cloud, display)


def shown_as(scene: Any) -> tuple[str, float]:
    """Return how the Gaussians of a scene's collection are shown, and which share of them, 0 to 1.

    "POINTS", "SPLATS" or "DISCS"; "" if none of our node groups draws them.
    """
    for thing in _drawn(scene):
        return drawn_by(thing.modifiers[MODIFIER].node_group)
    return next((("SPLATS" if cloud.type == TYPE else "POINTS", 1.0) for cloud in _clouds(scene)), ("", 1.0))


def has_discs(scene: Any) -> bool:
    """Whether some Gaussians of a scene's collection are shown as discs, which have a budget."""
    return any(drawn_by(thing.modifiers[MODIFIER].node_group)[0] == "DISCS" for thing in _drawn(scene))


def drawn_by_blender(scene: Any) -> bool:
    """Whether some Gaussians of a scene's collection are drawn natively by Blender."""
    return any(cloud.type == TYPE for cloud in _clouds(scene))


def photographed_in_solid_views(scene: Any) -> bool:
    """Whether solid views can show a scene's collection in the colours of the photographs."""
    return shown_as(scene)[0] == "SPLATS"


def photographed_colours() -> str:
    """Return the colours of solid views, a Blender ``color_type``, that are those of the photographs.

    The material of meshes has only one colour in solid views; their photographed colours are an attribute.
    """
    shown = (thing for thing in bpy.data.objects if thing.get(SURFACE_OF) is not None)
    return "VERTEX" if any(shown) else "MATERIAL"


def _drawn(scene: Any) -> list[Any]:
    """Return the objects of a scene whose Gaussians are drawn by one of our modifiers."""
    return [thing for thing in splat_objects(scene) if MODIFIER in thing.modifiers]


def _clouds(scene: Any) -> list[Any]:
    """Return the point clouds of a scene with native Gaussians."""
    return [thing.data for thing in splat_objects(scene) if is_native(thing.data)]


def splat_objects(collection: Any) -> list[Any]:
    """Return the objects with Gaussians in a collection and its subcollections.

    Hidden Gaussians count only while their mesh exists: a user who deletes the mesh cannot see them.
    """
    things = [thing for thing in collection.all_objects if is_splats(thing.data)]
    return [thing for thing in things if not thing.get(BENEATH) or (thing.parent and thing.parent.users_collection)]


def lay_beneath(collection: Any) -> None:
    """Give duplicated meshes in a collection a copy of the hidden Gaussians of their original.

    Blender's own Duplicate does not copy hidden children.
    """
    for thing in splat_objects(collection):
        if thing.get(BENEATH) and thing.parent.get(SURFACE_OF) is None:
            thing.parent[SURFACE_OF] = thing
    for surface in [thing for thing in collection.all_objects if thing.get(SURFACE_OF) is not None]:
        own = next((each for each in surface.children if each.get(BENEATH) and is_splats(each.data)), None)
        if own is None:
            own = surface[SURFACE_OF].copy()
            own.data = own.data.copy()
            own.parent = surface
            for each in surface.users_collection:
                each.objects.link(own)
        surface[SURFACE_OF] = own


def linear(colour: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """Return an sRGB colour as linear RGBA, as used for object colours (IEC 61966-2-1)."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return (r, g, b, 1.0)


def srgb(colour: Sequence[float]) -> tuple[float, float, float]:
    """Return the sRGB colour of linear RGBA, the inverse of :func:`linear`."""
    r, g, b = (c * 12.92 if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in colour[:3])
    return (r, g, b)


def nearest_tag(colour: tuple[float, float, float]) -> str:
    """Return the colour tag nearest to an sRGB colour."""
    return min(TAGS, key=lambda tag: sum((a - b) ** 2 for a, b in zip(TAGS[tag], colour, strict=True)))


def _add_placement(scene: Any, result: Result, scale: float) -> Any:
    upright: Any = bpy.data.objects.new(f"{result.scene} placement", None)
    upright[PLACEMENT] = True
    upright.empty_display_type = "PLAIN_AXES"
    upright.scale = (scale, scale, scale)
    upright.rotation_mode = "QUATERNION"
    upright.rotation_quaternion = Vector(result.up).rotation_difference(Vector((0, 0, 1)))
    scene.objects.link(upright)
    return upright


def _nodes(display: str, total: int, budget: int | None = None) -> Any:
    """Return the node group that shows the points of a scene of ``total`` Gaussians."""
    if display in ("SPLATS", "MESH"):
        return splats_nodes()
    return disc_nodes(_share(total, budget)) if display == "DISCS" else points_nodes()


def _add_part(child: Any, part: Part, upright: Any, nodes: Any, surface: Mesh | None, origin: Origin) -> None:
    """Add the Blender objects of a part to its collection ``child``."""
    colour = linear(part.colour)
    splats = part.splats
    there: Any = Matrix() if part.matrix is None else Matrix(part.matrix)
    at = np.zeros(3)
    if part.label and origin != "CAPTURE" and len(splats):
        points = extent_of(splats) if surface is None else surface.vertices
        at = origin_at(points, np.array(upright.matrix_basis @ there, np.float64), origin)
        splats = moved(splats, -at)
    if nodes is None:
        seen = kept = add_cloud(child, part.name, splats, colour)
    elif surface is None:
        seen = kept = add_points(child, part.name, splats, colour, nodes)
    else:
        surface = surface._replace(vertices=(surface.vertices - at).astype(np.float32))
        seen = add_surface(child, part.name, surface, colour)
        kept = add_points(child, f"{part.name} Gaussians", splats, colour, nodes)
        kept.parent = seen
        kept.hide_viewport = kept.hide_render = kept[BENEATH] = True
        seen[SURFACE_OF] = kept
    seen.parent = upright
    seen.matrix_basis = there @ Matrix.Translation(at.tolist())
    if at.any():
        kept[ORIGIN] = at.tolist()


def _describe(collection: Any, kind: str, scene_id: str, result: Result, placement: Any) -> None:
    known = collection.splatlift
    known.kind = kind
    known.scene_id = scene_id
    known.source = str(result.folder.absolute())
    known.placement = [value for row in placement for value in row]


def _describe_part(collection: Any, part: Part | Inner, count: int) -> None:
    known = collection.splatlift
    known.object_id = str(uuid.uuid4())
    known.label = part.label
    known.label_name = part.name
    known.colour = part.colour
    known.count = count
    known.confidence = part.confidence


def _share(total: int, budget: int | None = None) -> float:
    return min(1.0, (DISC_BUDGET if budget is None else budget) / max(total, 1))


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """Remove everything that the block added to the file if it raises."""
    data = bpy.data
    kinds: tuple[Any, ...] = (
        data.collections,
        data.objects,
        data.meshes,
        data.pointclouds,
        data.cameras,
        data.images,
        data.node_groups,
        data.materials,
    )
    before = {block for blocks in kinds for block in blocks}
    done = False
    try:
        yield
        done = True
    finally:
        if not done:
            data.batch_remove([block for blocks in kinds for block in blocks if block not in before])

"""Imported scenes and objects, as collections with ids.

All state is in properties of the collections, so it is saved with the file and included in undo. There is no state in
Python that could get out of step, so no handlers for loading or undo are needed.
"""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of a group from its annotations.

import atexit
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import bpy

from protocol.coroutines import finish, map_steps
from protocol.errors import BadArgument
from protocol.result.meshes import Mesh, read_mesh
from protocol.result.names import mesh_path

from .splats.capture import read_cameras
from .splats.collections import Origin, add_scene, add_scene_cameras, nearest_tag, splat_objects
from .splats.display import see_through
from .splats.painting import paint
from .splats.result import Kind, Result, Steps, read_result

Display = Literal["POINTS", "MESH", "SPLATS"]
Up = Literal["AUTO", "X", "-X", "Y", "-Y", "Z", "-Z"]

AXES: dict[str, tuple[float, float, float]] = {
    "X": (1.0, 0.0, 0.0),
    "-X": (-1.0, 0.0, 0.0),
    "Y": (0.0, 1.0, 0.0),
    "-Y": (0.0, -1.0, 0.0),
    "Z": (0.0, 0.0, 1.0),
    "-Z": (0.0, 0.0, -1.0),
}
"""Unit vectors of :data:`Up`, in the frame of the capture."""

OF_SEVERAL = "Name of the collection, as copies that Blender makes have the same id"
"""Tooltip of the property of operators that is passed to :func:`find` as ``name``."""

_IDENTITY = tuple(float(row == column) for row in range(4) for column in range(4))


class SplatLiftCollection(bpy.types.PropertyGroup):
    """SplatLift's properties of a collection, at ``collection.splatlift``."""

    kind: bpy.props.EnumProperty(
        name="Kind",
        items=(
            ("NONE", "None", "Not part of SplatLift"),
            ("SCENE", "Scene", "An imported scene; its objects are the collections in it"),
            ("OBJECT", "Object", "One object of a scene"),
            ("PART", "Part", "One part of an object, in the collection of the object"),
            ("BACKGROUND", "Background", "Gaussians that belong to no object"),
            ("CAMERAS", "Cameras", "The cameras of a scene's capture"),
        ),
        default="NONE",
    )
    scene_id: bpy.props.StringProperty(name="Scene Id", description="New at each import")
    object_id: bpy.props.StringProperty(name="Object Id", description="New at each import")
    label: bpy.props.IntProperty(
        name="Label", description="Number of the object or of the part in its result; 0 is background, or no part"
    )
    label_name: bpy.props.StringProperty(name="Name", description="The object's name in its result")
    colour: bpy.props.FloatVectorProperty(
        name="Colour",
        description="Colour of the object in the list, and in views that show the colours of objects",
        size=3,
        min=0,
        max=1,
        subtype="COLOR_GAMMA",
        update=lambda self, context: _show_colour(self.id_data),
    )
    count: bpy.props.IntProperty(name="Gaussians", description="Number of imported Gaussians")
    confidence: bpy.props.FloatProperty(name="Confidence", min=0, max=1)
    is_checked: bpy.props.BoolProperty(name="Checked", description="Whether the user has checked the object")
    level: bpy.props.EnumProperty(
        name="Level",
        description="What is listed, coloured, clicked and edited. Objects without parts are the same at both levels",
        items=(
            ("WHOLE", "Objects", "Whole objects with all their parts"),
            ("PART", "Parts", "The parts of objects, and objects without parts"),
        ),
        update=lambda self, context: paint(self.id_data),
    )
    source: bpy.props.StringProperty(name="Source", description="The result folder", subtype="DIR_PATH")
    version: bpy.props.StringProperty(
        name="Version", description="The version of the result on the server that corrections made of it"
    )
    placement: bpy.props.FloatVectorProperty(
        name="Placement", size=16, default=_IDENTITY, description="Capture-to-world matrix at the import, row by row"
    )


def import_folder(
    folder: Path,
    display: Display = "POINTS",
    context: Any = None,
    *,
    up: Up = "AUTO",
    scale: float = 1.0,
    cameras: bool = False,
    photographs: Path | None = None,
    origin: Origin = "CAPTURE",
) -> Any:
    """Import a result folder and return the scene's collection, ``bpy.types.Collection``.

    The children are one collection per object, in order of label, then one named "background" if there is a background.
    Each has SplatLift's properties at ``collection.splatlift``.

    Args:
        folder: a result folder: ``splats.ply``, ``objects.json`` and, for "MESH", ``meshes``.
        display: "POINTS", "SPLATS", which are Blender's native Gaussians if it supports them, "MESH" for surfaces with
            hidden Gaussians.
        context: determines the scene to import into; Blender's own if None.
        up: the axis of the capture that points up in Blender; "AUTO" for the one in the result.
        scale: metres in Blender per unit of the capture.
        cameras: whether the capture's cameras are imported too, in a collection "Cameras" after all others.
        photographs: the capture's folder, to show the photographs as background images of the cameras.
        origin: of objects, about which they turn and scale: "CAPTURE", "BASE" or "CENTRE". With another origin than
            that of the capture, exported positions have the rounding of float32.

    Raises:
        BadResult, BadSplats: if the folder's files are missing, broken or contradict each other. Then Blender's data is
            unchanged.
        BadArgument: if ``display``, ``up`` or ``origin`` has another value, ``scale`` is not positive, or
            ``photographs`` is not a folder.
    """
    return finish(
        import_steps(
            folder,
            display,
            context,
            up=up,
            scale=scale,
            cameras=cameras,
            photographs=photographs,
            origin=origin,
        )
    )


def import_steps(
    folder: Path,
    display: Display = "POINTS",
    context: Any = None,
    *,
    up: Up = "AUTO",
    scale: float = 1.0,
    cameras: bool = False,
    photographs: Path | None = None,
    origin: Origin = "CAPTURE",
) -> Steps[Any]:
    """As :func:`import_folder`, in small steps; the generator returns the collection.

    Blender's data is only changed in the last step, all at once. So the user may undo, load another file, or drop the
    generator between any two steps.

    Yields:
        the share that is done, 0 to 1, and a short note.
    """
    if display not in get_args(Display):
        raise BadArgument(f"The display {display!r} does not exist.", f"Choose one of {', '.join(get_args(Display))}.")
    _check_placing(up, scale, photographs)
    if origin not in get_args(Origin):
        raise BadArgument(f"The origin {origin!r} does not exist.", f"Choose one of {', '.join(get_args(Origin))}.")
    register()
    reading = read_result(Path(folder))
    rows = read_cameras(Path(folder)) if cameras else []
    result = yield from _scaled(reading, 0.0, 0.7)
    if up != "AUTO":
        result = replace(result, up=AXES[up])
    surfaces: dict[int, Mesh] = {}
    if display == "MESH":
        surfaces = yield from _scaled(_read_surfaces(result), 0.7, 0.8)
    yield 0.8, "Placing objects"
    into = (context or bpy.context).scene
    if display != "POINTS":
        see_through(into)
    scene = add_scene(result, display, surfaces, into.collection, scale, rows, photographs, origin)
    paint(scene)
    return scene


def import_cameras(scene_collection: Any, photographs: Path | None = None) -> Any:
    """Add the cameras of the capture to an imported scene, replacing existing ones, and return their collection.

    Args:
        photographs: the capture's folder, to show the photographs as background images of the cameras.

    Raises:
        BadResult: if the scene's result folder is missing or has no cameras.
        BadArgument: if ``photographs`` is not a folder.
    """
    _check_placing("AUTO", 1.0, photographs)
    return add_scene_cameras(scene_collection, read_cameras(source_of(scene_collection)), photographs)


def cameras_of(scene_collection: Any) -> Any:
    """Return the collection of a scene's cameras, or None if there is none."""
    return next((each for each in scene_collection.children if each.splatlift.kind == "CAMERAS"), None)


def scenes() -> list[Any]:
    """Return the collections of imported scenes that are used in the file: those of the current Blender scene first.

    Both groups are sorted by name. A full copy of a Blender scene has imported scenes with the same ids.
    """
    used = [each for each in _collections() if each.splatlift.kind == "SCENE" and each.users]
    here = bpy.context.scene.collection.children_recursive
    return sorted(used, key=lambda each: each not in here)


def source_of(collection: Any) -> Path:
    """Return the result folder that a collection was imported from, as an absolute path."""
    return Path(bpy.path.abspath(collection.splatlift.source))


def objects_of(scene_collection: Any) -> list[Any]:
    """Return the collections of a scene's objects that hold Gaussians, without the background, in order of label."""
    objects = [each for each in scene_collection.children_recursive if each.splatlift.kind == "OBJECT"]
    return sorted((each for each in objects if splat_objects(each)), key=lambda each: each.splatlift.label)


def parts_of_object(object_collection: Any) -> list[Any]:
    """Return the collections of an object's parts that hold Gaussians, in order of label; empty if it has no parts."""
    parts = [each for each in object_collection.children if each.splatlift.kind == "PART" and splat_objects(each)]
    return sorted(parts, key=lambda each: each.splatlift.label or 1 << 30)


def object_of(part_collection: Any) -> Any:
    """Return the collection of the object that a part belongs to; of an object or background itself."""
    if part_collection.splatlift.kind != "PART":
        return part_collection
    used = (each for each in _collections() if each.splatlift.kind == "OBJECT" and each.users)
    return next((each for each in used if part_collection in each.children[:]), part_collection)


def units_of(scene_collection: Any) -> list[Any]:
    """Return what a scene consists of at its level: objects or, where they have some, their parts; background last."""
    objects = objects_of(scene_collection)
    if scene_collection.splatlift.level == "PART":
        objects = [unit for each in objects for unit in parts_of_object(each) or [each]]
    background = background_of(scene_collection)
    return [*objects, *([background] if background else [])]


def background_of(scene_collection: Any) -> Any:
    """Return the collection of a scene's background, or None if there is none."""
    children = scene_collection.children_recursive
    return next((each for each in children if each.splatlift.kind == "BACKGROUND" and splat_objects(each)), None)


def find(object_id: str, name: str = "") -> Any:
    """Return the collection of an object or background by its id, or None.

    Copies that Blender makes of collections have the same id. Among them, the one with the name is returned, or else
    one of the current Blender scene.

    Args:
        name: of the collection.
    """
    found = [each for each in _collections() if object_id and each.users and each.splatlift.object_id == object_id]
    if len(found) < 2:
        return next(iter(found), None)
    here = bpy.context.scene.collection.children_recursive
    return min(found, key=lambda each: (each.name != name, each not in here))


def register() -> None:
    """Add the ``splatlift`` properties to all collections; does nothing if they exist."""
    if hasattr(bpy.types.Collection, "splatlift"):
        return
    bpy.utils.register_class(SplatLiftCollection)
    kind: Any = bpy.types.Collection
    kind.splatlift = bpy.props.PointerProperty(type=SplatLiftCollection)
    # The bpy modules of 4.2 and 4.5 crash or hang at exit if classes are still registered; Blender itself unregisters.
    if not bpy.app.binary_path:
        atexit.register(unregister)


def unregister() -> None:
    """Remove the properties; their values stay in the file."""
    if not hasattr(bpy.types.Collection, "splatlift"):
        return
    kind: Any = bpy.types.Collection
    del kind.splatlift
    bpy.utils.unregister_class(SplatLiftCollection)
    atexit.unregister(unregister)


def _show_colour(collection: Any) -> None:
    """Show the colour of an object or part: at its collection's icon, and in views by object colour."""
    known = collection.splatlift
    r, g, b = known.colour
    collection.color_tag = "NONE" if known.kind == "BACKGROUND" else nearest_tag((r, g, b))
    # A collection that is being made has no objects yet; they will be made in its colour.
    if collection.all_objects:
        for scene in scenes():
            if scene.splatlift.scene_id == known.scene_id:
                paint(scene)


def _collections() -> Iterable[Any]:
    """Return the collections of the file, typed with the properties from :func:`register`."""
    return bpy.data.collections


def _check_placing(up: str, scale: float, photographs: Path | None) -> None:
    if up not in get_args(Up):
        raise BadArgument(f"The up axis {up!r} does not exist.", f"Choose one of {', '.join(get_args(Up))}.")
    if not 1e-6 <= scale <= 1e6:
        raise BadArgument(
            f"The scale {scale} is not between 0.000001 and 1000000.", "Choose a scale in this range, such as 1."
        )
    if photographs is not None and not photographs.is_dir():
        raise BadArgument(f"The folder of photographs {photographs} does not exist.", "Give the folder of the capture.")


def _read_surfaces(result: Result) -> Steps[dict[int, Mesh]]:
    """Read the surfaces of a result's objects in steps and return them by label.

    An object that is too thin for a surface has no file and is shown as splats; a result without any surface is
    refused.
    """
    surfaces: dict[int, Mesh] = {}
    paths = {part.label: mesh_path(result.folder, part.label) for part in result.parts if part.label}
    there = {label: path for label, path in paths.items() if path.is_file()}
    for label, path in (there or paths).items():
        yield len(surfaces) / len(paths), f"Mesh of object {label}"
        surfaces[label] = read_mesh(path)
    return surfaces


def _scaled(steps: Steps[Kind], low: float, high: float) -> Steps[Kind]:
    """Map the progress of a part of the work from 0..1 to ``low``..``high``; return its result."""
    return (yield from map_steps(lambda step: (low + (high - low) * step[0], step[1]), steps))

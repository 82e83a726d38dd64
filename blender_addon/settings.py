"""The panel's settings, stored in the scene and saved with the file."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of a group from its annotations.

from pathlib import Path
from typing import Any

import bpy

from . import options, session
from .editing.show_only import show_only
from .splats.collections import splat_objects
from .splats.display import DISC_BUDGET
from .values import SplatLiftValue

DISPLAYS = (
    ("POINTS", "Points", "Each Gaussian as a coloured point; fastest"),
    ("SPLATS", "Splats", "Sorted, blended Gaussians in the colours of the photographs; renders use discs"),
    ("MESH", "Mesh", "One surface mesh per object; its Gaussians are hidden"),
)
DISPLAY = "SPLATS"
"""What an import shows unless the user chooses: the one display that looks like the capture."""
UP = (
    ("AUTO", "Automatic", "Up direction of the cameras, from the result"),
    *((axis, axis, f"The {axis} axis of the capture points up") for axis in session.AXES),
)

ORIGINS = (
    ("BASE", "Base", "Objects turn and scale about the middle of their base"),
    ("CENTRE", "Centre", "Objects turn and scale about their centre"),
    ("CAPTURE", "Capture", "Objects turn and scale about the origin of the capture; exported positions keep all bits"),
)
ORIGIN = "BASE"
"""The origin of imported objects unless the user chooses."""

SCALE: dict[str, Any] = {
    "name": "Scale",
    "description": "Metres per unit of the capture",
    "default": 1.0,
    "min": 1e-6,
    "max": 1e6,
}


class SplatLiftSettings(bpy.types.PropertyGroup):
    """Settings at ``scene.splatlift``, including the options of a job, see :mod:`.options`."""

    folder: bpy.props.StringProperty(
        name="Capture",
        description="Folder of photographs, optionally with cameras and masks, or a video or a splat file",
        subtype="DIR_PATH",
    )
    use_splats: bpy.props.BoolProperty(
        name="Use Its Splats",
        description="Use the Gaussians found in the folder instead of a reconstruction from photographs",
        default=True,
    )
    method: bpy.props.StringProperty(
        name="Method", description="Method that lifts masks to objects. If empty, the server's recommended one is used"
    )
    values: bpy.props.CollectionProperty(type=SplatLiftValue)
    declared: bpy.props.StringProperty(description="Declaration of the server that the values belong to")
    display: bpy.props.EnumProperty(
        name="Show As", description="Display of imported objects", items=DISPLAYS, default=DISPLAY
    )
    up: bpy.props.EnumProperty(name="Up", description="Which axis of the capture points up", items=UP)
    scale: bpy.props.FloatProperty(**SCALE)
    origin: bpy.props.EnumProperty(name="Origins", description="Origins of objects", items=ORIGINS, default=ORIGIN)
    budget: bpy.props.IntProperty(
        name="Draw at Most",
        description="Largest number of discs in the views. Of more Gaussians a random subset is drawn; all are "
        "edited and exported",
        default=DISC_BUDGET,
        min=1,
        soft_min=10_000,
        soft_max=5_000_000,
        step=50_000,
    )
    view_dependent: bpy.props.BoolProperty(
        name="View-Dependent Colour",
        description="Splats change colour with the direction they are seen from, as reflections do. Turn this off to "
        "draw faster",
        default=True,
    )
    is_measuring: bpy.props.BoolProperty(
        name="Measuring", description="Whether the first point of a measurement was set by the 3D cursor"
    )
    measured_from: bpy.props.FloatVectorProperty(
        name="Measured From", description="First point of a measurement", subtype="XYZ"
    )
    and_alike: bpy.props.BoolProperty(
        name="And Everything Like It",
        description="Merge, split and assign on the server, which corrects similar mistakes elsewhere too. All changes "
        "are shown before they are made",
    )
    search: bpy.props.StringProperty(
        name="Search", description='Name of an object in English, such as "green apple"', maxlen=200
    )
    names: bpy.props.StringProperty(
        name="Names", description='Names of objects in English with commas between them, such as "green apple, cup"'
    )
    scene_id: bpy.props.StringProperty(name="Scene", description="Imported scene shown in the list")
    row: bpy.props.IntProperty(
        name="Object",
        description="Active row of the list",
        update=lambda self, context: _select_row(context, chosen_whole(context)),
    )
    part_row: bpy.props.IntProperty(
        name="Part",
        description="Active row of the list of parts",
        update=lambda self, context: _select_row(context, chosen_object(context)),
    )
    checking: bpy.props.StringProperty(name="Checking", description="Id of the object that is being checked")


SplatLiftSettings.__annotations__ |= options.properties()


def settings(context: Any) -> Any:
    return context.scene.splatlift


def capture_folder(context: Any) -> Path | None:
    """Return the chosen scene folder, video or splat file as an absolute path; None if none is chosen."""
    chosen = settings(context).folder
    return Path(bpy.path.abspath(chosen)) if chosen else None


def shown_scene(context: Any) -> Any:
    """Return the collection of the imported scene in the list, or None."""
    imported = session.scenes()
    wanted = settings(context).scene_id
    return next((each for each in imported if each.splatlift.scene_id == wanted), next(iter(imported), None))


def chosen_object(context: Any) -> Any:
    """Return the collection chosen in the list, or None if it is empty; at the level of parts the chosen part."""
    scene = shown_scene(context)
    chosen = chosen_whole(context)
    if chosen is None or scene.splatlift.level == "WHOLE":
        return chosen
    row = settings(context).part_row
    part = chosen.children[row] if 0 <= row < len(chosen.children) else None
    return part if part is not None and is_listed(part) else chosen


def chosen_whole(context: Any) -> Any:
    """Return the collection of the object chosen in the list, or None if it is empty."""
    scene = shown_scene(context)
    row = settings(context).row
    if scene is None or not 0 <= row < len(scene.children):
        return None
    chosen = scene.children[row]
    return chosen if is_listed(chosen) else None


def choose_in_list(context: Any, whole: Any, part: Any = None) -> None:
    """Make an object, and a part of it, the active row of the list; without effect outside of an imported scene.

    The selection in the view is not changed.
    """
    scene = next((each for each in session.scenes() if whole in each.children_recursive), None)
    if scene is None:
        return
    chosen = settings(context)
    chosen.scene_id = scene.splatlift.scene_id
    with quiet:
        if whole in scene.children[:]:
            chosen.row = scene.children[:].index(whole)
        if part is not None:
            chosen.part_row = whole.children[:].index(part)


class _Quiet:
    """While it is entered, neither the active row nor the active object of the view changes the other."""

    is_on = False

    def __enter__(self) -> None:
        self.is_on = True

    def __exit__(self, *_: object) -> None:
        self.is_on = False


quiet = _Quiet()


def _select_row(context: Any, collection: Any) -> None:
    """Select the object of a row that was clicked, if it is visible; in Object Mode only."""
    if not quiet.is_on and collection is not None:
        with quiet:
            show_only(context, [collection])


def is_listed(collection: Any) -> bool:
    """Whether a list shows a collection: an object, part or background not deleted with Blender's own Delete."""
    return collection.splatlift.kind in ("OBJECT", "PART", "BACKGROUND") and bool(splat_objects(collection))


CLASSES = (SplatLiftValue, SplatLiftSettings)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    kind: Any = bpy.types.Scene
    kind.splatlift = bpy.props.PointerProperty(type=SplatLiftSettings)


def unregister() -> None:
    kind: Any = bpy.types.Scene
    del kind.splatlift
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)

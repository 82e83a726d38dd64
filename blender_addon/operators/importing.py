"""Imports a result: a few milliseconds per tick in a window, at once in background mode."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from pathlib import Path
from typing import Any

import bpy

from protocol.coroutines import finish
from protocol.errors import BadArgument
from protocol.result.names import CAMERAS
from protocol.result.table import read_table

from .. import session
from ..editing.show_only import show_only
from ..framing import frame
from ..settings import (
    DISPLAY,
    DISPLAYS,
    ORIGIN,
    ORIGINS,
    SCALE,
    UP,
    capture_folder,
    choose_in_list,
    quiet,
    settings,
)
from ..splats.collections import photographed_colours, photographed_in_solid_views, shown_as
from ..splats.colours import labels_shown
from ..timer import timer
from .reporting import Outcome, push_undo, reporting

FROM_PANEL = ("display", "up", "scale", "origin")
"""Properties of an import that default to the panel's values."""
OURS = ("MATERIAL", "OBJECT", "VERTEX")
"""Colours of solid views that imports and the buttons of the panel set."""


class SPLATLIFT_OT_import_result(bpy.types.Operator):
    """Import a result, with one collection per object"""

    bl_idname = "splatlift.import_result"
    bl_label = "Import"
    bl_options = {"REGISTER", "UNDO"}

    # SKIP_SAVE: missing values must be asked for, not taken from the last call.
    directory: bpy.props.StringProperty(
        name="Result", description="A result folder", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    display: bpy.props.EnumProperty(name="Show As", items=DISPLAYS, default=DISPLAY, options={"SKIP_SAVE"})
    up: bpy.props.EnumProperty(
        name="Up", description="Which axis of the capture points up", items=UP, options={"SKIP_SAVE"}
    )
    scale: bpy.props.FloatProperty(**SCALE, options={"SKIP_SAVE"})
    origin: bpy.props.EnumProperty(
        name="Origins", description="Origins of objects", items=ORIGINS, default=ORIGIN, options={"SKIP_SAVE"}
    )
    cameras: bpy.props.BoolProperty(
        name="Cameras", description="Also import the capture's cameras, if the result has them", default=True
    )
    photographs: bpy.props.StringProperty(
        name="Photographs",
        description="Folder of the capture, for photographs as camera backgrounds. If empty, the capture in the "
        "panel is used if it matches the result",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        if timer.importing is not None:
            cls.poll_message_set("Another result is being imported")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> Outcome:
        for name in FROM_PANEL:
            if not self.properties.is_property_set(name):
                setattr(self, name, getattr(settings(context), name))
        if self.properties.is_property_set("directory"):
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reporting
    def execute(self, context: Any) -> set[str]:
        if not self.directory:
            raise BadArgument("No result folder was named.", "Give the argument directory.")
        folder = Path(bpy.path.abspath(self.directory))
        cameras = self.cameras and (folder / CAMERAS).is_file()
        steps = session.import_steps(
            folder,
            self.display,
            context if bpy.app.background else None,
            up=self.up,
            scale=self.scale,
            cameras=cameras,
            photographs=photographs_of(folder, self.photographs, context) if cameras else None,
            origin=self.origin,
        )
        if bpy.app.background:
            show(finish(steps))
            return {"FINISHED"}
        timer.begin_import(steps, in_one_undo_step)
        # The undo step is pushed when the objects appear.
        return {"CANCELLED"}


class SPLATLIFT_OT_stop_import(bpy.types.Operator):
    """Cancel the import. The scene is unchanged"""

    bl_idname = "splatlift.stop_import"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return timer.importing is not None

    def execute(self, context: Any) -> Outcome:
        timer.stop_import()
        return {"FINISHED"}


def photographs_of(result: Path, chosen: str, context: Any) -> Path | None:
    """Return the folder of a result's photographs: the chosen one, else the panel's capture if the names match.

    Raises:
        BadResult: if ``result`` is not a result folder.
    """
    if chosen:
        return Path(bpy.path.abspath(chosen))
    capture = capture_folder(context)
    # The same name is weak evidence, but with another name the photographs would certainly be wrong.
    return capture if capture is not None and capture.is_dir() and capture.name == read_table(result).scene else None


def show(collection: Any) -> None:
    """Choose the first object of a newly imported scene in the list and in the view, and set the colours of views."""
    choose_in_list(bpy.context, collection.children[0])
    with quiet:
        show_only(bpy.context, [collection.children[0]])
    colour_solid_views(collection)
    for space in views():
        # Otherwise every object and camera shows a line to the scene's placement.
        space.overlay.show_relationship_lines = False


def colour_solid_views(collection: Any) -> None:
    """Show the colours of photographs in solid views if they can show them for a scene, else those of objects.

    Blender's default shows every object in the same grey; any setting other than :data:`OURS` was chosen by the user.
    """
    coloured.how = how_shown(collection)
    photographed = photographed_in_solid_views(collection) and not labels_shown()
    wanted = photographed_colours() if photographed else "OBJECT"
    for space in views():
        if space.shading.color_type in OURS:
            space.shading.color_type = wanted


class _Coloured:
    """How objects were shown when the colours of solid views were set, see :func:`how_shown`."""

    how: tuple[str, bool] | None = None


coloured = _Coloured()


def how_shown(collection: Any) -> tuple[str, bool]:
    """Return how a scene is shown: "POINTS", "SPLATS" or "DISCS", and whether in the colours of labels."""
    return shown_as(collection)[0], labels_shown()


def views() -> list[Any]:
    """Return the 3D views of all windows."""
    areas = [area for window in bpy.context.window_manager.windows for area in window.screen.areas]
    return [area.spaces.active for area in areas if area.type == "VIEW_3D"]


def in_one_undo_step(collection: Any) -> None:
    """As :func:`show`, turn the views, and push an undo step, because a timer has to do that itself."""
    show(collection)
    frame(collection, views())
    push_undo("Import Objects")


CLASSES = (SPLATLIFT_OT_import_result, SPLATLIFT_OT_stop_import)

register, unregister = bpy.utils.register_classes_factory(CLASSES)

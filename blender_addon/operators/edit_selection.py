"""Change which Gaussians are selected: similar ones, more, fewer."""

# pyright: reportInvalidTypeForm=false
# Blender takes the properties of an operator from its annotations.

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import NotFound
from protocol.messages import Select

from ..client.selection import job_of, select
from ..editing.grow import grow, shrink
from ..editing.selection import active_point
from ..editing.similar import THRESHOLD, Point, select_like
from ..timer import timer
from .edit_targets import can_edit, need_targets
from .reporting import reporting

PATIENCE = 10.0
"""Seconds that a server may take to answer; the first time it has to open the result."""


class _Select:
    bl_options = {"REGISTER", "UNDO"}
    report: Any

    @classmethod
    def poll(cls, context: Any) -> bool:
        return can_edit(cls, context)


class SPLATLIFT_OT_select_similar(_Select, bpy.types.Operator):
    """Select what is like the active Gaussian, or like the selected ones: by what the result's method learnt of them
    where it learnt that, elsewhere by their colour, as far as it spreads without a gap"""

    bl_idname = "splatlift.select_similar"
    bl_label = "Select Similar"

    threshold: bpy.props.FloatProperty(
        name="Likeness",
        description="How much alike, from 0 to 1; the higher, the fewer",
        default=THRESHOLD,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    extend: bpy.props.BoolProperty(name="Extend", description="Keep what is selected")

    @reporting
    def execute(self, context: Any) -> set[str]:
        active = context.view_layer.objects.active
        last = active_point(active) if active is not None and active.mode == "EDIT" else None
        like = None if last is None else Point(active, last)
        found = select_like(need_targets(context), like, threshold=self.threshold, extend=self.extend, ask=ask)
        self.report({"INFO"}, f"{found.count:,} Gaussians selected by their {found.by}")
        return {"FINISHED"}


class _Spread(_Select):
    steps: bpy.props.IntProperty(name="Steps", description="How many times", default=1, min=1, soft_max=10, max=100)
    reach: bpy.props.FloatProperty(
        name="Reach",
        description="How near is near, as a multiple of the distance that is usual between Gaussians",
        default=1.0,
        min=0.1,
        soft_max=10.0,
        max=1000.0,
    )


class SPLATLIFT_OT_grow_selection(_Spread, bpy.types.Operator):
    """Select what is near the selected Gaussians as well"""

    bl_idname = "splatlift.grow_selection"
    bl_label = "Grow"

    @reporting
    def execute(self, context: Any) -> set[str]:
        count = grow(need_targets(context), steps=self.steps, reach=self.reach)
        self.report({"INFO"}, f"{count:,} Gaussians selected")
        return {"FINISHED"}


class SPLATLIFT_OT_shrink_selection(_Spread, bpy.types.Operator):
    """Deselect what is near Gaussians that are not selected"""

    bl_idname = "splatlift.shrink_selection"
    bl_label = "Shrink"

    @reporting
    def execute(self, context: Any) -> set[str]:
        count = shrink(need_targets(context), steps=self.steps, reach=self.reach)
        self.report({"INFO"}, f"{count:,} Gaussians selected")
        return {"FINISHED"}


def ask(folder: Path, row: int, threshold: float) -> NDArray[np.bool_] | None:
    """Ask the connected server which Gaussians of a result are like one; None where it cannot tell."""
    known = timer.known_connection
    if known is None or known.state != "connected" or known.server is None or "select" not in known.server.features:
        return None
    try:
        wanted = Select(job_of(folder), row, threshold=threshold, hull=False)
        return known.start(select(known, wanted)).result(PATIENCE)
    except NotFound:  # a result of another server, or one that is on disk only
        return None


CLASSES = (SPLATLIFT_OT_select_similar, SPLATLIFT_OT_grow_selection, SPLATLIFT_OT_shrink_selection)

register, unregister = bpy.utils.register_classes_factory(CLASSES)

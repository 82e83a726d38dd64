"""Change the selection of Gaussians: similar ones, grow, shrink."""

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
from .edit_targets import EditOperator, need_targets
from .reporting import reporting

PATIENCE = 10.0
"""Seconds to wait for the server's answer; the first time it has to open the result."""


class SPLATLIFT_OT_select_similar(EditOperator, bpy.types.Operator):
    """Select Gaussians similar to the active or selected ones, by trained embeddings or else by colour"""

    bl_idname = "splatlift.select_similar"
    bl_label = "Select Similar"

    threshold: bpy.props.FloatProperty(
        name="Similarity",
        description="Similarity threshold; higher selects fewer Gaussians",
        default=THRESHOLD,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    extend: bpy.props.BoolProperty(name="Extend", description="Add to the current selection")

    @reporting
    def execute(self, context: Any) -> set[str]:
        active = context.view_layer.objects.active
        last = active_point(active) if active is not None and active.mode == "EDIT" else None
        like = None if last is None else Point(active, last)
        found = select_like(need_targets(context), like, threshold=self.threshold, extend=self.extend, ask=ask)
        self.report({"INFO"}, f"{found.count:,} Gaussians selected by their {found.by}")
        return {"FINISHED"}


class _Spread(EditOperator):
    steps: bpy.props.IntProperty(
        name="Steps", description="Number of repetitions", default=1, min=1, soft_max=10, max=100
    )
    reach: bpy.props.FloatProperty(
        name="Reach",
        description="Distance of each step, as a multiple of the typical distance between Gaussians",
        default=1.0,
        min=0.1,
        soft_max=10.0,
        max=1000.0,
    )


class SPLATLIFT_OT_grow_selection(_Spread, bpy.types.Operator):
    """Extend the selection to nearby Gaussians"""

    bl_idname = "splatlift.grow_selection"
    bl_label = "Grow"

    @reporting
    def execute(self, context: Any) -> set[str]:
        count = grow(need_targets(context), steps=self.steps, reach=self.reach)
        self.report({"INFO"}, f"{count:,} Gaussians selected")
        return {"FINISHED"}


class SPLATLIFT_OT_shrink_selection(_Spread, bpy.types.Operator):
    """Deselect Gaussians near the border of the selection"""

    bl_idname = "splatlift.shrink_selection"
    bl_label = "Shrink"

    @reporting
    def execute(self, context: Any) -> set[str]:
        count = shrink(need_targets(context), steps=self.steps, reach=self.reach)
        self.report({"INFO"}, f"{count:,} Gaussians selected")
        return {"FINISHED"}


def ask(folder: Path, row: int, threshold: float) -> NDArray[np.bool_] | None:
    """Ask the connected server which Gaussians of a result are similar to one; None if it cannot answer."""
    known = timer.known_connection
    if known is None or known.state != "connected" or known.server is None or "select" not in known.server.features:
        return None
    try:
        wanted = Select(job_of(folder), row, threshold=threshold, hull=False)
        return known.start(select(known, wanted)).result(PATIENCE)
    except NotFound:  # a result of another server, or one that exists only on disk
        return None


CLASSES = (SPLATLIFT_OT_select_similar, SPLATLIFT_OT_grow_selection, SPLATLIFT_OT_shrink_selection)

register, unregister = bpy.utils.register_classes_factory(CLASSES)

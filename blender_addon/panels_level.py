"""The level of a result, and the list of an object's parts, below the list of objects."""

from __future__ import annotations

from typing import Any

from . import session
from .settings import chosen_whole, settings


def draw_level(layout: Any, context: Any, scene: Any) -> None:
    """Draw the choice of the level, if objects of the scene have parts, and at the level of parts those of one."""
    # Drawing must be fast, so whether the parts hold Gaussians is not looked up here.
    if not any(inner.splatlift.kind == "PART" for each in scene.children for inner in each.children):
        return
    row = layout.row(align=True)
    row.label(text="Level")
    row.prop_enum(scene.splatlift, "level", "WHOLE")
    row.prop_enum(scene.splatlift, "level", "PART")
    chosen = chosen_whole(context)
    if scene.splatlift.level == "WHOLE" or chosen is None:
        return
    if session.parts_of_object(chosen):
        layout.label(text=f"Parts of {chosen.name}")
        layout.template_list("SPLATLIFT_UL_objects", "parts", chosen, "children", settings(context), "part_row", rows=3)
    else:
        layout.label(text=f"{chosen.name} has no parts")

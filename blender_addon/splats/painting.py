"""The colour of each Blender object: that of its object, of its part, or of the confidence of its label."""

from __future__ import annotations

from typing import Any, Literal

import bpy

from .collections import linear
from .colours import confidence_colour, confidence_shown, show_confidence, switch_to

Colours = Literal["PHOTOGRAPHS", "LABELS", "CONFIDENCE"]


def show_colours(colours: Colours) -> None:
    """Show everything in the file in the colours of the photographs, of labels, or of the confidence of labels."""
    switch_to(labels=colours != "PHOTOGRAPHS")
    if confidence_shown() != (colours == "CONFIDENCE"):
        show_confidence(colours == "CONFIDENCE")
        collections: Any = bpy.data.collections
        for each in collections:
            if each.splatlift.kind == "SCENE":
                paint(each)


def paint(scene: Any) -> None:
    """Set the colours of the Blender objects of an imported scene, by its level and the shown colours."""
    kinds = ("OBJECT", "BACKGROUND", "PART") if scene.splatlift.level == "PART" else ("OBJECT", "BACKGROUND")
    # Parts come after the objects that contain them.
    for kind in kinds:
        for each in scene.children_recursive:
            if each.splatlift.kind == kind:
                _paint(each, linear(label_colour(each)))


def label_colour(collection: Any) -> tuple[float, float, float]:
    """Return the sRGB colour of an object or part for the display of labels."""
    known = collection.splatlift
    if confidence_shown() and known.kind != "BACKGROUND":
        return confidence_colour(known.confidence)
    r, g, b = known.colour
    return (r, g, b)


def _paint(collection: Any, colour: tuple[float, float, float, float]) -> None:
    for thing in collection.all_objects:
        if any(abs(a - b) > 1e-6 for a, b in zip(thing.color, colour, strict=True)):
            thing.color = colour

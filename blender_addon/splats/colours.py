"""The displayed colours: those of the photographs, or of the object's label.

Every material of the add-on mixes both by one value in a shared node group. Changing that value changes every scene in
the file at once without writing data. The label's colour is the colour of the Blender object, so changing the object's
colour is visible too.
"""

from __future__ import annotations

from typing import Any

import bpy

from .columns import COLOUR
from .marks import MARKED

MARK = "splatlift_display"
"""Custom property that identifies our node groups and materials, whatever their names."""

RED = (1.0, 0.01, 0.01, 1.0)
"""Colour of marked Gaussians, linear RGBA."""

_SWITCH = "colours"
_CONFIDENCE = "splatlift_confidence"
"""Custom property of the shared node group: whether objects have the colours of their confidence."""
_SCALE = (
    (0.843, 0.098, 0.110),
    (0.992, 0.682, 0.380),
    (1.0, 1.0, 0.749),
    (0.671, 0.851, 0.914),
    (0.173, 0.482, 0.714),
)


def labels_shown() -> bool:
    """Whether objects are shown in label colours."""
    group = marked(bpy.data.node_groups, _SWITCH)
    return group is not None and _value(group).default_value > 0.5


def confidence_shown() -> bool:
    """Whether label colours are those of the confidence of objects."""
    group = marked(bpy.data.node_groups, _SWITCH)
    return group is not None and bool(group.get(_CONFIDENCE))


def show_confidence(shown: bool) -> None:
    """Set what :func:`confidence_shown` returns; :mod:`.painting` gives objects their colours."""
    _switch()[_CONFIDENCE] = shown


def confidence_colour(confidence: float) -> tuple[float, float, float]:
    """Return the sRGB colour of a confidence, 0 to 1: red up to 0.5, then through yellow to blue at 1.

    The diverging scale RdYlBu of ColorBrewer (Harrower and Brewer 2003), which people with defective colour vision can
    read too.
    """
    place = (len(_SCALE) - 1) * min(max(2 * confidence - 1, 0.0), 1.0)
    low = min(int(place), len(_SCALE) - 2)
    r, g, b = (a + (place - low) * (b - a) for a, b in zip(_SCALE[low], _SCALE[low + 1], strict=True))
    return (r, g, b)


def switch_to(labels: bool) -> None:
    """Switch the materials to label colours or to the colours of the photographs."""
    _value(_switch()).default_value = float(labels)


def chosen_colour(tree: Any, source: str, gamma: float, attribute: str = COLOUR, image: Any = None) -> tuple[Any, Any]:
    """Add the nodes that compute a point's colour to a material; return the sockets of linear colour and opacity.

    Args:
        source: "GEOMETRY" if the points or faces themselves are drawn, "INSTANCER" if instances on them are.
        gamma: of the attribute's values: 2.2 for sRGB numbers, 1 if Blender has converted them to linear.
        attribute: name of the attribute with the photographed colour.
        image: a ``bpy.types.Image`` on the UV map of the mesh, with the photographed colour; it replaces the attribute.
    """
    nodes, links = tree.nodes, tree.links
    photographed = nodes.new("ShaderNodeAttribute")
    photographed.attribute_type = source
    photographed.attribute_name = attribute
    linear = nodes.new("ShaderNodeGamma")
    linear.inputs["Gamma"].default_value = gamma
    switch = nodes.new("ShaderNodeGroup")
    switch.node_tree = _switch()
    label = nodes.new("ShaderNodeObjectInfo")
    mix = nodes.new("ShaderNodeMix")
    mix.data_type = "RGBA"
    colour = photographed.outputs["Color"]
    if image is not None:
        picture = nodes.new("ShaderNodeTexImage")
        picture.image = image
        colour = picture.outputs["Color"]
    links.new(colour, linear.inputs["Color"])
    links.new(switch.outputs[0], enabled(mix.inputs, "Factor"))
    links.new(linear.outputs["Color"], enabled(mix.inputs, "A"))
    links.new(label.outputs["Color"], enabled(mix.inputs, "B"))
    # A missing attribute reads as 0.
    marked_ones = nodes.new("ShaderNodeAttribute")
    marked_ones.attribute_type = source
    marked_ones.attribute_name = MARKED
    red = nodes.new("ShaderNodeMix")
    red.data_type = "RGBA"
    links.new(marked_ones.outputs["Fac"], enabled(red.inputs, "Factor"))
    links.new(enabled(mix.outputs, "Result"), enabled(red.inputs, "A"))
    enabled(red.inputs, "B").default_value = RED
    return enabled(red.outputs, "Result"), photographed.outputs["Alpha"]


def marked(blocks: Any, mark: str) -> Any:
    """Return our data-block with the marker ``mark``, or None."""
    # Linked data-blocks belong to another file and may disappear with it.
    return next((block for block in blocks if block.get(MARK) == mark and block.library is None), None)


def enabled(sockets: Any, name: str) -> Any:
    """Return the enabled socket among several of one name; some nodes have one per data type."""
    return next(socket for socket in sockets if socket.name == name and socket.enabled)


def _switch() -> Any:
    known = marked(bpy.data.node_groups, _SWITCH)
    if known is not None:
        return known
    group: Any = bpy.data.node_groups.new("SplatLift Colours", "ShaderNodeTree")
    group[MARK] = _SWITCH
    group.interface.new_socket("Labels", in_out="OUTPUT", socket_type="NodeSocketFloat")
    value, end = group.nodes.new("ShaderNodeValue"), group.nodes.new("NodeGroupOutput")
    value.label = "0: photographs, 1: labels"
    value.outputs[0].default_value = 0.0
    end.location = (200, 0)
    group.links.new(value.outputs[0], end.inputs[0])
    return group


def _value(group: Any) -> Any:
    return next(node for node in group.nodes if node.type == "VALUE").outputs[0]

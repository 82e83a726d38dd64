"""What colour things are seen in: the photographs', or that of the object's label.

Every material of ours mixes the two by one number, the value in a node group that all of them share. Changing that
number changes every scene in the file at once, and no data are written. The label's colour is the colour of the
Blender object, so giving an object another colour is seen too.
"""

from __future__ import annotations

from typing import Any

import bpy

from .columns import COLOUR
from .marks import MARKED

MARK = "splatlift_display"
"""Custom property by which a node group or material is known again, whatever its name has become."""

RED = (1.0, 0.01, 0.01, 1.0)
"""Colour of marked Gaussians, linear RGBA."""

_SWITCH = "colours"


def labels_shown() -> bool:
    """Whether things are seen in the colours of their labels."""
    group = marked(bpy.data.node_groups, _SWITCH)
    return group is not None and _value(group).default_value > 0.5


def switch_to(labels: bool) -> None:
    """Have the materials mix in the colours of labels, or of the photographs."""
    _value(_switch()).default_value = float(labels)


def chosen_colour(tree: Any, source: str, gamma: float, attribute: str = COLOUR) -> tuple[Any, Any]:
    """Add the nodes that find a point's colour to a material and return the sockets of colour, linear, and opacity.

    Args:
        source: "GEOMETRY" where the points or faces themselves are drawn, "INSTANCER" where something stands on them.
        gamma: of the attribute's values: 2.2 where they are sRGB numbers, 1 where Blender has made them linear.
        attribute: that holds the photographed colour.
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
    links.new(photographed.outputs["Color"], linear.inputs["Color"])
    links.new(switch.outputs[0], enabled(mix.inputs, "Factor"))
    links.new(linear.outputs["Color"], enabled(mix.inputs, "A"))
    links.new(label.outputs["Color"], enabled(mix.inputs, "B"))
    # An attribute that is not there is 0.
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
    """Return the data-block of ours that carries ``mark``, or None."""
    # Linked data-blocks come from another file and may go with it.
    return next((block for block in blocks if block.get(MARK) == mark and block.library is None), None)


def enabled(sockets: Any, name: str) -> Any:
    """Return the socket in use among several of one name, one per data type, that some nodes have."""
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

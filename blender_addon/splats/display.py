"""How splat points are seen: node groups that draw them, and materials that read their colour. Built from Python.

A mesh of bare vertices shows in Edit Mode only. One modifier turns the points into discs of the Gaussian's mean size;
another into ellipsoids, as instances that are never made real: a million of them evaluate in a tenth of a second and
take gigabytes when realised.
"""

from __future__ import annotations

from typing import Any

import bpy

from . import native
from .attributes import QUATS, SCALES
from .colours import MARK, chosen_colour, enabled, marked, switch_to

MODIFIER = "SplatLift Display"
ELLIPSOID_BUDGET = 200_000
"""Ellipsoids drawn per scene unless told otherwise; of a larger scene a random share of each object is shown."""

REACH = 2**0.5
"""Deviations from centre to rim: a disc of this radius covers as much, at one opacity, as the Gaussian does in all."""

_POINTS = "points"
_ELLIPSOIDS = "ellipsoids"


def show_labels(shown: bool) -> None:
    """Have everything in the file seen in the colours of labels, or of the photographs."""
    switch_to(labels=shown)


def dress_cloud(cloud: Any, display: str = "SPLATS") -> None:
    """Have a point cloud of Blender's own Gaussians drawn as "SPLATS" by Blender itself, or as "POINTS"."""
    material = native_material() if display == "SPLATS" else splat_material("GEOMETRY")
    cloud.materials.clear()
    cloud.materials.append(material)
    cloud.type = native.TYPE if display == "SPLATS" else "POINTS"


def drawn_by(group: Any) -> tuple[str, float]:
    """Return what a node group draws, "POINTS", "SPLATS", or "" where it is none of ours, and the share it draws."""
    kind, _, share = str(group.get(MARK, "") if group is not None else "").partition(" ")
    if kind == _ELLIPSOIDS:
        return "SPLATS", float(share)
    return ("POINTS" if kind == _POINTS else ""), 1.0


def points_nodes() -> Any:
    """Return the node group that draws each Gaussian as a point, its radius from the mean of its log-scales."""
    group = marked(bpy.data.node_groups, _POINTS)
    if group is not None:
        return group
    group, start, end = _new_group("SplatLift Points", _POINTS)
    points = group.nodes.new("GeometryNodeMeshToPoints")
    group.links.new(start.outputs["Geometry"], points.inputs["Mesh"])
    logs = [_attribute(group, name) for name in SCALES]
    mean = _math(group, "DIVIDE", _math(group, "ADD", _math(group, "ADD", logs[0], logs[1]), logs[2]), 3.0)
    radius = _math(group, "MULTIPLY", _math(group, "EXPONENT", mean), REACH)
    group.links.new(radius, points.inputs["Radius"])
    _finish(group, points.outputs[0], end, splat_material("GEOMETRY"))
    return group


def ellipsoid_nodes(share: float) -> Any:
    """Return the node group that draws a random ``share`` of the Gaussians, 0 to 1, as ellipsoids."""
    mark = f"{_ELLIPSOIDS} {share:.6f}"
    group = marked(bpy.data.node_groups, mark)
    if group is not None:
        return group
    group, start, end = _new_group("SplatLift Ellipsoids", mark)
    points = group.nodes.new("GeometryNodeMeshToPoints")
    group.links.new(start.outputs["Geometry"], points.inputs["Mesh"])
    sphere = group.nodes.new("GeometryNodeMeshIcoSphere")
    sphere.inputs["Radius"].default_value = REACH
    sphere.inputs["Subdivisions"].default_value = 1
    instances = group.nodes.new("GeometryNodeInstanceOnPoints")
    group.links.new(points.outputs[0], instances.inputs["Points"])
    group.links.new(sphere.outputs["Mesh"], instances.inputs["Instance"])
    if share < 1.0:
        chosen = group.nodes.new("FunctionNodeRandomValue")
        chosen.data_type = "BOOLEAN"
        enabled(chosen.inputs, "Probability").default_value = share
        group.links.new(enabled(chosen.outputs, "Value"), instances.inputs["Selection"])
    rotation = group.nodes.new("FunctionNodeQuaternionToRotation")
    for name, socket in zip(QUATS, "WXYZ", strict=True):
        group.links.new(_attribute(group, name), rotation.inputs[socket])
    group.links.new(rotation.outputs[0], instances.inputs["Rotation"])
    scale = group.nodes.new("ShaderNodeCombineXYZ")
    for name, socket in zip(SCALES, "XYZ", strict=True):
        group.links.new(_math(group, "EXPONENT", _attribute(group, name)), scale.inputs[socket])
    group.links.new(scale.outputs[0], instances.inputs["Scale"])
    _finish(group, instances.outputs[0], end, splat_material("INSTANCER"))
    return group


def splat_material(source: str) -> Any:
    """Return the material that glows in the chosen colour, see :mod:`.colours`, and is as opaque as the Gaussian.

    Args:
        source: "GEOMETRY" where the points themselves are drawn, "INSTANCER" where something stands on them.
    """
    material = marked(bpy.data.materials, f"splat {source}")
    if material is not None:
        return material
    material, nodes, links = _new_material("SplatLift Splat", f"splat {source}")
    # The attribute holds sRGB as other splat add-ons expect it; shaders take linear light.
    colour, opacity = chosen_colour(material.node_tree, source, gamma=2.2)
    glow, clear, mix = (nodes.new(f"ShaderNode{kind}") for kind in ("Emission", "BsdfTransparent", "MixShader"))
    links.new(colour, glow.inputs["Color"])
    links.new(opacity, mix.inputs[0])
    links.new(clear.outputs[0], mix.inputs[1])
    links.new(glow.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    # Instances are not sorted by depth, which blended transparency needs.
    material.surface_render_method = "DITHERED"
    return material


def native_material() -> Any:
    """Return the material of Gaussians that Blender draws by itself: they glow in the chosen colour.

    Blender has their view-dependent colour in the attribute "radiance", and sees to their opacity.
    """
    material = marked(bpy.data.materials, "native")
    if material is not None:
        return material
    material, nodes, links = _new_material("SplatLift Gaussians", "native")
    colour, _ = chosen_colour(material.node_tree, "GEOMETRY", gamma=1.0, attribute=native.RADIANCE)
    glow = nodes.new("ShaderNodeEmission")
    links.new(colour, glow.inputs["Color"])
    links.new(glow.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def mesh_material() -> Any:
    """Return the material of object meshes: it glows in the mesh's own colours, or the label's.

    The colours are those of photographs, which hold the light of the capture already: lamps of Blender's would light
    them a second time, and without lamps they would be dark.
    """
    material = marked(bpy.data.materials, "mesh")
    if material is not None:
        return material
    material, nodes, links = _new_material("SplatLift Mesh", "mesh")
    colour, _ = chosen_colour(material.node_tree, "GEOMETRY", gamma=1.0)
    surface = nodes.new("ShaderNodeEmission")
    links.new(colour, surface.inputs["Color"])
    links.new(surface.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def _new_group(name: str, mark: str) -> tuple[Any, Any, Any]:
    group: Any = bpy.data.node_groups.new(name, "GeometryNodeTree")
    group[MARK] = mark
    group.is_modifier = True
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    return group, group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")


def _new_material(name: str, mark: str) -> tuple[Any, Any, Any]:
    material: Any = bpy.data.materials.new(name)
    material[MARK] = mark
    if material.node_tree is None:  # from 5.0 on every material has its nodes
        material.use_nodes = True
    tree: Any = material.node_tree
    tree.nodes.clear()
    return material, tree.nodes, tree.links


def _finish(group: Any, geometry: Any, end: Any, material: Any) -> None:
    paint = group.nodes.new("GeometryNodeSetMaterial")
    paint.inputs["Material"].default_value = material
    group.links.new(geometry, paint.inputs["Geometry"])
    group.links.new(paint.outputs[0], end.inputs["Geometry"])
    # Where a person opens the tree, the nodes stand in the order of their making instead of in one heap.
    for i, node in enumerate(group.nodes):
        node.location = (200 * (i // 4), -220 * (i % 4))


def _attribute(group: Any, name: str) -> Any:
    node = group.nodes.new("GeometryNodeInputNamedAttribute")
    node.data_type = "FLOAT"
    node.inputs["Name"].default_value = name
    return enabled(node.outputs, "Attribute")


def _math(group: Any, operation: str, *values: Any) -> Any:
    node = group.nodes.new("ShaderNodeMath")
    node.operation = operation
    for socket, value in zip(node.inputs, values, strict=False):
        if isinstance(value, float):
            socket.default_value = value
        else:
            group.links.new(value, socket)
    return node.outputs[0]

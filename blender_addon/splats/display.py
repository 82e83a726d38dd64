"""Display of splat points: node groups that draw them, and materials that read their colour. Built from Python.

Blender shows a mesh of bare vertices in Edit Mode only. One modifier turns the vertices into points of the Gaussian's
mean size; others into discs that face the camera, as instances that are not realised: a million instances evaluate in a
tenth of a second, but take gigabytes when realised. A scene shown as splats has discs in renders; in the views its
modifier only gives its bounds, and :mod:`..viewport` draws it.
"""

from __future__ import annotations

from math import cos, pi
from typing import Any

import bpy

from . import native
from .attributes import QUATS, SCALES
from .colours import MARK, chosen_colour, enabled, marked
from .columns import COLOUR

MODIFIER = "SplatLift Display"
DISC_BUDGET = 200_000
"""Default number of discs per scene; of a larger scene, a random share of each object is shown."""

REACH = 2**0.5
"""Radius of a disc of constant opacity with the same integral as the Gaussian, in standard deviations."""

DISC_REACH = 3.0
"""Standard deviations up to which a Gaussian is rendered; its opacity there is 1/90 of that at its centre."""

CORNERS = 8
"""Corners of a disc."""

BOUNCES = 256
"""Number of transparent surfaces that a ray of Cycles may pass. Blender's default is 8."""

SURE_BOUNCES = 32
"""Number of these after which Cycles may end rays at random, which causes noise. Blender's default is 0."""

_POINTS = "points"
_SPLATS = "splats"
_DISCS = "discs"
_MESH = "mesh"


def dress_cloud(cloud: Any, display: str = "SPLATS") -> None:
    """Show a point cloud of native Gaussians as "SPLATS", drawn by Blender, or as "POINTS"."""
    points = display == "POINTS"
    material = splat_material() if points else native_material()
    cloud.materials.clear()
    cloud.materials.append(material)
    cloud.type = "POINTS" if points else native.TYPE


def drawn_by(group: Any) -> tuple[str, float]:
    """Return "POINTS", "SPLATS", "DISCS", or "" for a node group that is not ours, and the share of Gaussians drawn."""
    kind, _, share = str(group.get(MARK, "") if group is not None else "").partition(" ")
    if kind == _DISCS:
        return "DISCS", float(share)
    return {_POINTS: "POINTS", _SPLATS: "SPLATS"}.get(kind, ""), 1.0


def see_through(scene: Any) -> None:
    """Let rays of Cycles in a ``bpy.types.Scene`` pass as many discs as may overlap."""
    cycles = getattr(scene, "cycles", None)  # Cycles is an add-on, which can be disabled
    if cycles is not None:
        cycles.transparent_max_bounces = max(cycles.transparent_max_bounces, BOUNCES)
        cycles.min_transparent_bounces = max(cycles.min_transparent_bounces, SURE_BOUNCES)


def points_nodes() -> Any:
    """Return the node group that draws each Gaussian as a point with a radius from the mean of its log-scales."""
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
    _finish(group, points.outputs[0], end, splat_material())
    return group


def splats_nodes() -> Any:
    """Return the node group of Gaussians that :mod:`..viewport` draws in the views and that are discs in renders.

    In the views it returns the corners of the bounds as points of size 0, so that Frame Selected works.
    """
    group = marked(bpy.data.node_groups, _SPLATS)
    if group is not None:
        return group
    group, start, end = _new_group("SplatLift Splats", _SPLATS)
    discs = _discs(group, start, 1.0)
    bounds = group.nodes.new("GeometryNodeBoundBox")
    corners = group.nodes.new("GeometryNodeMeshToPoints")
    corners.inputs["Radius"].default_value = 0.0
    group.links.new(start.outputs["Geometry"], bounds.inputs["Geometry"])
    group.links.new(bounds.outputs["Bounding Box"], corners.inputs["Mesh"])
    viewed = group.nodes.new("GeometryNodeIsViewport")
    choice = group.nodes.new("GeometryNodeSwitch")
    choice.input_type = "GEOMETRY"
    group.links.new(viewed.outputs[0], enabled(choice.inputs, "Switch"))
    group.links.new(discs, enabled(choice.inputs, "False"))
    group.links.new(corners.outputs[0], enabled(choice.inputs, "True"))
    _finish(group, enabled(choice.outputs, "Output"), end, gaussian_material())
    return group


def disc_nodes(share: float) -> Any:
    """Return the node group that draws a random ``share`` of the Gaussians, 0 to 1, as discs."""
    mark = f"{_DISCS} {share:.6f}"
    group = marked(bpy.data.node_groups, mark)
    if group is not None:
        return group
    group, start, end = _new_group("SplatLift Discs", mark)
    _finish(group, _discs(group, start, share), end, gaussian_material())
    return group


def _discs(group: Any, start: Any, share: float) -> Any:
    """Add the nodes that put a disc on a ``share`` of the points and return the socket of the instances.

    A disc goes through the centre of its Gaussian and contains the points where rays from the scene's camera are
    nearest to the centre, in standard deviations. In the space where the Gaussian is a unit ball, the disc is round and
    faces the camera. So its matrix is R S Q, with the rotation R and sizes S of the Gaussian, and the rotation Q that
    turns the disc to the camera in that space. Rays of Cycles then meet discs in the order of their centres, in which
    Gaussians are blended.
    """
    points = group.nodes.new("GeometryNodeMeshToPoints")
    group.links.new(start.outputs["Geometry"], points.inputs["Mesh"])
    disc = group.nodes.new("GeometryNodeMeshCircle")
    disc.fill_type = "NGON"
    disc.inputs["Vertices"].default_value = CORNERS
    disc.inputs["Radius"].default_value = DISC_REACH / cos(pi / CORNERS)
    instances = group.nodes.new("GeometryNodeInstanceOnPoints")
    group.links.new(points.outputs[0], instances.inputs["Points"])
    group.links.new(disc.outputs["Mesh"], instances.inputs["Instance"])
    if share < 1.0:
        chosen = group.nodes.new("FunctionNodeRandomValue")
        chosen.data_type = "BOOLEAN"
        enabled(chosen.inputs, "Probability").default_value = share
        group.links.new(enabled(chosen.outputs, "Value"), instances.inputs["Selection"])
    placed = group.nodes.new("GeometryNodeSetInstanceTransform")
    group.links.new(instances.outputs[0], placed.inputs["Instances"])
    group.links.new(_disc_matrix(group), placed.inputs["Transform"])
    return placed.outputs[0]


def _disc_matrix(group: Any) -> Any:
    """Add the nodes of the matrix of a disc and return its socket; see :func:`_discs`."""
    new, links = group.nodes.new, group.links
    rotation = new("FunctionNodeQuaternionToRotation")
    for name, socket in zip(QUATS, "WXYZ", strict=True):
        links.new(_attribute(group, name), rotation.inputs[socket])
    size = new("ShaderNodeCombineXYZ")
    for name, socket in zip(SCALES, "XYZ", strict=True):
        links.new(_math(group, "EXPONENT", _attribute(group, name)), size.inputs[socket])
    middle = new("GeometryNodeInputPosition").outputs[0]
    camera = new("GeometryNodeObjectInfo")
    camera.transform_space = "RELATIVE"
    links.new(new("GeometryNodeInputActiveCamera").outputs[0], camera.inputs["Object"])
    back = new("FunctionNodeInvertRotation")
    links.new(rotation.outputs[0], back.inputs[0])
    turned = new("FunctionNodeRotateVector")
    links.new(_vector(group.nodes, links, "SUBTRACT", camera.outputs["Location"], middle), turned.inputs["Vector"])
    links.new(back.outputs[0], turned.inputs["Rotation"])
    facing = new("FunctionNodeAlignEulerToVector")
    facing.axis = "Z"
    links.new(_vector(group.nodes, links, "DIVIDE", turned.outputs[0], size.outputs[0]), facing.inputs["Vector"])
    own, towards = new("FunctionNodeCombineTransform"), new("FunctionNodeCombineTransform")
    for socket, value in (("Translation", middle), ("Rotation", rotation.outputs[0]), ("Scale", size.outputs[0])):
        links.new(value, own.inputs[socket])
    links.new(facing.outputs[0], towards.inputs["Rotation"])
    product = new("FunctionNodeMatrixMultiply")
    links.new(own.outputs[0], product.inputs[0])
    links.new(towards.outputs[0], product.inputs[1])
    return product.outputs[0]


def splat_material() -> Any:
    """Return the material of points: emission in the chosen colour, see :mod:`.colours`, with the same opacity."""
    material = marked(bpy.data.materials, "splat GEOMETRY")
    if material is not None:
        return material
    material, nodes, links = _new_material("SplatLift Splat", "splat GEOMETRY")
    # The attribute is sRGB, as other splat add-ons expect; shaders need linear values.
    colour, opacity = chosen_colour(material.node_tree, "GEOMETRY", gamma=2.2)
    _glow(nodes, links, colour, opacity)
    # Points are not sorted by depth, which blended transparency needs.
    material.surface_render_method = "DITHERED"
    return material


def gaussian_material() -> Any:
    """Return the material of discs, whose opacity decreases as the Gaussian's density.

    The density is that at the point of the ray with the least distance from the centre in standard deviations
    (Moenne-Loccoz et al., "3D Gaussian Ray Tracing", 2024). In the frame of the instance a standard deviation is 1, so
    the squared distance is |p|^2 - (p d)^2 for any point p of the ray with direction d.
    """
    material = marked(bpy.data.materials, "gaussian")
    if material is not None:
        return material
    material, nodes, links = _new_material("SplatLift Gaussian", "gaussian")
    colour, opacity = chosen_colour(material.node_tree, "INSTANCER", gamma=2.2)
    geometry = nodes.new("ShaderNodeNewGeometry")
    place = nodes.new("ShaderNodeTexCoord").outputs["Object"]
    turned = nodes.new("ShaderNodeVectorTransform")
    turned.vector_type, turned.convert_from, turned.convert_to = "VECTOR", "WORLD", "OBJECT"
    links.new(geometry.outputs["Incoming"], turned.inputs["Vector"])
    direction = _vector(nodes, links, "NORMALIZE", turned.outputs["Vector"])
    far = _vector(nodes, links, "DOT_PRODUCT", place, place)
    along = _vector(nodes, links, "DOT_PRODUCT", place, direction)
    tree = material.node_tree
    square = _math(tree, "SUBTRACT", far, _math(tree, "MULTIPLY", along, along))
    density = _math(tree, "EXPONENT", _math(tree, "MULTIPLY", square, -0.5))
    _glow(nodes, links, colour, _math(tree, "MULTIPLY", opacity, density))
    # Instances are not sorted by depth, which blended transparency needs.
    material.surface_render_method = "DITHERED"
    return material


def _glow(nodes: Any, links: Any, colour: Any, opacity: Any) -> None:
    """Add the nodes of a surface that emits a colour with an opacity and is otherwise transparent."""
    glow, clear, mix = (nodes.new(f"ShaderNode{kind}") for kind in ("Emission", "BsdfTransparent", "MixShader"))
    links.new(colour, glow.inputs["Color"])
    links.new(opacity, mix.inputs[0])
    links.new(clear.outputs[0], mix.inputs[1])
    links.new(glow.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])


def native_material() -> Any:
    """Return the material of native Gaussians: emission of the chosen colour.

    Blender provides their view-dependent colour in the attribute "radiance", and applies their opacity.
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


def mesh_material(image: Any = None) -> Any:
    """Return the material of object meshes: emission of the colours of the mesh, or of the label's colour.

    With a ``bpy.types.Image``, the mesh's texture, the colours are those of the image. They come from photographs and
    contain the light of the capture: lights in Blender would light them a second time, and without lights they would be
    dark.

    Blender's exporters would write such a material as white light. They read the output for all engines, so this one
    has a Principled BSDF with the same colours, and EEVEE and Cycles have outputs of their own.
    """
    mark = _MESH if image is None else f"{_MESH} {image.name}"
    material = marked(bpy.data.materials, mark)
    if material is not None:
        return material
    material, nodes, links = _new_material("SplatLift Mesh" if image is None else image.name, mark)
    colour, _ = chosen_colour(material.node_tree, "GEOMETRY", gamma=1.0, image=image)
    surface = nodes.new("ShaderNodeEmission")
    links.new(colour, surface.inputs["Color"])
    for engine in ("EEVEE", "CYCLES"):
        output = nodes.new("ShaderNodeOutputMaterial")
        output.target = engine
        links.new(surface.outputs[0], output.inputs["Surface"])
    if image is None:
        picture = nodes.new("ShaderNodeVertexColor")
        picture.layer_name = COLOUR
    else:
        picture = next(node for node in nodes if node.type == "TEX_IMAGE")
    add_plain_surface(nodes, links, picture.outputs["Color"])
    return material


def add_plain_surface(nodes: Any, links: Any, colour: Any) -> None:
    """Add a rough surface of a colour, given as a socket, to a material as its active output."""
    surface, output = nodes.new("ShaderNodeBsdfPrincipled"), nodes.new("ShaderNodeOutputMaterial")
    surface.inputs["Roughness"].default_value = 1.0
    links.new(colour, surface.inputs["Base Color"])
    links.new(surface.outputs[0], output.inputs["Surface"])
    output.is_active_output = True


def is_mesh_material(material: Any) -> bool:
    """Whether a material is one of :func:`mesh_material`, and glows still."""
    if str(material.get(MARK, "")).partition(" ")[0] != _MESH or not material.node_tree:
        return False
    return any(node.type == "EMISSION" and node.outputs[0].is_linked for node in material.node_tree.nodes)


def pictures_of(material: Any) -> list[Any]:
    """Return the images that a material shows."""
    nodes = material.node_tree.nodes if material.node_tree else ()
    return [node.image for node in nodes if node.type == "TEX_IMAGE" and node.image is not None]


def _new_group(name: str, mark: str) -> tuple[Any, Any, Any]:
    group: Any = bpy.data.node_groups.new(name, "GeometryNodeTree")
    group[MARK] = mark
    group.is_modifier = True
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    return group, group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")


def empty_material(name: str) -> tuple[Any, Any, Any]:
    """Return a new material without nodes, its empty collection of nodes, and their links."""
    material: Any = bpy.data.materials.new(name)
    if material.node_tree is None:  # from 5.0 on, every material has nodes
        material.use_nodes = True
    tree: Any = material.node_tree
    tree.nodes.clear()
    return material, tree.nodes, tree.links


def _new_material(name: str, mark: str) -> tuple[Any, Any, Any]:
    material, nodes, links = empty_material(name)
    material[MARK] = mark
    return material, nodes, links


def _finish(group: Any, geometry: Any, end: Any, material: Any) -> None:
    paint = group.nodes.new("GeometryNodeSetMaterial")
    paint.inputs["Material"].default_value = material
    group.links.new(geometry, paint.inputs["Geometry"])
    group.links.new(paint.outputs[0], end.inputs["Geometry"])
    # Without locations, all nodes would be at one place in the node editor.
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


def _vector(nodes: Any, links: Any, operation: str, *values: Any) -> Any:
    """Add a vector math node and return the socket of its result."""
    node = nodes.new("ShaderNodeVectorMath")
    node.operation = operation
    for socket, value in zip(node.inputs, values, strict=False):
        links.new(value, socket)
    return next(socket for socket in node.outputs if socket.enabled)

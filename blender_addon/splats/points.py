"""Objects as points: a mesh of bare vertices that carries the Gaussians, and a modifier that shows them.

A vertex mesh is what every Blender from 4.2 on can make, edit and save, and what other splat add-ons take over. A
Blender that draws Gaussians by itself is given a point cloud instead where they are to be seen as such.
"""

from __future__ import annotations

from typing import Any

import bpy

from protocol.splats import Splats

from .attributes import write_splats
from .display import MODIFIER, dress_cloud
from .native import new_native

KIRI_TYPE = "3DGS_Mesh_Type"
"""Custom property that KIRI's panels read of every splat object without asking whether it is there."""


def add_points(collection: Any, name: str, splats: Splats, colour: tuple[float, ...], nodes: Any) -> Any:
    """Make the object that holds ``splats`` in ``collection`` and return it.

    Args:
        colour: the object's colour where the viewport shows objects by colour; RGBA, linear.
        nodes: the node group that shows the points, of :mod:`.display`.
    """
    data: Any = bpy.data.meshes.new(name)
    write_splats(data, splats)
    thing: Any = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    thing[KIRI_TYPE] = "vert"
    thing.color = colour
    modifier = thing.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = nodes
    # Drawn points would cover the selected ones, and are as many again to evaluate.
    modifier.show_in_editmode = False
    return thing


def add_cloud(collection: Any, name: str, splats: Splats, colour: tuple[float, ...]) -> Any:
    """Make the object that holds ``splats`` in ``collection``, drawn by Blender itself, and return it.

    Args:
        colour: the object's colour, RGBA, linear.
    """
    data = new_native(name, splats)
    thing: Any = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    thing.color = colour
    dress_cloud(data)
    return thing

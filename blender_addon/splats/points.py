"""Objects as points: a mesh of vertices that stores the Gaussians, and a modifier that displays them.

A vertex mesh can be created, edited and saved in every Blender from 4.2 on, and other splat add-ons support it. For
native Gaussians a point cloud is used instead.
"""

from __future__ import annotations

from typing import Any

import bpy

from protocol.splats import Splats

from .attributes import write_splats
from .display import MODIFIER, dress_cloud
from .native import new_native

KIRI_TYPE = "3DGS_Mesh_Type"
"""Custom property that KIRI's panels read from every splat object without checking that it exists."""


def add_points(collection: Any, name: str, splats: Splats, colour: tuple[float, ...], nodes: Any) -> Any:
    """Create the object with ``splats`` in ``collection`` and return it.

    Args:
        colour: the object's colour for views that show object colours; RGBA, linear.
        nodes: the node group that displays the points, from :mod:`.display`.
    """
    data: Any = bpy.data.meshes.new(name)
    write_splats(data, splats)
    thing: Any = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    thing[KIRI_TYPE] = "vert"
    thing.color = colour
    modifier = thing.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = nodes
    # Drawn points would cover the selected ones, and double the evaluation time.
    modifier.show_in_editmode = False
    return thing


def add_cloud(collection: Any, name: str, splats: Splats, colour: tuple[float, ...]) -> Any:
    """Create the object with ``splats`` in ``collection``, drawn natively by Blender, and return it.

    Args:
        colour: the object's colour, RGBA, linear.
    """
    data = new_native(name, splats)
    thing: Any = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    thing.color = colour
    dress_cloud(data)
    return thing

"""Objects as plain meshes: the surfaces that the backend extracted from their Gaussians.

The result folder contains them as ``meshes/NNNN.ply``.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from protocol.result.meshes import Mesh

from .columns import COLOUR
from .display import mesh_material

INVENTED = "invented"
"""Face attribute of a surface: whether the face only closes the surface where no camera saw it."""


def add_surface(collection: Any, name: str, surface: Mesh, colour: tuple[float, ...]) -> Any:
    """Create the mesh object of a surface in ``collection`` and return it.

    Args:
        colour: the object's colour for views that show object colours; RGBA, linear.
    """
    data: Any = bpy.data.meshes.new(name)
    thing: Any = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    data.from_pydata(surface.vertices, [], surface.faces)
    colours = np.full((len(surface.vertices), 4), 1.0, np.float32)
    colours[:, :3] = surface.colours / np.float32(255)
    data.attributes.new(COLOUR, "BYTE_COLOR", "POINT")
    data.attributes[COLOUR].data.foreach_set("color_srgb", colours.ravel())
    if surface.invented is not None:
        data.attributes.new(INVENTED, "BOOLEAN", "FACE")
        data.attributes[INVENTED].data.foreach_set("value", surface.invented)
    data.validate()
    data.shade_smooth()
    data.materials.append(mesh_material())
    thing.color = colour
    return thing

"""Objects as plain meshes: the surfaces that the backend extracted from their Gaussians.

The result folder contains them as ``meshes/NNNN.ply``, and their textures as ``meshes/NNNN.png``.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.result.meshes import Mesh, size_of_png

from .columns import COLOUR
from .display import mesh_material, pictures_of

INVENTED = "invented"
"""Face attribute of a surface: whether the face only closes the surface where no camera saw it."""

UV = "UVMap"


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
    data.color_attributes.active_color = data.attributes[COLOUR]
    if surface.invented is not None:
        data.attributes.new(INVENTED, "BOOLEAN", "FACE")
        data.attributes[INVENTED].data.foreach_set("value", surface.invented)
    image = None
    if surface.texture is not None:
        data.uv_layers.new(name=UV)
        data.uv_layers[UV].data.foreach_set("uv", surface.texture.uv.ravel())
        image = _packed(name, surface.texture.png)
    data.validate()
    data.shade_smooth()
    data.materials.append(mesh_material(image))
    thing.color = colour
    return thing


def texture_of(data: Any) -> tuple[NDArray[np.float32], bytes] | None:
    """Return the texture of a surface: (u, v) of each corner (C, 2), and its file; None if it has none."""
    layer = data.uv_layers.get(UV)
    images = [image for each in data.materials if each for image in pictures_of(each)]
    if layer is None or len(images) != 1 or images[0].packed_file is None:
        return None
    uv = np.empty((len(data.loops), 2), np.float32)
    layer.data.foreach_get("uv", uv.ravel())
    return uv, bytes(images[0].packed_file.data)


def _packed(name: str, png: bytes) -> Any:
    """Return a new image that the blend file contains."""
    width, height = size_of_png(png) or (1, 1)
    image: Any = bpy.data.images.new(f"{name} Texture", width, height)
    image.pack(data=png, data_len=len(png))
    image.source = "FILE"
    return image

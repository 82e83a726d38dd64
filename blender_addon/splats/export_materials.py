"""Materials of exported surfaces that other programs understand.

Exporters write Principled BSDFs. The material of :func:`..display.mesh_material` glows and mixes in the colours of
labels; in an export its texture is the base colour, as in the exports of the backend. Materials by the user are left as
they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from protocol.errors import BadArgument

from .display import add_plain_surface, empty_material, is_mesh_material, pictures_of


@contextmanager
def plain_materials(things: Sequence[Any], pictures: Path) -> Iterator[None]:
    """Replace our materials on objects by plain ones with the same texture; one without a texture is removed.

    The slots of the objects change, their data do not.

    Args:
        pictures: path of a texture without its ending; several are numbered. They are written there as PNG files, and
            exporters copy them from there.

    Raises:
        BadArgument: if the pixels of a texture are missing.
    """
    slots = [slot for thing in things for slot in thing.material_slots]
    ours = {slot.material: None for slot in slots if slot.material is not None and is_mesh_material(slot.material)}
    textures = {material: pictures_of(material)[0] for material in ours if pictures_of(material)}
    materials, images = {}, []
    try:
        for number, (material, image) in enumerate(textures.items(), 1):
            if not image.has_data and not image.size[0]:
                raise BadArgument(
                    f"The pixels of the texture {image.name} are missing.",
                    "Find its file with File > External Data, or import the result again.",
                )
            ending = "" if len(textures) == 1 else f"-{number}"
            images.append(_written(image, pictures.with_name(f"{pictures.name}{ending}.png")))
            materials[material] = _plain(material.name, images[-1])
        for slot in slots:
            if slot.material in ours:
                material = materials.get(slot.material)
                slot.link = "OBJECT"
                slot.material = material
        yield
    finally:
        bpy.data.batch_remove([*materials.values(), *images])


def _written(image: Any, path: Path) -> Any:
    """Write the pixels of an image, with what was painted on it, and return a new image of that file."""
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    written: Any = bpy.data.images.new(path.stem, width, height)
    written.pixels.foreach_set(pixels)
    written.filepath_raw, written.file_format = str(path), "PNG"
    written.save()
    return written


def _plain(name: str, image: Any) -> Any:
    material, nodes, links = empty_material(name)
    picture = nodes.new("ShaderNodeTexImage")
    picture.image = image
    add_plain_surface(nodes, links, picture.outputs["Color"])
    return material

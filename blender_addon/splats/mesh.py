"""Objects as plain meshes: the surfaces that the backend drew around their Gaussians.

The level set itself is the backend's work, where scikit-image is; the result folder brings it as ``meshes/NNNN.ply``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import bpy
import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyParseError

from protocol.errors import BadResult

from .columns import COLOUR
from .display import mesh_material


class Surface(NamedTuple):
    """Triangles in the frame of the capture.

    Attributes:
        vertices: (V, 3) float32, scene units.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        colours: (V, 3) uint8, sRGB.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colours: NDArray[np.uint8]


def read_surface(path: Path) -> Surface:
    """Read a triangle mesh: PLY with ``x y z red green blue`` per vertex and ``vertex_indices`` per face.

    Raises:
        BadResult: if the file is missing or holds no such mesh.
    """
    if not path.is_file():
        raise BadResult(f"The result has no mesh {path}.", "Segment the scene again, or import the result as points.")
    try:
        ply = PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3}})
        vertex, face = ply["vertex"].data, ply["face"].data
        vertices = np.stack([vertex[name] for name in "xyz"], axis=1).astype(np.float32)
        colours = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1)
        faces = np.asarray(face["vertex_indices"]).reshape(len(face), 3)
    except (PlyParseError, KeyError, ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise _not_a_mesh(path, str(error)) from error
    if colours.dtype != np.uint8 or faces.dtype.kind not in "iu":
        raise _not_a_mesh(path, "its colours are no bytes or its indices no integers")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise _not_a_mesh(path, "a face names a vertex that is not there")
    if not np.isfinite(vertices).all():
        raise _not_a_mesh(path, "a vertex has no finite place")
    return Surface(vertices, faces.astype(np.int32), colours)


def add_surface(collection: Any, name: str, surface: Surface, colour: tuple[float, ...]) -> Any:
    """Make the mesh object of a surface in ``collection`` and return it.

    Args:
        colour: the object's colour where the viewport shows objects by colour; RGBA, linear.
    """
    data: Any = bpy.data.meshes.new(name)
    thing: Any = bpy.data.objects.new(name, data)
    collection.objects.link(thing)
    data.from_pydata(surface.vertices, [], surface.faces)
    colours = np.full((len(surface.vertices), 4), 1.0, np.float32)
    colours[:, :3] = surface.colours / np.float32(255)
    data.attributes.new(COLOUR, "BYTE_COLOR", "POINT")
    data.attributes[COLOUR].data.foreach_set("color_srgb", colours.ravel())
    data.validate()
    data.shade_smooth()
    data.materials.append(mesh_material())
    thing.color = colour
    return thing


def _not_a_mesh(path: Path, why: str) -> BadResult:
    return BadResult(f"The mesh {path} cannot be read: {why}.", "Segment the scene again, or import it as points.")

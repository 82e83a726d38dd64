"""``meshes/NNNN.ply`` of a result: the surface of an object."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError

from protocol.errors import BadResult

CHANNELS = ("red", "green", "blue")
INVENTED = "invented"
"""Property of a face, 0 or 1."""


class Mesh(NamedTuple):
    """Triangles in the frame of the capture.

    Attributes:
        vertices: (V, 3) float32, scene units.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        colours: (V, 3) uint8, sRGB.
        invented: (F,) bool, faces that close the surface where no camera saw it; None if unknown.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colours: NDArray[np.uint8]
    invented: NDArray[np.bool_] | None = None


def read_mesh(path: Path) -> Mesh:
    """Read a triangle mesh: PLY with ``x y z red green blue`` per vertex and ``vertex_indices`` per face, optionally
    ``invented`` per face.

    Raises:
        BadResult: if the file is missing or is not such a mesh.
    """
    if not path.is_file():
        raise BadResult(f"The result has no mesh {path}.", "Segment the scene again, or import the result as points.")
    try:
        ply = PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3}})
        vertex, face = ply["vertex"].data, ply["face"].data
        vertices = np.stack([vertex[name] for name in "xyz"], axis=1).astype(np.float32)
        colours = np.stack([vertex[name] for name in CHANNELS], axis=1)
        faces = np.asarray(face["vertex_indices"]).reshape(len(face), 3)
        invented = face[INVENTED] != 0 if INVENTED in face.dtype.names else None
    except (PlyParseError, KeyError, ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise _not_a_mesh(path, str(error)) from error
    if colours.dtype != np.uint8 or faces.dtype.kind not in "iu":
        raise _not_a_mesh(path, "its colours or its indices have the wrong type")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise _not_a_mesh(path, "a face refers to a vertex that does not exist")
    if not np.isfinite(vertices).all():
        raise _not_a_mesh(path, "a vertex is not finite")
    return Mesh(vertices, faces.astype(np.int32), colours, invented)


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Write the PLY that :func:`read_mesh` reads, in binary; the file appears under its name when it is complete."""
    vertices = np.empty(len(mesh.vertices), [(n, "<f4") for n in "xyz"] + [(n, "u1") for n in CHANNELS])
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    for axis, name in enumerate(CHANNELS):
        vertices[name] = mesh.colours[:, axis]
    marks = [] if mesh.invented is None else [(INVENTED, "u1")]
    faces = np.empty(len(mesh.faces), [("vertex_indices", "<i4", (3,)), *marks])
    faces["vertex_indices"] = mesh.faces
    if mesh.invented is not None:
        faces[INVENTED] = mesh.invented
    elements = [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")]
    part = path.with_name(path.name + ".part")
    PlyData(elements, byte_order="<").write(str(part))
    part.replace(path)


def _not_a_mesh(path: Path, why: str) -> BadResult:
    return BadResult(f"The mesh {path} cannot be read: {why}.", "Segment the scene again, or import it as points.")

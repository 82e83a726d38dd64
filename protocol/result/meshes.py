"""``meshes/NNNN.ply`` of a result: the surface of an object, and ``meshes/NNNN.png``: its texture."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData, PlyElement, PlyParseError

from protocol.errors import BadResult, BadSplats
from protocol.ply import check_counts
from protocol.whole_file import whole_file, write_whole

CHANNELS = ("red", "green", "blue")
INVENTED = "invented"
"""Property of a face, 0 or 1."""
TEXCOORD = "texcoord"
"""Property of a face, a list of u and v of its three corners, as MeshLab writes it."""
MAX_TEXTURE = 256 << 20
"""Most bytes of a texture."""
MAX_TEXTURE_SIDE = 8192
"""Most pixels along a side of a texture."""
PNG = b"\x89PNG\r\n\x1a\n"


class Texture(NamedTuple):
    """The texture of a mesh.

    Attributes:
        uv: (F, 3, 2) float32, of the corners of each face; (0, 0) is the lower left corner of the picture, (1, 1) the
            upper right one.
        png: the picture, an 8-bit sRGB file.
    """

    uv: NDArray[np.float32]
    png: bytes


class Mesh(NamedTuple):
    """Triangles in the frame of the capture.

    Attributes:
        vertices: (V, 3) float32, scene units.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        colours: (V, 3) uint8, sRGB.
        invented: (F,) bool, faces that close the surface where no camera saw it; None if unknown.
        texture: None if there is only ``colours``.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colours: NDArray[np.uint8]
    invented: NDArray[np.bool_] | None = None
    texture: Texture | None = None


def read_mesh(path: Path) -> Mesh:
    """Read a triangle mesh: PLY with ``x y z red green blue`` per vertex and ``vertex_indices`` per face, optionally
    ``invented`` and ``texcoord`` per face. The texture of ``texcoord`` is the file of the same name that ends in .png.

    Raises:
        BadResult: if a file is missing or is not such a mesh or texture.
    """
    if not path.is_file():
        raise BadResult(f"The result has no mesh {path}.", "Segment the scene again, or import the result as points.")
    try:
        check_counts(path)
        ply = PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3, TEXCOORD: 6}})
        vertex, face = ply["vertex"].data, ply["face"].data
        vertices = np.stack([vertex[name] for name in "xyz"], axis=1).astype(np.float32)
        colours = np.stack([vertex[name] for name in CHANNELS], axis=1)
        faces = np.asarray(face["vertex_indices"]).reshape(len(face), 3)
        invented = face[INVENTED] != 0 if INVENTED in face.dtype.names else None
        uv = face[TEXCOORD].reshape(len(face), 3, 2).astype(np.float32) if TEXCOORD in face.dtype.names else None
    except BadSplats as error:
        raise _not_a_mesh(path, "it has no valid PLY header") from error
    except (PlyParseError, KeyError, ValueError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise _not_a_mesh(path, str(error)) from error
    if colours.dtype != np.uint8 or faces.dtype.kind not in "iu":
        raise _not_a_mesh(path, "its colours or its indices have the wrong type")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise _not_a_mesh(path, "a face refers to a vertex that does not exist")
    if not np.isfinite(vertices).all():
        raise _not_a_mesh(path, "a vertex is not finite")
    if uv is None:
        return Mesh(vertices, faces.astype(np.int32), colours, invented)
    if not np.isfinite(uv).all():
        raise _not_a_mesh(path, "a texture coordinate is not finite")
    return Mesh(vertices, faces.astype(np.int32), colours, invented, Texture(uv, _read_png(texture_path(path))))


def texture_path(path: Path) -> Path:
    """Return the path of the texture of the mesh at ``path``."""
    return path.with_suffix(".png")


def size_of_png(png: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG file; None if ``png`` is not one."""
    if len(png) < 24 or png[:8] != PNG:
        return None
    return struct.unpack(">II", png[16:24])


def _read_png(path: Path) -> bytes:
    if not path.is_file():
        raise BadResult(f"The texture {path} is missing.", "Make the mesh again: backend mesh.")
    if path.stat().st_size > MAX_TEXTURE:
        raise BadResult(f"The texture {path} is larger than {MAX_TEXTURE} bytes.", "Make the mesh again: backend mesh.")
    png = path.read_bytes()
    size = size_of_png(png)
    if size is None or not 0 < min(size) <= max(size) <= MAX_TEXTURE_SIDE:
        raise BadResult(
            f"The texture {path} is not a PNG file of at most {MAX_TEXTURE_SIDE} x {MAX_TEXTURE_SIDE} pixels.",
            "Make the mesh again: backend mesh.",
        )
    return png


def write_mesh(mesh: Mesh, path: Path) -> None:
    """Write the files that :func:`read_mesh` reads; each appears under its name when it is complete.

    The texture of an earlier mesh is removed.
    """
    vertices = np.empty(len(mesh.vertices), [(n, "<f4") for n in "xyz"] + [(n, "u1") for n in CHANNELS])
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    for axis, name in enumerate(CHANNELS):
        vertices[name] = mesh.colours[:, axis]
    marks = [] if mesh.invented is None else [(INVENTED, "u1")]
    corners = [] if mesh.texture is None else [(TEXCOORD, "<f4", (6,))]
    faces = np.empty(len(mesh.faces), [("vertex_indices", "<i4", (3,)), *marks, *corners])
    faces["vertex_indices"] = mesh.faces
    picture = texture_path(path)
    if mesh.texture is not None:
        faces[TEXCOORD] = mesh.texture.uv.reshape(-1, 6)
    if mesh.invented is not None:
        faces[INVENTED] = mesh.invented
    elements = [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")]
    comments = [] if mesh.texture is None else [f"TextureFile {picture.name}"]
    if mesh.texture is not None:
        write_whole(picture, mesh.texture.png)
    with whole_file(path) as part, part.open("wb") as file:
        file.write(PlyData(elements, byte_order="<", comments=comments).header.encode("ascii") + b"\n")
        # plyfile would write the lists of each face one by one, in seconds for a million faces.
        vertices.tofile(file)
        _with_counts(faces).tofile(file)
    if mesh.texture is None:
        picture.unlink(missing_ok=True)


def _with_counts(faces: NDArray[np.void]) -> NDArray[np.void]:
    """Return the rows as they are in a file: each list with its length, one byte, in front."""
    fields = faces.dtype.fields or {}
    layout = []
    for name, (kind, *_) in fields.items():
        if kind.shape:
            layout.append((f"count of {name}", "u1"))
        layout.append((name, kind))
    rows = np.empty(len(faces), layout)
    for name, (kind, *_) in fields.items():
        if kind.shape:
            rows[f"count of {name}"] = kind.shape[0]
        rows[name] = faces[name]
    return rows


def _not_a_mesh(path: Path, why: str) -> BadResult:
    return BadResult(f"The mesh {path} cannot be read: {why}.", "Segment the scene again, or import it as points.")

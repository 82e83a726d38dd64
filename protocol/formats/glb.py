"""GLB, binary glTF 2.0, with Gaussians as points by the extension KHR_gaussian_splatting.

Positions, quaternions xyzw, linear sizes, opacities from 0 to 1, and one vector per spherical-harmonic coefficient, all
float32. ``COLOR_0`` is for programs without the extension. Labels are the attribute ``_LABEL``, confidences
``_CONFIDENCE``. A mesh has linear 16-bit colours, or a
texture. Axes are right, up, back, as Blender's exporter converts z up.

The draft KHR_gaussian_splatting_compression_spz_2 stores the Gaussians as an SPZ file of version 2. The draft decodes
it to left, up, front; a node turns it by half a turn about y.

Sources: KhronosGroup/glTF, `extensions/2.0/Khronos/KHR_gaussian_splatting/README.md` as ratified (in earlier drafts
sizes were logarithms) and `KHR_gaussian_splatting_compression_spz_2/README.md`; glTF 2.0, section 3.6.2 on accessors.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.expansion import GAUSSIANS, too_much
from protocol.formats import spz
from protocol.formats.axes import from_ply_axes, to_ply_axes
from protocol.formats.codes import LINEAR, as_bytes, bounded, in_steps, take, unit
from protocol.formats.colours import linear
from protocol.json_limits import Most
from protocol.result.meshes import Mesh as Surface
from protocol.result.meshes import Texture
from protocol.sh import SH0
from protocol.splats import SH_COUNTS, Floats, Splats, merge
from protocol.transform import transform

MAGIC = b"glTF"
JSON, BIN = b"JSON", b"BIN\0"
MAX_JSON = 16 << 20
MOST_JSON = Most(objects=1 << 18, fields=1 << 20, values=1 << 21)
"""What fits into that size if an object has 64 bytes, as those of accessors and nodes have at least."""
MOST = 20_000_000
"""Most Gaussians of all nodes together: many nodes may instance one mesh."""
FLOOR = 16 << 20
"""Bytes of all Gaussians that any file may unpack to."""
MAX_NODES = 1 << 14
EXTENSION = "KHR_gaussian_splatting"
SPZ_EXTENSION = "KHR_gaussian_splatting_compression_spz_2"
SPZ_EXTENSIONS = (SPZ_EXTENSION, "KHR_gaussian_splatting_compression_spz")
AXES = "RUB"
SPZ_AXES = "LUF"
COLOUR_SPACE = "srgb_rec709_display"
COLUMNS = {"_LABEL": ("label", np.int32), "_CONFIDENCE": ("confidence", np.float32)}
"""Attributes of this project, and the columns that they store."""
POINTS = 0
TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
FLOAT = 5126
CODES = {np.dtype("<f4"): FLOAT, np.dtype("u1"): 5121, np.dtype("<u2"): 5123, np.dtype("<u4"): 5125}
TRIANGLES = 4
VERTICES, INDICES = 34962, 34963
"""Targets of a buffer view."""
LINEAR_FILTER = 9729
AGAIN = "Copy or export it again."

Index = Annotated[int, Meta(ge=0)]


class View(msgspec.Struct):
    buffer: Index
    byteLength: Index
    byteOffset: Index = 0
    byteStride: Annotated[int, Meta(ge=4, le=252)] | None = None


class Accessor(msgspec.Struct):
    componentType: int
    count: Index
    type: str
    bufferView: Index | None = None
    byteOffset: Index = 0
    normalized: bool = False
    sparse: Any = None


class Primitive(msgspec.Struct):
    attributes: dict[str, Index]
    mode: int = 4
    extensions: dict[str, Any] = {}


class Mesh(msgspec.Struct):
    primitives: list[Primitive]


class Node(msgspec.Struct):
    mesh: Index | None = None
    children: list[Index] = []
    matrix: Annotated[list[float], Meta(min_length=16, max_length=16)] | None = None
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


class Scene(msgspec.Struct):
    nodes: list[Index] = []


class Document(msgspec.Struct):
    """The parts of a file's JSON that are read."""

    meshes: list[Mesh] = []
    nodes: list[Node] = []
    scenes: list[Scene] = []
    scene: Index = 0
    accessors: list[Accessor] = []
    bufferViews: list[View] = []


def read(file: BinaryIO, path: Path) -> Splats:
    """Return the Gaussians of all nodes of an open file, with the transforms of the nodes applied.

    Raises:
        BadSplats: if it is damaged, holds no Gaussians, or a node has a non-uniform scale.
    """
    try:
        document, data = _chunks(file, path)
        pieces = list(_pieces(document, data, path))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, struct.error) as error:
        raise BadSplats(f"{path} is not a readable GLB file: {error}.", AGAIN) from error
    except (IndexError, KeyError, TypeError) as error:
        raise BadSplats(f"{path} is a damaged GLB file: it refers to missing data.", AGAIN) from error
    if not pieces:
        raise BadSplats(f"{path} contains no Gaussians in the form of {EXTENSION}.", "Give a file of 3D Gaussians.")
    return pieces[0] if len(pieces) == 1 else merge(pieces)


def _chunks(file: BinaryIO, path: Path) -> tuple[Document, memoryview]:
    """Return the JSON and the bytes of the single embedded buffer."""
    start = take(file, 20)
    if start is None:
        raise BadSplats(f"{path} is truncated.", AGAIN)
    _, version, _, length, kind = struct.unpack("<4sIII4s", start)
    if version != 2 or kind != JSON or length > MAX_JSON:
        raise BadSplats(f"{path} is not a GLB file of version 2 with at most {MAX_JSON} bytes of JSON.", AGAIN)
    text, head = take(file, length), file.read(8)
    if text is None:
        raise BadSplats(f"{path} is truncated.", AGAIN)
    if not MOST_JSON.allows(text):
        raise BadSplats(f"{path} has more entries in its JSON than a GLB file of Gaussians can have.", AGAIN)
    document = msgspec.json.decode(text, type=Document)
    if len(head) < 8:
        return document, memoryview(b"")
    size, kind = struct.unpack("<I4s", head)
    here = file.tell()
    left = file.seek(0, os.SEEK_END) - here
    file.seek(here)
    if kind != BIN or size > left:
        raise BadSplats(f"{path} is truncated: its buffer should have {size} bytes and has {left}.", AGAIN)
    return document, memoryview(take(file, size) or b"")


def _pieces(document: Document, data: memoryview, path: Path) -> Iterator[Splats]:
    if len(document.nodes) > MAX_NODES:
        raise BadSplats(f"{path} has {len(document.nodes)} nodes; GLB files of at most {MAX_NODES} are read.")
    shown = [
        (matrix, primitive)
        for matrix, mesh in _placed(document, path)
        for primitive in document.meshes[mesh].primitives
        if EXTENSION in primitive.extensions and primitive.mode == POINTS
    ]
    if sum(document.accessors[primitive.attributes["POSITION"]].count for _, primitive in shown) > MOST:
        raise BadSplats(f"{path} declares more than {MOST} Gaussians; GLB files are limited to {MOST}.")
    wrong = too_much(len(data), sum(_stored(primitive, document) for _, primitive in shown), GAUSSIANS, FLOOR)
    if wrong is not None:
        raise BadSplats(f"{path} {wrong}.", AGAIN)
    spaces = {primitive.extensions[EXTENSION].get("colorSpace", COLOUR_SPACE) for _, primitive in shown}
    if spaces - {COLOUR_SPACE}:
        warnings.warn(
            f"{path} has colours in the space {' and '.join(sorted(spaces))}; they were read as sRGB.", stacklevel=4
        )
    logarithmic = any(_is_negative(primitive, document, data, path) for _, primitive in shown)
    if logarithmic:
        warnings.warn(
            f"{path} has sizes below 0; they were read as logarithms, as in drafts of the format.", stacklevel=4
        )
    for matrix, primitive in shown:
        splats = _gaussians(document, data, primitive, logarithmic, path)
        try:
            yield to_ply_axes(splats if np.array_equal(matrix, np.eye(4)) else transform(splats, matrix), AXES)
        except BadSplats as error:
            raise BadSplats(
                f"The transform of a node in {path} cannot be applied to Gaussians: {error.sentence}", AGAIN
            ) from error


def _stored(primitive: Primitive, document: Document) -> int:
    """Return the bytes of a primitive's Gaussians as float32."""
    accessors = [document.accessors[index] for index in primitive.attributes.values()]
    return sum(4 * WIDTHS[accessor.type] * accessor.count for accessor in accessors)


def _placed(document: Document, path: Path) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Yield the world matrix (4, 4) and the mesh index of each node of the scene that has a mesh."""
    roots = document.scenes[document.scene].nodes if document.scenes else list(range(len(document.nodes)))
    waiting = [(np.eye(4), node) for node in reversed(roots)]
    seen: set[int] = set()
    while waiting:
        above, index = waiting.pop()
        if index in seen:
            raise BadSplats(f"{path} is a damaged GLB file: a node is listed twice in its scene.", AGAIN)
        seen.add(index)
        node = document.nodes[index]
        matrix = above @ _matrix(node)
        if node.mesh is not None:
            yield matrix, node.mesh
        waiting += [(matrix, child) for child in reversed(node.children)]


def _matrix(node: Node) -> NDArray[np.float64]:
    if node.matrix is not None:
        return np.array(node.matrix).reshape(4, 4).T
    x, y, z, w = node.rotation
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(turn) * node.scale
    matrix[:3, 3] = node.translation
    return matrix


def _is_negative(primitive: Primitive, document: Document, data: memoryview, path: Path) -> bool:
    """Whether sizes are negative and so logarithms; the ratified extension stores positive sizes."""
    accessor = document.accessors[primitive.attributes[f"{EXTENSION}:SCALE"]]
    return accessor.bufferView is not None and bool((_values(accessor, document, data, path) < 0).any())


def _gaussians(document: Document, data: memoryview, primitive: Primitive, logarithmic: bool, path: Path) -> Splats:
    """Return the Gaussians of a primitive in the axes of the file."""
    about = primitive.extensions[EXTENSION]
    if about.get("kernel", "ellipse") != "ellipse":
        raise BadSplats(f"{path} contains Gaussians with the kernel {about['kernel']!r}, which is not supported.")
    packed = [about["extensions"][name] for name in SPZ_EXTENSIONS if name in about.get("extensions", {})]
    if packed:
        blob = _bytes(document.bufferViews[packed[0]["bufferView"]], data, path)
        splats = spz.read(io.BytesIO(blob), path)
        # A file may show one compressed blob in many nodes; the sum of the declared counts is limited.
        if len(splats) != document.accessors[primitive.attributes["POSITION"]].count:
            raise BadSplats(f"{path} is a damaged GLB file: its compressed Gaussians do not match its points.", AGAIN)
        return from_ply_axes(splats, SPZ_AXES)
    columns = {name: _values(document.accessors[i], document, data, path) for name, i in primitive.attributes.items()}
    terms = sum(name.startswith(f"{EXTENSION}:SH_DEGREE_") for name in columns)
    names = dict(zip(_coefficients(terms), range(terms), strict=False))
    required = [*(f"{EXTENSION}:{name}" for name in ("ROTATION", "SCALE", "OPACITY")), *names]
    missing = [name for name in required if name not in columns]
    if terms not in SH_COUNTS or missing:
        raise BadSplats(
            f"{path} contains incomplete Gaussians: {', '.join(missing) or 'coefficients'} is missing.", AGAIN
        )
    count = len(columns["POSITION"])
    widths = {"ROTATION": 4, "SCALE": 3, "OPACITY": 1}
    wrong = [name for name in required if columns[name].shape != (count, widths.get(name.split(":")[1], 3))]
    if wrong or columns["POSITION"].shape != (count, 3):
        raise BadSplats(f"{path} is a damaged GLB file: {(wrong or ['POSITION'])[0]} does not match its points.", AGAIN)
    with np.errstate(divide="ignore", invalid="ignore"):  # log of 0 is minus infinity, log of a negative size is NaN
        sizes = columns[f"{EXTENSION}:SCALE"]
        scales = sizes if logarithmic else np.log(sizes)
        alphas = columns[f"{EXTENSION}:OPACITY"][:, 0]
        opacities = np.log(alphas) - np.log1p(-alphas)
    return Splats(
        means=columns["POSITION"],
        quats=np.roll(columns[f"{EXTENSION}:ROTATION"], 1, axis=1),
        scales=scales,
        opacities=opacities,
        sh=np.stack([columns[name] for name in names], 1),
        extra={
            name: columns[attribute][:, 0].astype(kind)
            for attribute, (name, kind) in COLUMNS.items()
            if attribute in columns and columns[attribute].shape == (count, 1) and np.isfinite(columns[attribute]).all()
        },
    )


def _coefficients(terms: int) -> list[str]:
    """Return the names of the first ``terms`` coefficients, in the order of :class:`Splats`."""
    return [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{n}" for d in range(4) for n in range(2 * d + 1)][:terms]


def _bytes(view: View, data: memoryview, path: Path) -> memoryview:
    if view.buffer or view.byteOffset + view.byteLength > len(data):
        raise BadSplats(f"{path} refers to data in another file.", "Export it as a single GLB file.")
    return data[view.byteOffset : view.byteOffset + view.byteLength]


def _values(accessor: Accessor, document: Document, data: memoryview, path: Path) -> Floats:
    """Return the values (N, width) of an accessor as float32."""
    kind, width = np.dtype(TYPES[accessor.componentType]), WIDTHS[accessor.type]
    if accessor.sparse is not None or accessor.bufferView is None:
        raise BadSplats(f"{path} has sparse accessors, which are not supported.", "Export it without them.")
    view = document.bufferViews[accessor.bufferView]
    held = _bytes(view, data, path)
    stride = view.byteStride or kind.itemsize * width
    last = accessor.byteOffset + (accessor.count - 1) * stride + kind.itemsize * width
    if accessor.count == 0 or last > len(held):
        raise BadSplats(f"{path} is a damaged GLB file: an accessor is longer than its bytes.", AGAIN)
    shape = (accessor.count, width)
    stored = np.ndarray(shape, kind, held, accessor.byteOffset, (stride, kind.itemsize))
    values = stored.astype(np.float32)
    if accessor.normalized and kind.kind in "iu":
        return np.maximum(values / np.float32(np.iinfo(kind).max), -1)
    return values


def write(splats: Splats, path: Path) -> list[str]:
    """Write Gaussians and return sentences about clamped values."""
    said: list[str] = []
    stored = from_ply_axes(splats, AXES)
    attributes: dict[str, NDArray] = {"POSITION": stored.means, "COLOR_0": _seen(stored)}
    attributes[f"{EXTENSION}:ROTATION"] = np.roll(unit(stored.quats), -1, axis=1)
    attributes[f"{EXTENSION}:SCALE"] = np.exp(bounded(stored.scales, *LINEAR, "log-scales", said))
    attributes[f"{EXTENSION}:OPACITY"] = stored.alphas[:, None]
    attributes |= {name: stored.sh[:, i] for i, name in enumerate(_coefficients(stored.sh.shape[1]))}
    for attribute, (name, _) in COLUMNS.items():
        if name in stored.extra:
            attributes[attribute] = stored.extra[name].astype(np.float32)[:, None]
    document = _document()
    document["extensionsUsed"] = [EXTENSION]
    data: list[bytes] = []
    indices = {name: _put(values, document, data) for name, values in attributes.items()}
    document["meshes"] = [{"primitives": [{"attributes": indices, "mode": POINTS, "extensions": {EXTENSION: ABOUT}}]}]
    _save(document, data, path)
    return said


def write_spz(splats: Splats, path: Path) -> list[str]:
    """Write Gaussians with the draft SPZ extension, and return sentences about clamped values.

    Raises:
        BadSplats: as :func:`protocol.formats.spz.write`.
    """
    blob, said = spz.encode_2(splats, path)
    names = ["POSITION", "COLOR_0", *(f"{EXTENSION}:{name}" for name in ("ROTATION", "SCALE"))]
    names += _coefficients(splats.sh.shape[1])[1:]
    widths = {"COLOR_0": 4, f"{EXTENSION}:ROTATION": 4}
    document = _document()
    document["accessors"] = [
        {"componentType": FLOAT, "count": len(splats), "type": f"VEC{widths.get(name, 3)}"} for name in names
    ]
    document["accessors"][0] |= _bounds(from_ply_axes(splats, SPZ_AXES).means)
    data: list[bytes] = []
    packed = {SPZ_EXTENSION: {"bufferView": _view(blob, document, data)}}
    attributes = {name: i for i, name in enumerate(names)}
    extension = {EXTENSION: ABOUT | {"extensions": packed}}
    document["meshes"] = [{"primitives": [{"attributes": attributes, "mode": POINTS, "extensions": extension}]}]
    document["extensionsUsed"] = document["extensionsRequired"] = [EXTENSION, SPZ_EXTENSION]
    document["nodes"][0]["rotation"] = HALF_TURN
    _save(document, data, path)
    return said


def write_mesh(mesh: Surface, path: Path) -> None:
    """Write a mesh with its texture if it has one, else with the colours of its vertices."""
    if mesh.texture is not None:
        _write_textured(mesh, mesh.texture, path)
        return
    document = _document()
    data: list[bytes] = []
    colours = in_steps(linear(mesh.colours), 65535).astype(np.uint16)
    opaque = np.full((len(colours), 1), 65535, np.uint16)
    attributes = {
        "POSITION": _put(mesh.vertices * np.array([1, -1, -1], np.float32), document, data),
        "COLOR_0": _put(np.concatenate([colours, opaque], 1), document, data),
    }
    faces = _put(mesh.faces.astype(np.uint32).reshape(-1, 1), document, data, INDICES)
    document["meshes"] = [{"primitives": [{"attributes": attributes, "indices": faces, "mode": TRIANGLES}]}]
    _save(document, data, path)


def _write_textured(mesh: Surface, texture: Texture, path: Path) -> None:
    """Write a mesh whose vertices are split where the texture has a seam.

    Vertex colours are not written: glTF multiplies them with the texture.
    """
    corners = np.column_stack([mesh.faces.reshape(-1, 1), texture.uv.reshape(-1, 2)])
    split, faces = np.unique(corners, axis=0, return_inverse=True)
    uv = np.column_stack([split[:, 1], 1 - split[:, 2]]).astype(np.float32)  # glTF counts rows from the top
    document = _document()
    data: list[bytes] = []
    positions = mesh.vertices[split[:, 0].astype(np.int64)] * np.array([1, -1, -1], np.float32)
    attributes = {"POSITION": _put(positions, document, data), "TEXCOORD_0": _put(uv, document, data)}
    indices = _put(faces.astype(np.uint32).reshape(-1, 1), document, data, INDICES)
    document["images"] = [{"bufferView": _view(texture.png, document, data), "mimeType": "image/png"}]
    document["samplers"] = [{"magFilter": LINEAR_FILTER, "minFilter": LINEAR_FILTER}]
    document["textures"] = [{"source": 0, "sampler": 0}]
    surface = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    document["materials"] = [{"pbrMetallicRoughness": surface}]
    primitive = {"attributes": attributes, "indices": indices, "mode": TRIANGLES, "material": 0}
    document["meshes"] = [{"primitives": [primitive]}]
    _save(document, data, path)


ABOUT = {
    "kernel": "ellipse",
    "colorSpace": COLOUR_SPACE,
    "projection": "perspective",
    "sortingMethod": "cameraDistance",
}
"""Rendering parameters of the extension."""
HALF_TURN = [0.0, 1.0, 0.0, 0.0]
"""Rotation of the node about y: from left, up, front to right, up, back."""


def _seen(splats: Splats) -> NDArray[np.uint8]:
    """Return base colours and opacities as bytes, (N, 4)."""
    colours = as_bytes(splats.sh[:, 0] * np.float32(SH0) + np.float32(0.5))
    return np.concatenate([colours, as_bytes(splats.alphas)[:, None]], 1)


def _document() -> dict[str, Any]:
    """Return the JSON of a file with one node and one mesh."""
    return {
        "asset": {"version": "2.0", "generator": "SplatLift"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "accessors": [],
        "bufferViews": [],
    }


def _put(values: NDArray, document: dict[str, Any], data: list[bytes], target: int = VERTICES) -> int:
    """Add values (N, width) to the buffer, and return the index of their accessor."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    view = _view(values.tobytes(), document, data)
    document["bufferViews"][view]["target"] = target
    kind = "SCALAR" if values.shape[1] == 1 else f"VEC{values.shape[1]}"
    accessor = {"bufferView": view, "componentType": CODES[values.dtype], "count": len(values), "type": kind}
    if len(document["accessors"]) == 0:  # the positions, which are added first
        accessor |= _bounds(values)
    if target == VERTICES and values.dtype.kind == "u":
        accessor["normalized"] = True
    document["accessors"].append(accessor)
    return len(document["accessors"]) - 1


def _bounds(means: Floats) -> dict[str, list[float]]:
    return {"min": means.min(0).astype(float).tolist(), "max": means.max(0).astype(float).tolist()}


def _view(held: bytes, document: dict[str, Any], data: list[bytes]) -> int:
    """Add bytes to the buffer, and return the index of their view."""
    view = {"buffer": 0, "byteOffset": sum(map(len, data)), "byteLength": len(held)}
    document["bufferViews"].append(view)
    data.append(held + bytes(-len(held) % 4))
    return len(document["bufferViews"]) - 1


def _save(document: dict[str, Any], data: list[bytes], path: Path) -> None:
    size = sum(map(len, data))
    text = msgspec.json.encode(document | {"buffers": [{"byteLength": size}]})
    text += b" " * (-len(text) % 4)
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", MAGIC, 2, 28 + len(text) + size))
        file.write(struct.pack("<I4s", len(text), JSON) + text + struct.pack("<I4s", size, BIN))
        file.writelines(data)

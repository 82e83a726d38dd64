"""Joins the meshes that a result contains."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from backend.objects.mesh.level_set import level_set
from protocol.errors import BadResult
from protocol.result.meshes import MAX_TEXTURE_SIDE, Mesh, Texture, read_mesh
from protocol.result.names import LABEL, mesh_path
from protocol.result.table import ObjectTable
from protocol.splats import Splats

CELLS = 96
"""Cells along the longest side of the grid of a level set."""


def stored_mesh(folder: Path, table: ObjectTable, labels: Sequence[int], splats: Splats) -> Mesh | None:
    """Return the meshes of objects as one, with moves from Blender applied, or None if none has a surface.

    Args:
        folder: a result.
        labels: of the objects.
        splats: moved Gaussians of at least these objects, with labels; an object without a stored mesh gets the level
            set of its Gaussians.

    Raises:
        BadResult: if a mesh is broken.
    """
    matrices = {row.id: row.matrix for row in table.objects if row.matrix is not None}
    found = []
    for label in labels:
        path = mesh_path(folder, label)
        if path.is_file():
            found.append(_moved(read_mesh(path), matrices.get(label)))
        elif (mesh := level_set(splats.pick(splats.extra[LABEL] == label), CELLS)) is not None:
            found.append(mesh)
    return _joined(found) if found else None


def _moved(mesh: Mesh, matrix: object) -> Mesh:
    if matrix is None:
        return mesh
    turn = np.array(matrix, np.float64)
    vertices = (mesh.vertices @ turn[:3, :3].T + turn[:3, 3]).astype(np.float32)
    # A mirrored surface would be inside out.
    if np.linalg.det(turn[:3, :3]) > 0:
        return mesh._replace(vertices=vertices)
    texture = None if mesh.texture is None else mesh.texture._replace(uv=mesh.texture.uv[:, ::-1])
    return mesh._replace(vertices=vertices, faces=mesh.faces[:, ::-1], texture=texture)


def _joined(meshes: Sequence[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)]
    marks = [np.zeros(len(mesh.faces), bool) if mesh.invented is None else mesh.invented for mesh in meshes]
    vertices, colours = (np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in ("vertices", "colours"))
    return Mesh(vertices, np.concatenate(faces), colours, np.concatenate(marks), _joined_textures(meshes))


def _joined_textures(meshes: Sequence[Mesh]) -> Texture | None:
    """Return textures side by side in one picture; None if a mesh has none."""
    textures = [mesh.texture for mesh in meshes if mesh.texture is not None]
    if len(textures) < len(meshes):
        if textures:
            warnings.warn("Some of the objects have no texture, so vertex colours are used.", stacklevel=5)
        return None
    if len(textures) == 1:
        return textures[0]
    try:
        # Only headers are read; textures are decoded one by one, because all of them may not fit in memory.
        pictures = [Image.open(io.BytesIO(each.png), formats=["PNG"]) for each in textures]
        return _placed_side_by_side(textures, pictures)
    except OSError as error:
        raise BadResult(f"A texture of the meshes is damaged: {error}.", "Make them again: backend mesh.") from error


def _placed_side_by_side(textures: Sequence[Texture], pictures: Sequence[Image.Image]) -> Texture:
    across = int(np.ceil(np.sqrt(len(pictures))))
    width, height = (max(getattr(each, name) for each in pictures) for name in ("width", "height"))
    down = -(-len(pictures) // across)
    share = min(1.0, MAX_TEXTURE_SIDE / (across * width), MAX_TEXTURE_SIDE / (down * height))
    width, height = int(width * share), int(height * share)
    whole = Image.new("RGB", (across * width, down * height))
    uv = []
    for number, (texture, picture) in enumerate(zip(textures, pictures, strict=True)):
        size = (max(1, int(picture.width * share)), max(1, int(picture.height * share)))
        left, top = number % across * width, number // across * height
        pixels = picture.convert("RGB")
        whole.paste(pixels if size == picture.size else pixels.resize(size), (left, top))
        picture.close()
        u, v = texture.uv[..., 0] * size[0] + left, (1 - texture.uv[..., 1]) * size[1] + top
        uv.append(np.stack([u / whole.width, 1 - v / whole.height], -1))
    file = io.BytesIO()
    whole.save(file, "PNG")
    return Texture(np.concatenate(uv).astype(np.float32), file.getvalue())

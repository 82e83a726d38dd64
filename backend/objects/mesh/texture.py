"""Bakes the texture of a mesh from what the cameras of the capture see of it."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from backend.objects.mesh.colours import Painter
from backend.objects.mesh.unwrap import unwrap
from protocol.result.meshes import MAX_TEXTURE_SIDE, Texture

FINER = 0.75
"""Size of a texel, in pixels of the camera that shows the object largest."""

SIDE = 1024
"""About the most texels along a side; larger objects get larger texels."""

FULL = 0.6
"""Share of an atlas that charts fill, about."""


def bake(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int64],
    normals: NDArray[np.float64],
    pixel: float,
    painter: Painter,
) -> Texture:
    """Return the texture of a mesh.

    Args:
        vertices: (V, 3), scene units.
        faces: (F, 3), at least one.
        normals: (V, 3), unit length, outwards.
        pixel: size of a pixel of the nearest camera on the object, scene units.
        painter: finds the colours.
    """
    sides = vertices[faces[:, 1:]] - vertices[faces[:, :1]]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum() / 2
    texel = max(FINER * pixel, float(np.sqrt(area / FULL)) / SIDE)
    flat = unwrap(vertices, faces, texel)
    while max(flat.owner.shape) > MAX_TEXTURE_SIDE:  # a long thin chart
        texel *= 2
        flat = unwrap(vertices, faces, texel)
    used = flat.owner >= 0
    corners, share = faces[flat.owner[used]], flat.weights[used][..., None]
    towards = (normals[corners] * share).sum(1)
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    picture = np.zeros((*used.shape, 3), np.uint8)
    picture[used] = painter.colours_of((vertices[corners] * share).sum(1), towards)
    # Interpolation at the edge of a chart reads texels beside it.
    nearest = distance_transform_edt(~used, return_distances=False, return_indices=True)
    picture = picture[tuple(nearest)]
    height, width = used.shape
    uv = flat.corners / [width, height]
    uv[..., 1] = 1 - uv[..., 1]
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return Texture(uv.astype(np.float32), file.getvalue())

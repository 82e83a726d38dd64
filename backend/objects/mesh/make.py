"""Makes a mesh of each object from labelled Gaussians and the cameras of the capture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray

from backend.objects.mesh.colours import Painter, Photograph
from backend.objects.mesh.fusion import fuse
from backend.objects.mesh.level_set import level_set
from backend.objects.mesh.object_views import Box, ObjectView, object_views, outlines
from backend.objects.mesh.outlines import fit_outlines
from backend.objects.mesh.surface import surface_of
from backend.objects.mesh.texture import bake
from backend.render import Renderer
from backend.render.opacity_depth import DepthRenderer
from backend.scene.types import Camera
from protocol.result.meshes import Mesh
from protocol.splats import Splats

CELLS = 144
"""Most cells along the longest side of an object's box. With 96 a mesh takes two thirds of the time and has the same
F-score, but shows less detail (see docs/benchmarks.md)."""

CELLS_CLOSED = 96
"""The same for a closed mesh: finer cells leave more of the surface unseen near what the object stands on, and it is
invented there."""

FINEST = 0.75
"""Least size of a cell, in pixels of the camera that shows the object largest."""

TRIANGLES = 40_000
"""Default for the most triangles of a mesh."""

FEWEST = 4
"""Least number of Gaussians for a mesh."""

STRAYS = 0.005
"""Share of an object's Gaussians outside each side of its box."""

SLACK = 3.0
"""Largest distance in cells of a mesh point from the surface of a view that it gets its colour from."""


MARGIN = 3.0
"""Distance in cells from the border of an open surface within which outlines do not move it."""


class MadeMesh(NamedTuple):
    """The mesh of an object, or why there is none.

    Attributes:
        mesh: None if there is none.
        note: a sentence for the user: why there is no mesh, or which Gaussians were skipped; else empty.
    """

    label: int
    mesh: Mesh | None
    note: str = ""


class MeshMaker:
    """Makes meshes of the objects of a scene.

    Args:
        splats: N Gaussians.
        labels: (N,) integers, the object of each; 0 for none.
        cameras: of the capture. Without cameras, a mesh is the level set of its Gaussians' density.
        device: as of :class:`backend.render.Renderer`.
        photograph: see :class:`backend.objects.mesh.colours.Painter`.
    """

    def __init__(
        self,
        splats: Splats,
        labels: NDArray[np.integer],
        cameras: Sequence[Camera],
        device: str = "auto",
        photograph: Photograph | None = None,
    ) -> None:
        self._splats, self._labels, self._cameras = splats, labels, list(cameras)
        columns = (splats.means, splats.quats, splats.scales, splats.opacities)
        self._finite = np.all([np.isfinite(column).reshape(len(splats), -1).all(1) for column in columns], axis=0)
        self._whole = DepthRenderer(splats) if self._cameras else None
        self._renderer = Renderer(splats, device) if self._cameras else None
        self._photograph = photograph

    @property
    def objects(self) -> list[int]:
        """Labels of the objects, in order."""
        return [int(label) for label in np.unique(self._labels) if label > 0]

    def make(
        self, label: int, *, watertight: bool = False, triangles: int = TRIANGLES, textures: bool = False
    ) -> MadeMesh:
        """Return the mesh of an object.

        Args:
            watertight: whether the surface is also closed where no camera saw it, for example at the bottom: there it
                is the convex hull of the seen surface, and its faces are marked as invented.
            triangles: most triangles of the mesh.
            textures: whether the mesh also gets a texture. A level set has none.
        """
        own = (self._labels == label) & self._finite
        spoilt = int(np.count_nonzero(self._labels == label) - np.count_nonzero(own))
        note = f"{spoilt:,} Gaussians of object {label} are not finite and were skipped for its mesh." if spoilt else ""
        if np.count_nonzero(own) < FEWEST:
            return MadeMesh(
                label, None, f"Object {label} has {np.count_nonzero(own)} usable Gaussians, too few for a mesh."
            )
        if self._whole is None or self._renderer is None:
            mesh = level_set(self._splats.pick(own))
            return MadeMesh(label, mesh, note if mesh else _too_faint(label))
        box, cell, views = self.views_of(label, CELLS_CLOSED if watertight else CELLS)
        if not views:
            return MadeMesh(label, None, f"Object {label} has no mesh: no camera of the capture looks at it.")
        surface = surface_of(fuse(box, cell, views), watertight, triangles)
        if surface is None:
            return MadeMesh(label, None, _too_faint(label))
        seen = outlines(box, self._cameras, DepthRenderer(self._splats.pick(own)), self._whole, own)
        surface = surface._replace(vertices=fit_outlines(*surface, seen, MARGIN * cell))
        normals = trimesh.Trimesh(surface.vertices, surface.faces, process=False).vertex_normals
        painter = Painter(views, self._cameras, self._renderer, SLACK * cell, self._photograph)
        colours = painter.colours_of(surface.vertices, normals)
        texture = None
        if textures:
            texture = bake(surface.vertices, surface.faces, normals, _pixel(box, self._cameras), painter)
        vertices, faces = surface.vertices.astype(np.float32), surface.faces.astype(np.int32)
        return MadeMesh(label, Mesh(vertices, faces, colours, surface.invented, texture), note)

    def views_of(self, label: int, cells: int = CELLS) -> tuple[Box, float, list[ObjectView]]:
        """Return an object's box, the size of its grid cells in scene units, and its views.

        Args:
            cells: most of them along the longest side of the box.
        """
        own = (self._labels == label) & self._finite
        splats = self._splats.pick(own)
        box = _box(splats)
        cell = max(float((box.high - box.low).max()) / cells, FINEST * _pixel(box, self._cameras))
        if self._whole is None:
            return box, cell, []
        return box, cell, object_views(box, self._cameras, cell, DepthRenderer(splats), self._whole, own)

    def __iter__(self) -> Iterator[MadeMesh]:
        return (self.make(label) for label in self.objects)


def _too_faint(label: int) -> str:
    return f"Object {label} has no mesh: it is less than half opaque in every camera."


def _box(splats: Splats) -> Box:
    reach = splats.sizes.max(1, keepdims=True)
    low, high = np.quantile(splats.means - reach, STRAYS, axis=0), np.quantile(splats.means + reach, 1 - STRAYS, axis=0)
    return Box(low.astype(np.float64), high.astype(np.float64))


def _pixel(box: Box, cameras: Sequence[Camera]) -> float:
    """Return the size of a pixel at the middle of a box, in the camera that shows it largest; 0 if none does."""
    away = [(camera.viewmat[2, :3] @ box.middle + camera.viewmat[2, 3]) / camera.K[0, 0] for camera in cameras]
    return float(min((size for size in away if size > 0), default=0.0))

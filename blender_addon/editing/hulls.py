"""Collision hulls of objects, as children that game engines and physics use instead of the object's shape."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Literal, get_args

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument, Unavailable

from ..splats.collections import HULL
from ..splats.export import world_matrix
from .modes import outside_edit_mode
from .origin import reach_of
from .parts import Piece, check_parts, hulls_of, pieces_of
from .surfaces import check_scale

Kind = Literal["BOX", "CONVEX", "PARTS"]
TURNS = 90
"""Turns about the vertical axis, a degree apart, among which the smallest box is chosen."""

Shape = tuple[NDArray, NDArray]
"""Points (P, 3) and triangles or squares (F, 3 or 4)."""

_SQUARES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


@outside_edit_mode
def add_hulls(parts: Iterable[Any], kind: Kind = "CONVEX") -> list[Any]:
    """Add collision hulls to objects as children of the shown Blender objects, replacing earlier ones, and return them.

    They are called UCX_NAME_01 and on, as Unreal Engine expects, shown as wires and not rendered.

    Args:
        kind: "BOX", the smallest upright one; "CONVEX", one hull; "PARTS", several convex hulls of a mesh, by the
            package coacd.

    Raises:
        BadSplats: if ``kind`` is "BOX" and an object has a scale of zero.
        BadArgument: if there are no objects, ``kind`` is none of these, an object has too few points for a hull, or is
            to be taken apart and not shown as a mesh.
        Unavailable: if ``kind`` needs coacd and it is not installed.
    """
    if kind not in get_args(Kind):
        raise BadArgument(f"The hull {kind!r} does not exist.", f"Choose one of {', '.join(get_args(Kind))}.")
    pieces = [(part, piece) for part in check_parts(parts) for piece in pieces_of(part)]
    shapes = [_SHAPES[kind](part, piece) for part, piece in pieces]
    made = []
    for (part, piece), several in zip(pieces, shapes, strict=True):
        for old in hulls_of(piece.seen):
            bpy.data.batch_remove([old.data])
        made += [_add(part, piece.seen, shape, number) for number, shape in enumerate(several, 1)]
    return made


def _box(part: Any, piece: Piece) -> list[Shape]:
    points = _points(part, piece)
    world = np.array(world_matrix(piece.seen), np.float64)
    check_scale(piece.seen, world)
    turn = world[:3, :3]
    placed = points @ turn.T
    best, smallest = np.eye(3), np.inf
    for angle in np.radians(np.arange(TURNS)):
        cosine, sine = np.cos(angle), np.sin(angle)
        way = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        area = np.prod(np.ptp(placed @ way.T, axis=0)[:2])
        if area < smallest:
            best, smallest = way, area
    turned = placed @ best.T
    ends = np.stack([turned.min(0), turned.max(0)])
    corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    return [(np.linalg.solve(turn, (corners @ best).T).T, _SQUARES)]


def _convex(part: Any, piece: Piece) -> list[Shape]:
    mesh: Any = bmesh.new()
    try:
        for point in _points(part, piece).tolist():
            mesh.verts.new(point)
        bmesh.ops.convex_hull(mesh, input=mesh.verts[:])
        loose = [vertex for vertex in mesh.verts if not vertex.link_faces]
        bmesh.ops.delete(mesh, geom=loose, context="VERTS")
        bmesh.ops.triangulate(mesh, faces=mesh.faces[:])
        mesh.verts.index_update()
        corners = np.array([vertex.co[:] for vertex in mesh.verts])
        return [(corners, np.array([[vertex.index for vertex in face.verts] for face in mesh.faces]))]
    finally:
        mesh.free()


def _parts(part: Any, piece: Piece) -> list[Shape]:
    if piece.surface is None:
        raise BadArgument(f"{part.name!r} is shown as Gaussians, which have no surface to split.", "Show it as a mesh.")
    try:
        coacd: Any = importlib.import_module("coacd")
    except ImportError:
        raise Unavailable(
            "Convex parts need the package coacd, which is not installed in this Blender.",
            "Choose a box or one convex hull, or install coacd for Blender's Python.",
        ) from None
    data = piece.surface.data
    data.calc_loop_triangles()
    triangles = np.empty((len(data.loop_triangles), 3), np.int32)
    data.loop_triangles.foreach_get("vertices", triangles.ravel())
    points = _points(part, piece)
    return [(np.asarray(a), np.asarray(b)) for a, b in coacd.run_coacd(coacd.Mesh(points, triangles))]


_SHAPES = {"BOX": _box, "CONVEX": _convex, "PARTS": _parts}


def _points(part: Any, piece: Piece) -> NDArray[np.float64]:
    points = reach_of(piece).astype(np.float64)
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False) if len(points) > 3 else np.zeros(3)
    if spread[-1] <= 1e-6 * spread[0]:
        raise BadArgument(f"{part.name!r} has no volume to make a hull of.", "Choose an object that is not flat.")
    return points


def _add(part: Any, seen: Any, shape: Shape, number: int) -> Any:
    name = f"UCX_{part.name}_{number:02d}"
    data: Any = bpy.data.meshes.new(name)
    data.from_pydata(shape[0].tolist(), [], shape[1].tolist())
    data.validate()
    hull: Any = bpy.data.objects.new(name, data)
    part.objects.link(hull)
    hull.parent = seen
    hull.display_type = "WIRE"
    hull.hide_render = hull[HULL] = True
    hull.color = seen.color
    return hull

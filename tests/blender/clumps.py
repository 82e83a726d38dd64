"""What the tests of edits share: clumps of Gaussians as objects, and the whole content of a Blender file as a value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import bmesh
import bpy  # before bmesh, which it brings
import numpy as np
from plyfile import PlyData, PlyElement

from protocol.ply import write_ply
from protocol.sh import SH0
from protocol.splats import SH_COUNTS, Splats, merge

CLUMPS = {1: ("mug", (0.0, 0.0, 0.0)), 2: ("plant", (10.0, 0.0, 0.0)), 3: ("lamp", (0.0, 10.0, 0.0))}
COLOURS = {0: (0.2, 0.2, 0.2), 1: (0.9, 0.1, 0.1), 2: (0.1, 0.8, 0.1), 3: (0.1, 0.1, 0.9)}
REAL = ("EXEC_DEFAULT", True)
"""How an operator is called so that it pushes its own undo step, as a click does."""


def clump(centre: tuple[float, float, float], n: int, seed: int, colour: tuple[float, ...], degree: int = 1) -> Splats:
    """A ball of radius 1 of small Gaussians of about one colour."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    means = np.array(centre) + directions * np.cbrt(rng.random((n, 1)))
    sh = rng.normal(size=(n, SH_COUNTS[degree], 3)) / 20
    sh[:, 0] = (np.array(colour) + rng.normal(size=(n, 3)) / 100 - 0.5) / SH0
    quats, scales, opacities = rng.normal(size=(n, 4)), rng.normal(size=(n, 3)) / 4 - 4, rng.normal(size=n)
    return Splats(
        means.astype(np.float32),
        quats.astype(np.float32),
        scales.astype(np.float32),
        opacities.astype(np.float32),
        sh.astype(np.float32),
    )


def clumps(n: int = 300, background: bool = True) -> Splats:
    """Three objects that stand far apart, and a background below them; labels shuffled as in a result."""
    parts = [
        clump(centre, n, label, COLOURS[label]).with_columns(label=np.full(n, label, np.int32))
        for label, (_, centre) in CLUMPS.items()
    ]
    if background:
        parts.append(clump((5.0, 5.0, -10.0), n, 9, COLOURS[0]).with_columns(label=np.zeros(n, np.int32)))
    whole = merge(parts)
    rng = np.random.default_rng(5)
    confidence = rng.random(len(whole)).astype(np.float32)
    return whole.with_columns(confidence=confidence).pick(rng.permutation(len(whole)))


def write_clumps(folder: Path, splats: Splats | None = None, embedding: bool = False, meshes: bool = False) -> Splats:
    """Write a result folder of :func:`clumps`; embeddings point along the axis of the label, with a little noise."""
    splats = clumps() if splats is None else splats
    folder.mkdir(parents=True)
    labels = splats.extra["label"]
    write_ply(splats, folder / "splats.ply")
    (folder / "objects").mkdir()
    rows = []
    for label, (name, _) in CLUMPS.items():
        own = splats.pick(labels == label)
        write_ply(own.without_columns(), folder / "objects" / f"{label:04d}.ply")
        rows.append(
            {
                "id": label,
                "name": name,
                "count": len(own),
                "min": own.means.min(0).tolist(),
                "max": own.means.max(0).tolist(),
                "centre": own.means.mean(0).tolist(),
                "colour": COLOURS[label],
                "confidence": 0.75,
                "views": label,
            }
        )
    record = {
        "format": 1,
        "scene": "kitchen",
        "method": "consensus",
        "seed": 0,
        "versions": {"splatlift": "0"},
        "up": [0, -1, 0],
        "objects": rows,
    }
    (folder / "objects.json").write_text(json.dumps(record))
    if embedding:
        rng = np.random.default_rng(3)
        np.save(folder / "embedding.npy", (np.eye(4)[labels] + rng.normal(size=(len(labels), 4)) / 10).astype("f2"))
    if meshes:
        (folder / "meshes").mkdir()
        for label in (1, 2):
            write_sphere(folder / "meshes" / f"{label:04d}.ply", CLUMPS[label][1])
    return splats


def write_sphere(path: Path, centre: tuple[float, float, float]) -> None:
    """A surface around a clump, as results have it."""
    ball = bmesh.new()
    bmesh.ops.create_icosphere(ball, subdivisions=3, radius=1.1)
    ball.verts.index_update()
    places = np.array([vertex.co[:] for vertex in ball.verts], np.float32) + np.array(centre, np.float32)
    triangles = [[vertex.index for vertex in face.verts] for face in ball.faces]
    ball.free()
    corners = np.zeros(len(places), [(name, "<f4") for name in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
    corners["x"], corners["y"], corners["z"] = places.T
    corners["red"] = np.arange(len(places)) % 256
    faces = np.empty(len(triangles), [("vertex_indices", "<i4", (3,))])
    faces["vertex_indices"] = triangles
    elements = [PlyElement.describe(corners, "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements, byte_order="<").write(str(path))


def part(name: str) -> Any:
    return bpy.data.collections[name]


def pick(name: str, rows: np.ndarray | None = None) -> Any:
    """Make an object of the part the active and only selected one; where rows are given, the selected points."""
    from blender_addon.editing.parts import pieces_of
    from blender_addon.editing.selection import write_selection

    pick_parts([name])
    (piece, *_) = pieces_of(part(name))
    if rows is not None:
        write_selection(piece.thing.data, rows)
    return piece.thing


def pick_parts(names: list[str]) -> None:
    """Select what is seen of parts, the first of them active."""
    from blender_addon.editing.parts import pieces_of

    for thing in bpy.context.view_layer.objects:
        thing.select_set(False)
    seen = [piece.seen for name in names for piece in pieces_of(part(name))]
    for thing in seen:
        thing.select_set(True)
    bpy.context.view_layer.objects.active = seen[0]


def state() -> dict[str, Any]:
    """All content that an edit can change: names, collections, properties, matrices, modes, every attribute's bytes."""
    editing = [thing for thing in bpy.data.objects if thing.mode == "EDIT"]
    modes = {thing.name: thing.mode for thing in bpy.data.objects}
    for thing in editing:
        thing.update_from_editmode()
    return {
        "collections": {each.name: _collection(each) for each in bpy.data.collections if each.users},
        "objects": {each.name: _object(each, modes[each.name]) for each in bpy.data.objects if each.users},
    }


def undo_and_redo(history: list[dict[str, Any]]) -> None:
    """Undo every step and redo it; the content must be that of ``history``, the states at the steps, each time."""
    for before in reversed(history[:-1]):
        assert bpy.ops.ed.undo() == {"FINISHED"}
        assert state() == before
    for after in history[1:]:
        assert bpy.ops.ed.redo() == {"FINISHED"}
        assert state() == after


def attributes_of(data: Any) -> dict[str, str]:
    """A hash of each attribute's bytes, by name."""
    if getattr(data, "is_editmode", False):
        data = data.copy()
        try:
            return attributes_of(data)
        finally:
            bpy.data.meshes.remove(data)
    return {each.name: _hash(each) for each in data.attributes}


def _collection(collection: Any) -> dict[str, Any]:
    known = {} if not hasattr(collection, "splatlift") else _properties(collection.splatlift)
    return {
        "known": known,
        "children": [each.name for each in collection.children],
        "objects": [each.name for each in collection.objects],
        "tag": collection.color_tag,
        "hidden": collection.hide_viewport,
        "custom": sorted(collection.keys()),
    }


def _properties(group: Any) -> dict[str, Any]:
    found = {}
    for name in group.bl_rna.properties.keys():  # noqa: SIM118
        value = getattr(group, name)
        if name not in ("rna_type", "name"):
            found[name] = tuple(value) if hasattr(value, "__len__") and not isinstance(value, str) else value
    return found


def _object(thing: Any, mode: str) -> dict[str, Any]:
    return {
        "mode": mode,
        "basis": [tuple(row) for row in thing.matrix_basis],
        "inverse": [tuple(row) for row in thing.matrix_parent_inverse],
        "parent": thing.parent.name if thing.parent else None,
        "colour": tuple(thing.color),
        "hidden": (thing.hide_viewport, thing.hide_render),
        "selected": thing.select_get() if thing.name in bpy.context.view_layer.objects else None,
        "modifiers": [(each.type, each.name) for each in thing.modifiers],
        "data": (thing.data.name, attributes_of(thing.data)) if hasattr(thing.data, "attributes") else None,
        "points": len(thing.data.vertices) if hasattr(thing.data, "vertices") else None,
        "faces": len(thing.data.polygons) if hasattr(thing.data, "polygons") else None,
    }


def _hash(attribute: Any) -> str:
    from blender_addon.editing.columns import KINDS

    if attribute.data_type not in KINDS:
        return f"{attribute.data_type} {len(attribute.data)}"
    key, dtype, width = KINDS[attribute.data_type]
    values = np.empty(len(attribute.data) * width, dtype)
    if len(values):
        attribute.data.foreach_get(key, values)
    return f"{attribute.data_type} {attribute.domain} {hashlib.sha256(values.tobytes()).hexdigest()[:16]}"


def solid(splats: Splats) -> Splats:
    """The same Gaussians, so large and opaque that no light passes through a clump."""
    return replace(splats, scales=splats.scales + 2, opacities=splats.opacities + 3)


def write_parted(folder: Path, meshes: bool = False) -> Splats:
    """As :func:`write_clumps`; the mug has a lower and an upper part, numbers 1 and 2, and the plant parts 3 and 4.

    A few Gaussians of the plant belong to no part. The lamp has no parts.
    """
    splats = solid(clumps())
    labels, height = splats.extra["label"], splats.means[:, 1]
    part = np.where(labels == 1, 1 + (height > 0), np.where(labels == 2, 3 + (height > 0), 0))
    part[np.flatnonzero(labels == 2)[:20]] = 0
    splats = splats.with_columns(part=part.astype(np.int32))
    write_clumps(folder, splats, meshes=meshes)
    numbers, counts = np.unique(part[part > 0], return_counts=True)
    wholes = {1: 1, 2: 1, 3: 2, 4: 2}
    rows = [{"id": int(k), "whole": wholes[int(k)], "count": int(n)} for k, n in zip(numbers, counts, strict=True)]
    (folder / "parts.json").write_text(json.dumps({"format": 1, "level": "whole", "parts": rows}))
    return splats

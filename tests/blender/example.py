"""A small result folder to import, and the Gaussians it is made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement

from protocol.ply import write_ply
from protocol.splats import SH_COUNTS, Splats

NAMES = ("mug", "plant", "lamp")


def some_splats(n: int, degree: int = 3, seed: int = 0) -> Splats:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Splats(normal(n, 3), normal(n, 4), normal(n, 3) - 3, normal(n), normal(n, SH_COUNTS[degree], 3) / 4)


def labelled_splats(n: int = 400, degree: int = 1) -> Splats:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, len(NAMES) + 1, n).astype(np.int32)
    return some_splats(n, degree).with_columns(label=labels, confidence=rng.random(n).astype(np.float32))


def write_example(folder: Path, splats: Splats | None = None, meshes: bool = True) -> Splats:
    """Write a result folder as a segmentation leaves it; objects 1 and 2 have surfaces, object 3 none."""
    splats = labelled_splats() if splats is None else splats
    (folder / "objects").mkdir(parents=True)
    write_ply(splats, folder / "splats.ply")
    for label in range(1, len(NAMES) + 1):
        write_ply(object_of(splats, label), folder / "objects" / f"{label:04d}.ply")
    rows = [
        {
            "id": label,
            "name": name,
            "count": int((splats.extra["label"] == label).sum()),
            "min": [0, 0, 0],
            "max": [1, 1, 1],
            "centre": [0.5, 0.5, 0.5],
            "colour": [round(label / 4, 2), 0.5, 0.9],
            "confidence": 0.75,
            "views": 3,
        }
        for label, name in enumerate(NAMES, 1)
    ]
    table = {"format": 1, "scene": "kitchen", "method": "consensus", "seed": 0, "versions": {}, "objects": rows}
    (folder / "objects.json").write_text(json.dumps(table))
    if meshes:
        (folder / "meshes").mkdir()
        for label in (1, 2):
            write_tetrahedron(folder / "meshes" / f"{label:04d}.ply")
    return splats


def object_of(splats: Splats, label: int) -> Splats:
    return splats.pick(splats.extra["label"] == label).without_columns()


def imported(splats: Splats, label: int) -> Splats:
    """The Gaussians of an object as an import holds them: each knows its row of ``splats.ply``."""
    rows = np.flatnonzero(splats.extra["label"] == label)
    return splats.pick(rows).with_columns(splat_row=rows.astype(np.int32))


def write_tetrahedron(path: Path, faces: object = ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))) -> None:
    corners = np.zeros(4, [(name, "<f4") for name in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")])
    corners["x"], corners["y"], corners["z"] = [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]
    corners["red"], corners["green"], corners["blue"] = [255, 0, 0, 128], [0, 255, 0, 128], [0, 0, 255, 128]
    triangles = np.array([(face,) for face in faces], [("vertex_indices", "<i4", (3,))])  # pyright: ignore
    elements = [PlyElement.describe(corners, "vertex"), PlyElement.describe(triangles, "face")]
    PlyData(elements, byte_order="<").write(str(path))


def same(a: Splats, b: Splats) -> bool:
    """Whether two splats are the same, bit for bit, extra columns included."""
    columns = ("means", "quats", "scales", "opacities", "sh")
    pairs = [(getattr(a, name), getattr(b, name)) for name in columns]
    pairs += [(a.extra[name], b.extra.get(name)) for name in a.extra]
    return a.extra.keys() == b.extra.keys() and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in pairs
    )

"""Writes the files of a result, and reads those that the backend needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.lift.types import Lift, Parts
from backend.objects.mesh.colours import Photograph
from backend.objects.mesh.make import TRIANGLES, MeshMaker
from backend.progress import Progress, silent
from backend.scene.lens import Lens
from backend.scene.types import Camera
from backend.threads import threads_for
from protocol.errors import BadArgument
from protocol.ply import write_ply
from protocol.result import cameras as camera_file
from protocol.result.cameras import CameraRow, LensRow
from protocol.result.embedding import write_embedding
from protocol.result.gaussians import rows_of_labels
from protocol.result.meshes import texture_path, write_mesh
from protocol.result.names import (
    CONFIDENCE,
    FORMAT,
    LABEL,
    LABELS,
    MAX_LABEL,
    MESHES,
    OBJECTS,
    PART,
    SPLATS,
    label_map_path,
    mesh_path,
    object_path,
)
from protocol.result.parts import PartRow, PartTable
from protocol.result.parts import write_parts as write_part_table
from protocol.result.table import ObjectRow, ObjectTable, write_table
from protocol.splats import Splats


def write_gaussians(
    folder: Path,
    splats: Splats,
    lift: Lift,
    progress: Progress = silent,
    parts: NDArray[np.int32] | None = None,
) -> None:
    """Write ``splats.ply`` with label, confidence and (N,) parts, and ``objects/NNNN.ply``.

    Also ``embedding.npy``, (N, d) float16 in the order of ``splats.ply``, if the method trained an embedding.
    """
    columns = {LABEL: lift.labels, CONFIDENCE: lift.confidence} | ({} if parts is None else {PART: parts})
    write_ply(splats.with_columns(**columns), folder / SPLATS)
    if lift.embedding is not None:
        write_embedding(folder, lift.embedding.astype(np.float16))
    (folder / OBJECTS).mkdir()
    stock = splats.without_columns()
    groups = [(label, rows) for label, rows in rows_of_labels(lift.labels).items() if label > 0]
    for done, (label, rows) in enumerate(groups):
        progress("objects", done / len(groups), f"object {label} of {len(groups)}")
        write_ply(stock.pick(rows), object_path(folder, label))


def write_meshes(
    folder: Path,
    splats: Splats,
    labels: NDArray[np.integer],
    cameras: Sequence[Camera],
    device: str = "auto",
    progress: Progress = silent,
    *,
    only: Sequence[int] | None = None,
    watertight: bool = False,
    triangles: int = TRIANGLES,
    textures: bool = False,
    photograph: Photograph | None = None,
) -> list[str]:
    """Write ``meshes/NNNN.ply`` and their textures; return sentences about objects without a mesh and about skipped
    Gaussians.

    Args:
        labels: (N,), see :class:`backend.objects.mesh.make.MeshMaker`; so are ``cameras``, ``device`` and
            ``photograph``.
        only: the objects; None for all.
        watertight, triangles, textures: see :meth:`backend.objects.mesh.make.MeshMaker.make`.
    """
    (folder / MESHES).mkdir(exist_ok=True)
    maker = MeshMaker(splats, labels, cameras, device, photograph)
    chosen = maker.objects if only is None else only
    notes = []
    # Much of the work is of one thread, so objects are made side by side.
    with ThreadPoolExecutor(threads_for(len(chosen))) as pool:
        waiting = [
            pool.submit(maker.make, label, watertight=watertight, triangles=triangles, textures=textures)
            for label in chosen
        ]
        try:
            for done, (label, future) in enumerate(zip(chosen, waiting, strict=True)):
                progress("objects", done / len(chosen), f"mesh {done + 1} of {len(chosen)}")
                made = future.result()
                if made.note:
                    notes.append(made.note)
                if made.mesh is not None:
                    write_mesh(made.mesh, mesh_path(folder, label))
                else:
                    for path in (mesh_path(folder, label), texture_path(mesh_path(folder, label))):
                        path.unlink(missing_ok=True)
        finally:
            pool.shutdown(cancel_futures=True)
    return notes


def write_objects(
    folder: Path, scene: str, lift: Lift, seed: int, up: tuple[float, float, float], objects: list[ObjectRow]
) -> None:
    """Write ``objects.json``; ``up`` is a unit vector in the frame of the capture."""
    versions = {"splatlift": version("splatlift")}
    table = ObjectTable(
        format=FORMAT, scene=scene, method=lift.method, seed=seed, versions=versions, up=up, objects=objects
    )
    write_table(folder, table)


def write_parts(folder: Path, level: Literal["whole", "part"], parts: Parts) -> None:
    """Write ``parts.json``; ``level`` says what the objects of the result are."""
    counts = np.bincount(parts.part, minlength=len(parts.whole))
    rows = [
        PartRow(id=number, whole=int(parts.whole[number]), count=int(counts[number]))
        for number in range(1, len(parts.whole))
    ]
    write_part_table(folder, PartTable(format=FORMAT, level=level, parts=rows))


def write_labels(folder: Path, maps: Mapping[str, NDArray[np.int32]]) -> None:
    """Write ``labels/NAME.png``, one 16-bit id map per view."""
    (folder / LABELS).mkdir()
    for name, ids in maps.items():
        if ids.max(initial=0) > MAX_LABEL:
            raise BadArgument(
                f"{ids.max()} objects are too many for the 16-bit id maps of a result.", "Use coarser masks."
            )
        Image.fromarray(ids.astype(np.uint16)).save(label_map_path(folder, name))


def write_cameras(
    folder: Path,
    cameras: Mapping[str, Camera],
    photographs: Mapping[str, str | None] | None = None,
    lenses: Mapping[str, Lens | None] | None = None,
) -> None:
    """Write ``cameras.json``.

    Args:
        folder: of the result.
        cameras: the undistorted camera of each view at the size of its id map, by name.
        photographs: paths below the scene folder, by view name.
        lenses: lens distortion by view name, see :attr:`backend.scene.types.View.lens`.
    """
    paths, lenses = photographs or {}, lenses or {}
    rows = [
        CameraRow(
            name,
            camera.width,
            camera.height,
            camera.K.tolist(),
            camera.viewmat.tolist(),
            paths.get(name),
            _lens_row(lenses.get(name)),
        )
        for name, camera in cameras.items()
    ]
    camera_file.write_cameras(folder, rows)


def _lens_row(lens: Lens | None) -> LensRow | None:
    # Writing the file checks the name of the model.
    return None if lens is None else LensRow(cast(Any, lens.model), lens.params, lens.width, lens.height)


def read_cameras(folder: Path) -> dict[str, Camera]:
    """Return the undistorted cameras of a result by the name of their view.

    Raises:
        BadResult: if ``cameras.json`` is missing or broken.
    """
    return {row.name: _camera(row) for row in camera_file.read_cameras(folder)}


def read_views(folder: Path) -> dict[str, tuple[Camera, Lens | None]]:
    """Return the undistorted camera and the lens of each view of a result by its name.

    Raises:
        BadResult: if ``cameras.json`` is missing or broken.
    """
    return {
        row.name: (
            _camera(row),
            None if row.lens is None else Lens(row.lens.model, row.lens.params, row.lens.width, row.lens.height),
        )
        for row in camera_file.read_cameras(folder)
    }


def _camera(row: CameraRow) -> Camera:
    return Camera(np.array(row.viewmat, np.float64), np.array(row.K, np.float64), row.width, row.height)

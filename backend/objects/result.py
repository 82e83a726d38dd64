"""The result folder: what a segmentation leaves behind. Nothing appears under its final name before it is whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.lift.types import Lift
from backend.objects.mesh import mesh_of, write_mesh
from backend.objects.table import SceneObject, rows_of_labels
from backend.progress import Progress, silent
from backend.scene.types import Camera
from protocol.errors import BadArgument, BadResult
from protocol.ply import write_ply
from protocol.splats import Splats

FORMAT = 1
MARK = "objects.json"
"""The file by which a folder is known to be a result."""
CAMERAS = "cameras.json"
EMBEDDING = "embedding.npy"


class ObjectsFile(msgspec.Struct, frozen=True):
    """``objects.json``; ``up`` is a unit vector in the frame of the capture."""

    format: int
    scene: str
    method: str
    seed: int
    versions: dict[str, str]
    up: tuple[float, float, float]
    objects: list[SceneObject]


Extent = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
Row3 = tuple[float, float, float]
Row4 = tuple[float, float, float, float]


class ViewCamera(msgspec.Struct, frozen=True):
    """A row of ``cameras.json``, in the conventions of :class:`backend.scene.types.Camera`.

    ``photograph`` is the path of the view's photograph below the scene folder, with forward slashes; None where it
    lies elsewhere.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[^/\\\x00]+$")]
    width: Extent
    height: Extent
    K: tuple[Row3, Row3, Row3]
    viewmat: tuple[Row4, Row4, Row4, Row4]
    photograph: str | None = None


class CamerasFile(msgspec.Struct, frozen=True):
    """``cameras.json``: every view of the scene, at the size that its label map has or would have."""

    format: int
    views: list[ViewCamera]


def check_out(out: Path) -> None:
    """Refuse an output folder that holds something else, before any work is done.

    Raises:
        BadArgument: if ``out`` is a file, or a folder with anything but an earlier result in it.
    """
    if out.exists() and not out.is_dir():
        raise BadArgument(f"The output {out} is a file.", "Name a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise BadArgument(
            f"The output folder {out} holds files that no segmentation wrote.", "Name a new or an empty folder."
        )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write into that becomes ``out`` when the block ends well, and vanishes when it does not.

    An earlier result under that name is replaced in the same instant.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    part.chmod(0o755)
    try:
        yield part
        _take_the_place_of(out, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _take_the_place_of(out: Path, part: Path) -> None:
    if not out.exists():
        part.rename(out)
        return
    old = part.with_suffix(".old")
    out.rename(old)
    try:
        part.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)


def write_gaussians(folder: Path, splats: Splats, lift: Lift, progress: Progress = silent, meshes: bool = True) -> None:
    """Write ``splats.ply`` with label and confidence, ``objects/NNNN.ply`` and ``meshes/NNNN.ply``.

    And ``embedding.npy``, (N, d) float16 in the order of ``splats.ply``, where the method trained one.
    """
    write_ply(splats.with_columns(label=lift.labels, confidence=lift.confidence), folder / "splats.ply")
    if lift.embedding is not None:
        np.save(folder / EMBEDDING, lift.embedding.astype(np.float16))
    (folder / "objects").mkdir()
    (folder / "meshes").mkdir()
    stock = splats.without_columns()
    groups = [(label, rows) for label, rows in rows_of_labels(lift.labels) if label > 0]
    for done, (label, rows) in enumerate(groups):
        progress("objects", done / len(groups), f"object {label} of {len(groups)}")
        piece = stock.pick(rows)
        write_ply(piece, folder / "objects" / f"{label:04d}.ply")
        surface = mesh_of(piece) if meshes else None
        if surface is not None:
            write_mesh(surface, folder / "meshes" / f"{label:04d}.ply")


def write_objects(
    folder: Path, scene: str, lift: Lift, seed: int, up: tuple[float, float, float], objects: list[SceneObject]
) -> None:
    """Write ``objects.json``."""
    record = ObjectsFile(FORMAT, scene, lift.method, seed, {"splatlift": version("splatlift")}, up, objects)
    write_json(folder / MARK, record)


def write_labels(folder: Path, maps: Mapping[str, NDArray[np.int32]]) -> None:
    """Write ``labels/NAME.png``, one 16-bit id map per view."""
    (folder / "labels").mkdir()
    for name, ids in maps.items():
        if ids.max(initial=0) > np.iinfo(np.uint16).max:
            raise BadArgument(f"{ids.max()} objects do not fit the 16-bit id maps of a result.", "Use coarser masks.")
        Image.fromarray(ids.astype(np.uint16)).save(folder / "labels" / f"{name}.png")


def write_cameras(
    folder: Path, cameras: Mapping[str, Camera], photographs: Mapping[str, str | None] | None = None
) -> None:
    """Write ``cameras.json``; ``photographs`` are paths below the scene folder by name of the view."""
    paths = photographs or {}
    views = [
        ViewCamera(name, camera.width, camera.height, camera.K.tolist(), camera.viewmat.tolist(), paths.get(name))
        for name, camera in cameras.items()
    ]
    write_json(folder / CAMERAS, CamerasFile(FORMAT, views))


def read_cameras(folder: Path) -> dict[str, Camera]:
    """Return the cameras of a result by the name of their view.

    Raises:
        BadResult: if ``cameras.json`` is missing or broken.
    """
    path = folder / CAMERAS
    try:
        record = msgspec.json.decode(path.read_bytes(), type=CamerasFile)
    except FileNotFoundError as error:
        raise BadResult(
            f"{path} is missing, as in results of before it was kept.", "Segment the scene again."
        ) from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResult(f"{path} cannot be read: {error}.", "Segment the scene again.") from error
    return {
        view.name: Camera(np.array(view.viewmat, np.float64), np.array(view.K, np.float64), view.width, view.height)
        for view in record.views
    }


def read_embedding(folder: Path, gaussians: int) -> NDArray[np.float32] | None:
    """Return the (N, d) embedding of a result of N ``gaussians``, or None where its method trained none.

    Raises:
        BadResult: if ``embedding.npy`` is broken or of other Gaussians.
    """
    path = folder / EMBEDDING
    if not path.exists():
        return None
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadResult(f"{path} cannot be read: {error}.", "Segment the scene again.") from error
    if not isinstance(values, np.ndarray) or values.dtype not in (np.float16, np.float32) or values.ndim != 2:
        raise BadResult(f"{path} does not hold an embedding.", "Segment the scene again.")
    if len(values) != gaussians:
        raise BadResult(
            f"{path} is of {len(values)} Gaussians, splats.ply has {gaussians}.", "Segment the scene again."
        )
    return values.astype(np.float32)


def write_json(path: Path, record: Any) -> None:
    """Write a record as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")

"""Brings given Gaussians to where the cameras of a capture look, or refuses them.

Trainers often move, turn and scale the world before they train. nerfstudio writes down how, in
``dataparser_transforms.json``; gsplat's ``normalize_world_space`` does not. Cameras then see nothing, or other things,
and labels would be nonsense. Files of other axes than those of a PLY are half a turn about x away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.photo_similarity import similarity
from backend.scene.json_files import read_json
from backend.scene.types import View
from protocol.errors import BadSplats
from protocol.formats.axes import to_ply_axes
from protocol.splats import Splats
from protocol.transform import transform

TRANSFORMS = "dataparser_transforms.json"
ABOVE = 4
"""Folders above a splat file in which nerfstudio's transform is searched for: exports lie beside or below the run."""

LEAST, SURE = 0.3, 0.6
"""Likeness below which pictures show different things, and from which they show the same. Rooms that were reconstructed
for a few hundred steps reached 0.78 to 0.92; turned, moved or scaled by 30 % and more, 0.57 and mostly below 0.3."""


class Dataparser(msgspec.Struct):
    """nerfstudio's file: a point x of the capture lies at ``scale * (transform @ [x, 1])`` in what was trained."""

    transform: list[list[float]]
    scale: float


class Applied(msgspec.Struct):
    """What ``ns-process-data`` did to the world before it wrote ``transforms.json``: a (3, 4) matrix."""

    applied_transform: list[list[float]] | None = None


def in_frame_of(
    root: Path, views: Sequence[View], splats: Splats, file: Path, device: str = "cpu"
) -> tuple[Splats, tuple[str, ...]]:
    """Return the Gaussians of a file as the cameras see them, and a sentence about what was done to them.

    Args:
        root: the scene folder; a transform is searched for here, beside the file and in the folders above it.
        views: of the scene, at least one.
        splats: read from ``file``.
        device: as of :class:`backend.render.Renderer`.

    Raises:
        BadSplats: if renders are not like the photographs, and nothing that is known makes them.
        BadScene: if a photograph or a transform file cannot be read.
    """
    given = similarity(splats, views, device)
    if given >= LEAST:
        return splats, ()
    turned = to_ply_axes(splats, "RUB")
    if similarity(turned, views, device) >= SURE:
        said = f"{file} was rotated by 180 degrees about x, because only then its Gaussians match the photographs."
        return turned, (said,)
    files = list(_transform_files(root, file))
    for path in files:
        for matrix in _to_capture(path, root):
            moved = transform(splats, matrix)
            if similarity(moved, views, device) >= SURE:
                said = f"The Gaussians of {file} were transformed to the frame of the cameras, according to {path}."
                return moved, (said,)
    tried = f", not even after the transform of {' and '.join(map(str, files))}" if files else ""
    raise BadSplats(
        f"The Gaussians of {file} do not match the photographs of {root} from its cameras{tried} (similarity "
        f"{given:.2f} of 1). They are in another coordinate frame.",
        f"Put nerfstudio's {TRANSFORMS} next to the file, or train without normalization (gsplat: "
        "--no-normalize-world-space).",
    )


def _transform_files(root: Path, file: Path) -> Iterator[Path]:
    for folder in dict.fromkeys([*file.resolve().parents[:ABOVE], root.resolve()]):
        if (folder / TRANSFORMS).is_file():
            yield folder / TRANSFORMS


def _to_capture(path: Path, root: Path) -> Iterator[NDArray[np.float64]]:
    """Yield (4, 4) similarities that may lead from what nerfstudio trained to the world of the capture.

    The file undoes ``applied_transform`` too where ``transforms.json`` has one; cameras read from that file have it
    still, cameras read from COLMAP do not.
    """
    content = read_json(path, Dataparser)
    forward = content.scale * _matrix(content.transform, path)
    forward[3] = [0, 0, 0, 1]
    if not (np.isfinite(forward).all() and abs(np.linalg.det(forward)) > 0):
        raise BadSplats(f"The transform of {path} cannot be inverted.", "Copy it again from nerfstudio's output.")
    back = np.linalg.inv(forward)
    yield back
    listing = root / "transforms.json"
    applied = read_json(listing, Applied).applied_transform if listing.is_file() else None
    if applied is not None:
        yield _matrix(applied, listing) @ back


def _matrix(rows: list[list[float]], file: Path) -> NDArray[np.float64]:
    if len(rows) != 3 or any(len(row) != 4 for row in rows):
        raise BadSplats(f"The transform in {file} is not a 3 x 4 matrix.", "Copy it again.")
    return np.vstack([np.array(rows, np.float64), [0, 0, 0, 1]])

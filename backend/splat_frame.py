"""Transforms given Gaussians to the frame of a capture's cameras, or refuses them.

Trainers often translate, rotate and scale the world before training. nerfstudio records this in
``dataparser_transforms.json``; gsplat's ``normalize_world_space`` does not. The cameras then see nothing, or other
things, and labels would be meaningless. Files with other axes than a PLY are rotated by half a turn about x.
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
"""Levels of folders above a splat file that are searched for nerfstudio's transform: exports are next to or below the
run."""

LEAST, SURE = 0.3, 0.6
"""Similarities below which images show different scenes, and from which they show the same. Generated rooms after a few
hundred training steps reached 0.78 to 0.92; rotated, moved or scaled by 30 % and more, at most 0.57 and mostly below
0.3."""


class Dataparser(msgspec.Struct):
    """nerfstudio's file: a point x of the capture is trained at ``scale * (transform @ [x, 1])``."""

    transform: list[list[float]]
    scale: float


class Applied(msgspec.Struct):
    """The transform that ``ns-process-data`` applied before it wrote ``transforms.json``: a (3, 4) matrix."""

    applied_transform: list[list[float]] | None = None


def in_frame_of(
    root: Path, views: Sequence[View], splats: Splats, file: Path, device: str = "cpu"
) -> tuple[Splats, tuple[str, ...]]:
    """Return the Gaussians of a file in the frame of the cameras, and a sentence about the transform.

    Args:
        root: the scene folder; a transform is searched for here, next to the file and in the folders above it.
        views: of the scene, at least one.
        splats: read from ``file``.
        device: as in :class:`backend.render.Renderer`.

    Raises:
        BadSplats: if the renderings differ from the photographs, and no known transform changes that.
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
    """Yield candidate (4, 4) similarity transforms from nerfstudio's training frame to the frame of the capture.

    The file also inverts ``applied_transform`` if ``transforms.json`` has one; cameras from that file still contain it,
    cameras from COLMAP do not.
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

"""Whether given Gaussians lie where the cameras of a capture look, and what brings them there if not.

Trainers often move and scale the world before they train. nerfstudio writes down how, in
``dataparser_transforms.json``; gsplat's ``normalize_world_space`` does not. A few views are rendered and compared with
their photographs, by normalised cross-correlation, which neither exposure nor contrast changes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.reconstruct.photographs import working_size
from backend.render import Renderer
from backend.scene import read_image
from backend.scene.json_files import read_json
from backend.scene.types import Scene, View
from protocol.errors import BadArgument, BadSplats
from protocol.splats import Splats
from protocol.transform import transform

log = logging.getLogger(__name__)

TRANSFORMS = "dataparser_transforms.json"
VIEWS = 8
LONG_SIDE = 160

ALIKE = 0.4
"""Median correlation of renders and photographs above which Gaussians lie where they should. Of the reconstructions in
docs/benchmarks.md the lowest has 0.9; scaled or turned ones have between -0.1 and 0.2."""


class Dataparser(msgspec.Struct):
    """nerfstudio's file: a point x of the capture lies at ``scale * (transform @ [x, 1])`` in what it trained."""

    transform: list[list[float]]
    scale: float


class Applied(msgspec.Struct):
    """What ``ns-process-data`` did to the world before it wrote ``transforms.json``."""

    applied_transform: list[list[float]] | None = None


def in_frame_of(scene: Scene, splats: Splats, file: Path, device: str) -> Splats:
    """Return ``splats`` in the frame of the cameras of ``scene``.

    Args:
        splats: read from ``file``.
        file: for the sentence of an error; nerfstudio's transform is looked for beside it, up to three folders above,
            and in the scene.

    Raises:
        BadSplats: if the Gaussians do not look like the photographs, and no transform that is there makes them.
    """
    views = _spread(scene.views)
    found = likeness(splats, views, device)
    if found >= ALIKE:
        return splats
    tried = []
    for path in _transform_files(scene, file):
        tried.append(str(path))
        for matrix in _candidates(path, scene):
            moved = transform(splats, matrix)
            if likeness(moved, views, device) >= ALIKE:
                log.warning("The Gaussians of %s lay in the frame of %s and were brought back.", file, path)
                return moved
    where = (
        f"{', '.join(tried)} does not bring them there" if tried else f"no {TRANSFORMS} tells how to bring them there"
    )
    raise BadSplats(
        f"The Gaussians of {file} do not lie where the cameras of {scene.root} look: renders and photographs correlate "
        f"by {found:.2f}, and {where}.",
        f"Put nerfstudio's {TRANSFORMS} beside the file, or train without moving the world "
        "(gsplat: --no-normalize-world-space).",
    )


def likeness(splats: Splats, views: Sequence[View], device: str) -> float:
    """Return the median over ``views`` of the correlation of render and photograph, -1 to 1; 0 for an empty render."""
    renderer = Renderer(splats, device)
    values = []
    for view in views:
        size = working_size(view.camera, LONG_SIDE)
        photograph = read_image(view, size).astype(np.float64)
        image = np.asarray(renderer.image(view.camera.resized(*size)), np.float64)
        values.append(_correlation(image.mean(2), photograph.mean(2)))
    return float(np.median(values))


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    one, other = one - one.mean(), other - other.mean()
    length = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / length if length > 0 and np.isfinite(length) else 0.0


def _spread(views: Sequence[View]) -> list[View]:
    return [views[i] for i in np.unique(np.linspace(0, len(views) - 1, VIEWS).round().astype(int))]


def _transform_files(scene: Scene, file: Path) -> Iterator[Path]:
    folders = [*list(file.resolve().parents)[:4], scene.root.resolve()]
    for folder in dict.fromkeys(folders):
        if (folder / TRANSFORMS).is_file():
            yield folder / TRANSFORMS


def _candidates(path: Path, scene: Scene) -> Iterator[NDArray[np.float64]]:
    """Yield (4, 4) similarities from the frame of ``path`` to that of the scene.

    nerfstudio has written its transform from the poses of ``transforms.json``, and since 1.0 from those of COLMAP,
    before ``applied_transform``.
    """
    content = read_json(path, Dataparser)
    forward = np.eye(4)
    given = np.array(content.transform, np.float64) if _is_3x4(content.transform) else np.zeros((3, 4))
    forward[:3] = content.scale * given
    if not (np.isfinite(forward).all() and abs(np.linalg.det(forward[:3, :3])) > 0):
        raise BadArgument(f"{path} holds no transform that can be undone.", "Copy it again from nerfstudio's output.")
    back = np.linalg.inv(forward)
    yield back
    listing = scene.root / "transforms.json"
    applied = read_json(listing, Applied).applied_transform if listing.is_file() else None
    if applied is not None and _is_3x4(applied):
        yield np.vstack([np.array(applied, np.float64), [0, 0, 0, 1]]) @ back


def _is_3x4(rows: list[list[float]]) -> bool:
    return len(rows) == 3 and all(len(row) == 4 for row in rows)

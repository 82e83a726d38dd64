"""Whether given Gaussians look like the photographs when seen from their cameras.

Programs that train splats often move the scene: nerfstudio and gsplat centre, turn and scale it, and their exports are
in that frame. Cameras then see nothing, or other things, and labels would be nonsense.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.render import Renderer
from backend.scene import read_image
from backend.scene.types import View
from backend.splat_files.axes import to_ply_axes
from protocol.errors import BadSplats
from protocol.splats import Splats

LOOKED_AT = 7
"""Views that are compared, spread over all."""
LONG_SIDE = 96
"""Pixels: the coarse look of a picture tells frames apart, and details of a poor reconstruction do not."""
LEAST, SURE = 0.3, 0.6
"""Likeness below which pictures show different things, and from which they show the same. Rooms that were reconstructed
for a few hundred steps reached 0.78 to 0.92; turned, moved or scaled by 30 % and more, 0.57 and mostly below 0.3."""


def in_frame_of(
    views: Sequence[View], splats: Splats, file: Path, device: str = "cpu"
) -> tuple[Splats, tuple[str, ...]]:
    """Return the Gaussians of a file as the cameras see them, and a warning where they do not look like photographs.

    Where half a turn about x, which is what separates the axes of SPZ from those of PLY, makes them look like
    photographs, it is taken.

    Raises:
        BadSplats: if no camera sees any of them.
        BadScene: if a photograph cannot be read.
    """
    given = likeness(splats, views, device)
    if given is not None and given >= LEAST:
        return splats, ()
    turned = to_ply_axes(splats, "RUB")
    if (likeness(turned, views, device) or 0) >= SURE:
        said = (
            f"{file} was turned by half a turn about x, without which its Gaussians do not look like the photographs."
        )
        return turned, (said,)
    remedy = (
        "Export them in the frame of the cameras: nerfstudio's dataparser_transforms.json holds what it did to that, "
        "gsplat leaves it alone with normalize_world_space off"
    )
    if given is None:
        raise BadSplats(f"No camera of the scene sees any Gaussian of {file}; they are in another frame.", f"{remedy}.")
    said = f"The Gaussians of {file} do not look like the photographs from their cameras (likeness {given:.2f} of 1)"
    return splats, (f"{said}; they may be in another frame. {remedy}.",)


def likeness(splats: Splats, views: Sequence[View], device: str = "cpu") -> float | None:
    """Return the median over a few views of the correlation of brightness between photograph and Gaussians.

    It is 1 where they agree up to brightness and contrast, and about 0 where they show different things; None where no
    Gaussian is seen in any of the views.

    Raises:
        BadScene: if a photograph cannot be read.
    """
    renderer = Renderer(splats, device)
    chosen = [views[i] for i in sorted(set(np.linspace(0, len(views) - 1, LOOKED_AT).astype(int)))]
    pairs = [_small_pair(renderer, view) for view in chosen]
    if not any(drawn.any() for _, drawn in pairs):
        return None
    return float(np.median([_correlation(photograph, drawn) for photograph, drawn in pairs]))


def _small_pair(renderer: Renderer, view: View) -> tuple[NDArray, NDArray]:
    """Return the brightness of a photograph and of what is drawn from its camera, both (H, W)."""
    factor = min(1.0, LONG_SIDE / max(view.camera.width, view.camera.height))
    size = max(1, round(view.camera.width * factor)), max(1, round(view.camera.height * factor))
    drawn = np.clip(renderer.image(view.camera.resized(*size)), 0, 1)
    return read_image(view, size).mean(2), drawn.mean(2)


def _correlation(a: NDArray, b: NDArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 1e-6 else 0.0

"""Makes masks for a scene without masks, by a fixed rule: `python -m bench.make_masks SCENE OUT`.

The rule: Felzenszwalb's graph segmentation (scikit-image) of the photograph at half size, scale 400, sigma 1, at least
0.1 % of the picture per segment. Segments of more than 10 % of the picture, or at three of its edges, are background.
Ids are random in every view. Such masks follow colour and not objects: they show that the pipeline runs on real
photographs, and nothing about its quality.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from skimage.segmentation import felzenszwalb

from backend.scene import load_scene, read_image

FACTOR = 2


def make_masks(
    scene: Annotated[Path, typer.Argument(help="A scene folder.")],
    out: Annotated[Path, typer.Argument(help="The mask folder to make.")],
) -> None:
    """Write one 16-bit id map per photograph of a scene."""
    out.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for view in track(load_scene(scene).views, "masks"):
        size = (view.camera.width // FACTOR, view.camera.height // FACTOR)
        ids = segments(read_image(view, size), rng)
        Image.fromarray(ids).save(out / f"{view.image_path.stem}.png")


def segments(photograph: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return the id map (H, W) of a photograph (H, W, 3) by the rule above."""
    pixels = photograph.shape[0] * photograph.shape[1]
    found = felzenszwalb(photograph, scale=400, sigma=1.0, min_size=pixels // 1000)
    area = np.bincount(found.ravel())
    edges = (found[0], found[-1], found[:, 0], found[:, -1])
    touching = sum(np.isin(np.arange(len(area)), edge).astype(int) for edge in edges)
    kept = np.flatnonzero((area < 0.1 * pixels) & (touching < 3))
    table = np.zeros(len(area), np.uint16)
    table[kept] = rng.permutation(len(kept)) + 1
    return table[found]


if __name__ == "__main__":
    typer.run(make_masks)

"""Small made scene folders in the layouts of LERF-Mask and 3D-OVS, with exact ids and the names of their objects.

The photographs are rendered from the Gaussians of a made scene (:mod:`bench.scenes`), which are in ``splats.ply``. The
names are arbitrary: nothing in a picture looks like its name. Folders of a layout:

- ``lerf-mask``: ``images``, ``images_train``, ``sparse``, ``object_mask`` and ``test_mask/<number>/<prompt>.png``.
- ``3d-ovs``: ``images``, ``sparse``, ``masks``, ``segmentations/classes.txt`` and ``segmentations/<view>/<class>.png``.

Both have ``gt/instance/<view>.png`` with exact ids, and ``gt/names.json`` with the id of each name.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.demo.scene import write_colmap
from backend.evaluate.ovs import CLASSES
from backend.render import Renderer
from backend.scene.json_files import read_json
from bench.scenes import make_scene
from protocol.errors import BadArgument
from protocol.ply import write_ply

Layout = Literal["lerf-mask", "3d-ovs"]

NAMES = ("green apple", "old camera", "toy chair", "rubber duck", "coffee mug", "sheep", "spoon", "red bag", "banana")
SPLATS = "splats.ply"
EXACT, NAMES_FILE = "gt/instance", "gt/names.json"
LEAST_PIXELS = 60
"""An object is annotated in a test view that shows this many pixels of it."""


def write_made(
    folder: Path,
    layout: Layout,
    *,
    objects: int = 5,
    views: int = 40,
    test_views: int = 4,
    size: int = 128,
    noise: str = "mild",
    seed: int = 0,
) -> None:
    """Write a scene folder.

    Args:
        folder: must not exist.
        layout: of the folder; see the module.
        objects: at most 9.
        views, test_views: numbers of training and of test views.
        size: height and width of the photographs in pixels.
        noise: profile of the errors of the training masks, see :data:`backend.demo.noise.PROFILES`.
        seed: of the scene and its masks.

    Raises:
        BadArgument: if the folder exists, or there are more objects than names.
    """
    if folder.exists():
        raise BadArgument(f"The folder {folder} exists.", "Give the path of a new folder.")
    if objects > len(NAMES):
        raise BadArgument(f"A made scene has at most {len(NAMES)} objects.")
    scene = make_scene(
        objects=objects, gaussians=8000, views=views, test_views=test_views, size=size, noise=noise, seed=seed
    )
    names = dict(zip(NAMES, range(1, objects + 1), strict=False))
    masks = folder / ("object_mask" if layout == "lerf-mask" else "masks")
    for part in (folder / "images", folder / EXACT, folder / "sparse/0", masks):
        part.mkdir(parents=True)
    shown = [*scene.train, *scene.test]
    exact = [*scene.exact, *(view.mask for view in scene.test)]
    renderer = Renderer(scene.splats, "cpu")
    for number, (view, ids) in enumerate(zip(shown, exact, strict=True)):
        picture = np.round(255 * renderer.image(view.camera).clip(0, 1)).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{view.name}.png")
        Image.fromarray(np.asarray(ids, np.uint16)).save(folder / EXACT / f"{view.name}.png")
        # Test views have black masks, as in LERF-Mask.
        mask = np.asarray(view.mask, np.uint8) * (number < views)
        Image.fromarray(mask).save(masks / f"{view.name}.png")
    points = np.random.default_rng(seed).choice(len(scene.splats), 1000, replace=False)
    colours = np.full((len(points), 3), 128)
    write_colmap(folder / "sparse/0", [view.camera for view in shown], scene.splats.means[points], colours)
    write_ply(scene.splats, folder / SPLATS)
    (folder / NAMES_FILE).write_text(json.dumps(names, indent=1))
    if layout == "lerf-mask":
        (folder / "images_train").mkdir()
        for view in scene.train:
            shutil.copy(folder / "images" / f"{view.name}.png", folder / "images_train")
    for number, view in enumerate(scene.test):
        for name, label in names.items():
            inside = np.asarray(view.mask) == label
            if layout == "3d-ovs":
                _save(inside, folder / "segmentations" / view.name / f"{name}.png")
            elif inside.sum() >= LEAST_PIXELS:
                _save(inside, folder / "test_mask" / str(number) / f"{name}.png")
    if layout == "3d-ovs":
        (folder / "segmentations" / CLASSES).write_text("\n".join(names) + "\n")


def read_names(folder: Path) -> dict[str, int]:
    """Return the id of each name in a made scene folder.

    Raises:
        BadArgument: if the folder was not made by :func:`write_made`. BadScene: if the file is damaged.
    """
    file = folder / NAMES_FILE
    if not file.is_file():
        raise BadArgument(
            f"{folder} has no {NAMES_FILE}, from which the simulated detector knows what objects are called.",
            "Use a detector, or make a folder with python -m bench.text_prompts make.",
        )
    return read_json(file, dict[str, int])


def _save(inside: NDArray[np.bool_], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(255 * inside.astype(np.uint8)).save(file)

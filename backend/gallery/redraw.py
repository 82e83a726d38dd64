"""Draws the label maps, the overview and the turntable of a result again, after its objects were changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.gallery.turntable import turntable, write_gif
from backend.lift import label_map, photograph_label_map
from backend.objects.overview import OVERVIEW_ROWS, Row, overview
from backend.objects.photographs import photographed
from backend.objects.result import read_views, write_labels
from backend.progress import Progress, silent
from backend.render import Renderer
from backend.scene import evenly_spread, read_image, read_mask
from backend.scene.lens import Lens
from backend.scene.types import Camera, View
from protocol.errors import Unavailable
from protocol.result.folder import whole_folder
from protocol.result.gaussians import read_splats
from protocol.result.names import BACKUP, CAMERAS, GALLERY, LABEL, LABELS, OVERVIEW, TURNTABLE
from protocol.result.table import read_table
from protocol.store import link_or_copy


def redraw(
    folder: Path, *, scene: Path | None = None, device: str = "auto", progress: Progress = silent
) -> tuple[int, bool]:
    """Draw the images of labels that the first version of a result had, from its current labels.

    Gaussians of moved objects are drawn where they were captured, as in the photographs.

    Args:
        folder: a result folder; it is replaced as a whole.
        scene: the folder of the capture, for the photographs and masks of the overview; None to render them.
        device: "auto", "cuda" or "cpu".

    Returns:
        The number of label maps, and whether there is a turntable.

    Raises:
        BadResult: if the folder is not a result. BadArgument: if no photograph of ``scene`` belongs to it.
            Unavailable: if the device is not usable, or the result cannot be written.
    """
    table, splats = read_table(folder), read_splats(folder)
    labels = splats.extra[LABEL].astype(np.int32)
    views = read_views(folder) if (folder / CAMERAS).is_file() else {}
    photographs = {} if scene is None else photographed(scene, views, folder)
    renderer = Renderer(splats.without_columns(), device)
    names = _drawn_before(folder, list(views))
    maps: dict[str, NDArray[np.int32]] = {}
    for done, name in enumerate(names):
        progress("labels", done / len(names), name)
        camera, lens = views[name]
        maps[name] = photograph_label_map(renderer, labels, lens, camera)
    turns = any((each / GALLERY / TURNTABLE).is_file() for each in (folder, folder / BACKUP))
    frames = turntable(splats.without_columns(), labels, table.up, device=device, progress=progress) if turns else []
    try:
        with whole_folder(folder) as new:
            _copy_others(folder, new)
            write_labels(new, maps)
            if maps:
                chosen = evenly_spread(names, OVERVIEW_ROWS)
                _overview(renderer, labels, views, chosen, maps, photographs).save(new / OVERVIEW)
            if frames:
                (new / GALLERY).mkdir(exist_ok=True)
                (new / GALLERY / TURNTABLE).unlink(missing_ok=True)
                write_gif(frames, new / GALLERY / TURNTABLE)
    except OSError as error:
        raise Unavailable(
            f"The images cannot be written to {folder}: {error.strerror or error}.",
            "Choose a result with write permission.",
        ) from error
    return len(maps), bool(frames)


def _drawn_before(folder: Path, views: Sequence[str]) -> list[str]:
    """Return the views that have a label map, or had one in the first version of the result; else all views."""
    for each in (folder / LABELS, folder / BACKUP / LABELS):
        drawn = {path.stem for path in each.glob("*.png")}
        if found := [name for name in views if name in drawn]:
            return found
    return list(views)


def _overview(
    renderer: Renderer,
    labels: NDArray[np.int32],
    views: Mapping[str, tuple[Camera, Lens | None]],
    names: Sequence[str],
    maps: Mapping[str, NDArray[np.int32]],
    photographs: Mapping[str, View],
) -> Image.Image:
    if all(name in photographs for name in names):
        seen = [(name, photographs[name]) for name in names]
        return overview([Row(name, read_image(view), read_mask(view), maps[name]) for name, view in seen])
    rows = []
    for name in names:
        camera, lens = views[name]
        image = np.round(255 * renderer.image(camera).clip(0, 1)).astype(np.uint8)
        # The rendered image has no lens distortion, so labels next to it must not have any either.
        beside = maps[name] if lens is None else label_map(renderer, labels, camera)
        rows.append(Row(name, image, None, beside))
    return overview(rows, "rendered image")


def _copy_others(folder: Path, new: Path) -> None:
    """Copy everything except the images of labels; files are linked, because they are never modified."""

    def ignored(source: str, names: list[str]) -> set[str]:
        return {LABELS, OVERVIEW} & set(names) if Path(source) == folder else set()

    shutil.copytree(folder, new, copy_function=link_or_copy, ignore=ignored, dirs_exist_ok=True)

"""Exports the masks of objects in the views of a result, as images or as COCO run lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.scene.mask_files import load_ids
from backend.scene.rle import pack_counts, runs_of
from protocol.errors import BadArgument, BadResult
from protocol.formats.write import output_file
from protocol.result.folder import whole_folder
from protocol.result.names import LABELS
from protocol.result.table import ObjectRow


def write_pictures(folder: Path, rows: Sequence[ObjectRow], to: Path) -> int:
    """Write a 16-bit PNG per view to a new folder, with the ids of the objects and 0 elsewhere.

    Returns:
        The number of visible objects, summed over views.

    Raises:
        BadResult: if the result has no label maps. BadArgument: if ``to`` cannot be created, or is not empty.
    """
    views = _views(folder)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadArgument(f"The output {to} already exists.", "Choose a folder that does not exist yet.")
    count = 0
    try:
        with whole_folder(to) as part:
            for file, ids in _maps(views, rows):
                Image.fromarray(ids.astype(np.uint16)).save(part / file.name)
                count += np.count_nonzero(np.unique(ids))
    except OSError as error:
        raise BadArgument(f"The folder {to} cannot be written: {error.strerror}.", "Choose another folder.") from error
    return count


def write_coco(folder: Path, rows: Sequence[ObjectRow], to: Path) -> int:
    """Write one COCO JSON with a category per object and an annotation per object and view.

    Returns:
        The number of annotations.

    Raises:
        BadResult: if the result has no label maps. BadSplats: if the file cannot be written.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for file, ids in _maps(_views(folder), rows):
        height, width = ids.shape
        images.append({"id": len(images) + 1, "file_name": file.name, "width": width, "height": height})
        for label in np.unique(ids[ids > 0]).tolist():
            about = {"id": len(annotations) + 1, "image_id": len(images), "category_id": label, "iscrowd": 0}
            annotations.append(about | _annotation(ids == label))
    categories = [{"id": row.id, "name": row.name} for row in rows if row.id]
    record = {"images": images, "categories": categories, "annotations": annotations}
    with output_file(to) as part:
        part.write_bytes(msgspec.json.encode(record))
    return len(annotations)


def _annotation(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the run lengths, the area, and the box (left, top, width, height) of a non-empty mask (H, W)."""
    down, across = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [across[0], down[0], across[-1] - across[0] + 1, down[-1] - down[0] + 1]
    return {
        "segmentation": {"size": list(mask.shape), "counts": pack_counts(runs_of(mask))},
        "area": int(np.count_nonzero(mask)),
        "bbox": [int(value) for value in box],
    }


def _views(folder: Path) -> list[Path]:
    views = sorted((folder / LABELS).glob("*.png"))
    if not views:
        raise BadResult(
            f"{folder} has no label maps of its views. Edits in Blender remove them.",
            f"Draw them again: backend redraw {folder}",
        )
    return views


def _maps(views: Sequence[Path], rows: Sequence[ObjectRow]) -> Iterator[tuple[Path, NDArray[np.int32]]]:
    """Yield each view's file and its ids (H, W), with other objects as 0."""
    wanted = [row.id for row in rows]
    for file in views:
        ids = load_ids(file)
        yield file, np.where(np.isin(ids, wanted), ids, 0).astype(np.int32)

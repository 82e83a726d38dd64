"""The masks of one photograph in a file of COCO's format with annotations of many."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from protocol.annotations import Annotation, Annotations, Id, read_annotations
from protocol.errors import BadMask


def content_of(file: Path, entry: Id) -> dict[str, Any]:
    """Return the masks of one photograph in COCO's format: ``images`` with its size, ``annotations`` with its masks.

    The flag ``iscrowd`` is ignored, because CVAT sets it for every mask that was painted.

    Args:
        file: annotations of many photographs.
        entry: the id of the photograph.

    Raises:
        BadMask: if the file has changed since the scene was loaded.
    """
    state = file.stat()
    found = _opened(file, state.st_mtime_ns, state.st_size)
    if found is None or entry not in found.pictures:
        raise BadMask(f"The mask {file} has changed since the scene was loaded.", "Start again.")
    picture = found.pictures[entry]
    sides = [side for side in (picture.width, picture.height) if side is not None and side == int(side)]
    size = {"width": int(sides[0]), "height": int(sides[1])} if len(sides) == 2 else {}
    return {"images": [size], "annotations": [_item(each) for each in found.masks.get(entry, [])]}


@lru_cache(maxsize=2)
def _opened(file: Path, changed: int, size: int) -> Annotations | None:
    """Read a file once for all photographs, until it has another time or size."""
    return read_annotations(file)


def _item(each: Annotation) -> dict[str, Any]:
    item: dict[str, Any] = {"segmentation": msgspec.json.decode(each.segmentation)}
    score = msgspec.json.decode(each.score) if bytes(each.score) else None
    return item if score is None else {**item, "score": score}

"""Masks as run lengths in JSON, in the format of COCO's tools and SAM's ``amg.py --convert-to-rle``; also polygons.

A mask is ``{"size": [height, width], "counts": ...}``: lengths of alternating runs outside and inside, in column order.
In a string each count is packed into characters of six bits: five bits of the number, lowest first, and one that says
whether more follow; from the fourth count on it is the difference to the count two before (cocoapi, ``maskApi.c``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.scene.annotations import content_of
from backend.scene.mask_limits import Size, check_pixels
from backend.scene.polygons import declared_size, fill, is_polygons, labelme_items
from protocol.annotations import Id
from protocol.errors import BadMask

MAX_BYTES = 1 << 28
MAX_DECODED = 1 << 35
"""Most pixels of all masks of a file together, which limits the time to decode them."""
LARGEST_SCORE = 1e6
_HEAD = 1 << 16
_SIZE = re.compile(rb'"size"\s*:\s*\[\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\]')
FORM = (
    'It must contain a list of {"segmentation": {"size": [height, width], "counts": [...]}}, COCO annotations of one '
    "photograph, or the shapes of LabelMe."
)


class _Runs(msgspec.Struct):
    size: tuple[int, int]
    counts: list[int] | str


@dataclass(frozen=True)
class Instance:
    """One mask: ``counts`` are (R,) int64, the lengths of its runs, the first one outside."""

    height: int
    width: int
    counts: NDArray[np.int64]

    @property
    def area(self) -> int:
        return int(self.counts[1::2].sum())

    def filled(self) -> NDArray[np.bool_]:
        """Return the mask as (H, W) bool."""
        flat = np.zeros(self.height * self.width, bool)
        for run in self.runs():
            flat[run] = True
        return np.ascontiguousarray(flat.reshape(self.width, self.height).T)

    def runs(self) -> Iterator[slice]:
        """Yield the runs inside the instance, as slices of the pixels in column order."""
        ends = np.cumsum(self.counts)
        yield from (slice(int(end - count), int(end)) for count, end in zip(self.counts[1::2], ends[1::2], strict=True))


class Filled(Sequence[NDArray[np.bool_]]):
    """Masks as (H, W) bool, each created on access, because hundreds of large ones would fill the memory."""

    def __init__(self, masks: Sequence[Instance]) -> None:
        self._masks = masks

    def __len__(self) -> int:
        return len(self._masks)

    def __getitem__(self, i):
        return self._masks[i].filled()


def rle_size(file: Path, photograph: Size | None = None, entry: Id | None = None) -> tuple[int, int] | None:
    """Return width and height of the first mask, from the beginning of the file; None if it contains no mask.

    Args: as :func:`read_rle`.

    Raises:
        BadMask: if the file does not have this format.
    """
    if entry is not None:
        declared = declared_size(_content(file, entry))
        if declared is not None:
            return declared
    else:
        with file.open("rb") as stream:
            match = _SIZE.search(stream.read(_HEAD))
        if match:
            return int(match[2]), int(match[1])
    masks = read_rle(file, photograph, entry)
    return (masks[0].width, masks[0].height) if masks else None


def read_rle(file: Path, photograph: Size | None = None, entry: Id | None = None) -> list[Instance]:
    """Return the masks of a file in order, all of one size.

    Args:
        file: the mask file.
        photograph: width and height of its photograph, which limit the size of the masks.
        entry: the id of the photograph, if the file has annotations of many.

    Raises:
        BadMask: if the file does not have this format, counts do not sum up to the size of their mask, or the masks
            have too many pixels.
    """
    content = _content(file, entry)
    return _instances(_items(content, file), file, photograph, declared_size(content))


def read_scored_rle(
    file: Path, photograph: Size | None = None, entry: Id | None = None
) -> tuple[list[Instance], NDArray[np.float32] | None]:
    """As :func:`read_rle`, with the (N,) float32 scores of the masks; None if they have no scores.

    A score is ``score``, or ``predicted_iou`` times ``stability_score``, or one of these two.

    Raises:
        BadMask: also if only some masks have a score, or a score is not a finite number.
    """
    content = _content(file, entry)
    items = _items(content, file)
    scores = [_score(item, file) for item in items]
    known = [score for score in scores if score is not None]
    if known and len(known) < len(scores):
        raise BadMask(
            f"The mask {file} holds {len(scores)} masks, but only {len(known)} have a score.",
            "Give every mask a score, or remove all scores.",
        )
    masks = _instances(items, file, photograph, declared_size(content))
    return masks, np.array(known, np.float32) if known else None


def _content(file: Path, entry: Id | None) -> Any:
    if entry is not None:
        return content_of(file, entry)
    if file.stat().st_size > MAX_BYTES:
        raise BadMask(f"The mask {file} is larger than {MAX_BYTES} bytes.")
    try:
        return json.loads(file.read_bytes())
    except RecursionError as error:
        raise BadMask(f"The mask {file} cannot be read as JSON: {error}.") from error


def _instances(items: list[Any], file: Path, photograph: Size | None, declared: Size | None) -> list[Instance]:
    """Return the masks; polygons have the ``declared`` size of the photograph, else its true one."""
    size = declared or photograph
    masks = [_instance(_runs(item), file, photograph, size) for item in items]
    if len(masks) * max((mask.height * mask.width for mask in masks), default=0) > MAX_DECODED:
        raise BadMask(
            f"The mask {file} holds {len(masks)} masks of {masks[0].width} x {masks[0].height} pixels, which are too "
            "many to decode.",
            "Write fewer masks, or smaller ones.",
        )
    if len({(mask.height, mask.width) for mask in masks}) > 1:
        raise BadMask(f"The mask {file} contains masks of different sizes.", "Write masks of one size per file.")
    return masks


def paint(masks: list[Instance], height: int, width: int) -> NDArray[np.int32]:
    """Return an (H, W) id map: mask i has the id i + 1, smaller ones are on top of larger ones."""
    flat = np.zeros(height * width, np.int32)
    for i in np.argsort([-mask.area for mask in masks], kind="stable"):
        for run in masks[i].runs():
            flat[run] = i + 1
    return np.ascontiguousarray(flat.reshape(width, height).T)


def runs_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the run lengths (R,) of a mask (H, W), the first one outside."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(ends, prepend=0, append=flat.size)


def pack_counts(counts: NDArray[np.int64]) -> str:
    """Return run lengths (R,) as COCO's string, which :func:`unpack_counts` reads."""
    values = counts.copy()
    values[3:] -= counts[1:-2]
    columns = []
    alive = np.ones(len(values), bool)
    while alive.any():
        low = values & 31
        values = values >> 5
        # The last character's highest bit is the sign.
        done = np.where(low & 16, values == -1, values == 0)
        columns.append(np.where(alive, low + np.where(done, 0, 32) + 48, 0).astype(np.uint8))
        alive = alive & ~done
    return np.stack(columns, axis=1).tobytes().replace(b"\0", b"").decode("ascii") if columns else ""


def _items(content: Any, file: Path) -> list[Any]:
    """Return the masks in a list, a single mask, or the annotations of a COCO file."""
    if isinstance(content, dict) and "shapes" in content:
        return labelme_items(content["shapes"], file)
    if isinstance(content, dict):
        by_name = list(content.values())
        known = next((content[name] for name in ("annotations", "masks") if name in content), None)
        is_by_id = bool(by_name) and all(
            isinstance(each, dict) and {"size", "counts"} <= each.keys() for each in by_name
        )
        content = known if known is not None else by_name if is_by_id else [content]
    if not isinstance(content, list):
        raise _no_runs(file)
    pictures = {str(item["image_id"]) for item in content if isinstance(item, dict) and "image_id" in item}
    if len(pictures) > 1:
        raise BadMask(f"The mask {file} holds masks of {len(pictures)} photographs.", "Write one file per photograph.")
    return content


def _runs(item: Any) -> Any:
    return item.get("segmentation", item) if isinstance(item, dict) else item


def _score(item: Any, file: Path) -> float | None:
    if not isinstance(item, dict):
        return None
    names = ("score",) if "score" in item else ("predicted_iou", "stability_score")
    given = [item[name] for name in names if item.get(name) is not None]
    # Programs that segment boxes write a list with the score of one mask.
    values: list[Any] = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in given]
    if not all(type(value) in (int, float) and abs(value) <= LARGEST_SCORE for value in values):
        raise BadMask(f"The mask {file} contains a score that is not finite.", "Give each mask a number.")
    return math.prod(values) if values else None


def _instance(item: Any, file: Path, photograph: Size | None, size: Size | None) -> Instance:
    if is_polygons(item):
        if size is None:
            raise _no_runs(file)
        check_pixels(file, size, photograph)
        return Instance(size[1], size[0], runs_of(fill(item, size, file)))
    try:
        runs = msgspec.convert(item, _Runs)
    except msgspec.ValidationError as error:
        raise _no_runs(file) from error
    height, width = runs.size
    check_pixels(file, (width, height), photograph)
    # Invalid strings become empty counts, which are then rejected.
    counts = (unpack_counts(runs.counts) or []) if isinstance(runs.counts, str) else runs.counts
    pixels = height * width
    is_filled = sum(counts) == pixels and all(0 <= count <= pixels for count in counts)
    if not (height > 0 and width > 0 and is_filled):
        raise BadMask(
            f"The mask {file} contains run lengths that do not match {width} x {height} pixels.",
            "Write the file again.",
        )
    return Instance(height, width, np.array(counts, np.int64))


def _no_runs(file: Path) -> BadMask:
    return BadMask(f"The mask {file} contains no run lengths or polygons.", FORM)


def unpack_counts(text: str) -> list[int] | None:
    """Return the run lengths of COCO's string; None if it is invalid."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts if shift == 0 else None

"""Masks as run lengths in JSON, the way COCO's tools and SAM's ``amg.py --convert-to-rle`` write them.

A mask is ``{"size": [height, width], "counts": ...}``: lengths of runs that are in turn outside and inside, down the
columns. As a string each count is packed into characters of six bits: five of the number, the lowest first, and one
that says whether more follow; from the third on it is the difference to the count two before (cocoapi, ``maskApi.c``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadMask

MAX_BYTES = 1 << 28
MAX_PIXELS = 1 << 28
_HEAD = 1 << 16
_SIZE = re.compile(rb'"size"\s*:\s*\[\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\]')
FORM = 'It should hold a list of {"segmentation": {"size": [height, width], "counts": [...]}}.'


class _Runs(msgspec.Struct):
    size: tuple[int, int]
    counts: list[int] | str


@dataclass(frozen=True)
class Instance:
    """One mask: ``counts`` are (R,) int64, the lengths of its runs, that of pixels outside first."""

    height: int
    width: int
    counts: NDArray[np.int64]

    @property
    def area(self) -> int:
        return int(self.counts[1::2].sum())

    def runs(self) -> Iterator[slice]:
        """Yield where the instance is, in the pixels counted down the columns."""
        ends = np.cumsum(self.counts)
        yield from (slice(int(end - count), int(end)) for count, end in zip(self.counts[1::2], ends[1::2], strict=True))


def rle_size(file: Path) -> tuple[int, int] | None:
    """Return width and height of the first mask, from the beginning of the file; None where it holds no mask.

    Raises:
        BadMask: if it is no such file.
    """
    with file.open("rb") as stream:
        match = _SIZE.search(stream.read(_HEAD))
    if match:
        return int(match[2]), int(match[1])
    masks = read_rle(file)
    return (masks[0].width, masks[0].height) if masks else None


def read_rle(file: Path) -> list[Instance]:
    """Return the masks of a file in its order, all of one size.

    Raises:
        BadMask: if the file is no such JSON, or counts do not fill their mask.
    """
    if file.stat().st_size > MAX_BYTES:
        raise BadMask(f"The mask {file} is larger than {MAX_BYTES} bytes.")
    try:
        content = json.loads(file.read_bytes())
    except RecursionError as error:
        raise BadMask(f"The mask {file} cannot be read as JSON: {error}.") from error
    masks = [_instance(item, file) for item in _items(content, file)]
    if len({(mask.height, mask.width) for mask in masks}) > 1:
        raise BadMask(f"The mask {file} holds masks of several sizes.", "Write masks of one size to each file.")
    return masks


def paint(masks: list[Instance], height: int, width: int) -> NDArray[np.int32]:
    """Return an (H, W) id map: mask i has the id i + 1, smaller ones lie on larger ones."""
    flat = np.zeros(height * width, np.int32)
    for i in np.argsort([-mask.area for mask in masks], kind="stable"):
        for run in masks[i].runs():
            flat[run] = i + 1
    return np.ascontiguousarray(flat.reshape(width, height).T)


def runs_of(mask: NDArray[np.bool_]) -> list[int]:
    """Return the run lengths of a mask (H, W), those of pixels outside first."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(ends, prepend=0, append=flat.size).tolist()


def pack_counts(counts: list[int]) -> str:
    """Return run lengths as COCO's string, which :func:`unpack_counts` reads."""
    characters = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            characters.append(chr(bits + 32 * more + 48))
    return "".join(characters)


def _items(content: Any, file: Path) -> list[Any]:
    """Return the run lengths of each mask: of a list of them, of one alone, or of what is called its annotations."""
    if isinstance(content, dict):
        content = next((content[name] for name in ("annotations", "masks") if name in content), [content])
    if not isinstance(content, list):
        raise _no_runs(file)
    pictures = {str(item["image_id"]) for item in content if isinstance(item, dict) and "image_id" in item}
    if len(pictures) > 1:
        raise BadMask(f"The mask {file} holds masks of {len(pictures)} photographs.", "Write one file for each.")
    return [item.get("segmentation", item) if isinstance(item, dict) else item for item in content]


def _instance(item: Any, file: Path) -> Instance:
    try:
        runs = msgspec.convert(item, _Runs)
    except msgspec.ValidationError as error:
        raise _no_runs(file) from error
    height, width = runs.size
    # Counts that are no string of COCO's fill nothing.
    counts = (unpack_counts(runs.counts) or []) if isinstance(runs.counts, str) else runs.counts
    pixels = height * width
    is_filled = sum(counts) == pixels and all(0 <= count <= pixels for count in counts)
    if not (height > 0 and width > 0 and pixels <= MAX_PIXELS and is_filled):
        raise BadMask(
            f"The mask {file} holds run lengths that do not fill {width} x {height} pixels.", "Write the file again."
        )
    return Instance(height, width, np.array(counts, np.int64))


def _no_runs(file: Path) -> BadMask:
    return BadMask(f"The mask {file} holds no run-length encoded masks.", FORM)


def unpack_counts(text: str) -> list[int] | None:
    """Return the run lengths of COCO's string; None where it is none."""
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

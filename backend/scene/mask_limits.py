"""How many pixels the masks of a photograph may have, checked before they are decoded.

Run lengths of a few bytes can declare any number of pixels, so the size of the file is no limit.
"""

from __future__ import annotations

from pathlib import Path

from protocol.errors import BadMask

Size = tuple[int, int]
"""Width and height."""

LARGER = 64
"""A mask may have this many times the pixels of its photograph: photographs are often scaled down by up to 8."""
LEVELS = 4
"""Layers of overlapping masks at that size: objects, their parts and the parts of those."""
FLOOR = 1 << 24
"""Pixels that are always allowed."""
CEILING = 1 << 27
"""Pixels that are only allowed if the photograph has as many."""
REMEDY = "Write masks of the photograph's size."


def check_pixels(file: Path | str, mask: Size, photograph: Size | None) -> None:
    """Refuse a mask with too many pixels.

    Args:
        file: for the error message.
        mask: width and height.
        photograph: width and height of its photograph; None if it is not known.

    Raises:
        BadMask: with the limit.
    """
    own = photograph[0] * photograph[1] if photograph is not None else CEILING
    most = max(own, FLOOR, min(LARGER * own, CEILING))
    if mask[0] * mask[1] > most:
        raise BadMask(f"The mask {file} has {mask[0]} x {mask[1]} pixels; at most {most:,} are allowed.", REMEDY)


def check_layers(file: Path | str, mask: Size, layers: int, most_layers: int, photograph: Size | None) -> None:
    """Refuse overlapping masks whose layers have too many pixels together.

    Args:
        file, mask, photograph: as :func:`check_pixels`.
        layers: number of layers.
        most_layers: number that is allowed for masks of the photograph's size.

    Raises:
        BadMask: with the limit.
    """
    own = photograph[0] * photograph[1] if photograph is not None else mask[0] * mask[1]
    most = max(most_layers * own, FLOOR, min(LEVELS * LARGER * own, CEILING))
    if layers * mask[0] * mask[1] > most:
        raise BadMask(
            f"The mask {file} has {layers} or more layers of {mask[0]} x {mask[1]} pixels; at most {most:,} pixels "
            "are allowed in all layers.",
            REMEDY,
        )

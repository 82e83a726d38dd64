"""Rename and colour objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from protocol.errors import BadArgument

from .modes import outside_edit_mode
from .parts import check_parts, name_part

LONGEST_NAME = 63
"""Most bytes of a name in Blender before 5.0."""


@outside_edit_mode
def rename(parts: Iterable[Any], name: str) -> None:
    """Rename objects; several are numbered: "Chair 1", "Chair 2".

    Raises:
        BadArgument: if the name is empty or too long.
    """
    several = check_parts(parts)
    names = [name.strip()] if len(several) == 1 else [f"{name.strip()} {n}" for n in range(1, 1 + len(several))]
    if not name.strip() or len(names[-1].encode()) > LONGEST_NAME:
        raise BadArgument(f"{name!r} is not a valid object name.", f"Type 1 to {LONGEST_NAME} characters.")
    for part, each in zip(several, names, strict=True):
        name_part(part, each)


def recolour(parts: Iterable[Any], colour: Sequence[float]) -> None:
    """Give objects a colour, sRGB from 0 to 1.

    Raises:
        BadArgument: if ``colour`` is not a colour.
    """
    several = check_parts(parts)
    if len(colour) != 3 or not all(0 <= channel <= 1 for channel in colour):
        raise BadArgument(f"{tuple(colour)} is not a valid colour.", "Give red, green and blue values from 0 to 1.")
    for part in several:
        part.splatlift.colour = colour

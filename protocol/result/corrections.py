"""``corrections.json``: the corrections of objects by the user, oldest first, and the changes that they cause.

A correction names its objects by points in the frame of the capture, because labels and Gaussians change when a scene
is segmented again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.json_limits import Most
from protocol.result.json_files import read_record, write_record
from protocol.result.names import CORRECTIONS, FORMAT
from protocol.result.table import Text, Triple

WHAT = "list of corrections"
REMEDY = "Delete it to remove all corrections."
MAX_POINTS = 64
MAX_CORRECTIONS = 10_000
MOST = Most.of_rows(MAX_CORRECTIONS, objects=3, fields=8, values=10 * MAX_POINTS)

Kind = Literal["one", "two", "there", "background", "own"]
Points = Annotated[list[Triple], Meta(min_length=1, max_length=MAX_POINTS)]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Some Gaussians that the user chose.

    Attributes:
        name: for sentences, such as the name of an object.
        points: centres of some of the Gaussians.
    """

    name: Text
    points: Points


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One correction.

    Attributes:
        kind: "one": both places are one object; "two": they are two objects; "there": the first place belongs to the
            object of the second; "background": the object at the place is background; "own": the place is a separate
            object.
        places: two for "one", "two" and "there", else one.
        here: whether similar mistakes elsewhere stay.
    """

    kind: Kind
    places: Annotated[list[Place], Meta(min_length=1, max_length=2)]
    here: bool = False

    def __post_init__(self) -> None:
        wanted = places_of(self.kind)
        if len(self.places) != wanted:
            raise ValueError(f"a correction of the kind {self.kind} has {wanted} places")

    @property
    def title(self) -> str:
        """For sentences, such as "one: Apple, Pear"."""
        return f"{self.kind}: {', '.join(place.name for place in self.places)}"


class CorrectionList(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file, the oldest first."""

    format: Literal[1]
    corrections: Annotated[list[Correction], Meta(max_length=MAX_CORRECTIONS)]


@dataclass(frozen=True)
class Move:
    """Gaussians that go from one object to another; label 0 is the background.

    Attributes:
        elsewhere: whether they go because similar Gaussians were corrected, and not by the correction itself.
        is_new: whether no Gaussian belonged to the object ``target`` before.
    """

    source: int
    target: int
    count: int
    elsewhere: bool
    is_new: bool


def places_of(kind: Kind) -> int:
    """Return the number of places of a correction."""
    return 1 if kind in ("background", "own") else 2


def read_corrections(folder: Path) -> list[Correction]:
    """Return the corrections of a result folder; an empty list if it has none.

    Raises:
        BadResult: if the file is broken.
    """
    path = folder / CORRECTIONS
    return read_correction_file(path) if path.is_file() else []


def read_correction_file(path: Path) -> list[Correction]:
    """Return the corrections of a file.

    Raises:
        BadResult: if the file is missing or broken.
    """
    return read_record(path, CorrectionList, WHAT, REMEDY, MOST).corrections


def write_corrections(folder: Path, corrections: list[Correction]) -> None:
    """Write the corrections of a result.

    Raises:
        BadResult: if a value is out of range.
    """
    record = CorrectionList(format=FORMAT, corrections=corrections)
    write_record(folder / CORRECTIONS, msgspec.to_builtins(record), CorrectionList)

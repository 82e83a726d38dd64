"""``parts.json``: which part belongs to which object, if the masks contain parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.errors import BadResult
from protocol.json_limits import Most
from protocol.result.json_files import read_record, write_record
from protocol.result.names import MAX_LABEL, PARTS
from protocol.result.table import Count, Share, Text

WHAT = "table of parts"
REMEDY = "Download or segment the result again."
MOST = Most.of_rows(MAX_LABEL, fields=8, values=12)
Number = Annotated[int, Meta(ge=1, le=MAX_LABEL)]


class PartRow(msgspec.Struct, frozen=True, kw_only=True):
    """One part.

    Attributes:
        id: at level "whole" the value of the column ``part`` of ``splats.ply``, at level "part" the label of an object.
        whole: at level "whole" the label of the object that the part belongs to, at level "part" a number that all
            parts of one object share.
        count: Gaussians.
        name: given by a person, else None.
        colour: sRGB, 0 to 1, given by a person, else None.
    """

    id: Number
    whole: Number
    count: Count
    name: Text | None = None
    colour: tuple[Share, Share, Share] | None = None


class PartTable(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        level: what the objects of the result are, whole objects or parts.
        parts: ids are unique. At level "whole" an object that is not listed has no parts.
    """

    format: Literal[1]
    level: Literal["whole", "part"]
    parts: Annotated[list[PartRow], Meta(max_length=MAX_LABEL)]


def read_parts(folder: Path, remedy: str = REMEDY) -> PartTable | None:
    """Return the checked table of a result folder, or None if it has none because its masks did not overlap.

    Raises:
        BadResult: if the table is broken or names a part twice.
    """
    path = folder / PARTS
    if not path.is_file():
        return None
    table = read_record(path, PartTable, WHAT, remedy, MOST)
    if len({row.id for row in table.parts}) != len(table.parts):
        raise BadResult(f"{path} names a part twice.", remedy)
    return table


def write_parts(folder: Path, table: PartTable) -> None:
    """Write the table of a result.

    Raises:
        BadResult: if a value is out of range.
    """
    rows = [
        {name: value for name, value in row.items() if value is not None} for row in msgspec.to_builtins(table)["parts"]
    ]
    write_record(folder / PARTS, {**msgspec.to_builtins(table), "parts": rows}, PartTable)

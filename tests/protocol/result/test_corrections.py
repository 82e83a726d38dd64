"""The corrections of a result."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from protocol.errors import BadResult
from protocol.result.corrections import (
    MAX_POINTS,
    Correction,
    Place,
    read_correction_file,
    read_corrections,
    write_corrections,
)
from protocol.result.names import CORRECTIONS

APPLE, PEAR = (Place(name=name, points=[(1.0, 2.0, float(z))]) for z, name in enumerate(["Apple", "Pear"]))
GIVEN = [Correction(kind="one", places=[APPLE, PEAR]), Correction(kind="own", places=[PEAR], here=True)]


def test_what_is_written_is_read(tmp_path: Path):
    assert read_corrections(tmp_path) == []
    write_corrections(tmp_path, GIVEN)
    assert read_corrections(tmp_path) == GIVEN
    assert GIVEN[0].title == "one: Apple, Pear"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "three"},
        {"places": []},
        {"places": [{"name": "Apple", "points": [[0, 0, 0]]}]},
        {"places": [{"name": "Apple", "points": []}] * 2},
        {"places": [{"name": "Apple", "points": [[0, 0, 0]] * (MAX_POINTS + 1)}] * 2},
        {"here": 1},
    ],
)
def test_broken_corrections_are_refused(tmp_path: Path, change: dict):
    record = {"format": 1, "corrections": [msgspec.to_builtins(GIVEN[0]) | change]}
    (tmp_path / CORRECTIONS).write_bytes(msgspec.json.encode(record))
    with pytest.raises(BadResult, match=r"corrections\.json is not a valid list of corrections"):
        read_corrections(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(BadResult, match=r"other\.json is not a valid list of corrections"):
        read_correction_file(tmp_path / "other.json")

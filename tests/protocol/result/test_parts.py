"""The table of parts: written as read, refused where it contradicts itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.errors import BadResult
from protocol.result.names import MAX_LABEL, PARTS
from protocol.result.parts import PartRow, PartTable, read_parts, write_parts

ROWS = [PartRow(id=1, whole=3, count=20), PartRow(id=2, whole=3, count=5, name="lid", colour=(0.25, 0.5, 1.0))]


def test_what_is_written_is_read(tmp_path: Path):
    assert read_parts(tmp_path) is None
    table = PartTable(format=1, level="whole", parts=ROWS)
    write_parts(tmp_path, table)
    assert read_parts(tmp_path) == table


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"level": "half"},
        {"parts": [{"id": 0, "whole": 1, "count": 1}]},
        {"parts": [{"id": 1, "whole": MAX_LABEL + 1, "count": 1}]},
        {"parts": [{"id": 1, "whole": 1, "count": -1}]},
        {"parts": [{"id": 1, "whole": 1}]},
        {"parts": [{"id": 1, "whole": 1, "count": 1, "colour": [0, 0, 2]}]},
        {"parts": [{"id": 1, "whole": 1, "count": 1}, {"id": 1, "whole": 2, "count": 1}]},
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, change: dict):
    (tmp_path / PARTS).write_text(json.dumps({"format": 1, "level": "part", "parts": []} | change))
    with pytest.raises(BadResult, match=PARTS):
        read_parts(tmp_path)


def test_what_could_not_be_read_is_not_written(tmp_path: Path):
    with pytest.raises(BadResult, match=PARTS):
        write_parts(tmp_path, PartTable(format=1, level="whole", parts=[PartRow(id=0, whole=1, count=1)]))
    assert not (tmp_path / PARTS).exists()

"""Names of files stay in their folder; colours tell labels apart; a report may be broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import BadArgument
from protocol.result.colours import BACKGROUND, colour_of, palette
from protocol.result.names import MAX_LABEL, MAX_REPORT, REPORT, label_map_path, mesh_path, object_path
from protocol.result.report import read_warnings, write_report

OUT = Path("/out")


@given(st.integers(1, MAX_LABEL), st.integers(1, MAX_LABEL))
def test_each_object_has_its_own_files(label: int, other: int) -> None:
    assert object_path(OUT, label).parent == OUT / "objects"
    assert mesh_path(OUT, label).parent == OUT / "meshes"
    assert int(object_path(OUT, label).stem) == int(mesh_path(OUT, label).stem) == label
    assert (object_path(OUT, label) == object_path(OUT, other)) == (label == other)


def test_files_of_objects_have_four_digits_or_more() -> None:
    assert str(object_path(OUT, 7)) == "/out/objects/0007.ply"
    assert str(mesh_path(OUT, 12_345)) == "/out/meshes/12345.ply"


@given(st.text() | st.text("./\\\x00:a", min_size=1))
def test_id_maps_stay_in_their_folder(view: str) -> None:
    try:
        path = label_map_path(OUT, view)
    except BadArgument:
        assert not view or set(view) & set("/\\\x00")
        return
    assert path.parent == OUT / "labels"
    assert path.name == f"{view}.png"
    assert not set(view) & set("/\\\x00")


def test_colours_are_fixed_bright_and_differ() -> None:
    colours = palette(60)
    assert colours.shape == (61, 3)
    assert len({tuple(colour) for colour in colours}) == 61
    assert (colours[1:].max(1) > 150).all()
    assert tuple(colours[5]) == tuple(round(255 * channel) for channel in colour_of(5))
    assert colour_of(0) == BACKGROUND


def test_the_first_warnings_of_a_report_are_read(tmp_path: Path) -> None:
    write_report(tmp_path, {"warnings": ["one", "two", "three"], "seconds": {"total": 1.5}})
    assert read_warnings(tmp_path, 2) == ["one", "two"]
    assert json.loads((tmp_path / REPORT).read_text())["seconds"] == {"total": 1.5}


@pytest.mark.parametrize(
    "content",
    [None, b"", b"[", b'{"warnings": 7}', b'{"warnings": ["\xff"]}', b"[" * 100_000, b" " * MAX_REPORT + b"{}"],
)
def test_a_broken_report_has_no_warnings(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / REPORT).write_bytes(content)
    assert read_warnings(tmp_path, 5) == []

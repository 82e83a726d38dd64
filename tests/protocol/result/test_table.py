"""The table of objects: what is written comes back, and what is broken is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import BadResult
from protocol.result import json_files
from protocol.result.names import MAX_LABEL, TABLE
from protocol.result.table import (
    ObjectRow,
    ObjectTable,
    least_certain,
    object_row,
    read_table,
    rewrite_table,
    write_table,
)

SHARES = st.floats(0, 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TRIPLES = st.tuples(NUMBERS, NUMBERS, NUMBERS)
ROWS4 = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)

object_rows = st.builds(
    ObjectRow,
    id=st.integers(1, MAX_LABEL),
    name=TEXTS,
    count=st.integers(0, 2**40),
    min=st.none() | TRIPLES,
    max=st.none() | TRIPLES,
    centre=st.none() | TRIPLES,
    colour=st.tuples(SHARES, SHARES, SHARES),
    confidence=SHARES,
    views=st.integers(0, 2**20),
    matrix=st.none() | st.tuples(ROWS4, ROWS4, ROWS4, ROWS4),
)
tables = st.builds(
    ObjectTable,
    format=st.just(1),
    scene=TEXTS,
    method=TEXTS,
    seed=st.none() | st.integers(0, 2**31),
    versions=st.dictionaries(TEXTS, TEXTS, max_size=3),
    up=st.sampled_from([(0.0, 0.0, 1.0), (0.6, 0.0, -0.8)]),
    objects=st.lists(object_rows, unique_by=lambda row: row.id, max_size=6),
)


def row(**fields: Any) -> ObjectRow:
    known: dict[str, Any] = {"id": 1, "name": "mug", "count": 3, "colour": (0.5, 0.25, 1.0), **fields}
    return ObjectRow(**known)


def table(*rows: ObjectRow, **fields: Any) -> ObjectTable:
    return ObjectTable(format=1, scene="kitchen", objects=list(rows), **fields)


@given(tables)
@settings(deadline=None)
def test_a_table_comes_back_as_it_was_written(written: ObjectTable) -> None:
    with TemporaryDirectory() as name:
        write_table(Path(name), written)
        assert read_table(Path(name)) == written
        assert [path.name for path in Path(name).iterdir()] == [TABLE]


def table_or_sentence(folder: Path) -> ObjectTable | str:
    try:
        return read_table(folder)
    except BadResult as fault:
        return fault.sentence


@given(st.dictionaries(st.sampled_from(ObjectRow.__struct_fields__), JSON_VALUES, min_size=1), st.booleans())
@settings(deadline=None)
def test_any_values_are_either_refused_in_a_sentence_or_within_their_limits(changes: dict, in_row: bool) -> None:
    fields = msgspec.to_builtins(table(row()))
    (fields["objects"][0] if in_row else fields).update(changes)
    with TemporaryDirectory() as name:
        (Path(name) / TABLE).write_text(json.dumps(fields))
        found = table_or_sentence(Path(name))
        if isinstance(found, str):
            assert TABLE in found
            assert "\n" not in found
            return
        (one,) = found.objects
        assert 1 <= one.id <= MAX_LABEL
        assert one.count >= 0
        assert all(0 <= share <= 1 for share in (*one.colour, one.confidence))


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_refused_in_a_sentence(data: bytes) -> None:
    with TemporaryDirectory() as name:
        (Path(name) / TABLE).write_bytes(data)
        with pytest.raises(BadResult, match="is not a valid table of objects"):
            read_table(Path(name))


def test_what_a_row_leaves_out_has_a_default(tmp_path: Path) -> None:
    rows = [{"id": 7, "name": "mug", "count": 2, "colour": [0, 0.5, 1], "material": "clay"}]
    (tmp_path / TABLE).write_text(json.dumps({"format": 1, "scene": "s", "objects": rows}))
    found = read_table(tmp_path)
    assert found.objects == [ObjectRow(id=7, name="mug", count=2, colour=(0.0, 0.5, 1.0))]
    assert (found.up, found.method, found.seed) == ((0.0, -1.0, 0.0), "unknown", None)


def test_what_a_row_does_not_have_is_not_written(tmp_path: Path) -> None:
    write_table(tmp_path, table(row(confidence=0.0)))
    (written,) = json.loads((tmp_path / TABLE).read_text())["objects"]
    assert list(written) == ["id", "name", "count", "colour", "confidence", "views"]


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (
        lambda folder: (folder / TABLE).rename(folder.parent / "x") and folder.rmdir(),
        "The folder .* does not exist",
    ),
    "no table": (lambda folder: (folder / TABLE).unlink(), "not a result folder: objects.json"),
    "id twice": (lambda folder: put(folder, table(row(), row(name="cup"))), "an object id twice"),
    "up is nowhere": (lambda folder: put(folder, table(row(), up=(0.0, 0.0, 0.0))), "invalid up direction"),
    "other format": (lambda folder: (folder / TABLE).write_text('{"format": 2}'), "not a valid table of objects"),
    "very deep": (lambda folder: (folder / TABLE).write_text("[" * 200_000), "not a valid table of objects"),
    "too many objects": (
        lambda folder: put(folder, table(*[row(id=1)] * (MAX_LABEL + 1))),
        "not a valid table of objects",
    ),
}


def put(folder: Path, content: ObjectTable) -> None:
    (folder / TABLE).write_bytes(msgspec.json.encode(content))


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_table_is_refused(tmp_path: Path, case: str) -> None:
    damage, sentence = DAMAGE[case]
    (tmp_path / "out").mkdir()
    write_table(tmp_path / "out", table(row()))
    damage(tmp_path / "out")
    with pytest.raises(BadResult, match=sentence) as caught:
        read_table(tmp_path / "out", "Do this.")
    assert caught.value.remedy == "Do this."


def test_a_table_beyond_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path, table(row()))
    size = (tmp_path / TABLE).stat().st_size
    monkeypatch.setattr(json_files, "MAX_JSON", size)
    assert read_table(tmp_path) == table(row())
    monkeypatch.setattr(json_files, "MAX_JSON", size - 1)
    with pytest.raises(BadResult, match=f"larger than {size - 1} bytes"):
        read_table(tmp_path)


ROW = b'{"id":1,"name":"","count":0,"colour":[0,0,0]}'
FLOODS = {
    "rows": b'"objects":[' + b",".join([ROW] * 100_000) + b"]}",
    "versions": b'"versions":{' + b",".join(b'"%d":""' % number for number in range(900_000)) + b'},"objects":[]}',
    "values": b'"objects":[],"others":[' + b"0," * 4_000_000 + b"0]}",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_entries_is_refused_before_it_is_parsed(
    tmp_path: Path, flood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / TABLE).write_bytes(b'{"format":1,"scene":"a",' + FLOODS[flood])
    monkeypatch.setattr(json_files.msgspec.json, "decode", lambda *_, **__: pytest.fail("it was parsed"))
    with pytest.raises(BadResult, match="has more entries than a table of objects can have"):
        read_table(tmp_path)


def test_a_table_of_all_labels_is_not_a_flood(tmp_path: Path) -> None:
    corner, place = (0.5,) * 3, (1.0,) * 4
    one = row(id=77, name="a: 77", min=corner, max=corner, centre=corner, matrix=(place,) * 4)
    write_table(tmp_path, table(one))
    head, text, tail = re.split(
        rb"(?<=\[)(\s*\{\s*\"id\".*\})(?=\s*\])", (tmp_path / TABLE).read_bytes(), flags=re.DOTALL
    )
    rows = b",".join(text.replace(b"77", b"%d" % label) for label in range(1, MAX_LABEL + 1))
    (tmp_path / TABLE).write_bytes(head + rows + tail)
    assert len(read_table(tmp_path).objects) == MAX_LABEL


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 0},
        {"id": MAX_LABEL + 1},
        {"name": "x" * 1025},
        {"confidence": 1.5},
        {"confidence": float("nan")},
        {"colour": (0.0, 0.0, 255.0)},
        {"count": -1},
        {"max": (0.0, float("inf"), 0.0)},
    ],
)
def test_nothing_is_written_that_could_not_be_read(tmp_path: Path, fields: dict) -> None:
    with pytest.raises(BadResult, match=r"objects\.json cannot be written"):
        write_table(tmp_path, table(row(**fields)))
    assert not list(tmp_path.iterdir())


def test_rewriting_keeps_what_is_not_known_here(tmp_path: Path) -> None:
    original, present, new = (tmp_path / name for name in ("original", "present", "new"))
    for folder, maker, material in ((original, "me", "clay"), (present, "you", "tin")):
        folder.mkdir()
        fields = msgspec.to_builtins(table(row(matrix=np.eye(4).tolist())))
        fields["maker"] = maker
        fields["objects"][0]["material"] = material
        (folder / TABLE).write_text(json.dumps(fields))
    new.mkdir()
    rewrite_table(new, [row(name="cup"), row(id=2, views=4)], present=present, original=original)
    written = json.loads((new / TABLE).read_text())
    assert written["maker"] == "you"
    first, second = written["objects"]
    assert (first["name"], first["material"]) == ("cup", "clay")
    assert "matrix" not in first, "the object is not moved any more"
    assert (second["id"], second["views"]) == (2, 4)
    assert "material" not in second
    assert read_table(new).objects == [row(name="cup"), row(id=2, views=4)]


def test_the_numbers_of_a_row_are_those_of_its_gaussians() -> None:
    means = np.array([[0, 0, 0], [4, -2, 1], [2, 2, 2]], np.float32)
    # Opacities of 1/2, 3/4 and, to double precision, 0, which counts as a millionth.
    opacities = np.array([0, np.log(3), -1000], np.float32)
    found = object_row(
        3, "mug", means, opacities, np.array([0.2, 0.6, 1.0], np.float32), colour=(0.5, 1 / 3, 1.0), views=2
    )
    assert (found.id, found.name, found.count, found.views, found.matrix) == (3, "mug", 3, 2, None)
    assert (found.min, found.max) == ((0, -2, 0), (4, 2, 2))
    assert found.centre == pytest.approx((4 * 0.75 / 1.25, -2 * 0.75 / 1.25, 0.75 / 1.25), abs=1e-5)
    assert found.confidence == pytest.approx((0.2 * 0.5 + 0.6 * 0.75) / 1.25, abs=1e-4)
    assert found.colour == (0.5, 0.333333, 1.0)
    assert object_row(3, "mug", means, opacities, None, colour=(0, 0, 0), views=0).confidence == 0


def test_the_least_certain_objects_come_first():
    rows = [
        ObjectRow(id=number, name=f"Object {number}", count=1, colour=(0, 0, 0), confidence=confidence)
        for number, confidence in ((1, 0.9), (3, 0.4), (2, 0.4), (4, 0.7))
    ]
    assert [row.id for row in least_certain(rows)] == [2, 3, 4]
    assert least_certain([]) == []

"""Corrections of a result folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from backend.corrections import correct, correct_from, outdated_meshes, undo
from protocol.errors import BadArgument, BadResult, NotFound
from protocol.ply import write_ply
from protocol.result.corrections import read_corrections
from protocol.result.evidence import read_evidence
from protocol.result.gaussians import read_splats
from protocol.result.names import BACKUP, EVIDENCE, LABEL, LABELS, PART, SPLATS, mesh_path, object_path
from protocol.result.parts import read_parts
from protocol.result.table import read_table, rewrite_table
from tests.backend.corrections.making import EACH, evidence_of, write_result

FRAGMENTS = evidence_of([1, 2, 3, 4, 5], {(0, 1): 0.5, (2, 3): 0.55})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    write_result(out, FRAGMENTS, parts=[1, 2, 3, 4, 5])
    return out


def labels_of(folder: Path) -> list[int]:
    return read_splats(folder).extra[LABEL][::EACH].tolist()


def test_changes_are_listed_and_nothing_is_written(folder: Path):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    change = correct(folder, "one", ["1", "Object 2"])
    assert change.lines == ["10 Gaussians of Object 2 go to Object 1.", "10 Gaussians of Object 4 go to Object 3."]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_correction_changes_the_whole_result(folder: Path):
    correct(folder, "one", ["1", "2"], apply=True)
    assert labels_of(folder) == [1, 1, 3, 3, 5]
    assert [(row.id, row.count) for row in read_table(folder).objects] == [(1, 20), (3, 20), (5, 10)]
    assert sorted(path.name for path in object_path(folder, 1).parent.iterdir()) == ["0001.ply", "0003.ply", "0005.ply"]
    assert mesh_path(folder, 5).is_file()
    assert not mesh_path(folder, 1).exists(), "its Gaussians changed"
    assert outdated_meshes(folder) == [1, 3]
    assert not (folder / LABELS).exists()
    assert labels_of(folder / BACKUP) == [1, 2, 3, 4, 5]
    assert [row.count for row in read_table(folder / BACKUP).objects] == [EACH] * 5
    assert read_corrections(folder / BACKUP) == []
    parts = read_parts(folder)
    assert parts is not None
    assert {row.id: row.whole for row in parts.parts} == {1: 1, 2: 1, 3: 3, 4: 3, 5: 5}
    assert read_splats(folder).extra[PART][::EACH].tolist() == [1, 2, 3, 4, 5]


def test_corrections_are_taken_back_one_by_one(folder: Path):
    correct(folder, "one", ["1", "2"], here=True, apply=True)
    correct(folder, "background", ["5"], here=True, apply=True)
    assert labels_of(folder) == [1, 1, 3, 4, 0]
    assert undo(folder).lines == ["10 Gaussians of the background go to the new object 5."]
    undo(folder, apply=True)
    assert labels_of(folder) == [1, 1, 3, 4, 5]
    undo(folder, apply=True)
    assert labels_of(folder) == [1, 2, 3, 4, 5]
    assert not (folder / BACKUP).exists()
    assert (folder / LABELS).is_dir()
    with pytest.raises(BadArgument, match="has no corrections"):
        undo(folder)


def test_names_given_since_survive_the_last_undo(folder: Path):
    correct(folder, "background", ["5"], apply=True)
    table = read_table(folder)
    rewrite_table(
        folder, [structs.replace(table.objects[0], name="Pear"), *table.objects[1:]], present=folder, original=folder
    )
    undo(folder, apply=True)
    assert labels_of(folder) == [1, 2, 3, 4, 5]
    assert read_table(folder).objects[0].name == "Pear"
    assert (folder / LABELS).exists() is False
    assert read_corrections(folder) == []


def test_the_corrections_of_another_result_are_used(folder: Path, tmp_path: Path):
    correct(folder, "one", ["1", "2"], apply=True)
    other = tmp_path / "other"
    other.mkdir()
    write_result(other, FRAGMENTS)
    correct_from(other, read_corrections(folder), apply=True)
    assert labels_of(other) == labels_of(folder)


def test_a_part_of_an_object_that_became_one_stays_one(tmp_path: Path):
    out = tmp_path / "own"
    out.mkdir()
    write_result(out, evidence_of([1, 1, 1, 2], {(0, 1): 0.9, (1, 2): 0.2}))
    correct(out, "own", [f"@{2 * EACH}"], apply=True)
    assert labels_of(out) == [1, 1, 3, 2]
    correct(out, "background", ["2"], here=True, apply=True)
    assert labels_of(out) == [1, 1, 3, 0]
    with pytest.raises(BadArgument, match="has no effect: the place is most of an object"):
        correct(out, "own", ["3"])
    undo(out, apply=True)
    undo(out, apply=True)
    assert labels_of(out) == [1, 1, 1, 2]


def test_gaussians_are_named_by_their_rows(folder: Path):
    change = correct(folder, "there", [f"@{EACH},{EACH + 1}", "1"])
    assert change.lines == ["10 Gaussians of Object 2 go to Object 1."]
    for target in ("@50", "@-1", "@x", "@"):
        with pytest.raises(NotFound, match="does not name Gaussians"):
            correct(folder, "own", [target])


def test_what_cannot_be_corrected_is_refused(folder: Path):
    with pytest.raises(NotFound, match="no object 'Pear'"):
        correct(folder, "background", ["Pear"])
    with pytest.raises(BadArgument, match="needs 2 targets, not 1"):
        correct(folder, "one", ["1"])
    splats = read_splats(folder)
    splats.extra[LABEL][:] = 1
    write_ply(splats, folder / SPLATS)
    with pytest.raises(BadResult, match="were edited after they were segmented"):
        correct(folder, "background", ["1"])
    (folder / EVIDENCE).unlink()
    with pytest.raises(BadResult, match="has no evidence"):
        correct(folder, "background", ["1"])


def test_evidence_stays_that_of_the_first_labels(folder: Path):
    correct(folder, "background", ["1"], apply=True)
    found = read_evidence(folder, 5 * EACH)
    assert found is not None
    np.testing.assert_array_equal(found.label, FRAGMENTS.label)

"""Corrections applied to imported objects, flat ones and those with parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("bpy")

from blender_addon import session
from blender_addon.client.correction import Correction
from blender_addon.editing.columns import read_column
from blender_addon.editing.corrected import apply_correction, check_conflicts, merged, names_in
from blender_addon.editing.parts import parts_of, pieces_of
from protocol.errors import BadArgument, Refused
from protocol.result.corrections import Move
from protocol.result.names import ROW
from tests.blender.clumps import part, write_clumps, write_parted

pytestmark = pytest.mark.usefixtures("every_form")
N = 300


@pytest.fixture(params=["flat", "parted"])
def labels(request: pytest.FixtureRequest, tmp_path: Path) -> np.ndarray:
    """The labels of an imported result."""
    splats = (write_parted if request.param == "parted" else write_clumps)(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    return splats.extra["label"].astype(np.int64)


def scene() -> Any:
    return session.scenes()[0]


def corrected(before: np.ndarray, after: np.ndarray, new: tuple[int, ...] = ()) -> Correction:
    rows = np.flatnonzero(before != after)
    pairs, group, counts = np.unique(
        np.stack([before[rows], after[rows]]), axis=1, return_inverse=True, return_counts=True
    )
    moves = [
        Move(source, target, count, False, target in new)
        for (source, target), count in zip(pairs.T.tolist(), counts.tolist(), strict=True)
    ]
    return Correction(moves, rows[np.argsort(group.ravel(), kind="stable")], 1, "0" * 64)


def labels_in_blender() -> np.ndarray:
    found = np.full(4 * N, -1)
    for each in parts_of(scene()):
        for piece in pieces_of(each):
            found[read_column(piece.thing.data, ROW)] = each.splatlift.label
            np.testing.assert_array_equal(read_column(piece.thing.data, "label"), each.splatlift.label)
    return found


def test_any_gaussians_go_anywhere(labels: np.ndarray) -> None:
    after = labels.copy()
    rng = np.random.default_rng(1)
    moved = rng.permutation(len(labels))[:600]
    after[moved] = rng.choice([0, 1, 2, 3, 7, 8], 600)
    changed = apply_correction(scene(), corrected(labels, after, new=(7, 8)))
    np.testing.assert_array_equal(labels_in_blender(), after)
    assert {each.splatlift.label for each in changed} == {0, 1, 2, 3, 7, 8}
    assert names_in(scene()) == {1: "mug", 2: "plant", 3: "lamp", 7: "Object 7", 8: "Object 8"}
    apply_correction(scene(), corrected(after, labels))
    np.testing.assert_array_equal(labels_in_blender(), labels)
    assert names_in(scene()) == {1: "mug", 2: "plant", 3: "lamp"}


def test_whole_objects_keep_their_parts(labels: np.ndarray) -> None:
    before = {each.name for whole in session.objects_of(scene()) for each in session.parts_of_object(whole)}
    apply_correction(scene(), corrected(labels, np.where(labels == 2, 1, labels)))
    np.testing.assert_array_equal(labels_in_blender(), np.where(labels == 2, 1, labels))
    assert {each.name for each in session.parts_of_object(part("mug"))} == before
    assert "plant" not in names_in(scene()).values()


@pytest.mark.parametrize("stay", [0, 10])
def test_two_objects_change_places(labels: np.ndarray, stay: int) -> None:
    after = np.where(labels == 1, 3, np.where(labels == 3, 1, labels))
    after[np.flatnonzero(labels == 1)[:stay]] = 1
    apply_correction(scene(), corrected(labels, after))
    np.testing.assert_array_equal(labels_in_blender(), after)
    assert names_in(scene()) == {1: "mug", 2: "plant", 3: "lamp"}


def test_nothing_changes_where_nothing_moves(labels: np.ndarray) -> None:
    assert apply_correction(scene(), corrected(labels, labels)) == []


def test_other_objects_than_the_servers_are_a_conflict(labels: np.ndarray) -> None:
    others = np.where(labels == 3, 2, labels)
    with pytest.raises(Refused, match="300 Gaussians of the change were edited in Blender"):
        check_conflicts(scene(), corrected(others, np.where(labels == 3, 1, others)))
    with pytest.raises(Refused, match="number 2 of a new object is already used"):
        check_conflicts(scene(), corrected(labels, np.where(labels == 3, 2, labels), new=(2,)))
    with pytest.raises(Refused, match="object 9, to which Gaussians go, is no longer in the scene"):
        check_conflicts(scene(), corrected(labels, np.where(labels == 3, 9, labels)))
    np.testing.assert_array_equal(labels_in_blender(), labels)


def test_parts_of_objects_are_not_merged_on_the_server(labels: np.ndarray) -> None:
    inner = [each for whole in session.objects_of(scene()) for each in session.parts_of_object(whole)]
    if inner:
        with pytest.raises(BadArgument, match="Parts of objects cannot be merged"):
            merged([inner[0], part("lamp")])
    assert [each.targets[1].label for each in merged([part("mug"), part("lamp")], part("lamp")).constraints] == [1]

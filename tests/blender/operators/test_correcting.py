"""Edits with everything like it: what is asked of the server, shown, applied, undone and refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon.editing.columns import read_column  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.operators import correcting  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from blender_addon.timer import timer  # noqa: E402
from protocol.errors import BadArgument, NotFound  # noqa: E402
from protocol.messages import Constraint, Correct, Corrected, Target  # noqa: E402
from tests.blender.addon import answering, draw, registered  # noqa: E402
from tests.blender.clumps import REAL, part, pick, pick_parts, state, write_clumps  # noqa: E402
from tests.blender_addon.client.mock_server import Stage  # noqa: E402

OPS = bpy.ops.splatlift
JOB = "1" * 32
N = 300
"""Gaussians of each clump."""


class Solver:
    """Answers corrections as a server does, but knows nothing of masks.

    Attributes:
        versions: the labels of each version of the result, by its name; the first is that of the import.
        asked: the messages, with the rows of their arrays.
        elsewhere: labels of objects whose first 50 Gaussians become background with every correction.
        fault: raised in place of an answer.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.versions = {"0" * 64: labels}
        self.asked: list[Correct] = []
        self.elsewhere: list[int] = []
        self.fault: Exception | None = None

    def __call__(self, wanted: Correct) -> list[Any]:
        self.asked.append(wanted)
        if self.fault is not None:
            raise self.fault
        base = wanted.base or "0" * 64
        before = self.versions[base]
        after = self.versions["0" * 64].copy() if wanted.undo else before.copy()
        like = np.zeros(len(before), bool)
        for constraint in wanted.constraints:
            first = constraint.targets[0].label
            if constraint.kind == "one":
                after[before == constraint.targets[1].label] = first
            elif constraint.kind == "background" and first is not None:
                after[before == first] = 0
            elif constraint.kind == "own":
                after[np.flatnonzero(before == 1)[:40]] = 9
            elif constraint.kind == "there":
                after[np.flatnonzero(before == 1)[:40]] = constraint.targets[1].label
        for label in self.elsewhere:
            rows = np.flatnonzero(before == label)[:50]
            after[rows], like[rows] = 0, True
        rows = np.flatnonzero(before != after)
        keys = np.stack([before[rows], after[rows], like[rows]])
        groups, group = np.unique(keys, axis=1, return_inverse=True)
        group = group.ravel()
        moves = [
            [source, target, int((group == n).sum()), is_like, int(target not in before)]
            for n, (source, target, is_like) in enumerate(groups.T.tolist())
        ]
        version = None
        if wanted.take:
            version = f"{len(self.versions):064d}"
            self.versions[version] = after
        answer = Corrected(JOB, base, len(moves), len(before), len(self.versions), version, 10 if version else 0)
        ordered = rows[np.argsort(group, kind="stable")]
        return [(answer, [np.array(moves, np.int32).reshape(-1, 5), ordered.astype(np.uint32)])]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    kept = bpy.context.preferences.edit.undo_steps
    bpy.context.preferences.edit.undo_steps = 40
    with registered():
        stage = Stage(tmp_path / "cache")
        timer._job_list = stage.job_list
        yield stage
        if bpy.context.object is not None and bpy.context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        stage.close()
    bpy.context.preferences.edit.undo_steps = kept


@pytest.fixture
def solver(stage: Stage, tmp_path: Path) -> Iterator[Solver]:
    """A result that a server has, imported, and what the server answers."""
    splats = write_clumps(tmp_path / JOB)
    OPS.import_result(*REAL, display="POINTS", directory=str(tmp_path / JOB))
    solver = Solver(splats.extra["label"].astype(np.int64))
    server = stage.server
    assert server is not None
    server.features = ["corrections"]
    server.answers[Correct] = solver
    stage.connect()
    with answering(server, {}, stage.connection):
        yield solver


def scene() -> Any:
    return bpy.data.collections["kitchen"]


def labels_in_blender() -> np.ndarray:
    """The label of the part of each Gaussian, by its row."""
    found = np.full(4 * N, -1)
    for each in scene().children:
        for piece in pieces_of(each):
            found[read_column(piece.thing.data, "splat_row")] = each.splatlift.label
    return found


def places_of(name: str) -> np.ndarray:
    """Where the Gaussians of an object are in Blender's world, (N, 3)."""
    (piece,) = pieces_of(part(name))
    matrix = np.array(piece.thing.matrix_world)
    return read_positions(piece.thing.data) @ matrix[:3, :3].T + matrix[:3, 3]


def test_a_merge_takes_everything_like_it_along(solver: Solver) -> None:
    solver.elsewhere = [3]
    places = {name: places_of(name) for name in ("mug", "plant")}
    pick_parts(["mug", "plant"])
    assert OPS.merge(*REAL, and_alike=True) == {"FINISHED"}
    assert [each.take for each in solver.asked] == [False, True]
    assert all(each.constraints == [Constraint("one", [Target(1), Target(2)])] for each in solver.asked)
    np.testing.assert_array_equal(labels_in_blender(), solver.versions[scene().splatlift.version])
    assert sorted(each.name for each in scene().children) == ["background", "lamp", "mug"]
    assert (part("mug").splatlift.count, part("lamp").splatlift.count) == (2 * N, N - 50)
    both = np.concatenate([places["mug"], places["plant"]])
    np.testing.assert_allclose(np.sort(places_of("mug"), axis=0), np.sort(both, axis=0), atol=1e-5)


def test_blenders_undo_and_the_next_correction_agree(solver: Solver) -> None:
    bpy.ops.ed.undo_push(message="start")
    before = state()
    pick_parts(["mug", "plant"])
    bpy.ops.ed.undo_push(message="select")
    OPS.merge(*REAL, and_alike=True)
    after = state()
    bpy.ops.ed.undo()
    assert scene().splatlift.version == ""
    bpy.ops.ed.undo()
    assert state() == before
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    assert state() == after
    bpy.ops.ed.undo()
    pick_parts(["lamp", "plant"])
    OPS.merge(*REAL, and_alike=True)
    assert solver.asked[-1].base == "0" * 64, "it starts from the version before the one that was undone"
    np.testing.assert_array_equal(labels_in_blender(), solver.versions[scene().splatlift.version])


def test_the_last_correction_can_be_taken_back(solver: Solver) -> None:
    pick_parts(["mug", "plant"])
    OPS.merge(*REAL, and_alike=True)
    assert OPS.undo_correction(*REAL) == {"FINISHED"}
    assert solver.asked[-1].undo
    np.testing.assert_array_equal(labels_in_blender(), solver.versions["0" * 64])
    assert sorted(each.splatlift.label for each in scene().children) == [0, 1, 2, 3]


def test_selected_gaussians_become_an_object_or_go_to_one(solver: Solver) -> None:
    pick("mug", np.arange(N) < 40)
    OPS.split_selection(*REAL, and_alike=True)
    assert [(each.kind, each.targets) for each in solver.asked[-1].constraints] == [("own", [Target(gaussians=0)])]
    assert part("Object 9").splatlift.label == 9
    np.testing.assert_array_equal(labels_in_blender(), solver.versions[scene().splatlift.version])
    pick("mug", np.arange(N - 40) < 40)
    OPS.assign(*REAL, object_id=part("lamp").splatlift.object_id, and_alike=True)
    assert solver.asked[-1].constraints == [Constraint("there", [Target(gaussians=0), Target(3)])]
    np.testing.assert_array_equal(labels_in_blender(), solver.versions[scene().splatlift.version])


def test_whole_objects_and_parts_of_them_go_to_the_background(solver: Solver) -> None:
    pick("lamp", np.ones(N, bool))
    OPS.assign_to_background(*REAL, and_alike=True)
    assert solver.asked[-1].constraints == [Constraint("background", [Target(3)])]
    assert "lamp" not in bpy.data.collections
    assert part("background").splatlift.count == 2 * N
    pick("plant", np.arange(N) < 10)
    solver.fault = BadArgument("Enough.")
    with pytest.raises(RuntimeError, match="Enough"):
        OPS.assign_to_background(*REAL, and_alike=True)
    place = Target(gaussians=0)
    assert solver.asked[-1].constraints == [Constraint("own", [place]), Constraint("background", [place])]


def test_a_dialog_shows_what_changes_elsewhere(solver: Solver) -> None:
    solver.elsewhere = [3]
    pick_parts(["mug", "plant"])
    shown: list[Any] = []
    manager = SimpleNamespace(invoke_props_dialog=lambda operator, width: shown.append(operator) or {"RUNNING_MODAL"})
    context = SimpleNamespace(window_manager=manager, scene=bpy.context.scene)
    operator = SimpleNamespace(
        asked=lambda context: correcting.Asked([Constraint("one", [Target(1), Target(2)])], []), report=print
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correcting, "need_targets", lambda context: [part("mug")])
        assert correcting.confirm(operator, context) == {"RUNNING_MODAL"}
    assert shown == [operator]
    assert operator.lines == [
        "300 Gaussians of plant go to mug.",
        "50 Gaussians of lamp go to the background, as similar ones do.",
    ]
    assert [each.take for each in solver.asked] == [False]
    np.testing.assert_array_equal(labels_in_blender(), solver.versions["0" * 64])


def test_what_does_not_fit_the_scene_is_refused_before_it_is_taken(solver: Solver) -> None:
    solver.elsewhere = [3]
    pick("lamp", np.arange(N) < N - 1)
    OPS.split_selection(*REAL)
    before = state()
    pick_parts(["mug", "plant"])
    with pytest.raises(RuntimeError, match="Gaussians of the change were edited in Blender"):
        OPS.merge(*REAL, and_alike=True)
    assert not any(each.take for each in solver.asked)
    pick("lamp")
    assert labels_in_blender()[solver.versions["0" * 64] == 1].tolist() == [1] * N
    assert sorted(before["collections"]) == sorted(state()["collections"])


def test_deleted_gaussians_are_left_out_and_a_lost_target_is_said(solver: Solver) -> None:
    pick("plant", np.arange(N) < 100)
    OPS.delete_selection(*REAL)
    pick_parts(["mug", "plant"])
    OPS.merge(*REAL, and_alike=True)
    assert part("mug").splatlift.count == 2 * N - 100
    pick_parts(["lamp"])
    OPS.delete(*REAL)
    pick("mug", np.arange(2 * N - 100) < 40)
    with pytest.raises(RuntimeError, match="target object is not in this file"):
        OPS.assign(*REAL, object_id="gone", and_alike=True)


def test_why_nothing_can_be_corrected_is_said(solver: Solver, stage: Stage) -> None:
    pick_parts(["mug", "background"])
    with pytest.raises(RuntimeError, match="background cannot be merged"):
        OPS.merge(*REAL, and_alike=True)
    pick_parts(["mug"])
    with pytest.raises(RuntimeError, match="At least two objects"):
        OPS.merge(*REAL, and_alike=True)
    pick("mug", np.zeros(N, bool))
    with pytest.raises(RuntimeError, match="No Gaussians are selected"):
        OPS.split_selection(*REAL, and_alike=True)
    assert solver.asked == []
    pick_parts(["mug", "plant"])
    gone = NotFound("Correction 1 (one: mug, plant) names plant, which is no longer an object.")
    contradicting = BadArgument("Correction 2 (one: mug, plant) contradicts correction 1 (two: mug, plant).")
    for solver.fault in (gone, contradicting):
        with pytest.raises(RuntimeError, match=re.escape(solver.fault.sentence)):
            OPS.merge(*REAL, and_alike=True)
    scene().splatlift.source = "/a/folder"
    with pytest.raises(RuntimeError, match="was not downloaded from a server"):
        OPS.merge(*REAL, and_alike=True)
    stage.connection.close()
    scene().splatlift.source = f"/a/{JOB}"
    with pytest.raises(RuntimeError, match="Connect to a server first"):
        OPS.merge(*REAL, and_alike=True)
    assert scene().splatlift.version == ""


def test_the_panel_has_the_choice(solver: Solver) -> None:
    assert draw("SPLATLIFT_PT_alike") == ["[And Everything Like It]", "<Undo Last Correction>"]
    bpy.context.scene.splatlift.and_alike = True
    pick_parts(["mug", "plant"])
    assert "<Merge>" in draw("SPLATLIFT_PT_edit")
    assert len(draw("SPLATLIFT_MT_assign")) == 4

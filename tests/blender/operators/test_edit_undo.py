"""Undo and redo of every edit, as a click does it, compared by all content of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.selection import write_selection  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from blender_addon.splats.native import can_draw_splats  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.clumps import REAL, part, pick_parts, state, undo_and_redo, write_clumps, write_parted  # noqa: E402

Step = tuple[list[str], bool, Callable[[], Any]]
"""Names of the objects to select, whether half of their Gaussians are selected, and the edit."""

STEPS = 20


@pytest.fixture
def addon() -> Iterator[None]:
    kept = bpy.context.preferences.edit.undo_steps
    bpy.context.preferences.edit.undo_steps = 4 * STEPS
    with registered():
        yield
    bpy.context.preferences.edit.undo_steps = kept


def bring_in(folder: Path, display: str) -> None:
    write_clumps(folder, meshes=True)
    bpy.ops.splatlift.import_result(*REAL, directory=str(folder), display=display)


def select_half(name: str) -> None:
    """Select half of the Gaussians, or of what is seen in their place."""
    for piece in pieces_of(part(name)):
        x = read_positions(piece.seen.data)[:, 0]
        write_selection(piece.seen.data, x > np.median(x))


def run(steps: list[Step]) -> list[dict[str, Any]]:
    """Do the edits and return the content of the file at every step of undo: a selection before each edit."""
    bpy.ops.ed.undo_push(message="start")
    history = [state()]
    for names, halved, edit in steps:
        if names:
            pick_parts(names)
        for name in names if halved else ():
            select_half(name)
        bpy.ops.ed.undo_push(message="select")
        history.append(state())
        assert edit() == {"FINISHED"}
        history.append(state())
        assert history[-1] != history[-2], names
    return history


def edits_of_objects() -> list[Step]:
    ops = bpy.ops.splatlift

    def to_plant() -> Any:
        return ops.assign(*REAL, object_id=part("plant").splatlift.object_id)

    return [
        (["mug"], False, lambda: ops.rename(*REAL, name="cup")),
        (["cup", "plant"], False, lambda: ops.recolour(*REAL, colour=(0.2, 0.4, 0.6))),
        (["lamp", "plant"], False, lambda: ops.duplicate(*REAL)),
        (["lamp.001", "plant.001"], False, lambda: ops.rename(*REAL, name="copy")),
        (["copy 1"], False, lambda: bpy.ops.transform.translate(*REAL, value=(1, 2, 3))),
        (["cup"], True, lambda: ops.split_selection(*REAL)),
        (["cup.001"], False, lambda: ops.isolate(*REAL)),
        ([], False, lambda: ops.show_others(*REAL)),
        (["cup"], True, to_plant),
        (["lamp"], True, lambda: ops.assign_to_background(*REAL)),
        (["plant"], False, lambda: ops.split_pieces(*REAL, gap=2.0, smallest=20)),
        (["background"], True, lambda: ops.delete_selection(*REAL)),
        (["copy 1"], False, lambda: bpy.ops.transform.rotate(*REAL, value=0.5)),
        (["copy 1", "cup"], False, lambda: ops.merge(*REAL)),
        (["copy 2"], True, lambda: ops.split_selection(*REAL)),
        (["background"], False, lambda: ops.remove_floaters(*REAL, gap=0.6, largest=30.0)),
    ]


def selecting() -> list[Step]:
    ops = bpy.ops.splatlift
    return [
        (["lamp"], True, lambda: ops.grow_selection(*REAL, steps=2)),
        (["lamp"], True, lambda: ops.shrink_selection(*REAL)),
        (["lamp"], True, lambda: ops.select_similar(*REAL, threshold=0.97)),
        (["copy 2", "cup.001"], False, lambda: ops.delete(*REAL)),
    ]


def test_twenty_edits_of_points_are_undone_and_redone(addon: None, tmp_path: Path) -> None:
    bring_in(tmp_path / "in", "POINTS")
    steps = [*edits_of_objects(), *selecting()]
    assert len(steps) == STEPS
    undo_and_redo(run(steps))


def test_twenty_edits_of_gaussians_that_blender_draws_are_undone_and_redone(addon: None, tmp_path: Path) -> None:
    if not can_draw_splats():
        pytest.skip("this Blender draws no Gaussians")
    bring_in(tmp_path / "in", "SPLATS")
    undo_and_redo(run([*edits_of_objects(), *selecting()]))


def test_twenty_edits_of_meshes_are_undone_and_redone(addon: None, tmp_path: Path) -> None:
    bring_in(tmp_path / "in", "MESH")
    ops = bpy.ops.splatlift
    names: list[Step] = [([], False, lambda n=n: ops.rename(*REAL, name=f"name {n}")) for n in range(4)]
    steps = [*edits_of_objects(), *names]
    assert len(steps) == STEPS
    undo_and_redo(run(steps))


def test_edits_of_parts_are_undone_and_redone(addon: None, tmp_path: Path) -> None:
    write_parted(tmp_path / "in")
    bpy.ops.splatlift.import_result(*REAL, directory=str(tmp_path / "in"), display="POINTS")
    ops = bpy.ops.splatlift

    def to_parts() -> set[str]:
        session.scenes()[0].splatlift.level = "PART"
        bpy.ops.ed.undo_push(message="level")
        return {"FINISHED"}

    def to_handle() -> Any:
        return ops.assign(*REAL, object_id=part("handle").splatlift.object_id)

    steps: list[Step] = [
        (["mug part 1"], False, lambda: ops.rename(*REAL, name="handle")),
        (["handle"], True, lambda: ops.split_selection(*REAL)),
        (["plant"], True, lambda: ops.split_selection(*REAL)),
        (["mug", "lamp"], False, lambda: ops.merge(*REAL)),
        (["plant"], False, lambda: ops.duplicate(*REAL)),
        ([], False, to_parts),
        (["plant part 1"], True, lambda: ops.split_selection(*REAL)),
        (["plant part 2"], False, lambda: ops.recolour(*REAL, colour=(0.2, 0.4, 0.6))),
        (["mug part 2"], True, to_handle),
        (["plant part 1"], False, lambda: ops.isolate(*REAL)),
        ([], False, lambda: ops.show_others(*REAL)),
        (["plant part 1", "plant part 2"], False, lambda: ops.merge(*REAL)),
        (["handle"], False, lambda: ops.delete(*REAL)),
    ]
    undo_and_redo(run(steps))

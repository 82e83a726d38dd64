"""Clean-up with a preview: what is marked, seen and selected first, and deleted or kept afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.cleanup import (  # noqa: E402
    Marked,
    clear_marks,
    mark_floaters,
    marked_in,
    remove_marked,
    views_of,
)
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete_selection  # noqa: E402
from blender_addon.editing.selection import read_selection, write_selection  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402
from blender_addon.splats.marks import MARKED, marks_of  # noqa: E402
from protocol.errors import BadArgument, BadResult  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.result.cameras import CameraRow  # noqa: E402
from protocol.splats import Splats  # noqa: E402
from protocol.splats import merge as merge_splats  # noqa: E402
from tests.blender.addon import draw, registered, says  # noqa: E402
from tests.blender.clumps import REAL, clump, clumps, part, pick_parts, state, write_clumps  # noqa: E402
from tests.blender.example import same  # noqa: E402
from tests.blender.splats.test_cameras import write_cameras  # noqa: E402

FAINT, LARGE, STRAY = 3, 2, 4
"""Gaussians of the mug that are floaters by their opacity, their size and their distance."""


def spoilt() -> Splats:
    """Clumps, with floaters at the end that belong to the mug."""
    strays = clump((0, 0, 5), STRAY, 7, (1, 1, 1))
    faint = clump((0, 0, 0), FAINT, 8, (1, 1, 1))
    faint = replace(faint, opacities=np.full(FAINT, -6, np.float32))
    large = clump((0, 0, 0), LARGE, 9, (1, 1, 1))
    large = replace(large, scales=large.scales + np.float32(5))
    added = [
        each.with_columns(label=np.full(len(each), 1, np.int32), confidence=np.ones(len(each), np.float32))
        for each in (strays, faint, large)
    ]
    return merge_splats([clumps(1000), *added])


@pytest.fixture(params=["POINTS", "SPLATS"])
def scene(tmp_path: Path, request: pytest.FixtureRequest):
    write_clumps(tmp_path / "in", spoilt())
    return session.import_folder(tmp_path / "in", request.param)


def thing(name: str):
    return pieces_of(part(name))[0].thing


def test_floaters_are_marked_and_selected_for_each_reason(scene) -> None:
    before = read_splats(thing("mug").data)
    found = mark_floaters([part("mug"), part("plant")])
    assert found == Marked(FAINT + LARGE + STRAY, FAINT, LARGE, STRAY, 0)
    assert marked_in([part("mug")]) == found
    rows = marks_of(thing("mug").data)
    assert rows.nonzero()[0].tolist() == list(range(1000, 1009))
    np.testing.assert_array_equal(read_selection(thing("mug").data), rows)
    assert MARKED not in thing("plant").data.attributes
    assert same(read_splats(thing("mug").data), before), "nothing is deleted or changed yet"


def test_each_reason_can_be_left_out(scene) -> None:
    mug = [part("mug")]
    assert mark_floaters(mug, size=0, gap=0) == Marked(FAINT, FAINT, 0, 0, 0)
    assert mark_floaters(mug, opacity=0, gap=0) == Marked(LARGE, 0, LARGE, 0, 0)
    assert mark_floaters(mug, opacity=0, size=0) == Marked(STRAY, 0, 0, STRAY, 0)
    assert mark_floaters(mug, opacity=0, size=0, gap=0) == Marked(0, 0, 0, 0, 0)
    assert MARKED not in thing("mug").data.attributes


def test_marked_gaussians_are_deleted_or_kept(scene) -> None:
    mug = [part("mug")]
    before = read_splats(thing("mug").data)
    mark_floaters(mug)
    clear_marks(mug)
    assert same(read_splats(thing("mug").data), before)
    assert marked_in(mug).total == 0
    assert not read_selection(thing("mug").data).any()
    with pytest.raises(BadArgument, match="No Gaussians are marked"):
        remove_marked(mug)
    mark_floaters(mug)
    assert remove_marked(mug) == 9
    assert same(read_splats(thing("mug").data), before.pick(np.arange(1000)))
    assert part("mug").splatlift.count == 1000
    assert MARKED not in thing("mug").data.attributes
    assert marked_in(mug).total == 0


def test_edits_in_between_keep_the_number_right(scene) -> None:
    mark_floaters([part("mug")])
    rows = marks_of(thing("mug").data)
    rows[:1005] = False
    write_selection(thing("mug").data, rows)
    assert delete_selection([part("mug")]) == 4
    assert marked_in([part("mug")]) == Marked(5, 0, 0, 0, 0)
    assert remove_marked([part("mug")]) == 5


def test_an_object_of_floaters_alone_goes(scene) -> None:
    assert mark_floaters([part("lamp")], opacity=1.0).total == 1000
    assert remove_marked([part("lamp")]) == 1000
    assert "lamp" not in bpy.data.collections


def test_marks_are_not_exported(scene, tmp_path: Path) -> None:
    export_objects([part("mug")], tmp_path / "before.ply")
    mark_floaters([part("mug")])
    export_objects([part("mug")], tmp_path / "after.ply")
    assert same(read_ply(tmp_path / "after.ply"), read_ply(tmp_path / "before.ply"))


def as_rows(matrix: np.ndarray) -> Any:
    return tuple(tuple(row) for row in matrix.tolist())


def test_views_are_counted_by_the_centres_in_their_pictures() -> None:
    lens = ((10.0, 0.0, 8.0), (0.0, 10.0, 6.0), (0.0, 0.0, 1.0))
    ahead = np.eye(4)
    back = np.diag([-1.0, 1.0, -1.0, 1.0])
    rows = [CameraRow(str(n), 16, 12, lens, as_rows(each)) for n, each in enumerate((ahead, ahead, back))]
    splats = clump((0, 0, 0), 4, 0, (1, 1, 1))
    places = np.array([[0, 0, 5], [0, 0, -5], [3.9, 0, 5], [4.1, 0, 5]], np.float32)
    assert views_of(replace(splats, means=places), rows).tolist() == [2, 1, 2, 0]


def test_support_by_views_needs_the_cameras_of_the_capture(scene, tmp_path: Path) -> None:
    with pytest.raises(BadResult, match="cameras"):
        mark_floaters([part("mug")], views=1)
    rows = write_cameras(tmp_path / "in")
    found = mark_floaters([part("mug")], opacity=0, size=0, gap=0, views=len(rows) + 1)
    assert found == Marked(1009, 0, 0, 0, 1009), "none is in more pictures than there are"


def test_objects_shown_as_meshes_are_refused(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", meshes=True)
    session.import_folder(tmp_path / "in", "MESH")
    with pytest.raises(BadArgument, match="'mug' is shown as a mesh"):
        mark_floaters([part("mug")])


def test_marked_gaussians_are_rendered_red(tmp_path: Path) -> None:
    from tests.blender.splats.test_display import one_gaussian, rendered

    for display in ("POINTS", "SPLATS"):
        bpy.ops.wm.read_homefile(use_empty=True)
        folder = tmp_path / display
        white = one_gaussian(np.ones(3))
        write_clumps(folder, merge_splats([white, *(replace_label(white, label) for label in (2, 3))]))
        scene = session.import_folder(folder, display)
        for child in scene.children[1:]:
            child.hide_render = True
        mark_floaters([scene.children[0]], opacity=1.0)
        np.testing.assert_allclose(rendered(folder / "seen.png")[8, 8, :3], (1, 0.1, 0.1), atol=0.03)


def replace_label(splats: Splats, label: int) -> Splats:
    return splats.with_columns(label=np.array([label], np.int32))


@pytest.fixture
def addon() -> Iterator[None]:
    session.unregister()
    with registered():
        yield


def test_clicks_mark_say_how_many_and_are_undone(addon: None, tmp_path: Path) -> None:
    ops = bpy.ops.splatlift
    write_clumps(tmp_path / "in", spoilt())
    ops.import_result(*REAL, display="POINTS", directory=str(tmp_path / "in"))
    pick_parts(["mug"])
    bpy.ops.ed.undo_push(message="picked")
    before = state()
    assert "<Delete Marked>" not in draw("SPLATLIFT_PT_edit")
    assert ops.mark_floaters(*REAL) == {"FINISHED"}
    assert says(draw("SPLATLIFT_PT_edit"), "9 Gaussians marked: 3 by opacity, 2 by size, 4 by distance")
    marked = state()
    assert ops.remove_marked(*REAL) == {"FINISHED"}
    after = state()
    assert part("mug").splatlift.count == 1000
    assert "<Delete Marked>" not in draw("SPLATLIFT_PT_edit")
    bpy.ops.ed.undo()
    assert state() == marked
    bpy.ops.ed.undo()
    assert state() == before
    bpy.ops.ed.redo()
    assert state() == marked
    bpy.ops.ed.redo()
    assert state() == after
    ops.mark_floaters(*REAL, opacity=0.5)
    ops.clear_marks(*REAL)
    assert part("mug").splatlift.count == 1000
    with pytest.raises(RuntimeError, match="No Gaussians are marked"):
        ops.remove_marked(*REAL)


def test_in_edit_mode_marks_are_selected(addon: None, tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", spoilt())
    bpy.ops.splatlift.import_result(*REAL, display="POINTS", directory=str(tmp_path / "in"))
    pick_parts(["mug"])
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.splatlift.mark_floaters(*REAL)
    assert bpy.context.mode == "EDIT_MESH"
    assert thing("mug").data.total_vert_sel == 9
    bpy.ops.splatlift.remove_marked(*REAL)
    assert bpy.context.mode == "EDIT_MESH"
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(thing("mug").data.vertices) == 1000

"""What every edit keeps: linked copies, attributes, the selection, and the saved file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


from blender_addon import session  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.naming import recolour, rename  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete_selection  # noqa: E402
from blender_addon.editing.selection import read_selection  # noqa: E402
from blender_addon.editing.split import split_selection  # noqa: E402
from blender_addon.splats.columns import count_of  # noqa: E402
from tests.blender.clumps import part  # noqa: E402
from tests.blender.editing.parts import held, labels_are_right, select  # noqa: E402
from tests.blender.example import same  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


def test_an_edit_of_a_linked_copy_leaves_the_other_alone(points: Any) -> None:
    one = pieces_of(part("mug"))[0].thing
    other = one.copy()
    part("plant").objects.link(other)
    assert other.data == one.data
    select("mug", np.arange(300) < 100)
    delete_selection([part("mug")])
    assert count_of(one.data) == 200
    assert count_of(other.data) == 300


def test_attributes_that_a_person_added_go_along(points: Any) -> None:
    data = pieces_of(part("mug"))[0].thing.data
    data.attributes.new("mine", "FLOAT_VECTOR", "POINT")
    data.attributes["mine"].data.foreach_set("vector", np.arange(900, dtype=np.float32))
    select("mug", np.arange(300) >= 100)
    (new,) = split_selection([part("mug")])
    kept = np.empty(600, np.float32)
    pieces_of(new)[0].thing.data.attributes["mine"].data.foreach_get("vector", kept)
    np.testing.assert_array_equal(kept, np.arange(300, 900))
    merge([part("plant"), new], part("plant"))
    after = np.empty(1500, np.float32)
    pieces_of(part("plant"))[0].thing.data.attributes["mine"].data.foreach_get("vector", after)
    np.testing.assert_array_equal(after, [*np.zeros(900), *kept])


def test_edits_are_saved_with_the_file(points: Any, tmp_path: Path) -> None:
    select("mug", np.arange(300) < 100)
    split_selection([part("mug")])
    rename([part("mug.001")], "handle")
    recolour([part("handle")], (0.125, 0.25, 0.5))
    pieces_of(part("handle"))[0].thing.location = (1, 2, 3)
    before = held("handle")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    (scene,) = session.scenes()
    assert same(held("handle"), before)
    assert part("handle").splatlift.label == 4
    assert tuple(part("handle").splatlift.colour) == (0.125, 0.25, 0.5)
    assert tuple(pieces_of(part("handle"))[0].thing.location) == (1, 2, 3)
    assert labels_are_right(scene)


def test_the_selection_is_kept_where_nothing_was_edited(points: Any) -> None:
    rows = np.arange(300) % 3 == 0
    select("plant", rows)
    select("mug", np.arange(300) < 100)
    split_selection([part("mug")])
    data = pieces_of(part("plant"))[0].thing.data
    np.testing.assert_array_equal(read_selection(data), rows)
    assert not read_selection(pieces_of(part("mug"))[0].thing.data).any()

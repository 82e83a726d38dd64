"""Objects split off: the selected Gaussians, and pieces that do not touch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")


from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete_selection  # noqa: E402
from blender_addon.editing.split import split_pieces, split_selection  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from blender_addon.splats.export import world_matrix  # noqa: E402
from protocol.errors import BadArgument  # noqa: E402
from protocol.splats import merge as merge_splats  # noqa: E402
from tests.blender.clumps import clumps, part  # noqa: E402
from tests.blender.editing.parts import held, labels_are_right, right_half, select  # noqa: E402
from tests.blender.example import same  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


def test_split_off_what_is_selected_in_several_objects(scene: Any) -> None:
    aside = {name: right_half(name) for name in ("mug", "plant")}
    before = {name: held(name) for name in aside}
    made = split_selection([part(name) for name in ("mug", "plant", "lamp")])
    assert [each.name for each in made] == ["mug.001", "plant.001"]
    assert [each.splatlift.label for each in made] == [4, 5]
    assert len({each.splatlift.object_id for each in scene.children}) == 6
    assert labels_are_right(scene)
    for name, new in zip(aside, made, strict=True):
        left, right = held(name), held(new.name)
        middle = 10.0 if name == "plant" else 0.0
        assert (left.means[:, 0] < middle + 0.5).all()
        assert (right.means[:, 0] > middle - 0.5).all()
        both = merge_splats([left, right])
        both = both.pick(np.argsort(both.extra["splat_row"]))
        assert same(both.with_columns(label=before[name].extra["label"]), before[name])
        surface = pieces_of(new)[0].surface
        assert surface is None or (read_positions(surface.data)[:, 0] > middle - 0.5).all()


def test_a_split_object_looks_and_lies_as_the_first_does(scene: Any) -> None:
    thing = pieces_of(part("mug"))[0].seen
    thing.location = (1, 2, 3)
    right_half("mug")
    (new,) = split_selection([part("mug")])
    other = pieces_of(new)[0].seen
    np.testing.assert_array_equal(np.array(world_matrix(other)), np.array(world_matrix(thing)))
    assert [each.node_group for each in other.modifiers] == [each.node_group for each in thing.modifiers]
    assert not other.hide_viewport
    assert new.splatlift.colour != part("mug").splatlift.colour


def test_nothing_and_everything_are_no_parts(points: Any) -> None:
    with pytest.raises(BadArgument, match="No Gaussians are selected"):
        split_selection([part("mug")])
    select("mug", np.ones(300, bool))
    with pytest.raises(BadArgument, match="The whole object is selected"):
        split_selection([part("mug")])
    with pytest.raises(BadArgument, match="No Gaussians are selected"):
        delete_selection([part("plant")])


def test_split_into_pieces_that_stand_apart(points: Any) -> None:
    merge([part("mug"), part("plant"), part("lamp")], part("mug"))
    made = split_pieces([part("mug"), part("background")], gap=2.0)
    assert len(made) == 2
    assert labels_are_right(points)
    whole = clumps()
    places = {tuple(np.round(held(each.name).means.mean(0)).astype(int)) for each in (part("mug"), *made)}
    assert places == {(0, 0, 0), (10, 0, 0), (0, 10, 0)}
    assert {len(held(each.name)) for each in made} == {300}
    assert len(whole) == 1200
    with pytest.raises(BadArgument, match="no separate pieces"):
        split_pieces([part("mug")], gap=2.0)

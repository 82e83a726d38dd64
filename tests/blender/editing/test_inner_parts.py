"""Objects whose parts have collections of their own: import, edits, saving, and import again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.assign import assign  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.editing.forms import show_form  # noqa: E402
from blender_addon.editing.isolate import isolate, show_others  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.naming import recolour, rename  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.remove import delete  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.editing.selection import write_selection  # noqa: E402
from blender_addon.editing.split import split_pieces, split_selection  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.collections import linear, splat_objects  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402
from protocol.errors import BadArgument, BadResult  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.result.parts import read_parts  # noqa: E402
from protocol.splats import Splats  # noqa: E402
from tests.blender.clumps import part, write_parted  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


@pytest.fixture
def splats(tmp_path: Path) -> Splats:
    return write_parted(tmp_path / "in", meshes=True)


@pytest.fixture
def scene(splats: Splats, tmp_path: Path) -> Any:
    return session.import_folder(tmp_path / "in")


def tree(scene: Any) -> dict[str, dict[str, int]]:
    """The objects of a scene with the counts of their parts; "" for Gaussians in no part's collection."""
    found = {}
    for whole in session.objects_of(scene):
        inner = {each.name: counted(each) for each in session.parts_of_object(whole)}
        rest = counted(whole) - sum(inner.values())
        found[whole.name] = inner | ({"": rest} if rest else {})
    return found


def counted(collection: Any) -> int:
    return sum(len(read_splats(thing.data)) for thing in splat_objects(collection))


def saved(folder: Path) -> tuple[Splats, dict[int, tuple[int, int, str | None]]]:
    table = read_parts(folder)
    assert table is not None
    return read_ply(folder / "splats.ply"), {row.id: (row.whole, row.count, row.name) for row in table.parts}


def count_of_parts(splats: Splats) -> dict[tuple[int, int], int]:
    pairs = zip(splats.extra["label"].tolist(), splats.extra["part"].tolist(), strict=True)
    keys, counts = np.unique(np.array(list(pairs)), axis=0, return_counts=True)
    return {(int(a), int(b)): int(n) for (a, b), n in zip(keys, counts, strict=True)}


def test_parts_are_collections_in_that_of_their_object(scene: Any, splats: Splats) -> None:
    counts = count_of_parts(splats)
    assert tree(scene) == {
        "mug": {"mug part 1": counts[1, 1], "mug part 2": counts[1, 2]},
        "plant": {"plant part 1": counts[2, 3], "plant part 2": counts[2, 4], "plant rest": 20},
        "lamp": {"": 300},
    }
    assert part("mug").splatlift.count == 300
    assert part("mug part 1").splatlift.count == counts[1, 1]
    assert session.object_of(part("plant rest")) == part("plant")
    assert session.object_of(part("lamp")) == part("lamp")


def test_the_level_chooses_units_and_colours(scene: Any) -> None:
    assert [unit.name for unit in session.units_of(scene)] == ["mug", "plant", "lamp", "background"]

    def colours() -> list[tuple[float, ...]]:
        return [tuple(thing.color) for thing in part("mug").all_objects]

    assert len(set(colours())) == 1
    scene.splatlift.level = "PART"
    names = [unit.name for unit in session.units_of(scene)]
    assert names == [
        "mug part 1",
        "mug part 2",
        "plant part 1",
        "plant part 2",
        "plant rest",
        "lamp",
        "background",
    ]
    assert len(set(colours())) == 2
    recolour([part("mug part 1")], (1.0, 0.0, 0.0))
    (thing,) = splat_objects(part("mug part 1"))
    np.testing.assert_allclose(thing.color, linear((1.0, 0.0, 0.0)), atol=1e-6)
    scene.splatlift.level = "WHOLE"
    assert len(set(colours())) == 1


def test_a_flat_result_has_no_parts(tmp_path: Path) -> None:
    write_parted(tmp_path / "in")
    (tmp_path / "in" / "parts.json").unlink()
    scene = session.import_folder(tmp_path / "in")
    assert tree(scene) == {"mug": {"": 300}, "plant": {"": 300}, "lamp": {"": 300}}
    scene.splatlift.level = "PART"
    assert [unit.name for unit in session.units_of(scene)] == ["mug", "plant", "lamp", "background"]


def test_parts_that_the_table_lacks_are_refused(splats: Splats, tmp_path: Path) -> None:
    record = {"format": 1, "level": "whole", "parts": [{"id": 1, "whole": 1, "count": 1}]}
    (tmp_path / "in" / "parts.json").write_text(json.dumps(record))
    with pytest.raises(BadResult, match=r"has the part 2, which parts\.json does not list"):
        session.import_folder(tmp_path / "in")
    assert not bpy.data.collections


def test_a_scene_without_edits_is_saved_as_it_was(scene: Any, splats: Splats, tmp_path: Path) -> None:
    save_edits(scene)
    written, parts = saved(tmp_path / "in")
    np.testing.assert_array_equal(written.extra["part"], splats.extra["part"])
    np.testing.assert_array_equal(written.extra["label"], splats.extra["label"])
    np.testing.assert_array_equal(written.means, splats.means)
    counts = count_of_parts(splats)
    assert parts == {
        1: (1, counts[1, 1], "mug part 1"),
        2: (1, counts[1, 2], "mug part 2"),
        3: (2, counts[2, 3], "plant part 1"),
        4: (2, counts[2, 4], "plant part 2"),
    }


def test_meshes_keep_the_parts_of_their_gaussians(splats: Splats, tmp_path: Path) -> None:
    scene = session.import_folder(tmp_path / "in", "MESH")
    assert tree(scene)["mug"] == {"": 300}
    save_edits(scene)
    written, parts = saved(tmp_path / "in")
    np.testing.assert_array_equal(written.extra["part"], splats.extra["part"])
    assert [(row[0], row[2]) for row in parts.values()] == [(1, None), (1, None), (2, None), (2, None)]


def test_names_of_parts_come_back(scene: Any, tmp_path: Path) -> None:
    rename([part("mug part 2")], "handle")
    recolour([part("handle")], (0.25, 0.5, 0.75))
    rename([part("mug")], "cup")
    assert part("mug part 1").objects[0].name == "mug part 1"
    save_edits(scene)
    again = session.import_folder(tmp_path / "in")
    parts = session.parts_of_object(session.objects_of(again)[0])
    assert [each.splatlift.label_name for each in parts] == ["mug part 1", "handle"]
    np.testing.assert_allclose(parts[1].splatlift.colour, (0.25, 0.5, 0.75))


def test_merged_objects_keep_their_parts(scene: Any, splats: Splats, tmp_path: Path) -> None:
    merge([part("lamp"), part("plant")], part("mug"))
    counts = count_of_parts(splats)
    assert tree(scene) == {
        "mug": {
            "mug part 1": counts[1, 1],
            "mug part 2": counts[1, 2],
            "plant part 1": counts[2, 3],
            "plant part 2": counts[2, 4],
            "lamp.001": 300,
            "plant rest": 20,
        }
    }
    save_edits(scene)
    written, parts = saved(tmp_path / "in")
    assert set(written.extra["label"].tolist()) == {0, 1}
    assert {number: row[:2] for number, row in parts.items()} == {
        1: (1, counts[1, 1]),
        2: (1, counts[1, 2]),
        3: (1, counts[2, 3]),
        4: (1, counts[2, 4]),
        5: (1, 300),
    }


def test_merged_parts_are_one(scene: Any) -> None:
    merge([part("mug part 2")], part("mug part 1"))
    assert tree(scene)["mug"] == {"mug part 1": 300}
    merge([part("mug part 1")], part("lamp"))
    assert tree(scene) == {"plant": tree(scene)["plant"], "lamp": {"": 600}}, "an object without parts left is gone"


def select(name: str, rows: Any) -> None:
    for piece in pieces_of(part(name)):
        write_selection(piece.thing.data, rows(read_splats(piece.thing.data)))


def test_a_split_part_gives_an_object_or_a_part(scene: Any, tmp_path: Path) -> None:
    select("mug part 1", lambda splats: splats.means[:, 0] > 0)
    (new,) = split_selection([part("mug part 1")])
    assert new.splatlift.kind == "OBJECT"
    scene.splatlift.level = "PART"
    select("plant part 1", lambda splats: splats.means[:, 0] > 10)
    (inner,) = split_selection([part("plant part 1")])
    assert session.object_of(inner) == part("plant")
    assert inner.splatlift.label == 5
    save_edits(scene)
    written, parts = saved(tmp_path / "in")
    assert parts[5][:2] == (2, counted(inner))
    rows = written.extra["label"] == new.splatlift.label
    assert rows.sum() == counted(new)
    assert not written.extra["part"][rows].any()


def test_a_split_object_keeps_parts_on_both_sides(scene: Any) -> None:
    select("mug", lambda splats: splats.means[:, 0] > 0)
    (new,) = split_selection([part("mug")])
    assert len(session.parts_of_object(new)) == 2
    assert counted(new) + counted(part("mug")) == 300


def test_pieces_of_a_parts_are_parts(scene: Any) -> None:
    (thing,) = splat_objects(part("mug part 1"))
    from blender_addon.splats.columns import read_positions, write_positions

    places = read_positions(thing.data)
    far = places[:, 0] > 0
    places[far, 0] += 50
    write_positions(thing.data, places)
    thing.data.update_tag()
    made = split_pieces([part("mug")], smallest=10)
    assert made
    assert all(session.object_of(each) == part("mug") for each in made)
    assert sum(tree(scene)["mug"].values()) == 300


def test_gaussians_are_assigned_to_the_largest_part(scene: Any) -> None:
    largest = max(tree(scene)["mug"].items(), key=lambda item: item[1])[0]
    before = tree(scene)["mug"][largest]
    select("lamp", lambda splats: splats.means[:, 0] > 0)
    moved = assign([part("lamp")], part("mug"))
    assert moved > 50
    assert tree(scene)["mug"][largest] == before + moved
    (thing,) = splat_objects(part(largest))
    assert set(read_splats(thing.data).extra["part"].tolist()) == {part(largest).splatlift.label}


def test_a_duplicate_has_the_same_parts(scene: Any) -> None:
    (new,) = duplicate([part("mug")])
    assert list(tree(scene)[new.name].values()) == list(tree(scene)["mug"].values())
    labels = [each.splatlift.label for each in session.parts_of_object(new)]
    assert labels == [5, 6]


def test_isolating_and_deleting_parts(scene: Any) -> None:
    isolate([part("mug part 1")])
    hidden = {each.name for each in scene.children_recursive if each.hide_viewport}
    assert hidden == {"mug part 2", "plant", "plant part 1", "plant part 2", "plant rest", "lamp", "background"}
    show_others(scene)
    assert not any(each.hide_viewport for each in scene.children_recursive)
    delete([part("mug part 1")])
    assert list(tree(scene)["mug"]) == ["mug part 2"]
    delete([part("mug part 2")])
    assert "mug" not in bpy.data.collections


def test_parts_are_exported_alone_or_with_their_object(scene: Any, splats: Splats, tmp_path: Path) -> None:
    counts = count_of_parts(splats)
    assert export_objects([part("mug part 1")], tmp_path / "part.ply") == counts[1, 1]
    assert export_objects([part("mug")], tmp_path / "whole.ply") == 300
    assert export_objects([scene], tmp_path / "all.ply") == len(splats)
    rows = (splats.extra["label"] == 1) & (splats.extra["part"] == 1)
    np.testing.assert_array_equal(read_ply(tmp_path / "part.ply").means, splats.means[rows])


def test_an_object_shown_as_parts_has_no_mesh(scene: Any) -> None:
    for name in ("mug", "mug part 1"):
        with pytest.raises(BadArgument, match="is shown as parts"):
            show_form([part(name)], "MESH")


def test_copied_collections_get_numbers_of_their_own(scene: Any, tmp_path: Path) -> None:
    copy = part("mug part 1").copy()
    part("mug").children.link(copy)
    (thing,) = splat_objects(part("mug part 1"))
    twin = thing.copy()
    twin.data = thing.data.copy()
    copy.objects.unlink(thing)
    copy.objects.link(twin)
    save_edits(scene)
    _, parts = saved(tmp_path / "in")
    assert parts[1][1] == parts[5][1]


def test_a_result_of_parts_keeps_its_table_true(splats: Splats, tmp_path: Path) -> None:
    rows = [{"id": label, "whole": 1 + label // 3, "count": 300} for label in (1, 2, 3)]
    (tmp_path / "in" / "parts.json").write_text(json.dumps({"format": 1, "level": "part", "parts": rows}))
    scene = session.import_folder(tmp_path / "in")
    assert tree(scene)["mug"] == {"": 300}
    merge([part("plant")], part("mug"))
    select("lamp", lambda splats: splats.means[:, 0] > 0)
    (new,) = split_selection([part("lamp")])
    save_edits(scene)
    _, parts = saved(tmp_path / "in")
    assert {number: row[:2] for number, row in parts.items()} == {
        1: (1, 600),
        3: (2, 300 - counted(new)),
        new.splatlift.label: (2, counted(new)),
    }

"""Clicks on imported objects, their parts and splats without labels, through cameras that Blender has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from mathutils import Matrix  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.editing.selection import read_selection  # noqa: E402
from blender_addon.picking.clicking import Clicks  # noqa: E402
from blender_addon.sight import Sight  # noqa: E402
from blender_addon.splats.attributes import write_splats  # noqa: E402
from blender_addon.splats.collections import splat_objects  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from blender_addon.splats.native import can_draw_splats, new_native  # noqa: E402
from protocol.errors import BadArgument  # noqa: E402
from protocol.ray_picking import Mode  # noqa: E402
from protocol.splats import Splats, merge  # noqa: E402
from tests.blender.addon import registered  # noqa: E402
from tests.blender.clumps import COLOURS, clump, clumps, part, solid, write_clumps, write_parted  # noqa: E402
from tests.blender.picking.sights import camera_at, pixel_of, sight_through  # noqa: E402

PLACE = (5.0, -30.0, 12.0)


@pytest.fixture(autouse=True)
def addon() -> Iterator[None]:
    with registered():
        yield


def always(thing: Any) -> bool:
    return thing.visible_get()


def middle(collection: Any) -> Any:
    """The middle of what a collection shows, in the world."""
    bpy.context.view_layer.update()
    things = splat_objects(collection)
    places = [read_positions(thing.data) @ np.array(thing.matrix_world.to_3x3()).T for thing in things]
    return np.concatenate(places).mean(0) + np.array(things[0].matrix_world.translation)


def sight() -> Sight:
    return sight_through(camera_at(PLACE, (5.0, 5.0, 0.0)))


def selected() -> set[str]:
    return {thing.name for thing in bpy.context.view_layer.objects if thing.select_get()}


class Tool:
    """The tool in one view."""

    def __init__(self) -> None:
        self.clicks = Clicks()
        self.sight = sight()

    def click(self, name: str, mode: Mode = "set") -> str:
        return self.at(*pixel_of(self.sight, middle(part(name))), mode)

    def at(self, x: float, y: float, mode: Mode = "set") -> str:
        return self.clicks.click(bpy.context.view_layer, self.sight, x, y, mode, is_visible=always).sentence


@pytest.fixture(params=["POINTS", "SPLATS", "MESH"])
def display(request: pytest.FixtureRequest) -> session.Display:
    return request.param


def test_a_click_selects_the_object_however_it_is_shown(tmp_path: Path, display: session.Display) -> None:
    write_clumps(tmp_path / "in", solid(clumps()), meshes=True)
    session.import_folder(tmp_path / "in", display)
    tool = Tool()
    for name in ("mug", "plant", "lamp", "mug"):
        assert tool.click(name) == f"Selected: {name}."
        assert selected() == {name}
        assert bpy.context.view_layer.objects.active.name == name


def test_modes_combine_with_the_selection_before(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", solid(clumps()))
    session.import_folder(tmp_path / "in")
    cube: Any = bpy.data.objects.new("cube", None)
    bpy.context.scene.collection.objects.link(cube)
    cube.select_set(True)
    tool = Tool()
    assert tool.click("mug", "add") == "Added: mug."
    tool.click("plant", "add")
    assert selected() == {"mug", "plant", "cube"}
    assert tool.click("mug", "subtract") == "Deselected: mug."
    assert selected() == {"plant", "cube"}
    tool.click("lamp", "add")
    tool.click("lamp", "intersect")
    assert selected() == {"lamp"}
    tool.click("mug", "intersect")
    assert selected() == set()
    tool.click("mug")
    assert selected() == {"mug"}


def test_clicks_at_one_place_give_object_part_and_object(tmp_path: Path) -> None:
    write_parted(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    whole = {"mug part 1", "mug part 2"}
    tool = Tool()
    for name in whole:
        assert tool.click(name) == "Selected: mug."
        assert selected() == whole
        assert tool.click(name) == f"Selected: {name}, a part of mug."
        assert selected() == {name}
        assert tool.click(name) == "Selected: mug."
        assert selected() == whole
    assert tool.click("lamp") == tool.click("lamp") == "Selected: lamp.", "an object without parts stays the object"
    # Further clicks at a place replace what the first one there did.
    tool.click("mug part 1", "add")
    assert selected() == {*whole, "lamp"}
    tool.click("mug part 1", "add")
    assert selected() == {"mug part 1", "lamp"}
    scene.splatlift.level = "PART"
    assert tool.click("mug part 2") == "Selected: mug part 2, a part of mug.", (
        "at the level of parts the part comes first"
    )
    assert tool.click("mug part 2") == "Selected: mug."
    tool.sight = sight_through(camera_at((5.0, -29.0, 12.0), (5.0, 5.0, 0.0)))
    assert tool.click("mug part 2") == "Selected: mug part 2, a part of mug.", "another view is another place"


def test_a_click_on_nothing_or_background_is_said_and_changes_nothing(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", solid(clumps()))
    session.import_folder(tmp_path / "in")
    tool = Tool()
    tool.click("mug")
    for place in ((1.0, 1.0), pixel_of(tool.sight, middle(part("background")))):
        with pytest.raises(BadArgument, match="No object is here"):
            tool.at(*place)
        assert selected() == {"mug"}


def test_hidden_moved_and_edited_objects(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", solid(clumps()))
    session.import_folder(tmp_path / "in")
    tool = Tool()
    x, y = pixel_of(tool.sight, middle(part("mug")))
    assert tool.at(x, y) == "Selected: mug."
    (mug,), (lamp,) = (splat_objects(part(name)) for name in ("mug", "lamp"))
    mug.matrix_world = Matrix.Translation((0, 0, 50)) @ mug.matrix_world
    bpy.context.view_layer.update()
    with pytest.raises(BadArgument):
        tool.at(x, y)
    lamp.matrix_world = Matrix.Translation(middle(part("mug")) - middle(part("lamp")) - np.array([0, 0, 50.0])) @ (
        Matrix.Diagonal((1.0, 1.0, 3.0, 1.0)) @ lamp.matrix_world
    )
    bpy.context.view_layer.update()
    part("mug").hide_viewport = True
    bpy.context.view_layer.update()
    assert tool.click("lamp") == "Selected: lamp."
    # In Edit Mode the points of the lamp go elsewhere.
    x, y = pixel_of(tool.sight, middle(part("lamp")))
    for vertex in lamp.data.vertices:
        vertex.co.x += 100
    lamp.data.update_tag()
    bpy.context.view_layer.update()
    with pytest.raises(BadArgument):
        tool.at(x, y)


def lone_splat(native: bool) -> Any:
    """Two balls that touch, red and blue, and a red one apart, as one splat without labels."""
    red, blue = COLOURS[1], COLOURS[3]
    splats: Splats = solid(
        merge([clump((0, 0, 0), 800, 1, red), clump((1.9, 0, 0), 800, 2, blue), clump((10, 0, 0), 800, 3, red)])
    )
    data: Any = new_native("found", splats) if native else bpy.data.meshes.new("found")
    if not native:
        write_splats(data, splats)
    thing: Any = bpy.data.objects.new("found", data)
    bpy.context.scene.collection.objects.link(thing)
    return thing


@pytest.mark.parametrize("native", [False, True])
def test_a_splat_without_labels_is_selected_by_connection_and_by_colour(native: bool) -> None:
    if native and not can_draw_splats():
        pytest.skip("this Blender draws no Gaussians")
    thing = lone_splat(native)
    tool = Tool()
    rows = np.arange(2400)
    places = {"red": (-0.3, 0, 0), "blue": (2.2, 0, 0), "apart": (10, 0, 0)}
    pixels = {name: pixel_of(tool.sight, place) for name, place in places.items()}
    tool.at(*pixels["red"])
    assert selected() == {"found"}
    chosen = read_selection(thing.data)
    assert chosen[rows < 1600].mean() > 0.97
    assert not chosen[rows >= 1600].any()
    said = tool.at(*pixels["red"])
    assert said == f"Selected: Gaussians of similar colour of found, {read_selection(thing.data).sum():,} in total."
    alike = read_selection(thing.data)
    assert alike[rows < 800].mean() > 0.97
    assert not alike[rows >= 800].any()
    assert tool.at(*pixels["red"]).startswith("Selected: connected Gaussians of found, ")
    np.testing.assert_array_equal(read_selection(thing.data), chosen)
    tool.at(*pixels["apart"], "add")
    assert read_selection(thing.data)[rows >= 1600].mean() > 0.97
    tool.at(*pixels["blue"], "subtract")
    tool.at(*pixels["blue"], "subtract")
    left = read_selection(thing.data)
    assert left[rows < 800].mean() > 0.97
    assert left[(rows >= 800) & (rows < 1600)].mean() < 0.03
    tool.at(*pixels["red"], "intersect")
    assert not read_selection(thing.data)[rows >= 1600].any()
    with pytest.raises(BadArgument):
        tool.at(1.0, 1.0)
    assert read_selection(thing.data)[rows < 800].mean() > 0.97

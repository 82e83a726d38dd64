"""Objects in the colours of their labels, of their parts, and of how certain they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.splats.collections import linear, splat_objects  # noqa: E402
from blender_addon.splats.colours import confidence_colour  # noqa: E402
from blender_addon.splats.painting import show_colours  # noqa: E402
from tests.blender.clumps import CLUMPS, COLOURS, part, write_clumps, write_parted  # noqa: E402

CONFIDENCE = {"mug": 0.5, "plant": 0.75, "lamp": 1.0}


def write_unsure(folder: Path) -> None:
    """A result of which the mug is the least certain object."""
    write_clumps(folder)
    table = json.loads((folder / "objects.json").read_text())
    for row in table["objects"]:
        row["confidence"] = CONFIDENCE[row["name"]]
    (folder / "objects.json").write_text(json.dumps(table))


def colour_of(name: str) -> Any:
    (thing,) = splat_objects(part(name))
    return tuple(thing.color)


def test_colours_of_confidence_go_from_red_over_yellow_to_blue() -> None:
    low, middle, high = (confidence_colour(value) for value in (0.5, 0.75, 1.0))
    assert low[0] > 2 * max(low[1:])
    assert min(middle[:2]) > 0.9 > middle[2]
    assert high[2] > 2 * high[0]
    assert confidence_colour(0.0) == low
    assert confidence_colour(0.5 + 1e-9) == pytest.approx(low, abs=1e-6)


def test_a_colour_chosen_in_the_list_is_seen_in_the_view_and_at_the_collection(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    mug: Any = part("mug")
    for colour, tag in (((0.9, 0.4, 0.4), "COLOR_01"), ((0.5, 0.8, 0.5), "COLOR_04")):
        mug.splatlift.colour = colour
        np.testing.assert_allclose(colour_of("mug"), linear(colour), atol=1e-6)
        assert mug.color_tag == tag
    r, g, b = COLOURS[2]
    np.testing.assert_allclose(colour_of("plant"), linear((r, g, b)), atol=1e-6)


def test_objects_show_their_confidence_and_their_colour_again(tmp_path: Path) -> None:
    write_unsure(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    show_colours("CONFIDENCE")
    for name, confidence in CONFIDENCE.items():
        np.testing.assert_allclose(colour_of(name), linear(confidence_colour(confidence)), atol=1e-6)
    background = colour_of("background")
    (copy,) = duplicate([part("mug")])
    np.testing.assert_allclose(colour_of(copy.name), linear(confidence_colour(0.5)), atol=1e-6)
    show_colours("LABELS")
    for label, (name, _) in CLUMPS.items():
        r, g, b = COLOURS[label]
        np.testing.assert_allclose(colour_of(name), linear((r, g, b)), atol=1e-6)
    assert colour_of("background") == background


def test_a_later_import_shows_its_confidence_too(tmp_path: Path) -> None:
    write_unsure(tmp_path / "in")
    show_colours("CONFIDENCE")
    session.import_folder(tmp_path / "in")
    np.testing.assert_allclose(colour_of("plant"), linear(confidence_colour(0.75)), atol=1e-6)


def test_parts_show_their_own_confidence(tmp_path: Path) -> None:
    splats = write_parted(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in")
    scene.splatlift.level = "PART"
    show_colours("CONFIDENCE")
    rows = splats.extra["part"] == 1
    expected = linear(confidence_colour(float(splats.extra["confidence"][rows].mean())))
    np.testing.assert_allclose(colour_of("mug part 1"), expected, atol=1e-5)

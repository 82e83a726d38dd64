"""Attributes are moved by name and type, and dividing data says the same as gathering its halves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

bpy: Any = pytest.importorskip("bpy")

from blender_addon.editing.columns import Source, divide, gather, read_column  # noqa: E402
from blender_addon.splats.attributes import write_splats  # noqa: E402
from blender_addon.splats.columns import count_of  # noqa: E402
from tests.protocol.strategies import random_splats  # noqa: E402

COUNT = 50


def columns(data: Any) -> dict[str, Any]:
    return {each.name: read_column(data, each.name) for each in data.attributes if not each.name.startswith(".")}


@pytest.fixture
def data() -> Any:
    mesh = bpy.data.meshes.new("cup")
    write_splats(mesh, random_splats(COUNT, degree=1))
    mesh.attributes.new("mark", "BOOLEAN", "POINT").data.foreach_set("value", np.arange(COUNT) % 3 == 0)
    mesh.attributes.new("flow", "FLOAT2", "POINT").data.foreach_set("vector", np.arange(2.0 * COUNT))
    mesh["of a person"] = 7
    return mesh


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_dividing_is_gathering_each_half(data, share):
    rows = np.random.default_rng(1).random(COUNT) < share
    before = columns(data)
    for part, chosen in zip(divide(data, rows), (rows, ~rows), strict=True):
        alone = gather(data, [Source(data, chosen)])
        assert count_of(part) == chosen.sum()
        assert part["of a person"] == 7
        assert {each.name for each in part.attributes} == {each.name for each in alone.attributes}
        for name, values in columns(alone).items():
            np.testing.assert_array_equal(read_column(part, name), values)
            np.testing.assert_array_equal(values, before[name][chosen])

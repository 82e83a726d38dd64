"""Gaussians that Blender draws by itself.

Blender 5.3, which does, is no Python package yet. 5.2 has all that such a point cloud is made of but the property that
says what it is: here the property is added under the name and with the values that 5.3 has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadSplats
from protocol.ply import read_ply
from tests.blender.example import labelled_splats, object_of, some_splats, write_example

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.splats import native  # noqa: E402
from blender_addon.splats.attributes import is_splats, read_splats  # noqa: E402
from blender_addon.splats.display import show_labels  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402


@pytest.fixture
def drawing() -> Iterator[None]:
    """A Blender that draws Gaussians."""
    if native.can_draw_splats():
        yield
        return
    kinds = {item.identifier for item in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items}
    if "resize" not in bpy.types.PointCloud.bl_rna.functions or "FLOAT4" not in kinds:
        pytest.skip("this Blender has no point clouds that a script can fill with splats")
    items = (("POINTS", "Points", ""), ("GAUSSIAN_SPLAT", "3D Gaussian Splats", ""))
    bpy.types.PointCloud.type = bpy.props.EnumProperty(name="Type", items=items)
    try:
        yield
    finally:
        del bpy.types.PointCloud.type


def column(data, name: str, key: str, width: int) -> np.ndarray:
    attribute = data.attributes[name]
    assert attribute.domain == "POINT"
    values = np.empty(len(attribute.data) * width, np.float32)
    attribute.data.foreach_get(key, values)
    return values.reshape(-1, width)


def test_an_import_as_splats_is_drawn_by_blender_and_exported_again(drawing: None, tmp_path: Path) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", "SPLATS")
    things = [child.objects[0] for child in scene.children]
    assert [(thing.type, thing.data.type) for thing in things] == [("POINTCLOUD", "GAUSSIAN_SPLAT")] * 4
    assert not any(len(thing.modifiers) for thing in things)
    things[0].location = (1, 2, 3)
    assert export_objects([scene], tmp_path / "out.ply") == len(splats)
    whole = read_ply(tmp_path / "out.ply")
    moved = object_of(splats, 1)
    np.testing.assert_allclose(whole.means[: len(moved)], moved.means + np.arange(1, 4), atol=1e-5)
    np.testing.assert_allclose(whole.opacities[: len(moved)], moved.opacities, atol=1e-5)


def test_labels_are_shown_as_points(drawing: None, tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    first = session.import_folder(tmp_path / "in", "SPLATS").children[0].objects[0].data
    show_labels(True)
    second = session.import_folder(tmp_path / "in", "SPLATS").children[0].objects[0].data
    assert [(each.type, len(each.materials)) for each in (first, second)] == [("POINTS", 1)] * 2
    show_labels(False)
    assert [(each.type, len(each.materials)) for each in (first, second)] == [("GAUSSIAN_SPLAT", 0)] * 2


def test_no_blender_is_taken_for_one_that_draws_them_by_its_version() -> None:
    has = "type" in bpy.types.PointCloud.bl_rna.properties
    assert native.can_draw_splats() == has


def test_the_attributes_are_those_that_blender_reads(drawing: None) -> None:
    assert native.can_draw_splats()
    splats = labelled_splats(50, 2)
    data = native.new_native("cloud", splats)
    assert data.type == "GAUSSIAN_SPLAT"
    np.testing.assert_array_equal(column(data, "position", "vector", 3), splats.means)
    np.testing.assert_allclose(column(data, "scale", "vector", 3), np.exp(splats.scales), rtol=1e-6)
    unit = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    np.testing.assert_allclose(column(data, "rotation", "value", 4), unit, atol=1e-6)
    base = column(data, "radiance:base", "vector", 4)
    np.testing.assert_array_equal(base[:, :3], splats.sh[:, 0])
    np.testing.assert_allclose(base[:, 3], 1 / (1 + np.exp(-splats.opacities)), rtol=1e-6)
    for k in range(8):
        np.testing.assert_array_equal(column(data, f"radiance:sh_{k}", "vector", 3), splats.sh[:, k + 1])
    assert "radiance:sh_8" not in data.attributes
    assert data.attributes["label"].data_type == "INT"


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_what_comes_back_is_the_same_to_float32(drawing: None, degree: int) -> None:
    splats = labelled_splats(400, degree)
    data = native.new_native("cloud", splats)
    assert is_splats(data)
    got = read_splats(data)
    np.testing.assert_array_equal(got.means, splats.means)
    np.testing.assert_array_equal(got.sh, splats.sh)
    np.testing.assert_allclose(got.scales, splats.scales, atol=1e-6)
    np.testing.assert_allclose(got.opacities, splats.opacities, atol=1e-5)
    unit = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    np.testing.assert_allclose(got.quats, unit, atol=1e-6)
    assert got.extra.keys() == splats.extra.keys()
    np.testing.assert_array_equal(got.extra["label"], splats.extra["label"])


def test_opaque_clear_and_flat_gaussians_stay_finite(drawing: None) -> None:
    splats = replace(
        some_splats(3, 0), opacities=np.array([200, -200, 0], np.float32), scales=np.full((3, 3), -200, np.float32)
    )
    got = read_splats(native.new_native("cloud", splats))
    np.testing.assert_allclose(got.alphas, [1, 0, 0.5], atol=1e-6)
    assert np.isfinite(got.scales).all()
    assert (got.sizes < 1e-37).all()


def test_columns_that_blender_needs_itself_are_refused(drawing: None) -> None:
    with pytest.raises(BadSplats, match="extra column 'scale'"):
        native.new_native("cloud", some_splats(3, 0).with_columns(scale=np.zeros(3, np.float32)))


def test_half_a_degree_is_refused(drawing: None) -> None:
    data = native.new_native("cloud", some_splats(3, 1))
    data.attributes.remove(data.attributes["radiance:sh_2"])
    with pytest.raises(BadSplats, match="full degree"):
        read_splats(data)


def test_a_cloud_without_a_point_comes_back_empty(drawing: None) -> None:
    data = native.new_native("cloud", some_splats(0, 1))
    assert len(read_splats(data)) == 0

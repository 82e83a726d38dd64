"""Gaussians as attributes: exact both ways, under the names other splat add-ons read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protocol.errors import BadSplats
from protocol.splats import SH_COUNTS, Splats
from tests.blender.example import labelled_splats, same, some_splats

bpy = pytest.importorskip("bpy")

from blender_addon.splats.attributes import is_splats, read_splats, write_splats  # noqa: E402
from blender_addon.splats.columns import display_colours  # noqa: E402


def through_blender(splats: Splats) -> Splats:
    data = bpy.data.meshes.new("splats")
    write_splats(data, splats)
    try:
        return read_splats(data)
    finally:
        bpy.data.meshes.remove(data)


@st.composite
def any_splats(draw: st.DrawFn) -> Splats:
    n, degree = draw(st.integers(0, 12)), draw(st.integers(0, 3))
    values = st.floats(width=32, allow_nan=False, allow_infinity=False)

    def column(*shape: int) -> np.ndarray:
        return draw(arrays(np.float32, (n, *shape), elements=values))

    extra = {"label": draw(arrays(np.int32, n)), "confidence": column()}
    return Splats(column(3), column(4), column(3), column(), column(SH_COUNTS[degree], 3), extra)


@given(any_splats())
@settings(max_examples=60, deadline=None)
def test_any_numbers_come_back_bit_for_bit(splats: Splats) -> None:
    assert same(through_blender(splats), splats)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_degree_comes_back(degree: int) -> None:
    splats = labelled_splats(5000, degree)
    assert same(through_blender(splats), splats)


def test_degree_one_that_is_all_zeros_stays_degree_one() -> None:
    splats = some_splats(9, 1)
    splats.sh[:, 1:] = 0
    assert through_blender(splats).sh_degree == 1


def test_columns_that_are_not_contiguous_are_written_as_they_read() -> None:
    splats = labelled_splats(64, 2)
    turned = replace(splats, means=np.asfortranarray(splats.means), sh=splats.sh[::-1], opacities=splats.sh[:, 0, 0])
    assert same(through_blender(turned), turned)


def test_names_types_and_values_are_those_that_kiri_reads() -> None:
    splats = labelled_splats(50, 2)
    data = bpy.data.meshes.new("splats")
    write_splats(data, splats)

    floats = [f"f_dc_{i}" for i in range(3)] + [f"f_rest_{i}" for i in range(24)]
    floats += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4)), "confidence"]
    assert {name: (data.attributes[name].data_type, data.attributes[name].domain) for name in floats} == dict.fromkeys(
        floats, ("FLOAT", "POINT")
    )
    assert data.attributes["label"].data_type == "INT"
    assert data.attributes["Col"].data_type == "FLOAT_COLOR"
    red, green, blue = (data.attributes[f"f_rest_{i}"].data[7].value for i in (0, 8, 16))
    assert [red, green, blue] == splats.sh[7, 1].tolist()
    assert data.attributes["rot_0"].data[7].value == splats.quats[7, 0]
    assert is_splats(data)


def test_degree_zero_is_padded_for_kiri_and_marked() -> None:
    data = bpy.data.meshes.new("splats")
    write_splats(data, some_splats(4, 0))
    assert [f"f_rest_{i}" in data.attributes for i in range(10)] == [True] * 9 + [False]
    assert read_splats(data).sh_degree == 0


def test_the_display_colour_is_the_constant_term_and_the_activated_opacity() -> None:
    splats = replace(
        some_splats(3, 0),
        sh=np.array([[[0, 1, -9]], [[9, 0, 0]], [[0, 0, 0]]], np.float32),
        opacities=np.array([0, 200, -200], np.float32),
    )
    expected = [[0.5, 0.7820948, 0, 0.5], [1, 0.5, 0.5, 1], [0.5, 0.5, 0.5, 0]]
    np.testing.assert_allclose(display_colours(splats), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int64, np.float64])
def test_extra_columns_of_other_types_keep_their_numbers(kind: type) -> None:
    column = np.arange(6).astype(kind)
    kept = through_blender(some_splats(6, 0).with_columns(other=column)).extra["other"]
    assert kept.tolist() == column.tolist()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("wide", np.full(5, 2**40)),
        ("unsigned", np.full(5, 2**31, np.uint32)),
        ("double", np.full(5, 0.1)),
        ("position", np.zeros(5, np.float32)),
        ("Col", np.zeros(5, np.float32)),
        ("f_rest_99", np.zeros(5, np.float32)),
        (".hidden", np.zeros(5, np.float32)),
        ("x" * 64, np.zeros(5, np.float32)),
    ],
)
def test_extra_columns_that_blender_cannot_keep_are_refused(name: str, column: np.ndarray) -> None:
    with pytest.raises(BadSplats, match="extra column") as caught:
        through_blender(some_splats(5, 0).with_columns(**{name: column}))
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["rot_3", "opacity", "f_rest_8", "f_dc_1"])
def test_a_splat_that_lost_an_attribute_is_refused(name: str) -> None:
    data = bpy.data.meshes.new("splats")
    write_splats(data, some_splats(5, 1))
    data.attributes.remove(data.attributes[name])
    with pytest.raises(BadSplats):
        read_splats(data)


def test_an_attribute_of_another_type_is_refused() -> None:
    data = bpy.data.meshes.new("splats")
    write_splats(data, some_splats(5, 1))
    data.attributes.remove(data.attributes["opacity"])
    data.attributes.new("opacity", "INT", "POINT")
    with pytest.raises(BadSplats, match="opacity"):
        read_splats(data)


def test_a_point_cloud_holds_the_same(tmp_path: Path) -> None:
    clouds = bpy.data.pointclouds.new("cloud")
    splats = labelled_splats(40, 3)
    if not hasattr(clouds, "resize"):
        # Before 5.1 Blender makes point clouds of given size from meshes only.
        data = bpy.data.meshes.new("splats")
        write_splats(data, splats)
        if "POINTCLOUD" not in {item.identifier for item in _convert_targets()}:
            pytest.skip("this Blender cannot turn a mesh into a point cloud")
        thing = bpy.data.objects.new("splats", data)
        bpy.context.scene.collection.objects.link(thing)
        bpy.context.view_layer.objects.active = thing
        thing.select_set(True)
        bpy.ops.object.convert(target="POINTCLOUD")
        clouds = thing.data
    else:
        write_splats(clouds, splats)
    assert same(read_splats(clouds), splats)


def _convert_targets() -> list:
    return list(bpy.ops.object.convert.get_rna_type().properties["target"].enum_items)


def test_a_saved_file_brings_everything_back(tmp_path: Path) -> None:
    splats = labelled_splats(300, 0)
    data = bpy.data.meshes.new("kept")
    write_splats(data, splats)
    data.use_fake_user = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    assert "kept" not in bpy.data.meshes
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert same(read_splats(bpy.data.meshes["kept"]), splats)

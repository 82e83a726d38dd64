"""Files read by libraries that did not write them, where they are installed."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from protocol.formats.axes import to_ply_axes
from protocol.formats.registry import BY_NAME
from protocol.formats.write import write_splats
from protocol.sh import SH0
from protocol.splats import Splats
from tests.protocol.formats.packing import storable


def written(folder: Path, name: str, splats: Splats, ending: str | None = None, **options: bool) -> Path:
    path = folder / f"a{ending or BY_NAME[name].endings[0]}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        write_splats(splats, path, BY_NAME[name], **options)
    return path


@pytest.mark.parametrize("ending", [".usdc", ".usda", ".usd"])
@pytest.mark.parametrize("degree", [0, 3])
def test_usd_is_what_its_schema_says(degree: int, ending: str, tmp_path: Path):
    usd = pytest.importorskip("pxr.Usd")
    vol = pytest.importorskip("pxr.UsdVol")
    geom = pytest.importorskip("pxr.UsdGeom")
    if not hasattr(vol, "ParticleField3DGaussianSplat"):
        pytest.skip("this USD is older than the schema")
    labels = np.arange(50, dtype=np.int32)
    drawn = storable(50, degree).with_columns(label=labels, confidence=labels.astype(np.float32) / 50)
    stage = usd.Stage.Open(str(written(tmp_path, "gaussians-usd", drawn, ending, labels=True)))
    assert geom.GetStageUpAxis(stage) == "Y"
    prim = stage.GetPrimAtPath("/Root/Gaussians")
    field = vol.ParticleField3DGaussianSplat(prim)
    assert field
    # What was written are properties that the schema knows, and of the types that it gives them.
    known = usd.SchemaRegistry().FindConcretePrimDefinition("ParticleField3DGaussianSplat")
    for attribute in prim.GetAuthoredAttributes():
        if attribute.GetName() not in ("primvars:label", "primvars:confidence"):
            spec = known.GetAttributeDefinition(attribute.GetName())
            assert spec.GetTypeName() == attribute.GetTypeName(), attribute.GetName()
            assert spec.GetVariability() == attribute.GetVariability(), attribute.GetName()
    alphas = np.array(field.GetOpacitiesAttr().Get())
    quats = np.array([(q.GetReal(), *q.GetImaginary()) for q in field.GetOrientationsAttr().Get()], np.float32)
    sh = np.array(prim.GetAttribute("radiance:sphericalHarmonicsCoefficients").Get()).reshape(50, -1, 3)
    got = Splats(
        np.array(field.GetPositionsAttr().Get()),
        quats,
        np.log(np.array(field.GetScalesAttr().Get())),
        np.log(alphas / (1 - alphas)),
        sh,
    )
    got = to_ply_axes(got, "RUB")
    assert np.array_equal(got.means, drawn.means)
    assert np.array_equal(got.sh, drawn.sh)
    np.testing.assert_allclose(got.quats, drawn.quats, atol=1e-6)
    np.testing.assert_allclose(got.scales, drawn.scales, atol=1e-5)
    np.testing.assert_allclose(got.alphas, drawn.alphas, atol=1e-6)
    assert prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get() == degree
    assert np.array_equal(np.array(prim.GetAttribute("primvars:label").Get()), labels)
    low, high = np.array(field.GetExtentAttr().Get())
    assert (low < to_ply_axes(drawn, "RUB").means.min(0)).all()
    assert (high > to_ply_axes(drawn, "RUB").means.max(0)).all()


def test_glb_is_points_where_the_extension_is_not_known(tmp_path: Path):
    trimesh = pytest.importorskip("trimesh")
    drawn = storable(40, 1)
    scene = trimesh.load_scene(written(tmp_path, "gaussians-glb", drawn))
    (cloud,) = scene.geometry.values()
    upright = drawn.means * np.array([1, -1, -1], np.float32)
    assert np.array_equal(np.asarray(cloud.vertices, np.float32), upright)
    np.testing.assert_allclose(scene.bounds, [upright.min(0), upright.max(0)])
    seen = np.rint(255 * np.column_stack([drawn.sh[:, 0] * SH0 + 0.5, drawn.alphas]).clip(0, 1))
    assert np.abs(np.asarray(cloud.colors, float) - seen).max() <= 1


@pytest.mark.parametrize("name", ["gaussians-glb", "gaussians-glb-spz"])
def test_the_json_of_glb_keeps_the_rules_of_gltf(name: str, tmp_path: Path):
    """Lengths and alignment as in glTF 2.0, sections 3.6.2.4 and 4.4, and what the extension requires."""
    drawn = storable(41, 2)
    whole = written(tmp_path, name, drawn).read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", whole)
    assert (magic, version, total, kind) == (b"glTF", 2, len(whole), b"JSON")
    size, binary = struct.unpack_from("<I4s", whole, 20 + length)
    assert (length % 4, size % 4, binary, 28 + length + size) == (0, 0, b"BIN\0", total)
    document = json.loads(whole[20 : 20 + length])
    assert document["buffers"] == [{"byteLength": size}]
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])
    assert all(view["byteOffset"] + view["byteLength"] <= size for view in document["bufferViews"])
    (primitive,) = document["meshes"][0]["primitives"]
    about = primitive["extensions"]["KHR_gaussian_splatting"]
    assert (about["kernel"], about["colorSpace"], primitive["mode"]) == ("ellipse", "srgb_rec709_display", 0)
    assert set(document["extensionsUsed"]) >= {"KHR_gaussian_splatting"}
    counts = {document["accessors"][i]["count"] for i in primitive["attributes"].values()}
    assert counts == {41}
    bounds = document["accessors"][primitive["attributes"]["POSITION"]]
    assert len(bounds["min"]) == len(bounds["max"]) == 3
    if name == "gaussians-glb-spz":
        assert "KHR_gaussian_splatting_compression_spz_2" in document["extensionsRequired"]
        view = document["bufferViews"][0]
        start = 28 + length + view["byteOffset"]
        assert whole[start : start + 2] == b"\x1f\x8b"

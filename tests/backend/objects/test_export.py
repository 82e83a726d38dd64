"""Objects of a result as files: Gaussians, meshes, masks and labels."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import trimesh
from PIL import Image

from backend.objects import result
from backend.objects.export import Exported, export_objects
from backend.objects.table import object_table
from backend.scene.rle import pack_counts, runs_of, unpack_counts
from protocol.errors import BadArgument, BadResult, BadSplats, Fault, NotFound
from protocol.formats.read import read_splats
from protocol.formats.registry import FORMATS
from protocol.ply import read_ply, write_ply
from protocol.result.folder import whole_folder
from protocol.result.meshes import Mesh, Texture, write_mesh
from protocol.result.names import mesh_path
from protocol.result.table import read_table, write_table
from protocol.splats import Splats
from protocol.transform import transform
from tests.backend.objects.making import two_balls
from tests.protocol.pictures import png

MAPS = {"a": np.array([[0, 2, 2], [1, 0, 2]], np.int32), "b": np.array([[1, 1], [0, 0]], np.int32)}


def write(out: Path) -> Splats:
    """Write a result of two balls, and return its Gaussians."""
    splats, lift = two_balls()
    with whole_folder(out) as folder:
        result.write_gaussians(folder, splats, lift)
        result.write_objects(folder, "kitchen", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
        result.write_labels(folder, MAPS)
    return read_ply(out / "splats.ply")


def export(folder: Path, wanted: list[str], to: Path, name: str | None = None, **options: bool) -> tuple[Exported, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        written = export_objects(folder, wanted, to, name, **options)
    return written, " ".join(str(each.message) for each in caught)


def test_gaussians_as_the_ending_says(tmp_path: Path):
    splats = write(tmp_path / "out")
    assert export(tmp_path / "out", ["2"], tmp_path / "two.ply") == ((400, "Gaussians"), "")
    assert np.array_equal(read_ply(tmp_path / "two.ply").means, splats.means[splats.extra["label"] == 2])
    assert not read_ply(tmp_path / "two.ply").extra
    assert export(tmp_path / "out", ["all"], tmp_path / "all.ply")[0] == (1300, "Gaussians")
    rest = int((splats.extra["label"] == 0).sum())
    assert export(tmp_path / "out", ["all", "background"], tmp_path / "all.ply")[0].number == 1300 + rest


@pytest.mark.parametrize("chosen", [f for f in FORMATS if f.kind == "gaussians" and f.reads], ids=lambda f: f.name)
def test_every_format_of_gaussians_holds_the_object_where_it_was_moved_to(chosen, tmp_path: Path):
    splats = write(tmp_path / "out")
    matrix = np.array([[0, -2, 0, 1], [2, 0, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]], float)
    table = read_table(tmp_path / "out")
    rows = [msgspec.structs.replace(row, matrix=matrix.tolist() if row.id == 1 else None) for row in table.objects]
    write_table(tmp_path / "out", msgspec.structs.replace(table, objects=rows))
    to = tmp_path / f"one{chosen.endings[0]}"
    written, said = export(tmp_path / "out", ["1"], to, chosen.name, labels=True)
    assert (f"{chosen.title} keeps" in said) == (not chosen.exact)
    expected = transform(splats.pick(splats.extra["label"] == 1), matrix)
    got = read_splats(to)
    assert written.number == len(got) == len(expected)
    assert np.abs(np.sort(got.means, 0) - np.sort(expected.means, 0)).max() < 2e-3 * np.ptp(expected.means)
    assert np.abs(got.scales - expected.scales[0]).max() <= 1 / 32 + 1e-5
    assert np.abs(got.alphas - expected.alphas[0]).max() < 0.003
    if chosen.labels:
        assert set(got.extra["label"].tolist()) == {1}
        assert not to.with_name(f"{to.name}.labels.npy").exists()
    else:
        assert np.load(to.with_name(f"{to.name}.labels.npy")).tolist() == [1] * len(got)


@pytest.mark.parametrize("name", ["mesh-obj", "mesh-glb", "mesh-stl", "mesh-ply"])
def test_meshes_are_where_the_object_is(name: str, tmp_path: Path):
    splats = write(tmp_path / "out")
    to = tmp_path / f"one.{name.removeprefix('mesh-')}"
    written, said = export(tmp_path / "out", ["Object 1"], to, name)
    assert written.what == "triangles"
    assert written.number > 1000
    assert ("does not support colours" in said) == (name == "mesh-stl")
    mesh = trimesh.load(to, force="mesh", process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    assert len(mesh.faces) == written.number
    up = np.array([1, -1, -1]) if name == "mesh-glb" else 1  # glTF has y up, the capture y down
    means = splats.means[splats.extra["label"] == 1] * up
    assert np.abs(mesh.vertices.min(0) - means.min(0)).max() < 0.2 * np.ptp(means)
    assert np.abs(mesh.vertices.max(0) - means.max(0)).max() < 0.2 * np.ptp(means)


def test_a_mesh_of_usd(tmp_path: Path):
    usd = pytest.importorskip("pxr.Usd")
    write(tmp_path / "out")
    written, _ = export(tmp_path / "out", ["1"], tmp_path / "one.usdc")
    stage = usd.Stage.Open(str(tmp_path / "one.usdc"))
    prim = stage.GetPrimAtPath("/Root/Mesh")
    assert prim.GetTypeName() == "Mesh"
    assert len(prim.GetAttribute("faceVertexCounts").Get()) == written.number


def textured(folder: Path) -> Mesh:
    """Give the first object of a result a texture: two triangles that share a seam, and return its mesh."""
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uv = np.array([[[0, 0], [0.4, 0], [0.4, 1]], [[0.6, 0], [1, 1], [0.6, 1]]], np.float32)
    red, blue = (200, 10, 0), (0, 10, 200)
    picture = png(4, 2, [red, red, blue, blue], [red, red, blue, blue])
    mesh = Mesh(points, faces, np.full((4, 3), 90, np.uint8), None, Texture(uv, picture))
    (folder / "meshes").mkdir(exist_ok=True)
    write_mesh(mesh, mesh_path(folder, 1))
    return mesh


@pytest.mark.parametrize("ending", [".glb", ".obj"])
def test_textures_are_exported_with_their_mesh(ending: str, tmp_path: Path):
    write(tmp_path / "out")
    textured(tmp_path / "out")
    to = tmp_path / f"one{ending}"
    assert export(tmp_path / "out", ["1"], to)[1] == ""
    mesh = trimesh.load(to, force="mesh", process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    visual: Any = mesh.visual
    shown = visual.to_color().vertex_colors[mesh.faces][..., :3]
    assert (shown[0] == [200, 10, 0]).all()
    assert (shown[1] == [0, 10, 200]).all()
    names = {"one.obj", "one.mtl", "one-texture.png"} if ending == ".obj" else {"one.glb"}
    assert {path.name for path in tmp_path.iterdir()} == {"out", *names}


def test_a_texture_of_usd_is_bound(tmp_path: Path):
    usd = pytest.importorskip("pxr.Usd")
    shade = pytest.importorskip("pxr.UsdShade")
    write(tmp_path / "out")
    mesh = textured(tmp_path / "out")
    export(tmp_path / "out", ["1"], tmp_path / "one.usda")
    stage = usd.Stage.Open(str(tmp_path / "one.usda"))
    prim = stage.GetPrimAtPath("/Root/Mesh")
    material, _ = shade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    surface, _, _ = material.ComputeSurfaceSource()
    assert surface.GetIdAttr().Get() == "UsdPreviewSurface"
    picture = surface.GetInput("diffuseColor").GetConnectedSource()[0]
    file = picture.GetPrim().GetAttribute("inputs:file").Get()
    assert mesh.texture is not None
    assert Path(file.resolvedPath).read_bytes() == mesh.texture.png
    corners = shade.ConnectableAPI(picture.GetPrim()).GetInput("st").GetConnectedSource()[0]
    assert corners.GetPrim().GetAttribute("inputs:varname").Get() == "st"
    st = prim.GetAttribute("primvars:st")
    assert st.GetMetadata("interpolation") == "faceVarying"
    np.testing.assert_array_equal(np.array(st.Get()), mesh.texture.uv.reshape(-1, 2))


@pytest.mark.parametrize(("ending", "lacks"), [(".mesh.ply", "textures"), (".stl", "colours and textures")])
def test_a_texture_that_a_format_cannot_hold_is_told_of(ending: str, lacks: str, tmp_path: Path):
    write(tmp_path / "out")
    textured(tmp_path / "out")
    assert (
        f"does not support {lacks}; they were dropped" in export(tmp_path / "out", ["1"], tmp_path / f"one{ending}")[1]
    )


def test_masks_as_pictures(tmp_path: Path):
    write(tmp_path / "out")
    assert export(tmp_path / "out", ["2"], tmp_path / "masks", "masks-png")[0] == (1, "masks")
    assert np.asarray(Image.open(tmp_path / "masks" / "a.png")).tolist() == [[0, 2, 2], [0, 0, 2]]
    assert np.asarray(Image.open(tmp_path / "masks" / "b.png")).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(BadArgument, match="already exists"):
        export_objects(tmp_path / "out", ["2"], tmp_path / "masks", "masks-png")


def test_masks_as_coco(tmp_path: Path):
    coco = pytest.importorskip("pycocotools.mask")
    write(tmp_path / "out")
    assert export(tmp_path / "out", ["all"], tmp_path / "masks.json")[0] == (3, "masks")
    record = json.loads((tmp_path / "masks.json").read_text())
    assert [each["name"] for each in record["categories"]] == ["Object 1", "Object 2"]
    assert [(each["file_name"], each["width"]) for each in record["images"]] == [("a.png", 3), ("b.png", 2)]
    for each in record["annotations"]:
        ids = MAPS["ab"[each["image_id"] - 1]]
        assert np.array_equal(coco.decode(each["segmentation"]), ids == each["category_id"])
        assert coco.area(each["segmentation"]) == each["area"]
        assert coco.toBbox(each["segmentation"]).tolist() == each["bbox"]


def test_run_lengths_come_back():
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (200, 300)):
        for share in (0.0, 0.01, 0.5, 1.0):
            mask = rng.random(shape) < share
            runs = runs_of(mask)
            assert unpack_counts(pack_counts(runs)) == runs.tolist()
            expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
            assert pack_counts(runs).encode() == expected


def test_labels_are_in_the_order_of_the_gaussians(tmp_path: Path):
    splats = write(tmp_path / "out")
    export(tmp_path / "out", ["1", "background"], tmp_path / "labels.npy")
    labels = splats.extra["label"]
    assert np.array_equal(np.load(tmp_path / "labels.npy"), labels[labels < 2])


def test_an_edited_result_has_no_masks(tmp_path: Path):
    write(tmp_path / "out")
    for file in (tmp_path / "out" / "labels").iterdir():
        file.unlink()
    with pytest.raises(BadResult, match="no label maps"):
        export_objects(tmp_path / "out", ["1"], tmp_path / "masks.json")


def test_an_object_without_gaussians(tmp_path: Path):
    splats = write(tmp_path / "out")
    write_ply(splats.pick(splats.extra["label"] != 2), tmp_path / "out" / "splats.ply")
    for to, kind in (("x.ply", BadSplats), ("x.spz", BadSplats), ("x.obj", BadArgument), ("x.npy", BadArgument)):
        with pytest.raises(kind, match=r"no Gaussians"):
            export_objects(tmp_path / "out", ["2"], tmp_path / to)
        assert not (tmp_path / to).exists()


@pytest.mark.parametrize(
    ("folder", "objects", "to", "name", "kind", "says"),
    [
        ("out", ["7"], "x.ply", None, NotFound, "no object '7'"),
        ("out", ["1"], "x.docx", None, BadArgument, "file type of .*x.docx is not supported"),
        ("out", ["1"], "x.ply", "fbx", BadArgument, "format 'fbx' does not exist"),
        ("out", ["1"], "x.ply", "spz", BadArgument, "x.ply does not have the ending of SPZ 4"),
        ("out", ["1"], "nowhere/x.ply", None, BadSplats, "its folder does not exist"),
        ("out", ["1"], "nowhere/x.obj", None, BadSplats, "its folder does not exist"),
        ("out", ["1"], "out.ply", None, BadSplats, "it is a folder"),
        ("nowhere", ["1"], "x.ply", None, BadResult, "The folder .*nowhere does not exist"),
        (".", ["1"], "x.ply", None, BadResult, "not a result folder"),
        ("broken", ["1"], "x.ply", None, BadResult, "objects.json is not a valid table of objects"),
    ],
)
def test_bad_exports_end_in_a_sentence(tmp_path: Path, folder, objects, to, name, kind: type[Fault], says):
    write(tmp_path / "out")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "objects.json").write_text("{")
    (tmp_path / "out.ply").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(kind, match=says):
        export_objects(tmp_path / folder, objects, tmp_path / to, name)
    assert sorted(tmp_path.rglob("*")) == before


def test_labels_of_a_mesh_are_refused(tmp_path: Path):
    write(tmp_path / "out")
    with pytest.raises(BadArgument, match="does not store Gaussians"):
        export_objects(tmp_path / "out", ["1"], tmp_path / "x.obj", labels=True)


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "out")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    for name in ("x.spz", "x.glb", "x.npy", "x.json"):
        with pytest.raises(BadSplats, match=f"{name} cannot be written: Permission denied"):
            export_objects(tmp_path / "out", ["1"], tmp_path / name)
    assert [each.name for each in tmp_path.iterdir()] == ["out"]

"""Folders as people have them: photographs and cameras in other places and under other names than the list says."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from backend.scene import load_scene, read_image
from backend.scene.types import Scene
from protocol.errors import BadScene
from tests.backend.scene import writing
from tests.backend.scene.writing import STEMS, camera_to_world

PNG = tuple(f"{stem}.png" for stem in STEMS)
Form = Literal["NFC", "NFD"]


def assert_whole(scene: Scene) -> None:
    """All three photographs of :mod:`writing` are there, each with its own camera and pixels."""
    assert len(scene.views) == 3
    for i, view in enumerate(scene.views):
        np.testing.assert_allclose(view.camera.viewmat, np.linalg.inv(camera_to_world(i)), atol=1e-6)
        assert tuple(read_image(view)[0, 0]) == (40 * i, 100, 200)


def only(scene: Scene, *said: str) -> None:
    """The scene has one warning, and that says all of ``said``."""
    assert len(scene.warnings) == 1, scene.warnings
    for each in said:
        assert each in scene.warnings[0]


def renamed(root: Path, names: dict[str, str]) -> None:
    for old, new in names.items():
        target = root / "images" / new
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / old).rename(target)


# Lists


@pytest.mark.parametrize("name", ["Transforms.json", "TRANSFORMS.JSON"])
def test_a_list_in_another_case(tmp_path: Path, name: str) -> None:
    writing.write_transforms(tmp_path)
    (tmp_path / "transforms.json").rename(tmp_path / name)
    assert_whole(load_scene(tmp_path))


def test_of_two_layouts_the_other_is_named(tmp_path: Path) -> None:
    writing.write_transforms(tmp_path)
    writing.write_colmap(tmp_path)
    scene = load_scene(tmp_path)
    assert scene.layout == "colmap"
    only(scene, "was read in the layout colmap; it also contains cameras in the layout transforms.")


def test_of_two_layouts_the_one_with_photographs_is_read(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path, names=("elsewhere.png",))
    writing.write_transforms(tmp_path)
    scene = load_scene(tmp_path)
    assert scene.layout == "transforms"
    assert_whole(scene)
    only(scene, "was read in the layout transforms; it also contains cameras in the layout colmap.")


def test_paths_of_urls(tmp_path: Path) -> None:
    content = writing.transforms()
    for i, frame in enumerate(content["frames"]):
        frame["file_path"] = f"images/my%20photo%20{i}.png"
    writing.write_transforms(tmp_path, content)
    renamed(tmp_path, {name: f"my photo {i}.png" for i, name in enumerate(PNG)})
    scene = load_scene(tmp_path)
    assert_whole(scene)
    only(scene, "3 of 3 photographs", "'images/my%20photo%200.png' is", "my photo 0.png")


def test_a_path_of_a_url_leads_nowhere_else(tmp_path: Path) -> None:
    root = tmp_path / "scene"
    content = writing.transforms()
    content["frames"][0]["file_path"] = "images/%2e%2e/%2e%2e/secret.png"
    content["frames"][1]["file_path"] = "images/..%2f..%2fsecret.png"
    writing.write_transforms(root, content)
    writing.photograph(0).save(tmp_path / "secret.png")
    scene = load_scene(root)
    assert [view.name for view in scene.views] == ["v_10"]
    assert "2 of 3 listed photographs are not in" in scene.warnings[0]


def test_comments_and_empty_lines_of_a_text_model(tmp_path: Path) -> None:
    folder = writing.write_colmap(tmp_path, text=True)
    pairs = [line for line in (folder / "images.txt").read_text().splitlines() if line.endswith(".png")]
    text = "\r\n".join(["\ufeff# by hand", "", "  # indented", *(f"{line}\r\n\r\n\r\n# next" for line in pairs)])
    (folder / "images.txt").write_text(text, newline="")
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert scene.warnings == ()


# What systems leave in folders


def test_litter_is_passed_over(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    for name in ("images/@eaDir/v_1.png/small.jpg", "__MACOSX/images/v_1.png", "images/._v_1.png", "images/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert scene.warnings == ()


# Several reconstructions


def test_of_several_reconstructions_the_one_with_most_photographs_is_read(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path, names=PNG[:1])
    writing.write_colmap(tmp_path, model="sparse/1")
    scene = load_scene(tmp_path)
    assert_whole(scene)
    only(scene, "sparse/1 was read because it has the most photographs of 2 reconstructions, 3", "sparse/0 with 1")


@pytest.mark.parametrize("text", [False, True])
def test_the_only_reconstruction_may_have_any_number(tmp_path: Path, text: bool) -> None:
    writing.write_colmap(tmp_path, model="sparse/17", text=text)
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert scene.warnings == ()


def test_photographs_without_a_pose_are_counted(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path, names=PNG[:1])
    only(load_scene(tmp_path), "2 of 3 photographs have no pose in", "images.bin", "images/v_10.png")


def test_pictures_that_a_json_does_not_list_are_counted(tmp_path: Path) -> None:
    content = writing.transforms()
    content["frames"].pop()
    writing.write_transforms(tmp_path, content)
    only(load_scene(tmp_path), "1 of 3 photographs", "v_10.png")


# Names that differ


@pytest.mark.parametrize(
    "names",
    [
        {"v_1.png": "v_1.PNG", "v_2.png": "v_2.Png", "v_10.png": "v_10.PNG"},
        {"v_1.png": "cam/v_1.png", "v_2.png": "cam/v_2.png", "v_10.png": "cam/v_10.png"},
    ],
    ids=["another case", "a folder more"],
)
@pytest.mark.parametrize("write", [writing.write_colmap, writing.write_transforms])
def test_photographs_under_a_similar_name(tmp_path: Path, names: dict[str, str], write: Callable) -> None:
    write(tmp_path)
    renamed(tmp_path, names)
    scene = load_scene(tmp_path)
    assert_whole(scene)
    only(scene, "3 of 3 photographs", "v_1.png' is", names["v_1.png"])


@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".HEIC", ".dng", ".tif"])
def test_photographs_of_another_ending(tmp_path: Path, ending: str) -> None:
    writing.write_colmap(tmp_path, names=tuple(f"{stem}{ending}" for stem in STEMS))
    scene = load_scene(tmp_path)
    assert_whole(scene)
    only(scene, "3 of 3 photographs", f"'v_1{ending}'", "v_1.png")


@pytest.mark.parametrize("prefix", ["images/", "cam1/", "C:/cap/", "C:\\cap\\", "/home/me/images/", "../cap/", "a/../"])
def test_reconstructions_whose_names_carry_folders(tmp_path: Path, prefix: str) -> None:
    writing.write_colmap(tmp_path, names=tuple(prefix + name for name in PNG))
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert len(scene.warnings) == 1


@pytest.mark.parametrize(
    "folder", ["C:\\Users\\me\\cap\\", "{root}/images/", "../{name}/images/", "/else/images/", "./", ""]
)
def test_paths_of_another_machine(tmp_path: Path, folder: str) -> None:
    listed = folder.format(root=tmp_path, name=tmp_path.name)
    writing.write_transforms(tmp_path, writing.transforms(folder=listed))
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert len(scene.warnings) == 1


def test_the_longest_end_of_a_path_that_is_there_counts(tmp_path: Path) -> None:
    content = writing.transforms(folder="/data/cap/left/")
    writing.write_transforms(tmp_path, content)
    for i, stem in enumerate(STEMS):
        for folder, number in (("left", i), ("right", 6)):
            (tmp_path / folder).mkdir(exist_ok=True)
            writing.photograph(number).save(tmp_path / folder / f"{stem}.png")
    assert_whole(load_scene(tmp_path))


def test_names_with_spaces_in_a_text_model(tmp_path: Path) -> None:
    names = tuple(f"my photo ({i}) {stem}.png" for i, stem in enumerate(STEMS))
    writing.write_colmap(tmp_path, text=True, names=names)
    renamed(tmp_path, dict(zip(PNG, names, strict=True)))
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert scene.warnings == ()


def test_points_of_a_text_model_are_no_names(tmp_path: Path) -> None:
    model = writing.write_colmap(tmp_path, text=True)
    lines = [line for line in (model / "images.txt").read_text().splitlines() if not line.startswith("#")]
    with_points = [line if i % 2 == 0 else "1.0 2.0 -1 3.0 4.0 -1 5.0 6.0 -1 7.0" for i, line in enumerate(lines)]
    (model / "images.txt").write_bytes("\r\n".join(["# a comment", *with_points, ""]).encode())
    assert_whole(load_scene(tmp_path))


@pytest.mark.parametrize(("listed", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_umlauts_of_another_normal_form(tmp_path: Path, listed: Form, there: Form) -> None:
    names = [f"küche {i}.png" for i in range(3)]
    writing.write_colmap(tmp_path, names=tuple(unicodedata.normalize(listed, name) for name in names))
    renamed(tmp_path, {old: unicodedata.normalize(there, new) for old, new in zip(PNG, names, strict=True)})
    for name in names:
        writing.write_mask(tmp_path / "masks" / unicodedata.normalize(listed, name), np.ones((30, 40), np.uint8))
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert all(view.mask_path for view in scene.views)
    # Both names look the same, so they are spelt out.
    assert "\\xfc" in scene.warnings[0]
    assert "u\\u0308" in scene.warnings[0]


def test_a_photograph_that_has_the_listed_name_is_not_given_to_another(tmp_path: Path) -> None:
    """Of cam1 and cam2 one is missing: its photographs are missing, and not those of the other."""
    names = ("cam1/v_1.png", "cam1/v_2.png", "cam2/v_1.png")
    writing.write_colmap(tmp_path, names=names)
    renamed(tmp_path, {"v_1.png": "cam1/v_1.png", "v_2.png": "cam1/v_2.png"})
    (tmp_path / "images" / "v_10.png").unlink()
    scene = load_scene(tmp_path)
    assert [view.name for view in scene.views] == ["v_1", "v_2"]
    only(scene, "1 of 3 listed photographs", "'cam2/v_1.png'")


def test_a_folder_beside_is_no_folder_above(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path, names=("cam1/v_1.png", "v_2.png"))
    renamed(tmp_path, {"v_1.png": "cam3/v_1.png"})
    assert [view.name for view in load_scene(tmp_path).views] == ["v_2"]


# Places that differ


@pytest.mark.parametrize("model", ["dense/0/sparse", "colmap/sparse/0", "dense/sparse", "work/sparse/0", "out/export"])
@pytest.mark.parametrize("inside", [False, True])
def test_the_capture_is_in_a_folder_of_the_chosen_one(tmp_path: Path, model: str, inside: bool) -> None:
    writing.write_colmap(tmp_path, model=model)
    place = tmp_path / model.split("/sparse")[0]
    if inside:
        (tmp_path / "images").rename(place / "images")
    writing.write_mask(tmp_path / "masks" / PNG[0], np.ones((30, 40), np.uint8))
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert f"The capture was read from {place}." in scene.warnings
    assert scene.masks_from == tmp_path / "masks"


@pytest.mark.parametrize("write", [writing.write_transforms, writing.write_nerf_synthetic, writing.write_messy_rooms])
def test_any_layout_may_be_one_folder_down(tmp_path: Path, write: Callable) -> None:
    (tmp_path / "capture").mkdir()
    write(tmp_path / "capture")
    below, direct = load_scene(tmp_path), load_scene(tmp_path / "capture")
    assert below.layout == direct.layout
    assert [view.name for view in below.views] == [view.name for view in direct.views]
    assert [view.mask_path for view in below.views] == [view.mask_path for view in direct.views]


@pytest.mark.parametrize("folder", ["input", "Images", "rgb", "photos", "images_2"])
def test_photographs_in_other_customary_folders(tmp_path: Path, folder: str) -> None:
    writing.write_colmap(tmp_path)
    (tmp_path / "images").rename(tmp_path / folder)
    scene = load_scene(tmp_path)
    assert_whole(scene)
    assert all(f"The photographs were read from {tmp_path / folder}." == said for said in scene.warnings)
    assert bool(scene.warnings) == (folder.lower() not in ("images", "images_2"))


def test_everything_in_one_folder(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path, model=".", text=True)
    for file in (tmp_path / "images").iterdir():
        shutil.move(file, tmp_path / file.name)
    (tmp_path / "images").rmdir()
    only(load_scene(tmp_path), "The photographs were read from")
    assert_whole(load_scene(tmp_path))


def test_the_folder_with_most_photographs_is_taken(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    writing.write_photographs(tmp_path / "input")
    (tmp_path / "images" / "v_1.png").unlink()
    scene = load_scene(tmp_path)
    assert_whole(scene)
    only(scene, "The photographs were read from", "input")


def test_of_numbered_workspaces_the_largest_is_read(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path / "dense" / "0", model="sparse", names=PNG[:1])
    writing.write_colmap(tmp_path / "dense" / "1", model="sparse")
    scene = load_scene(tmp_path)
    assert_whole(scene)
    only(scene, "read from", "dense/1, which has the most photographs, 3", "dense/0 with 1")


def test_cameras_without_photographs_give_way_to_those_that_have_them(tmp_path: Path) -> None:
    """COLMAP's automatic reconstruction: sparse/0 is of photographs elsewhere, dense/0 holds undistorted ones."""
    writing.write_colmap(tmp_path)
    shutil.rmtree(tmp_path / "images")
    writing.write_colmap(tmp_path / "dense" / "0", model="sparse")
    assert_whole(load_scene(tmp_path))


# Nothing outside is read


def test_photographs_are_not_sought_in_other_folders_than_of_photographs(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    for folder in ("masks", "depths", "gt"):
        shutil.copytree(tmp_path / "images", tmp_path / folder)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(BadScene, match="None of the 3 photographs"):
        load_scene(tmp_path)


@pytest.mark.parametrize("what", ["images", "sparse", "images/v_1.png", "sparse/0/cameras.bin"])
def test_links_out_of_the_scene_folder_are_not_followed(tmp_path: Path, what: str) -> None:
    writing.write_colmap(tmp_path / "scene")
    moved = tmp_path / "outside"
    (tmp_path / "scene" / what).rename(moved)
    (tmp_path / "scene" / what).symlink_to(moved)
    if what == "images/v_1.png":
        scene = load_scene(tmp_path / "scene")
        assert [view.name for view in scene.views] == ["v_2", "v_10"]
        assert "1 of 3 listed photographs" in scene.warnings[0]
        assert "1 links lead out of the scene folder and were ignored" in scene.warnings[1]
    else:
        with pytest.raises(
            BadScene,
            match="images leads out of the scene folder" if what == "images" else "not a readable scene folder",
        ):
            load_scene(tmp_path / "scene")


def test_links_inside_the_scene_folder_are_followed(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    (tmp_path / "images").rename(tmp_path / "store")
    (tmp_path / "images").symlink_to("store")
    (tmp_path / "store" / "again").symlink_to("..")
    assert_whole(load_scene(tmp_path))


@pytest.mark.parametrize("field", ["file_path", "mask_path"])
@pytest.mark.parametrize("path", ["../{name}/secret.png", "/etc/../{outside}/secret.png"])
def test_a_list_opens_nothing_outside(tmp_path: Path, field: str, path: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("RGB", (40, 30)).save(outside / "secret.png")
    root = tmp_path / "scene"
    root.mkdir()
    content = writing.transforms()
    content["frames"][0][field] = path.format(name="outside", outside=outside)
    writing.write_transforms(root, content)
    with pytest.raises(BadScene, match="which is not inside the scene folder"):
        load_scene(root)


def test_what_a_json_lists_elsewhere_is_said(tmp_path: Path) -> None:
    content = writing.transforms(ply_file_path="/data/cap/sparse.ply", test_filenames=["v_99.png"])
    content["frames"][0]["mask_path"] = "D:\\cap\\elsewhere\\m.png"
    content["frames"][1]["mask_path"] = "elsewhere/absent.png"
    writing.write_transforms(tmp_path, content)
    writing.write_mask(tmp_path / "elsewhere" / "m.png", np.ones((30, 40), np.uint8))
    header = [
        "ply",
        "format ascii 1.0",
        "element vertex 1",
        *(f"property float {axis}" for axis in "xyz"),
        "end_header",
    ]
    (tmp_path / "sparse.ply").write_text("\n".join([*header, "1 2 3", ""]))
    scene = load_scene(tmp_path)
    assert scene.points.tolist() == [[1, 2, 3]]
    assert [view.mask_path is not None for view in scene.views] == [True, False, False]
    for said in (
        "1 of 2 masks that",
        "'elsewhere/absent.png'",
        "'D:\\\\cap\\\\elsewhere\\\\m.png'",
        "'/data/cap/sparse.ply'",
        "1 of 1 test_filenames",
    ):
        assert any(said in warning for warning in scene.warnings), (said, scene.warnings)


def test_transparent_pixels_are_a_warning(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    for file in (tmp_path / "images").iterdir():
        pixels = np.array(Image.open(file).convert("RGBA"))
        pixels[-3:, :, 3] = 0
        Image.fromarray(pixels).save(file)
    scene = load_scene(tmp_path)
    only(scene, "Transparent pixels", "empty space")
    assert {view.transparent for view in scene.views} == {"empty"}


def test_an_alpha_channel_that_is_opaque_everywhere_is_none(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    for file in (tmp_path / "images").iterdir():
        Image.open(file).convert("RGBA").save(file)
    assert load_scene(tmp_path).warnings == ()


@pytest.mark.parametrize("text", [True, False])
def test_a_model_without_points_is_read(tmp_path: Path, text: bool) -> None:
    ending = ".txt" if text else ".bin"
    model = writing.write_colmap(tmp_path, text=text)
    (model / f"points3D{ending}").unlink()
    scene = load_scene(tmp_path)
    assert (len(scene.views), len(scene.points), scene.matched) == (3, 0, False)
    assert scene.warnings == (f"{model} has no points3D{ending}, so its sparse points are computed.",)


@pytest.mark.parametrize(("lost", "left"), [("rigs", "frames"), ("frames", "rigs")])
@pytest.mark.parametrize("text", [True, False])
def test_rigs_without_frames_are_ignored(tmp_path: Path, lost: str, left: str, text: bool) -> None:
    ending = ".txt" if text else ".bin"
    model = writing.write_colmap(tmp_path, text=text)
    whole = load_scene(tmp_path)
    (model / f"{lost}{ending}").unlink()
    scene = load_scene(tmp_path)
    assert scene.warnings == (f"{model / left}{ending} was ignored, because rigs and frames belong together.",)
    assert len(scene.points) == len(writing.POINTS)
    for view, before in zip(scene.views, whole.views, strict=True):
        np.testing.assert_array_equal(view.camera.viewmat, before.camera.viewmat)

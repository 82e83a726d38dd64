"""What is in a folder but is not read is named: cameras, pictures and masks in other formats."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.scene.inspect import inspect_scene
from blender_addon import api
from tests.backend.scene import writing as W
from tests.protocol.formats.packing import sog_with

COUNT = 6


def write_pictures(folder: Path, ending: str = ".png", size: tuple[int, int] = (W.WIDTH, W.HEIGHT)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(COUNT):
        W.photograph(i, size).save(folder / f"{i}{ending}")


def warnings_of(root: Path) -> list[str]:
    findings, fault = inspect_scene(root)
    assert fault is None
    return findings["warnings"]


def refusal(root: Path, masks: Path | None = None) -> tuple[str, str]:
    _, fault = inspect_scene(root, masks)
    assert fault is not None
    return fault.sentence, fault.remedy


@pytest.mark.parametrize(
    ("name", "content", "program"),
    [
        ("cameras.xml", "<document/>", "cameras of Metashape"),
        ("scan.csv", "#name,x,y,alt,heading", "cameras of RealityScan"),
        (
            "images/0.xmp",
            '<x:xmpmeta xmlns:xcr="http://www.capturingreality.com/ns/xcr/1.1#">',
            "cameras of RealityScan",
        ),
        ("poses_bounds.npy", "", "cameras of LLFF"),
        ("Blocks Exchange.xml", "<BlocksExchange/>", "cameras of Metashape"),
        ("scene.nvm", "NVM_V3", "cameras of VisualSFM"),
        ("cams/00000000_cam.txt", "extrinsic", "cameras of MVSNet"),
        ("keyframes/corrected_cameras/12.json", "{}", "cameras of Polycam"),
        ("metadata", "{}", "cameras of Record3D"),
        ("sfm_data.json", "{}", "cameras of OpenMVG"),
        ("pose/0.txt", "1 0 0 0", "a trajectory"),
    ],
)
def test_cameras_in_other_formats_are_named(tmp_path: Path, name: str, content: str, program: str) -> None:
    write_pictures(tmp_path / "images")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(content)
    assert warnings_of(tmp_path) == [
        f"{name} looks like {program}, in a format that is not read, so poses are computed. To use these cameras, "
        "export them as a COLMAP model or transforms.json."
    ]


def test_a_renamed_list_and_a_deep_model_are_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a/images")
    (tmp_path / "a/transforms (1).json").write_text("{}")
    assert "rename it to transforms.json" in warnings_of(tmp_path / "a")[0]
    W.write_colmap(tmp_path / "b/1/2/3/4")
    write_pictures(tmp_path / "b/images")
    assert warnings_of(tmp_path / "b")[0].startswith("1/2/3/4/sparse/0/cameras.bin may contain cameras")


def test_tables_and_texts_of_other_kinds_are_not(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for name in ("notes.txt", "prices.csv", "0.xmp", "report.json"):
        (tmp_path / name).write_text("name; price")
    assert warnings_of(tmp_path) == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["masks.zip"], "found the file masks.zip; extract it"),
        (["masks.npy"], "found the file masks.npy; write one file for each photograph into a folder named masks"),
        (["masks.mp4"], "found the file masks.mp4; write one file for each photograph into a folder named masks"),
        (["annotations.xml"], "found the file annotations.xml; export masks in it as COCO JSON"),
        (["labels/v_1.txt", "labels/v_2.txt"], "found the folder labels; export masks in it as COCO JSON"),
        (
            ["instance-filt/v_1.png"],
            "found the folder instance-filt; if it contains masks, give it as the mask folder",
        ),
        (
            ["images/v_1.json", "images/v_2.json"],
            "2 files have the names of photographs (first: images/v_1.json); if they are masks, move them to a folder "
            "named masks",
        ),
    ],
)
@pytest.mark.parametrize("posed", [True, False])
def test_masks_that_are_not_read_are_named(tmp_path: Path, names: list[str], said: str, posed: bool) -> None:
    if posed:
        W.write_colmap(tmp_path)
    else:
        write_pictures(tmp_path / "images")
        W.write_photographs(tmp_path / "images")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert f"No masks were read; {said}." in warnings_of(tmp_path)


@pytest.mark.parametrize("posed", [True, False])
def test_broken_annotations_get_one_warning(tmp_path: Path, posed: bool) -> None:
    if posed:
        W.write_colmap(tmp_path)
    else:
        write_pictures(tmp_path / "images")
    (tmp_path / "annotations.json").write_text('{"images": [')
    assert warnings_of(tmp_path) == [
        "annotations.json is not complete JSON, so no masks were read from it. Copy or export it again."
    ]


def test_a_link_to_masks_outside_is_named(tmp_path: Path) -> None:
    W.write_colmap(tmp_path / "scene")
    (tmp_path / "masks").mkdir()
    (tmp_path / "scene/masks").symlink_to(tmp_path / "masks")
    assert warnings_of(tmp_path / "scene") == [
        "No masks were read; masks leads out of the scene folder and was ignored."
    ]


@pytest.mark.parametrize(
    ("name", "content", "said", "remedy"),
    [
        ("a.zip", b"PK", "is an archive", "Extract it"),
        ("a.ply.gz", b"\x1f\x8b", "is an archive", "Extract it"),
        ("a.jpg", b"\xff\xd8", "is a single picture", "Give the folder"),
        ("transforms.json", b"{}", "is a file, not a scene folder", "Give the folder"),
        ("a.ply", b"ply\nformat ascii 1.0\nend_header\n", "is a PLY file without Gaussians", "Gaussian splatting"),
        ("a.ply", b"<html>", "is not a PLY file", "Gaussian splatting"),
        ("a.ply", b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS", "git lfs pull"),
        ("a.ply", b"", "is empty", "Copy it again"),
        ("a.ksplat", b"x", "is not a splat file that is read", "Convert it"),
        ("a.insv", b"x", "two fisheye lenses", "Export"),
    ],
)
def test_a_file_of_another_kind_has_its_own_remedy(
    tmp_path: Path, name: str, content: bytes, said: str, remedy: str
) -> None:
    (tmp_path / name).write_bytes(content)
    sentence, advice = refusal(tmp_path / name)
    assert said in sentence
    assert str(tmp_path / name) in sentence
    assert remedy in advice


@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("a.NEF", "contains raw photographs, which are not read: a.NEF", "Convert them"),
        ("a.gif", "contains pictures in another format, which are not read: a.gif", "Convert them"),
        ("a.insp", "two fisheye lenses", "perspective lens"),
        ("photos.zip", "contains archives, which are not read: photos.zip", "Extract them."),
    ],
)
def test_a_folder_of_unread_files_has_its_own_remedy(tmp_path: Path, name: str, said: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    sentence, advice = refusal(tmp_path)
    assert said in sentence
    assert remedy in advice
    write_pictures(tmp_path)
    if not name.endswith(".zip"):
        assert warnings_of(tmp_path) == [f"1 pictures in formats that are not read were skipped (first: {name})."]


def test_masks_are_checked_before_poses_are_computed(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for i in range(COUNT - 1):
        W.write_mask(tmp_path / "masks" / f"{i}.png", np.eye(W.HEIGHT, W.WIDTH, dtype=np.uint8))
    assert warnings_of(tmp_path) == ["1 of 6 photographs have no mask (first: 5.png)."]
    W.write_mask(tmp_path / "masks/2.png", np.ones((9, W.WIDTH), np.uint8))
    assert "is 40 x 9 pixels, but its photograph has 40 x 30" in refusal(tmp_path)[0]
    assert "is 40 x 9 pixels" in refusal(tmp_path, tmp_path / "masks")[0]
    (tmp_path / "masks/2.png").write_bytes(b"")
    assert refusal(tmp_path)[0].endswith("masks/2.png cannot be read: it is empty.")


def test_unreadable_photographs_are_one_warning(tmp_path: Path) -> None:
    write_pictures(tmp_path, size=(8, 8))
    W.photograph(7).save(tmp_path / "7.png")
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"<html>")
    assert warnings_of(tmp_path) == [
        "2 of 7 photographs cannot be read and will be skipped. First: The photograph 1.png cannot be read: it "
        "contains text, not a picture."
    ]


def test_heic_under_another_ending_is_a_photograph(tmp_path: Path) -> None:
    for i in range(COUNT):
        W.photograph(i).convert("RGB").save(tmp_path / f"{i}.heic")
        (tmp_path / f"{i}.heic").rename(tmp_path / f"{i}.jpg")
    assert warnings_of(tmp_path) == []
    with Image.open(tmp_path / "0.jpg") as image:
        assert image.format == "HEIF"


def test_links_of_photographs_are_named(tmp_path: Path) -> None:
    W.write_colmap(tmp_path / "scene")
    (tmp_path / "scene/images").rename(tmp_path / "images")
    (tmp_path / "scene/images").mkdir()
    for file in (tmp_path / "images").iterdir():
        (tmp_path / "scene/images" / file.name).symlink_to(file)
    sentence, _ = refusal(tmp_path / "scene")
    assert f"{tmp_path}/scene/images/v_1.png leads out of the scene folder and was ignored" in sentence


def test_a_mask_folder_that_is_a_file(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    assert refusal(tmp_path, tmp_path / "images/v_1.png")[0].endswith("images/v_1.png is a file.")


def test_cameras_at_one_place_are_a_warning(tmp_path: Path) -> None:
    content = W.transforms(w="40", h="30")  # some programs write numbers as text
    for frame in content["frames"]:
        frame["transform_matrix"] = np.eye(4).tolist()
    W.write_transforms(tmp_path, content)
    assert warnings_of(tmp_path) == [
        "All 3 cameras have the same position, so the depth of the scene cannot be reconstructed. Check the poses."
    ]


@pytest.mark.parametrize("folder", ["resized_images", "undistorted_images", "dslr_rgb"])
def test_photographs_in_folders_with_describing_names(tmp_path: Path, folder: str) -> None:
    W.write_colmap(tmp_path, model="dslr/colmap")
    (tmp_path / "images").rename(tmp_path / "dslr" / folder)
    assert f"The photographs were read from dslr/{folder}." in warnings_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.spz", b"", "is not a supported splat file"),
        ("a.splat", b"x" * 33, "not a complete .splat file"),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float f_dc_0\nend_header\n",
            "columns are missing",
        ),
    ],
)
def test_a_splat_file_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    sentence, _ = refusal(tmp_path / name)
    assert said in sentence
    assert str(tmp_path / name) in sentence


def test_a_splat_file_without_gaussians(tmp_path: Path) -> None:
    W.write_splats(tmp_path / "a.ply", 0)
    assert refusal(tmp_path / "a.ply")[0] == f"{tmp_path}/a.ply contains no Gaussians."
    W.write_splats(tmp_path / "a.ply", 2)
    assert warnings_of(tmp_path / "a.ply") == []


def test_the_last_state_of_a_training_is_read(tmp_path: Path) -> None:
    for count in (7000, 30000):
        (tmp_path / f"point_cloud/iteration_{count}").mkdir(parents=True)
        W.write_splats(tmp_path / f"point_cloud/iteration_{count}/point_cloud.ply", 2)
    (tmp_path / "cameras.json").write_text("[]")
    findings, fault = inspect_scene(tmp_path)
    assert fault is None
    assert findings["splats"] == "point_cloud/iteration_30000/point_cloud.ply"
    assert findings["warnings"] == [
        "point_cloud/iteration_30000/point_cloud.ply was read, the last of 2 states of one training; not read: "
        "point_cloud/iteration_7000/point_cloud.ply."
    ]


def test_panoramas_are_a_warning(tmp_path: Path) -> None:
    notes = b'<x:xmpmeta GPano:ProjectionType="equirectangular"/>'
    for i in range(COUNT):
        W.photograph(i, (64, 32)).save(tmp_path / f"{i}.jpg", xmp=notes)
    (said,) = warnings_of(tmp_path)
    assert said.startswith("Photographs are panoramas of all directions (such as 0.jpg)")


def test_an_unpacked_sog_file_is_no_folder_of_photographs(tmp_path: Path) -> None:
    for name in ("means_l", "means_u", "scales", "quats", "sh0"):
        W.photograph(0, (8, 4)).save(tmp_path / f"{name}.webp")
    assert refusal(tmp_path) == (
        f"{tmp_path} contains images of an extracted SOG file, but not its meta.json.",
        "Extract the file again.",
    )
    (tmp_path / "meta.json").write_text("{}")
    sentence, remedy = refusal(tmp_path)
    assert sentence.startswith(f"{tmp_path} is not a SOG archive of version 2: meta.json cannot be read")
    assert remedy == "Copy or export it again."


def test_an_extracted_sog_file_is_a_splat_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(sog_with())) as archive:
        archive.extractall(tmp_path / "export")
    for root in (tmp_path, tmp_path / "export", tmp_path / "export/meta.json"):
        findings, fault = inspect_scene(root)
        assert fault is None
        assert findings["layout"] == "splats"
        assert findings["splats"].endswith("meta.json")


@pytest.mark.parametrize("content", ["", '{"images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_'])
def test_incomplete_annotations_are_named(tmp_path: Path, content: str) -> None:
    write_pictures(tmp_path / "images")
    (tmp_path / "annotations.json").write_text(content)
    said = "annotations.json is not complete JSON, so no masks were read from it. Copy or export it again."
    assert said in warnings_of(tmp_path)
    sentence, remedy = refusal(tmp_path, tmp_path / "annotations.json")
    assert sentence == f"{tmp_path}/annotations.json contains no mask of any photograph. {tmp_path}/{said}"
    assert remedy == "Export it again."


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("via_project_3Dec2020.json", "found the file via_project_3Dec2020.json"),
        ("via_export_csv.json", "found the file via_export_csv.json"),
        ("ds/ann/0.png.json", "found the folder ds/ann"),
    ],
)
def test_annotations_of_other_programs_are_named_with_what_to_do(tmp_path: Path, name: str, found: str) -> None:
    write_pictures(tmp_path / "images")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("{}")
    assert warnings_of(tmp_path) == [f"No masks were read; {found}; export masks in it as COCO JSON."]


def test_if_no_photograph_can_be_read_the_remedy_is_to_copy_them(tmp_path: Path) -> None:
    for i in range(COUNT):
        (tmp_path / f"{i}.jpg").write_bytes(b"x")
    sentence, remedy = refusal(tmp_path)
    assert "holds 0 photographs that are readable (0.jpg, 1.jpg, 2.jpg and 3 more are not)" in sentence
    assert remedy == "Copy the unreadable files again, or save them as JPEG or PNG."


def test_a_link_to_the_folder_above_is_listed_once(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images")
    (tmp_path / "images" / "up").symlink_to("..")
    findings, fault = inspect_scene(tmp_path)
    assert fault is None
    assert findings["views"] == COUNT
    survey = api.survey(tmp_path)
    assert (survey.photographs, survey.files) == (COUNT, COUNT)


@pytest.mark.parametrize(
    ("files", "sentence", "remedy"),
    [
        ([], "{} is empty.", "Copy the photographs into it."),
        (
            ["nerfstudio_models/step-29999.ckpt"],
            "{} contains checkpoints of a training, which are not read: nerfstudio_models/step-29999.ckpt.",
            "Export its Gaussians as .ply.",
        ),
        (
            ["scene.ksplat"],
            "{} contains scenes in another format, which are not read: scene.ksplat.",
            "Convert them to .ply, .spz, .sog or .splat.",
        ),
        (
            [".IMG_1.HEIC.icloud", ".IMG_2.HEIC.icloud"],
            "{} contains 2 files that are not on this machine but in iCloud (first: .IMG_1.HEIC.icloud).",
            "Download them first.",
        ),
        (
            ["lod-meta.json", "0_0/meta.json", "0_0/means_l.webp"],
            "{} contains a SOG scene in levels of detail, which is not read.",
            "Export it as one .sog or .ply file.",
        ),
        (
            ["objects.json", "splats.ply", "report.json", "labels/a.png"],
            "{} is the result of a segmentation, not a scene.",
            "Give the folder of the photographs.",
        ),
    ],
)
def test_folders_of_other_programs(tmp_path: Path, files: list[str], sentence: str, remedy: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert refusal(tmp_path) == (sentence.format(tmp_path), remedy)


def test_photographs_that_are_in_a_cloud_are_a_warning(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / ".IMG_7.HEIC.icloud").write_bytes(b"bplist00")
    assert warnings_of(tmp_path) == [
        "1 files in the scene folder are not on this machine but in iCloud, and were skipped (first: "
        ".IMG_7.HEIC.icloud). Download them first."
    ]


def test_masks_of_anonymised_pixels_are_no_masks(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    for stem in W.STEMS:
        W.write_mask(tmp_path / f"resized_anon_masks/{stem}.png", np.ones((W.HEIGHT, W.WIDTH), np.uint8))
    assert warnings_of(tmp_path) == []


def test_a_file_of_annotations_that_is_read_is_no_stray_mask(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_default.json").write_text(
        '{"images": [{"id": 1, "file_name": "0.png"}], '
        '"annotations": [{"image_id": 1, "segmentation": [[4, 3, 15, 3, 15, 12]]}]}'
    )
    assert [said.split(" ")[0] for said in warnings_of(tmp_path)] == ["The", "5"]
    assert "were read from annotations/instances_default.json" in warnings_of(tmp_path)[0]


def test_a_folder_of_masks_without_a_match_is_named_once(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for i in range(COUNT):
        (tmp_path / f"masks/task-{i + 1}-annotation-{i + 1}-by-1-tag-cup-0.png").write_text("x")
    assert warnings_of(tmp_path) == [
        "The folder masks contains no mask with the name of a photograph (first: "
        "task-1-annotation-1-by-1-tag-cup-0.png). Give each mask the name of its photograph."
    ]


@pytest.mark.parametrize("posed", [True, False])
def test_annotations_without_a_mask_of_a_photograph_get_one_warning(tmp_path: Path, posed: bool) -> None:
    if posed:
        W.write_colmap(tmp_path)
    else:
        write_pictures(tmp_path / "images")
    (tmp_path / "annotations.json").write_text(
        '{"images": [{"id": 1, "file_name": "other.png"}], '
        '"annotations": [{"image_id": 1, "segmentation": [[4, 3, 15, 3, 15, 12]]}]}'
    )
    (said,) = warnings_of(tmp_path)
    assert said.startswith("1 of 1 photographs with masks in annotations.json do not match any photograph")


def test_masks_in_a_format_that_is_not_read_are_named_with_a_remedy(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    (tmp_path / "masks").mkdir()
    for stem in W.STEMS:
        W.photograph(0).save(tmp_path / f"masks/{stem}.gif")
    (said,) = warnings_of(tmp_path)
    assert said.endswith("found v_1.gif, v_10.gif, v_2.gif. Save the masks as PNG.")

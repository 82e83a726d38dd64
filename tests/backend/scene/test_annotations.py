"""Masks of many photographs in one file of COCO's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.scene import load_scene, read_mask
from backend.scene.inspect import inspect_scene
from backend.scene.rle import pack_counts, runs_of
from backend.scene.unposed import check_masks_of, find_unposed, given_masks
from blender_addon import api
from protocol.errors import BadArgument, BadMask
from tests.backend.scene import writing as W

LEFT = np.zeros((W.HEIGHT, W.WIDTH), bool)
LEFT[5:15, 4:14] = True
RIGHT = np.zeros((W.HEIGHT, W.WIDTH), bool)
RIGHT[10:20, 24:36] = True
EXPECTED = LEFT + 2 * RIGHT
POLYGON = [[4, 5, 14, 5, 14, 15, 4, 15]]


def runs(mask: np.ndarray, *, packed: bool) -> dict[str, Any]:
    counts = runs_of(mask)
    return {"size": list(mask.shape), "counts": pack_counts(counts) if packed else counts.tolist()}


def coco(names: list[str], **values: Any) -> dict[str, Any]:
    """Return annotations of photographs: a polygon and run lengths of each, packed for every other one."""
    images = [{"id": i + 3, "file_name": name, "width": W.WIDTH, "height": W.HEIGHT} for i, name in enumerate(names)]
    annotations = [
        {"id": 2 * i + k, "image_id": i + 3, "category_id": 1, "segmentation": segmentation, "iscrowd": k}
        for i in range(len(names))
        for k, segmentation in enumerate([POLYGON, runs(RIGHT, packed=i % 2 == 0)])
    ]
    return {"images": images, "annotations": annotations, "categories": [], **values}


def write(file: Path, content: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


NAMES = [f"{stem}.png" for stem in W.STEMS]


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("annotations.json", NAMES),
        ("annotations/instances_default.json", [f"images/{name}" for name in NAMES]),
        ("images/_annotations.coco.json", [f"{s}_png.rf.0123456789abcdef0123456789abcdef.jpg" for s in W.STEMS]),
        ("result.json", [f"../../label-studio/data/upload/1/0a1b2c3d-{name}" for name in NAMES]),
        ("export.json", [f"C:\\shots\\{stem}.JPG" for stem in W.STEMS]),
    ],
)
def test_each_photograph_has_its_masks(tmp_path: Path, place: str, names: list[str]) -> None:
    W.write_colmap(tmp_path)
    file = write(tmp_path / place, coco(names))
    scene = load_scene(tmp_path)
    assert scene.masks_from == file
    assert scene.warnings == (f"The masks were read from {file}.",)
    for view in scene.views:
        assert np.array_equal(np.asarray(read_mask(view)), EXPECTED)
    assert inspect_scene(tmp_path)[0]["masks_from"] == place
    survey = api.survey(tmp_path)
    assert (survey.masks, survey.mask_folder) == (3, place)


def test_the_name_that_roboflow_keeps(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    content = coco(["x.rf.1.jpg", "y.rf.2.jpg", "z.rf.3.jpg"])
    for image, name in zip(content["images"], NAMES, strict=True):
        image["extra"] = {"name": name}
    write(tmp_path / "annotations.json", content)
    assert all(view.mask_path is not None for view in load_scene(tmp_path).views)


def test_a_given_file_may_have_any_name_and_place(tmp_path: Path) -> None:
    W.write_colmap(tmp_path / "scene")
    file = write(tmp_path / "mine.json", coco(NAMES[:2]))
    scene = load_scene(tmp_path / "scene", file)
    assert [view.mask_path for view in scene.views] == [file, file, None]
    assert f"1 of 3 photographs have no mask (first: {tmp_path}/scene/images/v_10.png)." in scene.warnings
    with pytest.raises(BadMask, match="does not contain annotations in COCO's format"):
        load_scene(tmp_path / "scene", write(tmp_path / "other.json", {"images": []}))
    with pytest.raises(BadMask, match=r"3 of 3 photographs with masks in .* do not match any photograph"):
        load_scene(tmp_path / "scene", write(tmp_path / "other.json", coco(["a.png", "b.png", "c.png"])))
    (tmp_path / "masks.xml").write_text("<annotations/>")
    with pytest.raises(BadArgument, match="COCO's format"):
        load_scene(tmp_path / "scene", tmp_path / "masks.xml")


def test_two_files_of_different_photographs_are_joined(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    write(tmp_path / "annotations/instances_train.json", coco(NAMES[:1]))
    write(tmp_path / "annotations/instances_val.json", coco(NAMES[1:]))
    scene = load_scene(tmp_path)
    assert scene.masks_from == tmp_path / "annotations"
    assert [int(mask.max()) for view in scene.views if (mask := read_mask(view)) is not None] == [2, 2, 2]


@pytest.mark.parametrize("twice", ["two files", "two entries", "one id"])
def test_two_masks_of_one_photograph_are_refused(tmp_path: Path, twice: str) -> None:
    W.write_colmap(tmp_path)
    content = coco([*NAMES, f"other/{NAMES[0]}"] if twice == "two entries" else NAMES)
    if twice == "one id":
        content["images"][1]["id"] = content["images"][0]["id"]
    write(tmp_path / "annotations.json", content)
    if twice == "two files":
        write(tmp_path / "labels.json", coco(NAMES[:1]))
    said = {
        "two files": "annotations.json and .*labels.json both contain masks of images/v_1.png",
        "two entries": "several entries for one photograph, such as 'other/v_1.png'",
        "one id": "lists several photographs with the id 3",
    }
    with pytest.raises(BadMask, match=said[twice]):
        load_scene(tmp_path)


def test_images_of_masks_go_first(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    for name in NAMES:
        W.write_mask(tmp_path / "masks" / name, LEFT.astype(np.uint8))
    file = write(tmp_path / "annotations.json", coco(NAMES))
    scene = load_scene(tmp_path)
    assert scene.masks_from == tmp_path / "masks"
    assert scene.warnings == (f"{file} also contains masks, which were not read.",)


def test_boxes_are_no_masks(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    content = coco(NAMES)
    for each in content["annotations"]:
        each["segmentation"] = []
    file = write(tmp_path / "annotations.json", content)
    said = f"6 annotations in {file} have a box but no outline, and were skipped. Export polygons or masks."
    assert said in load_scene(tmp_path).warnings
    with pytest.raises(BadMask, match="have a box but no outline"):
        load_scene(tmp_path, file)


def test_another_size_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    W.write_colmap(tmp_path)
    content = coco(NAMES)
    content["images"][1]["height"] = W.WIDTH
    write(tmp_path / "annotations.json", content)
    with pytest.raises(BadMask, match="is 40 x 40 pixels, but its photograph has 40 x 30"):
        load_scene(tmp_path)


def test_without_cameras(tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / "images").mkdir(exist_ok=True)
        W.photograph(i).save(tmp_path / "images" / f"{i}.png")
    file = write(tmp_path / "annotations.json", coco([f"{i}.jpg" for i in range(4)]))
    found = find_unposed(tmp_path)
    assert found is not None
    assert (found.masks, found.masked) == (file, 4)
    assert found.files == (*found.photographs, file)
    assert found.warnings == (
        f"The masks were read from {file}.",
        f"1 of 5 photographs have no mask (first: {tmp_path}/images/4.png).",
    )
    assert check_masks_of(found, None) == ()
    assert given_masks(found, file) == 4
    assert api.survey(tmp_path).masks == inspect_scene(tmp_path)[0]["masks"] == 4
    content = coco([f"{i}.jpg" for i in range(5)])
    content["images"][2]["width"] = 7
    write(file, content)
    _, fault = inspect_scene(tmp_path)
    assert fault is not None
    assert "is 7 x 30 pixels" in fault.sentence

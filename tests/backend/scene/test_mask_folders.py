"""Folders of masks of several cameras, whose photographs have the same names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.scene import load_scene, read_mask
from backend.scene.inspect import inspect_scene
from backend.scene.unposed import find_unposed
from blender_addon import api
from protocol.annotations import find_annotated
from tests.backend.scene import writing

CAMERAS = ("cam1", "cam2")
FORMS = {
    "in each camera's folder": ("images/{}", "images/{}/masks"),
    "next to each camera's photographs": ("{}/images", "{}/masks"),
}


def write(root: Path, name: str) -> None:
    """Write three photographs of each camera; the masks of the first show the id 1, those of the second the id 2."""
    photographs, masks = FORMS[name]
    for value, camera in enumerate(CAMERAS, 1):
        for i in range(3):
            file = root / photographs.format(camera) / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            writing.photograph(3 * value + i).save(file)
            mask = np.zeros((writing.HEIGHT, writing.WIDTH), np.uint8)
            mask[5:9, 4:20] = value
            writing.write_mask(root / masks.format(camera) / f"{i}.png", mask)


def write_cameras(root: Path, name: str) -> None:
    content = writing.transforms()
    content["frames"] = [
        {"file_path": f"{FORMS[name][0].format(camera)}/{i}.png", "transform_matrix": writing.opengl(i)}
        for camera in CAMERAS
        for i in range(3)
    ]
    (root / "transforms.json").write_text(json.dumps(content))


@pytest.mark.parametrize("name", FORMS)
def test_each_photograph_has_the_mask_of_its_camera(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    write_cameras(tmp_path, name)
    scene = load_scene(tmp_path)
    ids = [np.unique(mask).tolist() for view in scene.views if (mask := read_mask(view)) is not None]
    expected = [[0, 1] if "cam1" in str(view.image_path) else [0, 2] for view in scene.views]
    assert ids == expected
    assert len(ids) == 6
    first = tmp_path / FORMS[name][1].format("cam1")
    assert scene.warnings == (f"The masks were read from 2 folders, one for each camera (first: {first}).",)
    survey = api.survey(tmp_path)
    assert (survey.masks, survey.mask_folder) == (6, inspect_scene(tmp_path)[0]["masks_from"])


def test_a_camera_without_masks(tmp_path: Path) -> None:
    name = "in each camera's folder"
    write(tmp_path, name)
    write_cameras(tmp_path, name)
    for file in (tmp_path / "images/cam2/masks").iterdir():
        file.unlink()
    scene = load_scene(tmp_path)
    assert [view.mask_path is not None for view in scene.views] == ["cam1" in str(v.image_path) for v in scene.views]
    assert f"3 of 6 photographs have no mask (first: {tmp_path}/images/cam2/0.png)." in scene.warnings


def test_without_cameras(tmp_path: Path) -> None:
    write(tmp_path, "in each camera's folder")
    found = find_unposed(tmp_path)
    assert found is not None
    assert len(found.photographs) == found.masked == 6
    assert [[path.relative_to(tmp_path).as_posix() for path in files] for files in found.masks_of] == [
        [f"images/{camera}/masks/{i}.png"] for camera in CAMERAS for i in range(3)
    ]
    assert set(found.files) == {path for path in tmp_path.rglob("*") if path.is_file()}
    assert api.survey(tmp_path).masks == 6


def write_annotations(file: Path, names: list[str]) -> None:
    """Write a square for each photograph in COCO's format."""
    file.write_text(
        json.dumps(
            {
                "images": [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)],
                "annotations": [
                    {"image_id": i, "segmentation": [[5, 5, 20, 5, 20, 15, 5, 15]]} for i in range(len(names))
                ],
            }
        )
    )


def test_annotations_of_each_part_of_a_set(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / split).mkdir()
        for i in range(3):
            writing.photograph(i).save(tmp_path / split / f"{i}.png")
        write_annotations(tmp_path / split / "_annotations.coco.json", [f"{i}.png" for i in range(3)])
    findings, fault = inspect_scene(tmp_path)
    assert fault is None
    assert (findings["views"], findings["masks"]) == (6, 6)
    found = find_unposed(tmp_path)
    assert found is not None
    assert set(found.files) == {path for path in tmp_path.rglob("*") if path.is_file()}
    assert [files[0].parent.name for files in found.masks_of] == ["train"] * 3 + ["valid"] * 3
    assert api.survey(tmp_path).masks == 6
    of_capture = [f"images/{split}/{i}.png" for split in ("train", "valid") for i in range(3)]
    entries = find_annotated(of_capture, found.mask_files).entries
    assert [entry and entry[0].parent.name for entry in entries] == ["train"] * 3 + ["valid"] * 3
    write_annotations(tmp_path / "all_coco.json", ["train/0.png"])
    said = f"{tmp_path}/all_coco.json also contains masks, which were not read."
    assert said in api.survey(tmp_path).warnings


def test_several_files_of_annotations_given_to_a_capture(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    files = [tmp_path / f"{stem}.json" for stem in writing.STEMS[:2]]
    for file in files:
        write_annotations(file, [f"{file.stem}.png"])
    scene = load_scene(tmp_path, files)
    assert [view.mask_path for view in scene.views] == [files[0], files[1], None]


def write_capture(root: Path, posed: bool) -> int:
    """Write photographs with or without cameras; return how many."""
    if posed:
        writing.write_colmap(root)
        return 3
    for i in range(6):
        (root / "images").mkdir(parents=True, exist_ok=True)
        writing.photograph(i).save(root / f"images/v_{i}.png")
    return 6


def stems(root: Path) -> list[str]:
    return [file.stem for file in (root / "images").iterdir()]


@pytest.mark.parametrize("posed", [True, False])
@pytest.mark.parametrize(
    "folder",
    ["labels", "seg", "segmentation", "annotations", "output/masks", "sam2_output", "results/seg", "out/object_ids"],
)
def test_folders_that_programs_write_masks_to(tmp_path: Path, folder: str, posed: bool) -> None:
    count = write_capture(tmp_path, posed)
    for stem in stems(tmp_path):
        mask = np.zeros((writing.HEIGHT, writing.WIDTH), np.uint8)
        mask[5:9, 4:20] = 1
        writing.write_mask(tmp_path / folder / f"{stem}.png", mask)
    findings, fault = inspect_scene(tmp_path)
    assert (findings["masks"], findings["masks_from"], fault) == (count, folder, None)


@pytest.mark.parametrize("posed", [True, False])
def test_a_usual_folder_of_masks_comes_before_others(tmp_path: Path, posed: bool) -> None:
    write_capture(tmp_path, posed)
    for stem in stems(tmp_path):
        for folder in ("labels", "masks", "output/masks"):
            mask = np.zeros((writing.HEIGHT, writing.WIDTH), np.uint8)
            mask[5:9, 4:20] = 1
            writing.write_mask(tmp_path / folder / f"{stem}.png", mask)
    findings, _ = inspect_scene(tmp_path)
    assert findings["masks_from"] == "masks"


@pytest.mark.parametrize("posed", [True, False])
def test_files_of_labelme_beside_the_photographs(tmp_path: Path, posed: bool) -> None:
    count = write_capture(tmp_path, posed)
    shape = {"label": "cup", "points": [[4, 3], [15, 3], [15, 12]], "group_id": None, "shape_type": "polygon"}
    content = {"version": "5.4.1", "flags": {}, "shapes": [shape], "imageData": None}
    for stem in stems(tmp_path):
        (tmp_path / f"images/{stem}.json").write_text(json.dumps(content, indent=2))
    findings, fault = inspect_scene(tmp_path)
    assert (findings["masks"], findings["masks_from"], fault) == (count, "images", None)


@pytest.mark.parametrize("posed", [True, False])
def test_other_texts_beside_the_photographs_are_no_masks(tmp_path: Path, posed: bool) -> None:
    write_capture(tmp_path, posed)
    for stem in stems(tmp_path):
        (tmp_path / f"images/{stem}.json").write_text('{"title": "IMG", "creationTime": {"timestamp": "1"}}')
    findings, fault = inspect_scene(tmp_path)
    assert (findings["masks"], fault) == (0, None)

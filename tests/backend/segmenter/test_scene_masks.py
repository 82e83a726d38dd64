"""Where masks go, and of how many photographs they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.scene import load_scene
from backend.segmenter import make_masks, scene_to_mask, views_to_mask
from backend.segmenter.weights import find_weights
from protocol.errors import BadArgument
from tests.backend.scene.writing import HEIGHT, WIDTH, write_mask, write_photographs, write_transforms


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_transforms(tmp_path / "scene")
    return tmp_path / "scene"


def test_masks_go_into_the_scene_unless_a_folder_is_named(scene, tmp_path):
    assert scene_to_mask(scene, None)[1] == scene / "masks"
    assert scene_to_mask(scene, tmp_path / "out")[1] == tmp_path / "out"


@pytest.mark.parametrize("folder", ["masks", "sam_masks"])
def test_a_scene_that_has_masks_keeps_them(scene, tmp_path, folder):
    write_mask(scene / folder / "v_1.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(BadArgument, match="already has masks") as caught:
        scene_to_mask(scene, None)
    assert "--out" in caught.value.remedy
    assert scene_to_mask(scene, tmp_path / "out")[1] == tmp_path / "out"


def test_a_folder_masks_that_holds_something_else_is_left_alone(scene):
    (scene / "masks").mkdir()
    (scene / "masks" / "notes.txt").write_text("mine")
    with pytest.raises(BadArgument, match="already has masks"):
        scene_to_mask(scene, None)


def test_masks_that_a_model_began_are_gone_on_with(scene, model):
    weights = find_weights(str(model("sam2")))
    assert weights is not None
    make_masks(load_scene(scene).views, scene / "masks", weights, count=1, per_side=1)
    assert scene_to_mask(scene, None)[1] == scene / "masks"


def test_photographs_without_cameras_are_told_how_to_get_them(tmp_path):
    write_photographs(tmp_path / "photos")
    with pytest.raises(BadArgument, match="has no cameras") as caught:
        scene_to_mask(tmp_path / "photos", None)
    assert "backend poses" in caught.value.remedy


def test_photographs_held_out_by_the_capture_get_no_masks_unless_all_do(scene):
    loaded = load_scene(scene)
    first, *others = loaded.views
    loaded = replace(loaded, views=(replace(first, held_out=True), *others))
    assert views_to_mask(loaded, None) == (others, None)
    assert views_to_mask(loaded, "2") == (others, 2)
    assert views_to_mask(loaded, "all") == (loaded.views, 3)


@pytest.mark.parametrize("wanted", ["0", "-1", "1.5", "some", "", "9" * 30, "²"])
def test_what_is_no_number_of_photographs_is_refused(scene, wanted):
    with pytest.raises(BadArgument, match="not a number of photographs"):
        views_to_mask(load_scene(scene), wanted)

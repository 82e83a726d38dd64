"""Masks of prompts: objects chosen in one view, and the two tables from scenes on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import bench.tables
from backend.scene import load_scene, split_views
from bench.prompts import chosen_objects, test_view, write_prompt_masks
from bench.published import LERF_MASK, OVS
from bench.tables import OurMasks, app, masks_table
from protocol.errors import BadArgument
from tests.backend.scene.writing import HEIGHT, WIDTH, photograph, write_colmap, write_mask

test_view.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]

# Objects 1 and 2 in the left half, 3 in the right half, background below.
IDS = np.zeros((HEIGHT, WIDTH), np.uint16)
IDS[:10, :10], IDS[:10, 10:20], IDS[:20, 20:] = 1, 2, 3


def white(mask: np.ndarray) -> np.ndarray:
    return (255 * mask).astype(np.uint8)


def test_objects_inside_a_mask_are_chosen():
    mask = np.zeros(IDS.shape, bool)
    mask[:10, :18] = True
    assert chosen_objects(IDS, mask) == [1, 2], "all of 1 and 8 of 10 columns of 2"
    mask[:, 17:] = False
    assert chosen_objects(IDS, mask) == [1], "7 of 10 is not more than 0.7"


def test_where_no_object_is_inside_the_best_overlap_is_chosen():
    mask = np.zeros(IDS.shape, bool)
    mask[:5, 5:30] = True
    # IoU: object 1 has 25 of 200, object 2 50 of 175, object 3 50 of 475.
    assert chosen_objects(IDS, mask) == [2]
    assert chosen_objects(IDS, IDS == 7) == []
    mask[:], mask[25:] = False, True
    assert chosen_objects(IDS, mask) == [], "background is not an object"


def test_masks_of_another_size_choose_the_same():
    assert chosen_objects(IDS, (IDS == 3)[::2, ::2]) == [3]


def test_views_by_name_or_number():
    assert test_view("v_2", ["v_1", "v_2"]) == "v_2"
    assert test_view("1", ["v_1", "v_2"]) == "v_2"
    for folder in ("2", "v_3", "-1"):
        with pytest.raises(BadArgument, match=f"view {folder} belong to none of the 2"):
            test_view(folder, ["v_1", "v_2"])


def write_lerf(root):
    """Three photographs, the first for training; "cup" is object 3 in both test views, "two cups" objects 1 and 2."""
    write_colmap(root)
    (root / "images_train").mkdir()
    photograph(0).save(root / "images_train/v_1.png")
    for number in ("0", "1"):
        write_mask(root / f"test_mask/{number}/cup.png", white(IDS == 3))
    write_mask(root / "test_mask/0/two cups.png", white((IDS == 1) | (IDS == 2)))


def write_result(out):
    """What was found: everything in the first test view, object 3 as two halves in the second."""
    second = IDS.copy()
    second[:10, 20:] = 9
    for name, ids in (("v_2", IDS), ("v_10", second)):
        write_mask(out / "labels" / f"{name}.png", ids)
    values = {"method": "consensus", "test_views": "own", "seed": 0, "seconds": {"total": 12.0}}
    (out / "report.json").write_text(json.dumps(values))


def test_lerf_mask_holds_out_what_is_not_for_training(tmp_path):
    write_lerf(tmp_path)
    train, test = split_views(load_scene(tmp_path).views, "own")
    assert ([view.name for view in train], [view.name for view in test]) == (["v_1"], ["v_2", "v_10"])


def test_3d_ovs_holds_out_annotated_views(tmp_path):
    write_colmap(tmp_path)
    write_mask(tmp_path / "segmentations/v_10/cup.png", white(IDS == 3))
    assert [view.name for view in split_views(load_scene(tmp_path).views, "own")[1]] == ["v_10"]


def test_lerf_mask_table_from_scenes_on_disk(tmp_path, monkeypatch):
    write_lerf(tmp_path / "data/figurines")
    asked = []

    def segment(scene, out, request, progress):
        asked.append((request.test_views, scene / request.masks))
        write_result(out)

    monkeypatch.setattr(bench.tables, "segment", segment)
    line = ["lerf-mask", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--masks", "sam"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert asked == [("own", tmp_path / "data/figurines/sam")]
    # "cup": 1 in the first view, half of it in the second; "two cups": 1. So (0.75 + 1) / 2.
    row = next(text for text in done.output.splitlines() if text.startswith("│ ours "))
    assert "87.5 / " in row
    assert "91.6 / 88.8" in done.output
    assert "not by text" in done.output


def test_3d_ovs_table_from_scenes_on_disk(tmp_path, monkeypatch):
    scene = tmp_path / "bench"
    write_colmap(scene)
    for view in ("v_2", "v_10"):
        write_mask(scene / f"segmentations/{view}/cup.png", white(IDS == 3))
    (scene / "segmentations/classes.txt").write_text("cup\n")
    monkeypatch.setattr(bench.tables, "segment", lambda scene, out, request, progress: write_result(out))
    done = CliRunner().invoke(app, ["3d-ovs", str(scene), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    # Files are read by name, so v_10 comes first, and both halves of the object there are chosen.
    row = next(text for text in done.output.splitlines() if text.startswith("│ ours "))
    assert [part.strip() for part in row.split("│")[2:-1]] == ["-", "100.0", "-", "-", "-", "-"]


def test_a_detector_chooses_in_place_of_the_truth(tmp_path):
    write_lerf(tmp_path / "scene")
    write_result(tmp_path / "result")
    for prompt in ("cup", "two cups"):
        write_mask(tmp_path / f"found/0/{prompt}.png", white(IDS == 1))
    truth = tmp_path / "scene/test_mask"
    write_prompt_masks(tmp_path / "result", tmp_path / "scene", truth, tmp_path / "found", tmp_path / "out")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out/1/cup.png")) > 0, IDS == 1)
    (tmp_path / "found/0/cup.png").unlink()
    with pytest.raises(BadArgument, match="No view has a mask of 'cup'"):
        write_prompt_masks(tmp_path / "result", tmp_path / "scene", truth, tmp_path / "found", tmp_path / "out")


@pytest.mark.parametrize(("published", "means"), [(LERF_MASK, (80.3, 76.9)), (OVS, (87.5, None))])
def test_published_means_are_those_of_the_paper(published, means):
    row = next(row for row in published if row.method == "Contrastive Gaussian Clustering")
    assert row.mean == pytest.approx(means[0], abs=0.05)
    assert row.boundary_mean == (None if means[1] is None else pytest.approx(means[1], abs=0.05))


def test_our_mean_needs_all_scenes():
    found = {scene: OurMasks(80.0, 70.0, 9.0) for scene in ("figurines", "ramen", "teatime", "kitchen")}
    for scenes, mean in ((found, "80.0 / 70.0"), ({"ramen": found["ramen"]}, "- / -")):
        console = Console(width=170)
        with console.capture() as shown:
            console.print(masks_table("LERF-Mask", LERF_MASK, scenes, ""))
        row = next(text for text in shown.get().splitlines() if text.startswith("│ ours "))
        assert row.split("│")[-2].strip() == mean

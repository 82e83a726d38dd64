"""LERF-Mask and 3D-OVS on tiny folders, counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from backend.evaluate.lerf_mask import score_lerf_mask
from backend.evaluate.ovs import score_ovs
from backend.evaluate.prompt_masks import compare, iou, outline
from protocol.errors import BadArgument, BadMask, BadResult, Fault


def save(file: Path, mask: np.ndarray, white: int = 255) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((mask * white).astype(np.uint8)).save(file)
    return file


def square(top: int, left: int, side: int, size: int = 40) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def lerf(tmp_path: Path) -> tuple[Path, Path]:
    """Two views; "egg" in both, "green apple" in the first. Found: half an egg, no egg, a whole apple."""
    truth, predicted = tmp_path / "truth", tmp_path / "predicted"
    save(truth / "test_mask/0/egg.png", square(0, 0, 20))
    save(truth / "test_mask/1/egg.png", square(0, 0, 20))
    save(truth / "test_mask/0/green apple.png", square(10, 10, 20))
    save(predicted / "0/egg.png", square(0, 0, 20) & (np.arange(40) < 10))
    save(predicted / "1/egg.png", square(20, 20, 20))
    save(predicted / "0/green apple.png", square(10, 10, 20))
    return predicted, truth


def ovs(tmp_path: Path) -> tuple[Path, Path]:
    """One class in two views, another whose name has a dot and a space; the first is half right in one view."""
    truth, predicted = tmp_path / "truth", tmp_path / "predicted"
    for view in ("00", "05"):
        save(truth / f"segmentations/{view}/cat.png", square(0, 0, 20))
        save(truth / f"segmentations/{view}/a 4.5 mm pin.png", square(20, 20, 10))
        save(predicted / f"{view}/cat.png", square(0, 0, 20))
        save(predicted / f"{view}/a 4.5 mm pin.png", square(20, 20, 10))
    save(predicted / "05/cat.png", square(0, 0, 20) & (np.arange(40) < 10))
    (truth / "segmentations/classes.txt").write_text("cat\na 4.5 mm pin\n\n")
    return predicted, truth


def test_iou_by_hand():
    a, b = square(0, 0, 4), square(0, 2, 4)
    assert iou(a, b) == 8 / 24
    assert math.isnan(iou(a & False, b & False))


@pytest.mark.parametrize("size", [12, 40, 200, 333])
def test_the_outline_is_the_mask_less_its_repeated_erosion(size):
    rng = np.random.default_rng(size)
    mask = np.kron(rng.random((5, 5)) < 0.6, np.ones((size // 5 + 1,) * 2, bool))[:size, :size]
    steps = max(1, round(0.02 * math.sqrt(2) * size))
    padded = np.pad(mask, 1)
    eroded = np.asarray(binary_erosion(padded, np.ones((3, 3)), iterations=steps), bool)[1:-1, 1:-1]
    assert np.array_equal(outline(mask), mask & ~eroded)


def test_boundary_iou_by_hand():
    # 0.02 of the diagonal of 40 x 40 is 1.13, so outlines are one pixel wide: 76 pixels around a square of 20.
    found, true = outline(square(0, 0, 20)), outline(square(0, 0, 20) & (np.arange(40) < 10))
    assert (np.count_nonzero(found), np.count_nonzero(true)) == (76, 56)
    # Shared: the column at the left (20) and nine more pixels at top and bottom each.
    assert iou(found, true) == 38 / (76 + 56 - 38)


def test_lerf_mask_averages_views_then_prompts(tmp_path):
    score = score_lerf_mask(*lerf(tmp_path))
    assert score.iou == {"egg": pytest.approx(0.25), "green apple": pytest.approx(1.0)}
    assert score.mean_iou == pytest.approx(0.625), "not the mean of the three masks, which is one half"
    assert score.boundary_iou["egg"] == pytest.approx(38 / 94 / 2)
    assert score.as_dict()["prompts"]["green apple"] == {"iou": 100.0, "boundary_iou": 100.0}
    assert (score.masks, score.missing, score.empty) == (3, 0, 0)


def test_the_folder_of_views_may_be_named_itself(tmp_path):
    predicted, truth = lerf(tmp_path)
    assert score_lerf_mask(predicted, truth / "test_mask") == score_lerf_mask(predicted, truth)


@pytest.mark.parametrize(("missing", "egg", "mean"), [("zero", 0.25, 0.125), ("skip", 0.5, 0.5)])
def test_a_missing_prediction_counts_as_nothing_found_or_not_at_all(tmp_path, missing, egg, mean):
    predicted, truth = lerf(tmp_path)
    (predicted / "1/egg.png").unlink()
    (predicted / "0/green apple.png").unlink()
    score = score_lerf_mask(predicted, truth, missing)
    assert score.missing == 2
    assert score.iou["egg"] == pytest.approx(egg)
    assert score.mean_iou == pytest.approx(mean)


def test_grey_is_cut_at_128(tmp_path):
    truth = {("0", "egg"): save(tmp_path / "t.png", square(0, 0, 20))}
    for white, found in ((128, 0.0), (129, 1.0)):
        predicted = {("0", "egg"): save(tmp_path / "p.png", square(0, 0, 20), white)}
        assert next(compare(predicted, truth, "truth")).iou == found


def test_a_prediction_is_resized_to_the_truth_as_pillow_does(tmp_path):
    small = np.random.default_rng(0).random((13, 17)) < 0.5
    truth = np.random.default_rng(1).random((40, 33)) < 0.5
    pairs = [{("0", "egg"): save(tmp_path / name, mask)} for name, mask in (("p.png", small), ("t.png", truth))]
    large = np.asarray(Image.fromarray(small.astype(np.uint8)).resize((33, 40), Image.Resampling.NEAREST)) > 0
    assert next(compare(pairs[0], pairs[1], "truth")).iou == iou(large, truth)
    tiny = np.asarray(Image.fromarray(truth.astype(np.uint8)).resize((17, 13), Image.Resampling.NEAREST)) > 0
    assert next(compare(pairs[0], pairs[1], "prediction")).iou == iou(small, tiny)


def test_two_empty_masks_are_left_out(tmp_path):
    predicted, truth = lerf(tmp_path)
    save(truth / "test_mask/1/egg.png", square(0, 0, 0))
    save(predicted / "1/egg.png", square(0, 0, 0))
    score = score_lerf_mask(predicted, truth)
    assert (score.empty, score.masks) == (1, 2)
    assert score.iou["egg"] == pytest.approx(0.5)


def test_3d_ovs_averages_all_pairs(tmp_path):
    score = score_ovs(*ovs(tmp_path))
    assert score.iou == {"cat": pytest.approx(0.75), "a 4.5 mm pin": pytest.approx(1.0)}
    assert score.mean_iou == pytest.approx(3.5 / 4)
    assert score.as_dict()["classes"]["cat"] == {"iou": 75.0}


def test_3d_ovs_accuracy_is_the_share_of_pixels_where_all_classes_are_right(tmp_path):
    predicted, truth = ovs(tmp_path)
    # 200 of 1600 pixels of the second view are wrong.
    assert score_ovs(predicted, truth).accuracy == pytest.approx((1 + 1400 / 1600) / 2)
    assert score_ovs(predicted, truth).as_dict()["accuracy"] == 93.75
    # Pixels at which both classes are wrong count once.
    save(predicted / "05/a 4.5 mm pin.png", square(20, 20, 10) | square(15, 5, 10))
    wrong = (square(0, 0, 20) & (np.arange(40) >= 10)) | square(15, 5, 10)
    assert score_ovs(predicted, truth).accuracy == pytest.approx((1 + 1 - wrong.sum() / 1600) / 2)


@pytest.mark.parametrize(("missing", "first"), [("zero", 1200 / 1600), ("skip", 1.0)])
def test_3d_ovs_accuracy_with_missing_masks(tmp_path, missing, first):
    predicted, truth = ovs(tmp_path)
    (predicted / "00/cat.png").unlink()
    assert score_ovs(predicted, truth, missing).accuracy == pytest.approx((first + 1400 / 1600) / 2)
    (predicted / "00/a 4.5 mm pin.png").unlink()
    mean = (1100 / 1600 + 1400 / 1600) / 2 if missing == "zero" else 1400 / 1600
    assert score_ovs(predicted, truth, missing).accuracy == pytest.approx(mean)


@pytest.mark.parametrize(("missing", "mean"), [("zero", 2.5 / 4), ("skip", 2.5 / 3)])
def test_3d_ovs_missing(tmp_path, missing, mean):
    predicted, truth = ovs(tmp_path)
    (predicted / "00/cat.png").unlink()
    score = score_ovs(predicted, truth, missing)
    assert score.missing == 1
    assert score.mean_iou == pytest.approx(mean)


def test_only_classes_that_are_listed_are_scored(tmp_path):
    predicted, truth = ovs(tmp_path)
    save(truth / "segmentations/00/shadow.png", square(0, 0, 5))
    assert score_ovs(predicted, truth).masks == 4


def rewrite(name: str, data: bytes):
    def change(predicted: Path, truth: Path) -> None:
        (truth.parent / name).write_bytes(data)

    return change


def remove(name: str):
    def change(predicted: Path, truth: Path) -> None:
        (truth.parent / name).unlink()

    return change


def rename(old: str, new: str):
    def change(predicted: Path, truth: Path) -> None:
        (truth.parent / old).rename(truth.parent / new)

    return change


def other_views(predicted: Path, truth: Path) -> None:
    for folder in list(predicted.iterdir()):
        folder.rename(predicted / f"view {folder.name}")


def blacken(predicted: Path, truth: Path) -> None:
    for file in [*predicted.rglob("*.png"), *truth.rglob("*.png")]:
        save(file, square(0, 0, 0))


BAD_MASK_FOLDERS = {
    "no predictions": (lerf, rename("predicted", "elsewhere"), BadArgument, "predicted does not exist"),
    "no truth": (lerf, rename("truth", "elsewhere"), BadArgument, "truth does not exist"),
    "truth without masks": (lerf, rename("truth/test_mask", "truth/masks"), BadArgument, "No ground-truth masks"),
    "predictions of other views": (lerf, other_views, BadResult, "None of the 3 ground-truth masks has a prediction"),
    "predictions of other views of 3D-OVS": (ovs, other_views, BadResult, "None of the 4 ground-truth masks"),
    "a prediction that is no picture": (lerf, rewrite("predicted/0/egg.png", b"no"), BadMask, "egg.png cannot be read"),
    "a true mask that is no picture": (lerf, rewrite("truth/test_mask/0/egg.png", b""), BadMask, "cannot be read"),
    "nothing white anywhere": (lerf, blacken, BadResult, "are empty"),
    "no classes.txt": (ovs, remove("truth/segmentations/classes.txt"), BadArgument, "classes.txt cannot be read"),
    "classes.txt is empty": (ovs, rewrite("truth/segmentations/classes.txt", b"\n"), BadArgument, "contains no class"),
    "classes.txt is no text": (ovs, rewrite("truth/segmentations/classes.txt", b"\xff"), BadArgument, "cannot be read"),
    "a class without masks": (ovs, rewrite("truth/segmentations/classes.txt", b"dog"), BadArgument, "dog.png does not"),
    "a class outside": (ovs, rewrite("truth/segmentations/classes.txt", b"../../x"), BadArgument, "x.png does not"),
    "a view that lacks a class": (ovs, remove("truth/segmentations/00/cat.png"), BadArgument, "cat.png does not"),
    "nothing white in 3D-OVS": (ovs, blacken, BadResult, "are empty"),
}


@pytest.mark.parametrize("case", BAD_MASK_FOLDERS)
def test_bad_mask_folders_end_in_a_sentence(tmp_path, case):
    write, spoil, kind, says = BAD_MASK_FOLDERS[case]
    spoil(*write(tmp_path))
    assert issubclass(kind, Fault)
    with pytest.raises(kind, match=says):
        (score_lerf_mask if write is lerf else score_ovs)(tmp_path / "predicted", tmp_path / "truth")

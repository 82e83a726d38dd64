"""Folders in the layouts of Messy-Rooms and Panoptic-Lifting, good and bad."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.evaluate.folders import evaluate_folder
from backend.evaluate.protocols import as_lines, evaluate_by
from backend.evaluate.scene_folders import last_frames, score_messy_rooms, score_panoptic_lifting
from protocol.errors import BadArgument, BadMask, BadResult, Fault

IDS = np.kron(np.array([[0, 1, 2], [0, 1, 3]]), np.ones((10, 10), int))


def save(file: Path, ids: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".npy":
        np.save(file, ids)
    else:
        Image.fromarray(ids.astype(np.uint16)).save(file)


def messy(tmp_path: Path, frames: int = 10) -> tuple[Path, Path]:
    """A scene of ten frames and a result with a label map for each of its last two; ids are other ones."""
    truth, result = tmp_path / "truth", tmp_path / "result"
    for frame in range(frames):
        save(truth / f"instance/{frame}.npy", IDS.astype(np.int16))
        save(truth / f"semantic/{frame}.npy", np.sign(IDS).astype(np.uint8))
    for frame in range(frames - 2, frames):
        save(result / f"labels/{frame}.png", np.where(IDS > 0, IDS + 10, 0))
    return result, truth


def scannet(tmp_path: Path) -> tuple[Path, Path]:
    """Wall (1) with chairs (5); frames 0 and 2 are for testing."""
    truth, result = tmp_path / "truth", tmp_path / "result"
    for frame in range(3):
        save(truth / f"rs_semantics/{frame}.png", np.where(IDS > 0, 5, 1))
        save(truth / f"rs_instance/{frame}.png", IDS)
        save(result / f"pred_semantics/{frame}.png", np.where(IDS > 0, 5, 1))
        save(result / f"pred_surrogateid/{frame}.png", np.where(IDS > 0, IDS + frame % 2, 7))
    (truth / "splits.json").write_text(json.dumps({"train": ["1"], "test": ["0", "2"]}))
    return result, truth


def test_messy_rooms_scene_and_result_folder(tmp_path):
    score, missing = score_messy_rooms(*messy(tmp_path))
    assert (score.pq, score.views, missing) == (1.0, 2, 0)


def test_only_the_last_fifth_is_scored(tmp_path):
    result, truth = messy(tmp_path)
    save(result / "labels/0.png", np.zeros_like(IDS))
    score, _ = score_messy_rooms(result, truth)
    assert (score.pq, score.views) == (1.0, 2)


def test_frames_are_in_numeric_order():
    assert last_frames([str(i) for i in range(12)]) == ["9", "10", "11"]
    assert last_frames([f"{i:04d}" for i in range(100)]) == [f"{i:04d}" for i in range(80, 100)]


def test_a_test_frame_that_was_not_predicted_is_told(tmp_path):
    result, truth = messy(tmp_path)
    (result / "labels/9.png").unlink()
    score, missing = score_messy_rooms(result, truth)
    assert (score.pq, score.views, missing) == (1.0, 1, 1)


def test_plain_folders_of_id_maps(tmp_path):
    result, truth = messy(tmp_path)
    score, missing = score_messy_rooms(result / "labels", truth / "instance")
    assert (score.pq, score.views, missing) == (1.0, 2, 8), "all views of a plain folder are for testing"


def test_predictions_with_semantic_maps_of_their_own(tmp_path):
    result, truth = messy(tmp_path)
    for frame in (8, 9):
        save(result / f"semantic/{frame}.png", np.zeros_like(IDS))
        save(result / f"instance/{frame}.png", IDS)
    score, _ = score_messy_rooms(result, truth)
    assert score.classes[1].fn == 3, "instances of the background are not counted"


def test_scannet_scene_with_its_split(tmp_path):
    result, truth = scannet(tmp_path)
    score, missing = score_panoptic_lifting(result, truth)
    assert (score.pq, score.views, missing) == (1.0, 2, 0)
    (truth / "splits.json").unlink()
    score, _ = score_panoptic_lifting(result, truth)
    assert score.views == 3
    assert score.pq < 1.0, "frame 1 has other ids"


def test_the_default_takes_a_messy_rooms_scene_too(tmp_path):
    assert evaluate_folder(*messy(tmp_path)).pq_things == 100


def test_protocols_by_name(tmp_path):
    result, truth = messy(tmp_path)
    score = evaluate_by("messy-rooms", result, truth)
    assert (score["protocol"], score["pq"], score["missing"]) == ("messy-rooms", 100.0, 0)
    assert json.loads(json.dumps(score)) == score
    lines = [line.strip() for line in as_lines(score)]
    assert "pq  100.0" in lines
    assert "dropped  none" in lines
    assert "objects  pq 100.0  sq 100.0  rq 100.0  tp 3  fp 0  fn 0" in lines
    assert "protocol" not in evaluate_by(None, result, truth)


def drop(name: str):
    def change(result: Path, truth: Path) -> None:
        (result.parent / name).rename(result.parent / "elsewhere")

    return change


def write(name: str, data: bytes):
    def change(result: Path, truth: Path) -> None:
        (result.parent / name).write_bytes(data)

    return change


def put(name: str, ids: np.ndarray):
    return lambda result, truth: save(result.parent / name, ids)


def training_views(result: Path, truth: Path) -> None:
    for frame in (8, 9):
        (result / f"labels/{frame}.png").rename(result / f"labels/{frame - 8}.png")


def claim_too_much(result: Path, truth: Path) -> None:
    file = truth / "instance/9.npy"
    file.write_bytes(file.read_bytes().replace(b"(20, 30)", b"(20000, 300000)").replace(b"       \n", b"\n"))


BAD_SCENE_FOLDERS = {
    "no result": (messy, drop("result"), BadArgument, "result does not exist"),
    "no truth": (messy, drop("truth"), BadArgument, "truth does not exist"),
    "no semantic truth": (messy, drop("truth/semantic"), BadArgument, "semantic does not exist"),
    "a true frame without its classes": (messy, drop("truth/semantic/9.npy"), BadMask, "no matching semantic map"),
    "a result without maps": (messy, drop("result/labels"), BadResult, "No id maps"),
    "labels of training views alone": (messy, training_views, BadArgument, "None of the 2 predicted"),
    "true ids that are no array": (messy, write("truth/instance/9.npy", b"no"), BadMask, "9.npy cannot be read"),
    "true ids that claim too much": (messy, claim_too_much, BadMask, "9.npy cannot be read"),
    "true ids with fractions": (messy, put("truth/instance/9.npy", IDS / 2), BadMask, "float64"),
    "true ids of no pixel": (messy, put("truth/instance/9.npy", IDS[:0]), BadMask, "9.npy"),
    "a predicted map cut off": (messy, write("result/labels/9.png", b"\x89PNG\r\n\x1a\n"), BadMask, "9.png cannot be"),
    "ScanNet without true instances": (scannet, drop("truth/rs_instance"), BadArgument, "no rs_instance folder"),
    "ScanNet without predicted classes": (scannet, drop("result/pred_surrogateid"), BadResult, "no semantic maps"),
    "a predicted frame without classes": (
        scannet,
        drop("result/pred_semantics/2.png"),
        BadMask,
        "no matching semantic map",
    ),
    "splits.json is broken": (scannet, write("truth/splits.json", b"{"), BadArgument, "splits.json"),
    "splits.json without test": (scannet, write("truth/splits.json", b'{"train": []}'), BadArgument, "'test'"),
    "splits.json with a number": (scannet, write("truth/splits.json", b'{"test": 3}'), BadArgument, "not a list"),
    "splits.json lists other frames": (scannet, write("truth/splits.json", b'{"test": ["9"]}'), BadArgument, "None of"),
}


@pytest.mark.parametrize("case", BAD_SCENE_FOLDERS)
def test_bad_scene_folders_end_in_a_sentence(tmp_path, case):
    make, spoil, kind, says = BAD_SCENE_FOLDERS[case]
    result, truth = make(tmp_path)
    spoil(result, truth)
    assert issubclass(kind, Fault)
    with pytest.raises(kind, match=says):
        evaluate_by("messy-rooms" if make is messy else "scene", result, truth)


@pytest.mark.parametrize("protocol", [None, "scene", "messy-rooms"])
def test_missing_is_a_choice_for_masks_only(tmp_path, protocol):
    with pytest.raises(BadArgument, match="skip"):
        evaluate_by(protocol, *messy(tmp_path), "skip")

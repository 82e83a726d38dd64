"""Zero-shot detectors: boxes of words in photographs, from tiny models with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.segmenter.weights import Weights, find_weights
from backend.words.detecting import Box
from backend.words.models import LEAST_SCORE, load_detector, load_masker
from protocol.errors import BadArgument
from tests.backend.segmenter import tiny as tiny_masks
from tests.backend.words.tiny import DETECTORS, build


def weights_of(folder: Path) -> Weights:
    found = find_weights(str(folder))
    assert found is not None
    return found


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_gives_boxes_inside_the_photograph(name: str, tmp_path: Path, monkeypatch) -> None:
    detector, warnings = load_detector(weights_of(build(name, tmp_path / name)), "cpu")
    assert warnings == ()
    monkeypatch.setitem(LEAST_SCORE, detector.kind, 0.0)
    photograph = tiny_masks.photographs(1, 48, 80)[0]
    found = detector(photograph, ["green apple", "cup"])
    assert len(found) == 2
    for boxes in found:
        assert boxes
        assert [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
        for box in boxes:
            assert 0 <= box.left < box.right <= 80
            assert 0 <= box.top < box.bottom <= 48
    assert found[0] != found[1]
    # A threshold that no score exceeds leaves no box.
    monkeypatch.setitem(LEAST_SCORE, detector.kind, 1.0)
    assert detector(photograph, ["cup"]) == [[]]


def test_more_words_than_the_model_reads_at_once_are_asked_in_groups(tmp_path: Path, monkeypatch) -> None:
    detector, _ = load_detector(weights_of(build("grounding_dino", tmp_path / "model")), "cpu")
    monkeypatch.setitem(LEAST_SCORE, detector.kind, 0.0)
    words = ["green apple", "red apple", "cup", "submarine", "red cup", "green cup", "apple"]
    assert [len(group) for group in detector._groups(words)] == [5, 2]
    assert len(detector(tiny_masks.photographs(1)[0], words)) == len(words)
    with pytest.raises(BadArgument, match="too long for the detector"):
        detector(tiny_masks.photographs(1)[0], [" ".join(["apple"] * 20)])


def test_a_word_scores_as_its_best_token(tmp_path: Path) -> None:
    detector, _ = load_detector(weights_of(build("grounding_dino", tmp_path / "model")), "cpu")
    tokens, owners = detector._text(["green apple", "cup"])
    assert owners == [-1, 0, 0, -1, 1, -1, -1]
    assert detector.tokenizer.convert_ids_to_tokens(tokens) == ["[CLS]", "green", "apple", ".", "cup", ".", "[SEP]"]


def test_a_model_that_reads_no_words_is_refused(tmp_path: Path) -> None:
    weights = weights_of(tiny_masks.build("sam2", tmp_path / "sam2"))
    with pytest.raises(BadArgument, match="does not detect objects by words"):
        load_detector(weights, "cpu")
    with pytest.raises(BadArgument, match="does not make masks for boxes"):
        load_masker(weights_of(tiny_masks.build("eomt", tmp_path / "eomt")), "cpu")


@pytest.mark.parametrize("name", ["sam", "sam_hq", "sam2"])
def test_a_mask_model_gives_one_mask_per_box(name: str, tmp_path: Path) -> None:
    masker = load_masker(weights_of(tiny_masks.build(name, tmp_path / name)), "cpu")
    masks = masker(tiny_masks.photographs(1, 48, 80)[0], [Box(0.5, 5, 5, 30, 30), Box(0.5, 40, 10, 75, 45)])
    assert [mask.shape for mask in masks] == [(48, 80), (48, 80)]
    assert np.asarray(masks).dtype == bool

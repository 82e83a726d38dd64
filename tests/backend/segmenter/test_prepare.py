"""Photographs are prepared as the processors of transformers do it, of which those on Pillow need no torchvision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.eomt.image_processing_pil_eomt import EomtImageProcessorPil
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.models.oneformer.image_processing_pil_oneformer import OneFormerImageProcessorPil
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from backend.segmenter.prepare import Prepared, prepare, read_recipe, seen_size, to_photograph
from protocol.errors import BadArgument
from tests.backend.segmenter.tiny import NORMAL, photographs

STEP = 1.01 / 255 / 0.22
"""A byte after normalisation: Pillow and torch round a resized pixel differently here and there."""


def write(folder: Path, **content: object) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps({**NORMAL, **content}))
    return folder


PROCESSORS = {
    "sam": (
        SamImageProcessorPil,
        {"size": {"longest_edge": 96}, "pad_size": {"height": 96, "width": 96}, "do_pad": True},
    ),
    "mask2former": (
        Mask2FormerImageProcessorPil,
        {"size": {"shortest_edge": 50, "longest_edge": 90}, "size_divisor": 32},
    ),
    "oneformer": (OneFormerImageProcessorPil, {"size": {"shortest_edge": 50, "longest_edge": 70}}),
    "detr": (DetrImageProcessorPil, {"size": {"shortest_edge": 50, "longest_edge": 90}, "do_pad": True}),
    "eomt": (EomtImageProcessorPil, {"size": {"shortest_edge": 64, "longest_edge": 64}, "do_pad": True}),
}


@pytest.mark.parametrize("shape", [(120, 180), (133, 77), (30, 41)])
@pytest.mark.parametrize("kind", PROCESSORS)
def test_pixels_are_those_of_the_processor(tmp_path: Path, kind, shape):
    processor, content = PROCESSORS[kind]
    recipe = read_recipe(write(tmp_path, **content), kind)
    given = photographs(2, *shape)
    theirs = processor(**NORMAL, **content)(images=given, return_tensors="pt", **TASK.get(kind, {}))["pixel_values"]
    ours = prepare(recipe, given, "cpu")
    assert ours.pixels.shape == theirs.shape
    difference = (ours.pixels - theirs).abs()
    assert difference.max() <= STEP
    assert difference.mean() < 0.25 * STEP


TASK = {"oneformer": {"task_inputs": ["panoptic", "panoptic"]}}


def test_a_configuration_may_be_within_that_of_a_processor(tmp_path: Path):
    content = {"image_processor": {**NORMAL, "size": {"height": 20, "width": 30}}, "processor_class": "Sam2Processor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(content))
    assert seen_size(read_recipe(tmp_path, "sam2"), (7, 9)) == (20, 30)


def test_padding_is_taken_off_again():
    """A mask that is right of the middle of the photograph is right of the middle, whatever is padded."""
    prepared = Prepared(torch.zeros(1, 3, 64, 64), (48, 64))
    logits = torch.full((1, 64, 64), -5.0)
    logits[:, :48, 32:] = 5.0
    logits[:, 48:] = 5.0
    large = to_photograph(logits, prepared, (96, 128)) > 0
    assert large.shape == (1, 96, 128)
    assert large[0, :, 66:].all()
    assert not large[0, :90, :62].any()


BAD = {
    "no file": None,
    "no JSON": b"{",
    "a list": b"[1]",
    "no mean": json.dumps({"size": 3, "image_std": [1, 1, 1]}).encode(),
    "no side": json.dumps({**NORMAL, "size": {}}).encode(),
    "a side too long": json.dumps({**NORMAL, "size": {"height": 1 << 20, "width": 9}}).encode(),
    "padding too large": json.dumps({**NORMAL, "size": 9, "pad_size": {"height": 1 << 20, "width": 9}}).encode(),
    "a height alone": json.dumps({**NORMAL, "size": {"height": 9}}).encode(),
    "a deviation of zero": json.dumps({**NORMAL, "size": 9, "image_std": [1, 0, 1]}).encode(),
    "patches": json.dumps({**NORMAL, "size": {"shortest_edge": 9}, "do_split_image": True}).encode(),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_configuration_is_one_sentence(tmp_path: Path, case):
    content = BAD[case]
    if content is not None:
        (tmp_path / "preprocessor_config.json").write_bytes(content)
    with pytest.raises(BadArgument, match=str(tmp_path)):
        read_recipe(tmp_path, "sam")


def test_photographs_of_the_right_size_are_only_normalised(tmp_path: Path):
    recipe = read_recipe(write(tmp_path, size={"height": 8, "width": 9}), "sam2")
    given = [np.full((8, 9, 3), 255, np.uint8)]
    expected = (1 - np.array(NORMAL["image_mean"])) / np.array(NORMAL["image_std"])
    assert prepare(recipe, given, "cpu").pixels[0, :, 3, 4].numpy() == pytest.approx(expected, abs=1e-5)

"""Zero-shot detectors of transformers: Grounding DINO, MM Grounding DINO (also LLMDet), OWL-ViT and OWLv2.

Weights are read as in :mod:`backend.segmenter`: from this machine, safetensors only, no code of the model is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.segmenter.boxes import best_of_each
from backend.segmenter.catalogue import Known
from backend.segmenter.devices import half_precision
from backend.segmenter.kinds import Kind, kind_of, read_config
from backend.segmenter.library import first_line, is_installed, no_network, transformers
from backend.segmenter.load import load_model
from backend.segmenter.prepare import Recipe, prepare, read_recipe, to_photograph
from backend.segmenter.weights import Weights, find_weights
from backend.words.detecting import Box
from protocol.errors import BadArgument, Unavailable

GROUNDING = ("grounding-dino", "mm-grounding-dino")
"""Model types that read all words as one text and score each of its tokens."""
OWL = ("owlvit", "owlv2")
"""Model types that read each word separately."""
PADS_TO_SQUARE = ("owlv2",)
LEAST_SCORE = {"grounding-dino": 0.25, "mm-grounding-dino": 0.2, "owlvit": 0.1, "owlv2": 0.1}
"""Least score of a box, the defaults of the publishers."""
BOX_OVERLAP = 0.7
"""IoU from which two boxes of one word are the same detection."""


KNOWN = (
    Known("IDEA-Research/grounding-dino-tiny", "Grounding DINO tiny", 690, "apache-2.0"),
    Known("IDEA-Research/grounding-dino-base", "Grounding DINO base", 933, "apache-2.0"),
    Known("google/owlv2-base-patch16-ensemble", "OWLv2 base", 620, "apache-2.0"),
    Known("iSEE-Laboratory/llmdet_tiny", "LLMDet tiny", 690, "apache-2.0"),
)
"""The first one in the cache is used; any other model of the same classes can be named."""


def default_detector() -> str:
    """Return the name of the default detector: one on this machine, else the first known one."""
    found = (known.name for known in KNOWN if is_installed() and find_weights(known.name) is not None)
    return next(found, KNOWN[0].name)


def load_detector(weights: Weights, device: str) -> tuple[ZeroShotDetector, tuple[str, ...]]:
    """Return a detector, and warnings.

    Raises:
        BadArgument: if the model is no such detector, or its files are damaged.
        Unavailable: if a package is not installed, or the model does not fit into memory.
    """
    library = transformers()
    config = read_config(weights)
    kind = str(getattr(config, "model_type", ""))
    if kind not in GROUNDING + OWL:
        raise BadArgument(
            f"The model {weights.name} has the type {kind!r}, which does not detect objects by words.",
            "Choose a model such as Grounding DINO, LLMDet or OWLv2.",
        )
    recipe = read_recipe(weights.folder, kind)
    model, warnings = load_model(library.AutoModelForZeroShotObjectDetection, weights, config, device)
    try:
        with no_network():
            tokenizer = library.AutoTokenizer.from_pretrained(
                weights.folder, local_files_only=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadArgument(
            f"The tokenizer of the model {weights.name} cannot be read: {first_line(error)}.", "Copy the model again."
        ) from error
    return ZeroShotDetector(model, tokenizer, recipe, kind, device), warnings


class ZeroShotDetector:
    """A detector; see :class:`backend.words.detecting.Detector`.

    Args:
        model: from ``AutoModelForZeroShotObjectDetection``, on ``device``, in float32.
        tokenizer: of the model.
        recipe: the preprocessing of photographs.
        kind: its ``model_type``.
        device: "cpu" or "cuda".
    """

    def __init__(self, model: Any, tokenizer: Any, recipe: Recipe, kind: str, device: str) -> None:
        self.model, self.tokenizer, self.recipe = model, tokenizer, recipe
        self.kind, self.device = kind, device
        text = getattr(model.config, "text_config", None)
        self.most_tokens = (
            int(model.config.max_text_len) if kind in GROUNDING else int(getattr(text, "max_position_embeddings", 16))
        )

    @torch.inference_mode()
    def __call__(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> list[list[Box]]:
        """Return the boxes of each word in a photograph (H, W, 3) uint8, best first.

        Raises:
            BadArgument: if a word is longer than the model's text input.
            Unavailable: if the photograph does not fit into memory.
        """
        try:
            if self.kind in OWL:
                scores, boxes = self._owl(photograph, words)
                return [self._boxes(scores[:, number], boxes, photograph) for number in range(len(words))]
            found: list[list[Box]] = []
            for group in self._groups(words):
                scores, boxes = self._grounding(photograph, group)
                found += [self._boxes(scores[:, number], boxes, photograph) for number in range(len(group))]
            return found
        except torch.OutOfMemoryError as error:
            raise Unavailable(
                "The detector does not fit in the memory of the device.", "Use --device cpu or a smaller model."
            ) from error

    def _owl(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (Q, W) scores and (Q, 4) boxes, centre and size relative to the input."""
        if self.kind in PADS_TO_SQUARE:
            side = max(photograph.shape[:2])
            square = np.zeros((side, side, 3), np.uint8)
            square[: photograph.shape[0], : photograph.shape[1]] = photograph
            photograph = square
        told = self.tokenizer(list(words), padding="max_length", max_length=self.most_tokens, return_tensors="pt")
        if told["input_ids"].shape[1] > self.most_tokens:
            raise _too_long(max(words, key=len))
        prepared = prepare(self.recipe, [photograph], self.device)
        with half_precision(self.device):
            out = self.model(
                input_ids=told["input_ids"].to(self.device),
                attention_mask=told["attention_mask"].to(self.device),
                pixel_values=prepared.pixels,
            )
        return out.logits[0].float().sigmoid(), out.pred_boxes[0].float()

    def _groups(self, words: Sequence[str]) -> list[list[str]]:
        """Return the words in groups whose text fits into the model's input."""
        groups: list[list[str]] = []
        for word in words:
            if len(self._text([word])[0]) > self.most_tokens:
                raise _too_long(word)
            if groups and len(self._text([*groups[-1], word])[0]) <= self.most_tokens:
                groups[-1].append(word)
            else:
                groups.append([word])
        return groups

    def _text(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the tokens of the words as one text with full stops, and the word of each token, -1 for none."""
        begin, end = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        stop = self.tokenizer.convert_tokens_to_ids(".")
        tokens, owners = [begin], [-1]
        for number, word in enumerate(words):
            own = self.tokenizer(word, add_special_tokens=False)["input_ids"]
            tokens += [*own, stop]
            owners += [number] * len(own) + [-1]
        return [*tokens, end], [*owners, -1]

    def _grounding(self, photograph: NDArray[np.uint8], words: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`_owl`; the score of a word is that of its best token."""
        tokens, owners = self._text(words)
        prepared = prepare(self.recipe, [photograph], self.device)
        height, width = prepared.pixels.shape[-2:]
        seen = torch.zeros((1, height, width), dtype=torch.int64, device=self.device)
        seen[:, : prepared.seen[0], : prepared.seen[1]] = 1
        ids = torch.tensor([tokens], device=self.device)
        with half_precision(self.device):
            out = self.model(
                pixel_values=prepared.pixels,
                pixel_mask=seen,
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                token_type_ids=torch.zeros_like(ids),
            )
        scores = out.logits[0, :, : len(tokens)].float().sigmoid()
        owner = torch.tensor(owners, device=scores.device)
        found = [scores[:, owner == number].amax(1) for number in range(len(words))]
        return torch.stack(found, 1), out.pred_boxes[0].float()

    def _boxes(self, scores: torch.Tensor, boxes: torch.Tensor, photograph: NDArray[np.uint8]) -> list[Box]:
        good = scores > LEAST_SCORE[self.kind]
        values, places = scores[good].cpu().numpy().astype(np.float64), boxes[good].cpu().numpy().astype(np.float64)
        height, width = photograph.shape[:2]
        if self.kind in PADS_TO_SQUARE:
            size = np.array([max(height, width)] * 2)
        else:
            size = np.array([width, height])
        corners = np.hstack([places[:, :2] - places[:, 2:] / 2, places[:, :2] + places[:, 2:] / 2]) * np.tile(size, 2)
        corners = corners.clip(0, np.tile([width, height], 2))
        real = (corners[:, 2:] > corners[:, :2]).all(1)
        values, corners = values[real], corners[real]
        return [Box(float(values[i]), *corners[i].tolist()) for i in best_of_each(corners, values, BOX_OVERLAP)]


def _too_long(word: str) -> BadArgument:
    return BadArgument(f"The text {word!r} is too long for the detector.", "Give a shorter name.")


class SamInBoxes:
    """A mask model prompted with boxes; see :class:`backend.words.detecting.BoxMasker`.

    Args: as :class:`backend.segmenter.points.PointSegmenter`.
    """

    def __init__(self, model: Any, recipe: Recipe, device: str) -> None:
        self.model, self.recipe, self.device = model, recipe, device

    @torch.inference_mode()
    def __call__(self, photograph: NDArray[np.uint8], boxes: Sequence[Box]) -> list[NDArray[np.bool_]]:
        """Return the (H, W) mask of the thing in each box."""
        prepared = prepare(self.recipe, [photograph], self.device)
        height, width = photograph.shape[:2]
        scale = np.tile([prepared.seen[1] / width, prepared.seen[0] / height], 2)
        corners = np.array([[box.left, box.top, box.right, box.bottom] for box in boxes]) * scale
        with half_precision(self.device):
            out = self.model(
                pixel_values=prepared.pixels,
                input_boxes=torch.tensor(corners[None], dtype=torch.float32, device=self.device),
                multimask_output=False,
            )
        logits = to_photograph(out.pred_masks[0, :, 0].float(), prepared, (height, width))
        return list((logits > 0).cpu().numpy())


def load_masker(weights: Weights, device: str) -> SamInBoxes:
    """Return a mask model for boxes.

    Raises:
        BadArgument: if the model does not make masks for prompts, or its files are damaged. Unavailable: as
            :func:`load_detector`.
    """
    library = transformers()
    config = read_config(weights)
    if kind_of(weights, config) is not Kind.POINTS:
        raise BadArgument(
            f"The model {weights.name} does not make masks for boxes.", "Choose a model such as SAM 2.1 or SAM-HQ."
        )
    model, _ = load_model(library.AutoModelForMaskGeneration, weights, config, device)
    return SamInBoxes(model, read_recipe(weights.folder, config.model_type), device)

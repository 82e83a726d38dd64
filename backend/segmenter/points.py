"""Mask generation: prompts SAM or one of its successors with a grid of points, and keeps good and distinct masks.

As in the automatic mask generators of SAM and SAM 2: three masks per point, without those of low predicted IoU or low
stability, then non-maximum suppression of their boxes (Kirillov et al. 2023, "Segment Anything", section 5 and appendix
B). Scores are stored with the masks.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.segmenter.boxes import best_of_each, box_of
from backend.segmenter.devices import free_memory, half_precision
from backend.segmenter.mask_records import ScoredMask
from backend.segmenter.prepare import Prepared, Recipe, Size, prepare, to_photograph
from protocol.errors import Unavailable

LEAST_IOU, LEAST_STABILITY = 0.8, 0.95
"""Least predicted IoU and stability of a mask, as in SAM 2's generator; lifting weights the masks above."""
OFFSET = 1.0
"""Shift of the logit threshold in both directions to measure the stability of a mask."""
BOX_OVERLAP = 0.7
"""IoU of two boxes from which their masks count as duplicates."""
MOST_AT_ONCE = 64
DRAWN_AT_ONCE = 16
"""Masks that are resized to the photograph at once."""
COPIES = 24
"""Memory for decoding one point, in multiples of the image embedding, including upscaled features."""
SHARE = 4
"""A batch of points takes at most the free memory divided by this."""


def points_at_once(embedding: Size, channels: int, free: int | None) -> int:
    """Return how many points are decoded at once.

    Args:
        embedding: height and width of the image embedding.
        channels: of the image embedding.
        free: free memory in bytes; None if unknown.
    """
    if free is None:
        return MOST_AT_ONCE
    each = COPIES * 4 * channels * embedding[0] * embedding[1]
    return max(1, min(MOST_AT_ONCE, free // SHARE // max(1, each)))


class PointSegmenter:
    """A model of mask generation.

    Args:
        model: from ``AutoModelForMaskGeneration``, on ``device``, in float32.
        recipe: the preprocessing of photographs.
        device: "cpu" or "cuda".
        per_side: points of the grid along a side.
    """

    def __init__(self, model: Any, recipe: Recipe, device: str, per_side: int) -> None:
        self.model, self.recipe, self.device = model, recipe, device
        self.per_side = per_side
        self._has_two_embeddings = "intermediate_embeddings" in inspect.signature(model.forward).parameters

    @torch.inference_mode()
    def __call__(
        self, photographs: Sequence[NDArray[np.uint8]], size: Size, tell: Callable[[float], None]
    ) -> list[list[ScoredMask]]:
        """Return the masks of each photograph, best first.

        Args:
            photographs: (H, W, 3) uint8, sRGB, all of one size.
            size: height and width of the masks.
            tell: called with the share of the work that is done, 0 to 1.

            Raises:
                Unavailable: if even a single point does not fit into memory.
        """
        prepared = prepare(self.recipe, photographs, self.device)
        with half_precision(self.device):
            embeddings = self.model.get_image_embeddings(prepared.pixels)
        found = []
        for number in range(len(photographs)):
            single = one_of(embeddings, number)
            given = {"image_embeddings": single}
            if self._has_two_embeddings:
                given = {"image_embeddings": single[0], "intermediate_embeddings": single[1]}

            def told(share: float, number: int = number) -> None:
                tell((number + share) / len(photographs))

            found.append(self._of_photograph(given, prepared, size, told))
        return found

    def _of_photograph(
        self, given: dict[str, Any], prepared: Prepared, size: Size, tell: Callable[[float], None]
    ) -> list[ScoredMask]:
        points = grid(self.per_side, prepared.seen).to(self.device)
        last = given["image_embeddings"]
        last = last if isinstance(last, torch.Tensor) else last[-1]
        channels, height, width = last.shape[-3:]
        at_once = points_at_once((height, width), channels, free_memory(self.device))
        kept: list[_Drawn] = []
        start = 0
        while start < len(points):
            tell(start / len(points))
            batch = points[start : start + at_once]
            try:
                logits, scores = self._decode(given, batch)
                kept += _drawn(logits, scores, prepared, size)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise Unavailable(
                        "The model does not fit in the memory of the device.", "Use --device cpu or a smaller model."
                    ) from error
                at_once = max(1, len(batch) // 2)
                torch.cuda.empty_cache()
                continue
            start += len(batch)
        if not kept:
            return []
        boxes = np.array([each.box for each in kept], np.float64)
        best = best_of_each(boxes, np.array([each.iou for each in kept]), BOX_OVERLAP)
        return [kept[i].scored(size) for i in best]

    def _decode(self, given: dict[str, Any], points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (M, h, w) logits of the masks of P points and their (M,) predicted IoU, without those of low IoU."""
        labels = torch.ones((1, len(points), 1), dtype=torch.int64, device=points.device)
        out = self.model(**given, input_points=points[None, :, None], input_labels=labels, multimask_output=True)
        logits, scores = out.pred_masks[0].flatten(0, 1), out.iou_scores[0].flatten()
        good = scores > LEAST_IOU
        return logits[good], scores[good]


class _Drawn:
    """A mask at the photograph's size, packed to bits, because hundreds wait for the removal of duplicates."""

    def __init__(self, mask: NDArray[np.bool_], iou: float, stability: float) -> None:
        self.bits, self.box = np.packbits(mask), box_of(mask)
        self.iou, self.stability = iou, stability

    def scored(self, size: Size) -> ScoredMask:
        mask = np.unpackbits(self.bits, count=size[0] * size[1]).reshape(size).astype(bool)
        return ScoredMask(mask, predicted_iou=min(1.0, self.iou), stability_score=self.stability)


def _drawn(logits: torch.Tensor, scores: torch.Tensor, prepared: Prepared, size: Size) -> list[_Drawn]:
    """Resize masks to the photograph and drop unstable ones."""
    kept = []
    for start in range(0, len(logits), DRAWN_AT_ONCE):
        part = slice(start, start + DRAWN_AT_ONCE)
        large = to_photograph(logits[part], prepared, size)
        tight, wide = ((large > sign * OFFSET).flatten(1).sum(1) for sign in (1, -1))
        stability = tight / wide.clamp(min=1)
        masks = large > 0
        good = (stability > LEAST_STABILITY) & masks.flatten(1).any(1)
        for mask, iou, stable in zip(
            masks[good].cpu().numpy(), scores[part][good].tolist(), stability[good].tolist(), strict=True
        ):
            kept.append(_Drawn(mask, iou, stable))
    return kept


def grid(per_side: int, seen: Size) -> torch.Tensor:
    """Return (per_side ** 2, 2) points, x and y in pixels of the model's input, the centres of a regular grid."""
    along = (torch.arange(per_side, dtype=torch.float32) + 0.5) / per_side
    y, x = torch.meshgrid(along * seen[0], along * seen[1], indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def one_of(embeddings: Any, number: int) -> Any:
    """Return photograph ``number`` of a batch of embeddings in float32: a tensor, or a list of them."""
    if isinstance(embeddings, torch.Tensor):
        return embeddings[number : number + 1].float()
    return [one_of(each, number) for each in embeddings]

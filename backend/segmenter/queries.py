"""Universal segmentation: a model returns a fixed number of masks, each with a class or "no object".

Pixels are assigned as in MaskFormer for panoptic segmentation (Cheng et al. 2021, section 3.4): each goes to the mask
with the largest product of class probability and mask probability, and a mask that loses much of its area is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.segmenter.categories import things_of
from backend.segmenter.devices import half_precision
from backend.segmenter.mask_records import ScoredMask
from backend.segmenter.prepare import Prepared, Recipe, Size, prepare, to_photograph

LEAST_SCORE = 0.5
"""Least class probability of a mask."""
LEAST_SHARE = 0.8
"""Least share of a mask's area that it keeps after the assignment."""
OUTPUTS = (("class_queries_logits", "masks_queries_logits"), ("logits", "pred_masks"))
"""Names of a model's (B, Q, C + 1) class logits, the last of which is "no object", and (B, Q, h, w) mask logits."""


class QuerySegmenter:
    """A model of universal segmentation.

    Args:
        model: from ``AutoModelForUniversalSegmentation``, on ``device``, in float32.
        recipe: the preprocessing of photographs.
        device: "cpu" or "cuda".
        labels: the names of the classes by number.
        task: additional inputs of the model per photograph, which OneFormer needs; (1, n) tensors.
    """

    def __init__(
        self, model: Any, recipe: Recipe, device: str, labels: Sequence[str], task: Mapping[str, torch.Tensor]
    ) -> None:
        self.model, self.recipe, self.device = model, recipe, device
        self.labels, self.things = labels, things_of(labels)
        self.task = task

    @torch.inference_mode()
    def __call__(
        self, photographs: Sequence[NDArray[np.uint8]], size: Size, tell: Callable[[float], None]
    ) -> list[list[ScoredMask]]:
        """Return the masks of each photograph, which do not overlap, best first.

        Args: as :meth:`backend.segmenter.points.PointSegmenter.__call__`.
        """
        tell(0.0)
        prepared = prepare(self.recipe, photographs, self.device)
        task = {name: each.to(self.device).repeat(len(photographs), 1) for name, each in self.task.items()}
        with half_precision(self.device):
            out = self.model(pixel_values=prepared.pixels, **task)
        classes, masks = next((out[a], out[b]) for a, b in OUTPUTS if a in out and b in out)
        found = []
        for number in range(len(photographs)):
            tell((number + 1) / (len(photographs) + 1))
            found.append(self._of_photograph(classes[number].float(), masks[number].float(), prepared, size))
        return found

    def _of_photograph(
        self, classes: torch.Tensor, logits: torch.Tensor, prepared: Prepared, size: Size
    ) -> list[ScoredMask]:
        scores, labels = classes.softmax(-1)[:, :-1].max(-1)
        order = torch.argsort(-scores, stable=True)
        order = order[scores[order] > LEAST_SCORE]
        if not len(order):
            return []
        scores, labels = scores[order], labels[order]
        probabilities = to_photograph(logits[order], prepared, size).sigmoid_()
        owner = (scores[:, None, None] * probabilities).argmax(0)
        found = []
        for i, (score, label) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True)):
            drawn = probabilities[i] > 0.5
            mask = drawn & (owner == i)
            area = int(mask.sum())
            if not area or area < LEAST_SHARE * int(drawn.sum()):
                continue
            category = self.labels[int(label)]
            mean = float(probabilities[i][mask].mean())
            found.append(
                ScoredMask(mask.cpu().numpy(), score=score * mean, category=category, isthing=self.things.get(category))
            )
        return found

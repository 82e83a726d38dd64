"""LERF-Mask (Ye et al. 2024, Gaussian Grouping): mean IoU and mean boundary IoU of masks for text prompts.

Layout of one scene: ground truth in ``test_mask/<view>/<prompt>.png``, predictions in ``<view>/<prompt>.png``.

The rules are those of the script of Gaussian Grouping, which Contrastive Gaussian Clustering, Unified-Lift, Gaga and
OpenSplat3D use: pixels above 128 belong to a mask, a prediction is resized to the truth with NEAREST, the scores of a
prompt are averaged over its views, then over all prompts. The papers report the mean over three scenes.

There are two differences, the first of which is optional:

- A missing prediction counts as 0. The script silently skips it, so a method gains by not answering; ``missing="skip"``
  does the same.
- If truth and prediction are both empty, the pair is ignored. The script divides 0 by 0, and its mean becomes NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.evaluate.prompt_masks import Missing, compare, counted, mask_files, per_prompt
from protocol.errors import BadArgument, BadResult


@dataclass(frozen=True)
class LerfMaskScore:
    """Scores of one scene, shares from 0 to 1.

    Attributes:
        iou, boundary_iou: by prompt, the mean over its views.
        masks: true masks that were scored.
        missing: true masks without a prediction, whether or not they count.
        empty: pairs that are not scored because both masks are empty.
    """

    iou: dict[str, float]
    boundary_iou: dict[str, float]
    masks: int
    missing: int
    empty: int

    @property
    def mean_iou(self) -> float:
        return float(np.mean(list(self.iou.values())))

    @property
    def mean_boundary_iou(self) -> float:
        return float(np.mean(list(self.boundary_iou.values())))

    def as_dict(self) -> dict:
        """Scores in percent, as in the published tables."""
        return {
            "mean_iou": round(100 * self.mean_iou, 2),
            "mean_boundary_iou": round(100 * self.mean_boundary_iou, 2),
            "masks": self.masks,
            "missing": self.missing,
            "empty": self.empty,
            "prompts": {
                prompt: {"iou": round(100 * self.iou[prompt], 2), "boundary_iou": round(100 * edge, 2)}
                for prompt, edge in self.boundary_iou.items()
            },
        }


def score_lerf_mask(predicted: Path, truth: Path, missing: Missing = "zero") -> LerfMaskScore:
    """Score a folder of predicted masks.

    Args:
        predicted: the folder of views, or one that holds it as ``test_mask``.
        truth: a scene of the data set, or its ``test_mask``.
        missing: whether a missing prediction counts as 0 or is skipped, as in the published script.

    Raises:
        BadArgument: if a folder does not exist or there is no true mask. BadResult: if no prediction can be scored.
        BadMask: if a mask cannot be read.
    """
    true = mask_files(_views(truth))
    if not true:
        raise BadArgument(
            f"No ground-truth masks were found in {truth}; expected test_mask/<view>/<prompt>.png.",
            "Give a scene folder of LERF-Mask.",
        )
    found = mask_files(_views(predicted))
    if not set(found) & set(true):
        view, prompt = next(iter(true))
        raise BadResult(
            f"None of the {len(true)} ground-truth masks has a prediction in {predicted}.",
            f"Give predictions the names of the ground truth, such as {view}/{prompt}.png.",
        )
    compared = list(compare(found, true, at_size_of="truth"))
    scored = counted(compared, missing)
    if not scored:
        raise BadResult(f"All masks of {predicted} and {truth} are empty.", "Save masks as white objects on black.")
    return LerfMaskScore(
        per_prompt(scored, "iou"),
        per_prompt(scored, "boundary_iou"),
        masks=len(scored),
        missing=sum(one.missing for one in compared),
        empty=sum(np.isnan(one.iou) for one in compared),
    )


def _views(folder: Path) -> Path:
    return folder / "test_mask" if (folder / "test_mask").is_dir() else folder

"""3D-OVS (Liu et al. 2023, Weakly Supervised 3D Open-vocabulary Segmentation): mean IoU and accuracy of named classes.

Layout of one scene: ``segmentations/classes.txt`` with one class per line and ``segmentations/<view>/<class>.png``;
predictions in ``<view>/<class>.png``.

The rules are those of OccamLGS: the truth is resized to the prediction with NEAREST, and every pair of view and class
has the same weight. Every class is annotated in every view. A missing prediction counts as 0, or is skipped with
``missing="skip"``; a pair of empty masks is ignored, while OccamLGS counts it as 0.

The accuracy is that of the script of 3D-OVS: the share of the pixels of a view at which all classes are right, averaged
over the views.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.evaluate.prompt_masks import Missing, accuracy, compare, counted, mask_files, per_prompt
from protocol.errors import BadArgument, BadResult

CLASSES = "classes.txt"
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class OvsScore:
    """Scores of one scene, shares from 0 to 1.

    Attributes:
        mean_iou: over all pairs of view and class.
        accuracy: the share of the pixels at which all masks agree with the truth, the mean over the views.
        iou: by class, the mean over its views.
        masks: true masks that were scored.
        missing: true masks without a prediction, whether or not they count.
    """

    mean_iou: float
    accuracy: float
    iou: dict[str, float]
    masks: int
    missing: int

    def as_dict(self) -> dict:
        """Scores in percent, as in the published tables."""
        return {
            "mean_iou": round(100 * self.mean_iou, 2),
            "accuracy": round(100 * self.accuracy, 2),
            "masks": self.masks,
            "missing": self.missing,
            "classes": {name: {"iou": round(100 * value, 2)} for name, value in self.iou.items()},
        }


def score_ovs(predicted: Path, truth: Path, missing: Missing = "zero") -> OvsScore:
    """Score a folder of predicted masks.

    Args:
        predicted: the folder of views, or one that holds it as ``segmentations``.
        truth: a scene of the data set, or its ``segmentations``.
        missing: whether a missing prediction counts as 0 or is skipped.

    Raises:
        BadArgument: if a folder does not exist, or a class has no true mask in some view. BadResult: if no prediction
            can be scored. BadMask: if a mask cannot be read.
    """
    folder = _views(truth)
    files = mask_files(folder)
    views = sorted({view for view, _ in files})
    wanted = [(view, name) for view in views for name in read_classes(folder / CLASSES)]
    lost = [pair for pair in wanted if pair not in files]
    if lost or not wanted:
        view, name = lost[0] if lost else ("<view>", "<class>")
        raise BadArgument(
            f"The ground-truth mask {folder / view / name}.png does not exist.",
            "Give a complete scene folder of 3D-OVS.",
        )
    found = mask_files(_views(predicted))
    if not set(found) & set(wanted):
        view, name = wanted[0]
        raise BadResult(
            f"None of the {len(wanted)} ground-truth masks has a prediction in {predicted}.",
            f"Give predictions the names of the ground truth, such as {view}/{name}.png.",
        )
    true = {pair: files[pair] for pair in wanted}
    compared = list(compare(found, true, at_size_of="prediction"))
    scored = counted(compared, missing)
    if not scored:
        raise BadResult(f"All masks of {predicted} and {truth} are empty.", "Save masks as white objects on black.")
    return OvsScore(
        float(np.mean([one.iou for one in scored])),
        float(np.mean(list(accuracy(found, true, missing).values()))),
        per_prompt(scored, "iou"),
        masks=len(scored),
        missing=sum(one.missing for one in compared),
    )


def read_classes(file: Path) -> list[str]:
    """Return the classes of ``classes.txt``, one per line, in order.

    Raises:
        BadArgument: if the file cannot be read as text or contains no class.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise BadArgument(f"{file} is larger than {MAX_BYTES} bytes.", "It must contain one class per line.")
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(
            f"The class list {file} cannot be read: {error}.", "Give a scene folder of 3D-OVS."
        ) from error
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not names:
        raise BadArgument(f"{file} contains no class.", "It must contain one class per line.")
    return names


def _views(folder: Path) -> Path:
    return folder / "segmentations" if (folder / "segmentations").is_dir() else folder

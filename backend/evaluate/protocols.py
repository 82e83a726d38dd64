"""All scoring protocols by name, as on the command line, and the table of scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from backend.evaluate.folders import evaluate_folder
from backend.evaluate.lerf_mask import score_lerf_mask
from backend.evaluate.ovs import score_ovs
from backend.evaluate.prompt_masks import Missing
from backend.evaluate.scene_folders import score_messy_rooms, score_panoptic_lifting
from protocol.errors import BadArgument

Protocol = Literal["scene", "messy-rooms", "lerf-mask", "3d-ovs"]
"""``scene`` is the protocol of Panoptic-Lifting on ScanNet and Replica, ``messy-rooms`` the same with two classes."""


def evaluate_by(protocol: Protocol | None, folder: Path, truth: Path, missing: Missing | None = None) -> dict:
    """Return the scores of ``folder`` in percent, ready for JSON.

    Args:
        protocol: the rules; None for objects only, at the size of the truth.
        folder: the predictions.
        truth: the exact maps or masks, or the scene folder of a data set that has them.
        missing: how a missing mask counts, for protocols on masks; None for zero.

    Raises:
        Fault: if a folder, a file or an argument is wrong.
    """
    if missing is not None and protocol not in ("lerf-mask", "3d-ovs"):
        raise BadArgument(
            f"The value {missing} of --missing is not supported by the protocol {protocol or 'for id maps'}.",
            "Remove it, or use the protocol lerf-mask or 3d-ovs.",
        )
    if protocol is None:
        return evaluate_folder(folder, truth).as_dict()
    if protocol == "lerf-mask":
        return {"protocol": protocol, **score_lerf_mask(folder, truth, missing or "zero").as_dict()}
    if protocol == "3d-ovs":
        return {"protocol": protocol, **score_ovs(folder, truth, missing or "zero").as_dict()}
    score, unpredicted = (score_messy_rooms if protocol == "messy-rooms" else score_panoptic_lifting)(folder, truth)
    return {"protocol": protocol, **score.as_dict(), "missing": unpredicted}


def as_lines(score: dict) -> Iterator[str]:
    """Yield one score per line; scores per class or prompt follow below."""
    for name, value in score.items():
        if not isinstance(value, dict):
            yield f"{name:>17}  {_plain(value)}"
    for table in score.values():
        if isinstance(table, dict):
            for name, values in table.items():
                yield f"{name:>17}  " + "  ".join(f"{key} {value}" for key, value in values.items())


def _plain(value: object) -> object:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else value

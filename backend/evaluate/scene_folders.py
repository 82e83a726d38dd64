"""Folders of semantic and instance maps, predicted and true, as pairs of views for the scene protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.evaluate.folders import find_maps, find_predicted, read_ids
from backend.evaluate.scene_pq import MESSY_ROOMS, SCANNET, SceneScore, View, score_scene
from protocol.errors import BadArgument, BadMask, BadResult
from protocol.natural_order import natural_key

TRAIN_SHARE = 0.8
"""Share of training frames of a Messy-Rooms scene, first in numeric order; the others are test frames."""
MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class Pair:
    """The folder names of the semantic and instance maps of a data set."""

    semantic: str
    instance: str


MESSY_TRUTH = Pair("semantic", "instance")
SCANNET_TRUTH = Pair("rs_semantics", "rs_instance")
PREDICTIONS = (Pair("pred_semantics", "pred_surrogateid"), MESSY_TRUTH)
"""As written by Panoptic-Lifting, or as in Messy-Rooms."""


@dataclass(frozen=True)
class Folder:
    """The maps of one side by view; without semantic maps every instance above 0 is of class 1."""

    instances: dict[str, Path]
    semantics: dict[str, Path] | None = None

    def view(self, name: str) -> View:
        instance = read_ids(self.instances[name])
        if self.semantics is None:
            return View(np.minimum(np.maximum(instance, 0), 1), instance)
        if name not in self.semantics:
            raise BadMask(f"The id map {self.instances[name]} has no matching semantic map.", "Copy the folder again.")
        return View(read_ids(self.semantics[name]), instance)


def score_messy_rooms(result: Path, truth: Path) -> tuple[SceneScore, int]:
    """Score a result against a Messy-Rooms scene: background and objects as two classes.

    As in Contrastive-Lift's script, the test frames are the last 20 % in numeric order, and test frames without a
    prediction are skipped.

    Args:
        result: a result folder, a folder of id maps, or one with ``pred_semantics`` and ``pred_surrogateid`` (or
            ``semantic`` and ``instance``) maps.
        truth: a scene folder with ``semantic/*.npy`` and ``instance/*.npy``, or a plain folder of id maps, all of which
            are test views.

    Returns:
        The score, and how many test frames have no prediction.

    Raises:
        BadResult: if there are no predicted maps. BadArgument: if there are no true maps, or none that match the
            predicted.
        BadMask: if a map cannot be read.
    """
    if (truth / MESSY_TRUTH.instance).is_dir():
        true = _both(truth, MESSY_TRUTH)
        frames = last_frames(list(true.instances))
    else:
        true = Folder(find_maps(truth))
        frames = list(true.instances)
    predicted = _predicted(result) or Folder(find_predicted(result))
    common = _common(predicted, frames, result, truth)
    return score_scene(_pairs(predicted, true, common), MESSY_ROOMS), len(frames) - len(common)


def score_panoptic_lifting(result: Path, truth: Path) -> tuple[SceneScore, int]:
    """Score predicted classes and instances against a scene of Panoptic-Lifting: ScanNet, Replica or HyperSim.

    Args:
        result: a folder with ``pred_semantics`` and ``pred_surrogateid`` (or ``semantic`` and ``instance``) maps.
        truth: a scene folder with ``rs_semantics`` and ``rs_instance``, and with the test frames in ``splits.json``;
            without that file all frames are test frames.

    Returns and raises: as :func:`score_messy_rooms`.
    """
    if not (truth / SCANNET_TRUTH.instance).is_dir():
        raise BadArgument(
            f"{truth} has no {SCANNET_TRUTH.instance} folder.",
            "Give a ScanNet or Replica scene prepared for Panoptic-Lifting.",
        )
    true = _both(truth, SCANNET_TRUTH)
    frames = split_frames(truth / "splits.json", list(true.instances))
    predicted = _predicted(result)
    if predicted is None:
        raise BadResult(
            f"{result} has no semantic maps; expected the folders pred_semantics and pred_surrogateid, or semantic "
            "and instance.",
            "This protocol scores classes. To score instances only, use --protocol messy-rooms.",
        )
    common = _common(predicted, frames, result, truth)
    return score_scene(_pairs(predicted, true, common), SCANNET), len(frames) - len(common)


def last_frames(names: list[str]) -> list[str]:
    """Return the test frames of a Messy-Rooms scene: the last 20 % in numeric order."""
    ordered = sorted(names, key=natural_key)
    return ordered[int(len(ordered) * TRAIN_SHARE) :]


def split_frames(splits: Path, names: list[str]) -> list[str]:
    """Return the frames listed in ``splits.json`` under "test", or all ``names`` if there is no such file.

    Raises:
        BadArgument: if the file is not of that form.
    """
    if not splits.is_file():
        return names
    try:
        if splits.stat().st_size > MAX_BYTES:
            raise BadArgument(f"{splits} is larger than {MAX_BYTES} bytes.")
        listed = json.loads(splits.read_bytes())["test"]
        if not isinstance(listed, list):
            raise TypeError("test is not a list")
        chosen = {str(name) for name in listed}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadArgument(
            f"The test frames cannot be read from {splits}: {error}.", 'It must contain {"test": [names of frames]}.'
        ) from error
    return [name for name in names if name in chosen]


def _pairs(predicted: Folder, truth: Folder, names: list[str]) -> Iterator[tuple[View, View]]:
    for name in names:
        yield predicted.view(name), truth.view(name)


def _common(predicted: Folder, frames: list[str], result: Path, truth: Path) -> list[str]:
    common = [name for name in frames if name in predicted.instances]
    if not common:
        raise BadArgument(
            f"None of the {len(predicted.instances)} predicted maps of {result} belongs to one of the {len(frames)} "
            f"test frames of {truth}.",
            "Segment with the test views of the data set held out, and give maps the names of its photographs.",
        )
    return common


def _predicted(result: Path) -> Folder | None:
    pair = next((pair for pair in PREDICTIONS if (result / pair.instance).is_dir()), None)
    return _both(result, pair) if pair else None


def _both(root: Path, pair: Pair) -> Folder:
    return Folder(find_maps(root / pair.instance), find_maps(root / pair.semantic))

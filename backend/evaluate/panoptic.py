"""Scene-level scores of predicted id maps against exact ones.

All views are joined into one list of pixels, so an object is only found if it has one id in all of them (Siddiqui et
al. 2023, Panoptic Lifting; used by Contrastive-Lift and UniC-Lift). Ids are instances; 0 is background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from protocol.errors import BadArgument

DILATION_RATIO = 0.02
"""Width of a boundary as a share of the image diagonal (Cheng et al. 2021, Boundary IoU; the LERF-Mask protocol)."""


@dataclass(frozen=True)
class Score:
    """Scores in percent.

    Attributes:
        pq_things: panoptic quality of the objects, ``sq * rq``.
        pq_scene: mean of ``pq_things`` and the quality of the background, as in the Messy-Rooms tables.
        sq: segmentation quality, mean IoU of the matched objects.
        rq: recognition quality, ``tp / (tp + fp / 2 + fn / 2)``.
        tp, fp, fn: objects matched at IoU > 0.5, predicted without a match, true without a match.
        mean_iou: mean over true objects of the IoU with the predicted object that overlaps best.
        boundary_iou: mean over true objects of the boundary IoU with that same predicted object.
        views: how many id maps were compared.
    """

    pq_things: float
    pq_scene: float
    sq: float
    rq: float
    tp: int
    fp: int
    fn: int
    mean_iou: float
    boundary_iou: float
    views: int

    def as_dict(self) -> dict[str, float | int]:
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(self).items()}


def panoptic_quality(predicted: Sequence[NDArray[np.integer]], truth: Sequence[NDArray[np.integer]]) -> Score:
    """Compare id maps view by view as one scene.

    Args:
        predicted: one (H, W) id map per view, 0 for background. A map of another size than the true one is resized by
            nearest neighbour.
        truth: the exact (H, W) id maps, in the same order.

    Raises:
        BadArgument: if there are no views or the two lists differ in length.
    """
    if not truth or len(predicted) != len(truth):
        raise BadArgument(f"{len(predicted)} predicted and {len(truth)} ground-truth id maps cannot be compared.")
    fitted = [resize_nearest(p, t.shape) for p, t in zip(predicted, truth, strict=True)]
    area, overlap, edge_area, edge_overlap = _counts(fitted, truth)

    iou = overlap / np.maximum(area.truth[:, None] + area.predicted[None, :] - overlap, 1)
    things = iou[1:, 1:]
    matched = things > 0.5
    tp = int(matched.sum())
    fn = int((area.truth[1:] > 0).sum()) - tp
    fp = int((area.predicted[1:] > 0).sum()) - tp
    sq = float(things[matched].mean()) if tp else 0.0
    rq = tp / (tp + 0.5 * fp + 0.5 * fn) if tp + fp + fn else 0.0
    background = float(iou[0, 0]) if iou[0, 0] > 0.5 else 0.0

    best = things.argmax(1) if things.size else np.zeros(len(things), int)
    rows = np.arange(len(things))
    best_iou = things[rows, best] if things.size else np.zeros(len(things))
    edges = np.zeros(len(things))
    if things.size:
        shared = edge_overlap[1:, 1:][rows, best]
        edges = shared / np.maximum(edge_area.truth[1:] + edge_area.predicted[1:][best] - shared, 1)
    return Score(
        pq_things=100 * sq * rq,
        pq_scene=50 * (sq * rq + background),
        sq=100 * sq,
        rq=100 * rq,
        tp=tp,
        fp=fp,
        fn=fn,
        mean_iou=100 * float(best_iou.mean()) if len(best_iou) else 0.0,
        boundary_iou=100 * float(edges.mean()) if len(edges) else 0.0,
        views=len(truth),
    )


def resize_nearest(ids: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray[np.integer]:
    """Return the (H, W) id map at another size; pixel centres are matched, ids are never mixed."""
    if ids.shape == shape:
        return ids
    rows = ((np.arange(shape[0]) + 0.5) * ids.shape[0] / shape[0]).astype(int)
    columns = ((np.arange(shape[1]) + 0.5) * ids.shape[1] / shape[1]).astype(int)
    return ids[rows[:, None], columns]


def boundary(ids: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return the (H, W) pixels within :data:`DILATION_RATIO` of the diagonal of another id or of the image border.

    For each object this is the mask minus the mask eroded by that many 3x3 steps, computed for all objects at once.
    """
    reach = max(1, round(DILATION_RATIO * math.hypot(*ids.shape)))
    size = 2 * reach + 1
    lowest = np.asarray(minimum_filter(ids, size, mode="constant", cval=-1))
    highest = np.asarray(maximum_filter(ids, size, mode="constant", cval=-1))
    return (lowest != ids) | (highest != ids)


@dataclass(frozen=True)
class _Area:
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]


def _counts(
    predicted: Sequence[NDArray], truth: Sequence[NDArray]
) -> tuple[_Area, NDArray[np.float64], _Area, NDArray[np.float64]]:
    """Return pixels per id and per pair of ids, over all pixels and over boundary pixels; index 0 is background."""
    p, columns = _compact(predicted)
    t, rows = _compact(truth)
    p_edge = np.concatenate([boundary(ids.astype(np.int64)).ravel() for ids in predicted])
    t_edge = np.concatenate([boundary(ids.astype(np.int64)).ravel() for ids in truth])

    def pairs(chosen: NDArray[np.bool_] | slice) -> NDArray[np.float64]:
        joint = t[chosen] * columns + p[chosen]
        return np.bincount(joint, minlength=rows * columns).reshape(rows, columns).astype(float)

    everything = pairs(slice(None))
    edges = _Area(
        np.bincount(t[t_edge], minlength=rows).astype(float), np.bincount(p[p_edge], minlength=columns).astype(float)
    )
    return _Area(everything.sum(1), everything.sum(0)), everything, edges, pairs(t_edge & p_edge)


def _compact(maps: Sequence[NDArray]) -> tuple[NDArray[np.int64], int]:
    """Join id maps into one list with ids 0..n-1, background (and anything below) being 0."""
    joined = np.maximum(np.concatenate([np.asarray(ids).astype(np.int64).ravel() for ids in maps]), 0)
    ids, inverse = np.unique(np.concatenate([[0], joined]), return_inverse=True)
    return inverse[1:], len(ids)

"""The table of objects: what a person or a script is told about each label."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.lift.types import Lift
from protocol.splats import Splats

Row4 = tuple[float, float, float, float]


class SceneObject(msgspec.Struct, frozen=True, omit_defaults=True):
    """One object of a scene, as ``objects.json`` holds it.

    Attributes:
        id: the label, 1 to K, largest object first.
        name: for people; a result's names start as "Object 1" and may be changed.
        count: Gaussians.
        min, max: corners of the axis-aligned box around the Gaussians' centres, scene units, capture frame.
        centre: opacity-weighted mean of the centres.
        colour: sRGB, 0 to 1; the same in pictures and in Blender.
        confidence: mean confidence of the Gaussians, weighted by opacity, 0 to 1.
        views: in how many views the object has a mask of its own.
        matrix: where an edit in Blender has moved the object: takes points of the capture, such as the Gaussians in
            ``splats.ply``, to its present place. None where it was not moved.
    """

    id: int
    name: str
    count: int
    min: tuple[float, float, float]
    max: tuple[float, float, float]
    centre: tuple[float, float, float]
    colour: tuple[float, float, float]
    confidence: float
    views: int
    matrix: tuple[Row4, Row4, Row4, Row4] | None = None


def object_table(splats: Splats, lift: Lift) -> list[SceneObject]:
    """Return the objects of ``lift`` in order of their labels."""
    return [_row(label, splats, rows, lift) for label, rows in rows_of_labels(lift.labels) if label > 0]


def rows_of_labels(labels: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each label that occurs, background 0 included, with the Gaussians that carry it, both ascending."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    for value, rows in zip(values, np.split(order, starts[1:]), strict=True):
        yield int(value), rows


def colour_of(label: int) -> tuple[float, float, float]:
    """Return the sRGB colour of a label; neighbouring labels get hues far apart, background a dark grey."""
    if label == 0:
        return (0.18, 0.18, 0.18)
    golden = 0.618033988749895
    hue = (label * golden) % 1.0
    saturation = (0.85, 0.6, 0.95)[label % 3]
    value = (0.95, 0.85, 0.65)[(label // 3) % 3]
    return colorsys.hsv_to_rgb(hue, saturation, value)


def palette(count: int) -> NDArray[np.uint8]:
    """Return the colours of labels 0 to ``count``, (count + 1, 3) uint8."""
    return np.array([[round(255 * channel) for channel in colour_of(label)] for label in range(count + 1)], np.uint8)


def _row(label: int, splats: Splats, rows: NDArray[np.int64], lift: Lift) -> SceneObject:
    means = splats.means[rows].astype(np.float64)
    alphas = np.maximum(1.0 / (1.0 + np.exp(-splats.opacities[rows].astype(np.float64))), 1e-6)
    return SceneObject(
        id=label,
        name=f"Object {label}",
        count=len(rows),
        min=_triple(means.min(0)),
        max=_triple(means.max(0)),
        centre=_triple(np.average(means, axis=0, weights=alphas)),
        colour=_triple(np.array(colour_of(label))),
        confidence=round(float(np.average(lift.confidence[rows], weights=alphas)), 4),
        views=int(lift.views[label]),
    )


def _triple(values: NDArray) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 6) for value in values)
    return (x, y, z)

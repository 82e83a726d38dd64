"""Gaussians that straddle two objects, cut in two before edges are refined.

    python -m bench.refine --room ROOM RESULT --ways cut --ways "cut, label gradients"

A view shows how a Gaussian's weight divides between pixels of its own label and pixels of others, and where both lie in
its footprint. A pixel at offset d from the projected centre corresponds to the point ``N^T (N N^T + 0.3)^-1 d`` in the
Gaussian's own unit sphere, with N the (2, 3) map from that sphere to pixels: the expected value of a normal
distribution in space for a known projection. Summed over the views this gives a centroid of the Gaussian's own part and
one of the others' part; it is cut by a plane perpendicular to the line between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from backend.compiled import kernel
from backend.lift import Lift, label_map
from backend.reconstruct.photographs import load_photographs
from backend.reconstruct.schedule import LONG_SIDE
from backend.refine import BACKGROUND
from backend.refine.outlines import outlined
from backend.render import Renderer, device_of
from backend.render.project import F, bounded, covariance, jacobian, rotation, scaled, times, to_camera
from backend.render.projected import Pinhole
from backend.render.types import Contributions
from backend.scene.types import Camera, View
from protocol.splats import Splats

STRONGEST = 16
"""Gaussians per pixel."""
SHARE = 0.8
"""A view shows a Gaussian as mixed if its own label holds less than this share of its weight."""
OFTEN = 0.4
"""A straddler is mixed in this share of the views that show it, or more (Trace3D's value, as is the one above)."""
SHOWN = 0.5
"""Least weight of a Gaussian in a view, in pixels, for the view to count."""
APART = 0.5
"""Least distance of the two centroids in standard deviations; nearer ones do not define a plane."""
WIDE = 1.0
"""Least standard deviation across the cut, in pixels over the views; smaller Gaussians are not cut."""


def cut_straddlers(splats: Splats, lifted: Lift, views: Sequence[View], *, device: str = "cpu") -> tuple[Splats, Lift]:
    """Return the Gaussians with those cut in two that straddle two objects, and their labels.

    Args:
        splats: N Gaussians in the frame of the cameras.
        lifted: their labels. Confidence, embedding and the views of each label are carried over.
        views: at least one training view; their photographs are read and kept in memory.
        device: "auto", "cpu" or "cuda".

    Returns:
        N + S Gaussians, the other part of each of the S straddlers at the end, and their lift.
    """
    device = device_of(device)
    photos = load_photographs(views, long_side=LONG_SIDE[device], device=device).full
    renderer, division = Renderer(splats, device), Division.empty(len(splats))
    outlines = []
    for photo in photos:
        shown = renderer.contributions(photo.camera, None, STRONGEST)
        drawn = label_map(renderer, lifted.labels, photo.camera, BACKGROUND)
        outlines.append(outlined(drawn, photo.image.cpu().numpy()))
        division.add(splats, lifted.labels, photo.camera, shown, outlines[-1])
    splats, parents = cut(splats, find_cuts(division))
    parts = np.flatnonzero(np.bincount(parents)[parents] > 1)
    renderer = Renderer(splats, device)
    again = (renderer.contributions(photo.camera, None, STRONGEST) for photo in photos)
    labels = relabel(lifted.labels[parents], parts, zip(again, outlines, strict=True))
    embedding = lifted.embedding[parents] if lifted.embedding is not None else None
    return splats, replace(lifted, labels=labels, confidence=lifted.confidence[parents], embedding=embedding)


@dataclass(frozen=True)
class Division:
    """How N Gaussians divide between their label and others, summed over views.

    Attributes:
        weight: (N, 2) float64, on pixels of the own label and of others.
        place: (N, 2, 3) float64, sums of weight times place in the Gaussian's unit sphere.
        extent: (N, 3, 3) float64, sum of weight times N^T N: squared pixels per unit of that sphere.
        shown: (N,) int32, views that show the Gaussian.
        mixed: (N,) int32, those of them that show it as mixed.
    """

    weight: NDArray[np.float64]
    place: NDArray[np.float64]
    extent: NDArray[np.float64]
    shown: NDArray[np.int32]
    mixed: NDArray[np.int32]

    @staticmethod
    def empty(n: int) -> Division:
        """Of N Gaussians that no view has shown yet."""
        shown, mixed = np.zeros(n, np.int32), np.zeros(n, np.int32)
        return Division(np.zeros((n, 2)), np.zeros((n, 2, 3)), np.zeros((n, 3, 3)), shown, mixed)

    def add(
        self,
        splats: Splats,
        labels: NDArray[np.int32],
        camera: Camera,
        contributions: Contributions,
        target: NDArray[np.int32],
    ) -> None:
        """Add a view.

        Args:
            splats, labels: the N Gaussians, and (N,) int32.
            camera: of the view.
            contributions: of its pixels.
            target: (H, W) int32, the label of each pixel.
        """
        eye = Pinhole.of(camera)
        moments = _moments(
            contributions.pixels, contributions.ids, contributions.weights, target.ravel()[contributions.pixels],
            labels, eye.width,
        )  # fmt: skip
        _place(
            splats.means, splats.quats, splats.scales, eye.view, eye.lens, eye.width, eye.height, moments,
            self.weight, self.place, self.extent, self.shown, self.mixed,
        )  # fmt: skip


@kernel()
def _moments(pixels, ids, weights, target, labels, width):  # pragma: no cover - compiled
    """(N, 2, 3): weight, weight x, weight y on pixels of the own label and of others."""
    out = np.zeros((len(labels), 2, 3), np.float64)
    for p in range(len(pixels)):
        x, y = pixels[p] % width + 0.5, pixels[p] // width + 0.5
        for j in range(ids.shape[1]):
            w = weights[p, j]
            if w <= 0:
                break
            i = ids[p, j]
            side = 0 if labels[i] == target[p] else 1
            out[i, side, 0] += w
            out[i, side, 1] += w * x
            out[i, side, 2] += w * y
    return out


@kernel()
def _place(
    means, quats, scales, view, lens, width, height, moments, weight, place, extent, shown, mixed
):  # pragma: no cover - compiled
    for i in range(len(means)):
        total = moments[i, 0, 0] + moments[i, 1, 0]
        if total <= 0:
            continue
        if total > SHOWN:
            shown[i] += 1
            if moments[i, 0, 0] < SHARE * total:
                mixed[i] += 1
        x, y, z = to_camera(means, view, i)
        _, _, r0, r1, r2 = rotation(quats, i)
        s0, s1, s2 = math.exp(scales[i, 0]), math.exp(scales[i, 1]), math.exp(scales[i, 2])
        slope_x, _ = bounded(x / z, lens[2], lens[0], F(width))
        slope_y, _ = bounded(y / z, lens[3], lens[1], F(height))
        t0, t1 = jacobian(slope_x, slope_y, z, view, lens)
        m0, m1, m2 = scaled(r0, s0, s1, s2), scaled(r1, s0, s1, s2), scaled(r2, s0, s1, s2)
        n0, n1 = times(t0, m0, m1, m2), times(t1, m0, m1, m2)
        xx, xy, yy, det = covariance(n0, n1)
        u, v = lens[0] * x / z + lens[2], lens[1] * y / z + lens[3]
        for side in range(2):
            w = moments[i, side, 0]
            dx, dy = moments[i, side, 1] - w * u, moments[i, side, 2] - w * v
            a, b = (yy * dx - xy * dy) / det, (xx * dy - xy * dx) / det
            weight[i, side] += w
            for k in range(3):
                place[i, side, k] += n0[k] * a + n1[k] * b
        for k in range(3):
            for m in range(3):
                extent[i, k, m] += total * (n0[k] * n0[m] + n1[k] * n1[m])


@dataclass(frozen=True)
class Cuts:
    """Where S of the Gaussians are cut.

    Attributes:
        rows: (S,) int64.
        normal: (S, 3) float64, unit normal of the plane in the Gaussian's unit sphere, from its own part to the other.
        offset: (S,) float64, of the plane from the centre along the normal.
    """

    rows: NDArray[np.int64]
    normal: NDArray[np.float64]
    offset: NDArray[np.float64]


def find_cuts(division: Division) -> Cuts:
    """Return which Gaussians straddle two objects, and where to cut them."""
    mixed = (division.shown > 0) & (division.mixed >= OFTEN * division.shown)
    rows = np.flatnonzero(mixed & (division.weight > 0).all(1))
    weight = division.weight[rows]
    centroid = division.place[rows] / weight[:, :, None]
    line = centroid[:, 1] - centroid[:, 0]
    length = np.linalg.norm(line, axis=1)
    normal = line / np.maximum(length, 1e-12)[:, None]
    variance = np.einsum("sj,sjk,sk->s", normal, division.extent[rows], normal) / weight.sum(1)
    good = (length > APART) & (variance > WIDE**2)
    # The plane leaves the own part as much of the Gaussian as the views give it.
    offset = ndtri(np.clip(weight[:, 0] / weight.sum(1), 0.02, 0.98))
    return Cuts(rows[good], normal[good], offset[good])


def cut(splats: Splats, cuts: Cuts) -> tuple[Splats, NDArray[np.int64]]:
    """Return the Gaussians with each straddler replaced by its own part and, at the end, its other part.

    Both are the normal distributions with the moments of the parts of the old one: with the plane at t,

        own: mean -phi(t) / Phi(t), variance 1 - t phi(t) / Phi(t) - (phi(t) / Phi(t))^2 along the normal,

    and the same with -t and the opposite normal for the other; across the normal nothing changes.

    Returns:
        N + S Gaussians, and (N + S,) int64, the row that each was before.
    """
    rows = cuts.rows
    parents = np.concatenate([np.arange(len(splats)), rows])
    out = splats.pick(parents)
    others = len(splats) + np.arange(len(rows))
    for part, normal, offset in ((rows, cuts.normal, cuts.offset), (others, -cuts.normal, -cuts.offset)):
        out.means[part], out.quats[part], out.scales[part] = _below(splats.pick(rows), normal, offset)
    return out, parents


def relabel(
    labels: NDArray[np.int32], rows: NDArray[np.int64], views: Iterable[tuple[Contributions, NDArray[np.int32]]]
) -> NDArray[np.int32]:
    """Return ``labels`` (N,) int32 with those of ``rows`` (R,) replaced by what most of their weight should show.

    Args:
        views: contributions of all pixels of a view, and (H, W) int32, the label that each pixel should show.
    """
    count = int(labels.max(initial=0)) + 1
    place = np.full(len(labels), -1, np.int64)
    place[rows] = np.arange(len(rows))
    weight = np.zeros((len(rows), count), np.float64)
    for contributions, target in views:
        row = place[contributions.ids]
        pixel, rank = np.nonzero((row >= 0) & (contributions.weights > 0))
        label = target.ravel()[contributions.pixels[pixel]]
        cell = row[pixel, rank] * count + label
        weight += np.bincount(cell, contributions.weights[pixel, rank], weight.size).reshape(weight.shape)
    out = labels.copy()
    out[rows] = np.where(weight.any(1), weight.argmax(1), labels[rows])
    # An object whose every Gaussian was a straddler keeps them.
    lost = np.bincount(out, minlength=count) == 0
    return np.where(lost[labels], labels, out).astype(np.int32)


def _below(
    splats: Splats, normal: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Means, quaternions and log sizes of the part of each Gaussian below the plane at ``offset``."""
    ratio = np.exp(-0.5 * offset**2) / math.sqrt(2 * math.pi) / ndtr(offset)
    variance = 1 - offset * ratio - ratio**2
    turn = Rotation.from_quat(splats.quats[:, [1, 2, 3, 0]].astype(np.float64)).as_matrix()
    frame = turn * splats.sizes.astype(np.float64)[:, None, :]
    along = np.einsum("sij,sj->si", frame, normal)
    spread = np.einsum("sij,skj->sik", frame, frame)
    spread -= (1 - variance)[:, None, None] * np.einsum("si,sk->sik", along, along)
    squares, axes = np.linalg.eigh(spread)
    axes[:, :, 0] *= np.sign(np.linalg.det(axes))[:, None]
    # Rounding may leave a flat Gaussian no thickness at all.
    sizes = np.sqrt(np.maximum(squares, (0.1 * splats.sizes.min(1, keepdims=True)) ** 2))
    quats = Rotation.from_matrix(axes).as_quat()[:, [3, 0, 1, 2]]
    means = splats.means - ratio[:, None] * along
    return means.astype(np.float32), quats.astype(np.float32), np.log(sizes).astype(np.float32)

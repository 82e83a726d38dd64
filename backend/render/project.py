"""Projects Gaussians to ellipses in the image, with gradients: EWA splatting (Zwicker et al. 2001), as in gsplat.

Everything is float32. ``view`` is the upper (3, 4) of the world-to-camera matrix and ``lens`` is (fx, fy, cx, cy). A
Gaussian that is not visible (nearer than NEAR or behind the camera, fainter than 1/255, outside the image, or not
finite) gets an empty range of pixels and no gradient.
"""

from __future__ import annotations

import math

import numpy as np

from backend.compiled import inlined, kernel
from backend.render import model

FAST = {"contract", "arcp", "nsz", "afn"}
"""LLVM's fast-math flags without the assumption that nothing is NaN or infinite, which is tested below, and without
permission to reorder sums, so that results differ less between processors."""

F = np.float32
ONE = F(1)
TWO = F(2)
HALF = F(0.5)
NEAR = F(model.NEAR)
LOW_PASS = F(model.LOW_PASS)
CLAMP = F(model.CLAMP)
FAINTEST = F(1 / model.ALPHA_MIN)
TINY = F(1e-12)

LEAST = 2048
"""Least number of Gaussians per thread."""

U, V, CONIC_A, CONIC_B, CONIC_C, OPACITY, REACH_X, REACH_Y = range(8)
"""Columns of a footprint: centre (pixels), conic (a, b; b, c) (1/pixels^2), opacity, half-extents at which alpha
reaches 1/255 (pixels)."""


@inlined(fastmath=FAST)
def rotation(quats, i):
    """Return the unit quaternion of row i, 1 / its stored length, and its rotation matrix row by row."""
    w, x, y, z = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
    n = ONE / max(math.sqrt(w * w + x * x + y * y + z * z), TINY)
    w, x, y, z = w * n, x * n, y * n, z * n
    row0 = (ONE - TWO * (y * y + z * z), TWO * (x * y - w * z), TWO * (x * z + w * y))
    row1 = (TWO * (x * y + w * z), ONE - TWO * (x * x + z * z), TWO * (y * z - w * x))
    row2 = (TWO * (x * z - w * y), TWO * (y * z + w * x), ONE - TWO * (x * x + y * y))
    return (w, x, y, z), n, row0, row1, row2


@inlined(fastmath=FAST)
def to_camera(means, view, i):
    """Return the centre of row i in camera axes."""
    x, y, z = means[i, 0], means[i, 1], means[i, 2]
    return (
        view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3],
        view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3],
        view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3],
    )


@inlined(fastmath=FAST)
def bounded(slope, centre, focal, size):
    """Return x/z (or y/z) at the linearisation point, clamped near the image; and whether it is unclamped."""
    margin = CLAMP * HALF * size / focal
    low, high = -centre / focal - margin, (size - centre) / focal + margin
    return min(max(slope, low), high), low <= slope <= high


@inlined(fastmath=FAST)
def jacobian(slope_x, slope_y, z, view, lens):
    """Return the two rows of J R: pixels per world unit at the linearisation point."""
    per_x, per_y = lens[0] / z, lens[1] / z
    j02, j12 = -per_x * slope_x, -per_y * slope_y
    row0 = (
        per_x * view[0, 0] + j02 * view[2, 0],
        per_x * view[0, 1] + j02 * view[2, 1],
        per_x * view[0, 2] + j02 * view[2, 2],
    )
    row1 = (
        per_y * view[1, 0] + j12 * view[2, 0],
        per_y * view[1, 1] + j12 * view[2, 1],
        per_y * view[1, 2] + j12 * view[2, 2],
    )
    return row0, row1


@inlined(fastmath=FAST)
def scaled(row, s0, s1, s2):
    return row[0] * s0, row[1] * s1, row[2] * s2


@inlined(fastmath=FAST)
def times(row, m0, m1, m2):
    """Return the row vector (3) times the matrix with rows m0, m1, m2."""
    return (
        row[0] * m0[0] + row[1] * m1[0] + row[2] * m2[0],
        row[0] * m0[1] + row[1] * m1[1] + row[2] * m2[1],
        row[0] * m0[2] + row[1] * m1[2] + row[2] * m2[2],
    )


@inlined(fastmath=FAST)
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inlined(fastmath=FAST)
def covariance(n0, n1):
    """Return (xx, xy, yy) of N N^T + LOW_PASS and its determinant.

    The determinant is computed as a sum of squares (Cauchy-Binet), to avoid cancellation for long thin Gaussians.
    """
    xx, xy, yy = dot(n0, n0), dot(n0, n1), dot(n1, n1)
    minor0 = n0[0] * n1[1] - n0[1] * n1[0]
    minor1 = n0[0] * n1[2] - n0[2] * n1[0]
    minor2 = n0[1] * n1[2] - n0[2] * n1[1]
    det = minor0 * minor0 + minor1 * minor1 + minor2 * minor2 + LOW_PASS * (xx + yy) + LOW_PASS * LOW_PASS
    return xx + LOW_PASS, xy, yy + LOW_PASS, det


@kernel(fastmath=FAST)
def project(begin, end, means, quats, scales, opacities, view, lens, width, height, footprints, boxes, depths):
    """Project Gaussians begin to end of N.

    Args:
        means (N, 3), quats (N, 4), scales (N, 3) logarithms, opacities (N,) logits: float32, as in Splats.
        view, lens: see the module. width, height: pixels.
        footprints: (N, 8) float32, written: see the column names above.
        boxes: (N, 4) int32, written: first and last pixel column, first and last pixel row that the Gaussian touches;
            first above last if it is not visible.
        depths: (N,) float32, written: distance along the viewing axis.
    """
    for i in range(begin, end):
        boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = 0, -1, 0, -1
        for column in range(8):
            footprints[i, column] = F(0)
        x, y, z = to_camera(means, view, i)
        depths[i] = z
        if not (z > NEAR and math.isfinite(z)):
            continue
        opacity = ONE / (ONE + math.exp(-opacities[i]))
        # The level set at which alpha falls to 1/255 is the ellipse d^T conic d = level.
        level = TWO * math.log(opacity * FAINTEST)
        if not level > F(0):
            continue
        _, _, r0, r1, r2 = rotation(quats, i)
        s0, s1, s2 = math.exp(scales[i, 0]), math.exp(scales[i, 1]), math.exp(scales[i, 2])
        slope_x, _ = bounded(x / z, lens[2], lens[0], F(width))
        slope_y, _ = bounded(y / z, lens[3], lens[1], F(height))
        t0, t1 = jacobian(slope_x, slope_y, z, view, lens)
        m0, m1, m2 = scaled(r0, s0, s1, s2), scaled(r1, s0, s1, s2), scaled(r2, s0, s1, s2)
        xx, xy, yy, det = covariance(times(t0, m0, m1, m2), times(t1, m0, m1, m2))
        u, v = lens[0] * x / z + lens[2], lens[1] * y / z + lens[3]
        footprints[i, U], footprints[i, V] = u, v
        reach_x, reach_y = math.sqrt(xx * level), math.sqrt(yy * level)
        if not (det > F(0) and math.isfinite(det) and math.isfinite(u) and math.isfinite(v)):
            continue
        if u + reach_x < F(0) or u - reach_x > F(width) or v + reach_y < F(0) or v - reach_y > F(height):
            continue
        footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C] = yy / det, -xy / det, xx / det
        footprints[i, OPACITY], footprints[i, REACH_X], footprints[i, REACH_Y] = opacity, reach_x, reach_y
        # Pixel number p has its centre at p + 0.5.
        boxes[i, 0] = math.ceil(max(u - reach_x - HALF, F(0)))
        boxes[i, 1] = math.floor(min(u + reach_x - HALF, F(width - 1)))
        boxes[i, 2] = math.ceil(max(v - reach_y - HALF, F(0)))
        boxes[i, 3] = math.floor(min(v + reach_y - HALF, F(height - 1)))


@kernel(fastmath=FAST)
def project_backward(
    begin, end, means, quats, scales, view, lens, width, height, footprints, boxes, moments,
    d_means, d_quats, d_scales, d_opacities, d_means2d,
):  # fmt: skip
    """Propagate the gradients back through :func:`project`.

    Args:
        moments: (N, 6) float32, per Gaussian the sums over its pixels of g, g dx, g dy, g dx^2, g dx dy, g dy^2,
            where g = alpha dL/dalpha and (dx, dy) is the pixel's centre minus the projected mean.
        d_means (N, 3), d_quats (N, 4), d_scales (N, 3), d_opacities (N,), d_means2d (N, 2): float32, written.
        Otherwise as :func:`project`.
    """
    for i in range(begin, end):
        for k in range(3):
            d_means[i, k] = F(0)
            d_scales[i, k] = F(0)
        for k in range(4):
            d_quats[i, k] = F(0)
        d_opacities[i] = F(0)
        d_means2d[i, 0], d_means2d[i, 1] = F(0), F(0)
        if boxes[i, 0] > boxes[i, 1] or boxes[i, 2] > boxes[i, 3]:
            continue

        a, b, c = footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C]
        # alpha = sigmoid(logit) e^-power, so dL/dlogit = sum of g (1 - sigmoid); d power / d mean = -conic d.
        d_opacities[i] = moments[i, 0] * (ONE - footprints[i, OPACITY])
        du = a * moments[i, 1] + b * moments[i, 2]
        dv = b * moments[i, 1] + c * moments[i, 2]
        d_means2d[i, 0], d_means2d[i, 1] = du, dv

        # power = 1/2 d^T conic d; gradient of the covariance X = -conic G conic with G = -1/2 sum g d d^T.
        g0, g1, g2 = HALF * moments[i, 3], HALF * moments[i, 4], HALF * moments[i, 5]
        p00, p01 = a * g0 + b * g1, a * g1 + b * g2
        p10, p11 = b * g0 + c * g1, b * g1 + c * g2
        x00, x01, x11 = p00 * a + p01 * b, p00 * b + p01 * c, p10 * b + p11 * c

        x, y, z = to_camera(means, view, i)
        (qw, qx, qy, qz), norm, r0, r1, r2 = rotation(quats, i)
        s0, s1, s2 = math.exp(scales[i, 0]), math.exp(scales[i, 1]), math.exp(scales[i, 2])
        slope_x, free_x = bounded(x / z, lens[2], lens[0], F(width))
        slope_y, free_y = bounded(y / z, lens[3], lens[1], F(height))
        t0, t1 = jacobian(slope_x, slope_y, z, view, lens)
        m0, m1, m2 = scaled(r0, s0, s1, s2), scaled(r1, s0, s1, s2), scaled(r2, s0, s1, s2)
        n0, n1 = times(t0, m0, m1, m2), times(t1, m0, m1, m2)

        # covariance = N N^T, N = T M, M = R S: dN = 2 X N, dM = T^T dN, dT = dN M^T.
        d0 = (TWO * (x00 * n0[0] + x01 * n1[0]), TWO * (x00 * n0[1] + x01 * n1[1]), TWO * (x00 * n0[2] + x01 * n1[2]))
        d1 = (TWO * (x01 * n0[0] + x11 * n1[0]), TWO * (x01 * n0[1] + x11 * n1[1]), TWO * (x01 * n0[2] + x11 * n1[2]))
        # With respect to R, before scaling: row k of T^T dN.
        w00, w01, w02 = t0[0] * d0[0] + t1[0] * d1[0], t0[0] * d0[1] + t1[0] * d1[1], t0[0] * d0[2] + t1[0] * d1[2]
        w10, w11, w12 = t0[1] * d0[0] + t1[1] * d1[0], t0[1] * d0[1] + t1[1] * d1[1], t0[1] * d0[2] + t1[1] * d1[2]
        w20, w21, w22 = t0[2] * d0[0] + t1[2] * d1[0], t0[2] * d0[1] + t1[2] * d1[1], t0[2] * d0[2] + t1[2] * d1[2]
        d_scales[i, 0] = (w00 * r0[0] + w10 * r1[0] + w20 * r2[0]) * s0
        d_scales[i, 1] = (w01 * r0[1] + w11 * r1[1] + w21 * r2[1]) * s1
        d_scales[i, 2] = (w02 * r0[2] + w12 * r1[2] + w22 * r2[2]) * s2
        w00, w10, w20 = w00 * s0, w10 * s0, w20 * s0
        w01, w11, w21 = w01 * s1, w11 * s1, w21 * s1
        w02, w12, w22 = w02 * s2, w12 * s2, w22 * s2
        gw = TWO * (qx * (w21 - w12) + qy * (w02 - w20) + qz * (w10 - w01))
        gx = TWO * (qy * (w01 + w10) + qz * (w02 + w20) + qw * (w21 - w12) - TWO * qx * (w11 + w22))
        gy = TWO * (qx * (w01 + w10) + qz * (w12 + w21) + qw * (w02 - w20) - TWO * qy * (w00 + w22))
        gz = TWO * (qx * (w02 + w20) + qy * (w12 + w21) + qw * (w10 - w01) - TWO * qz * (w00 + w11))
        along = gw * qw + gx * qx + gy * qy + gz * qz
        d_quats[i, 0] = (gw - along * qw) * norm
        d_quats[i, 1] = (gx - along * qx) * norm
        d_quats[i, 2] = (gy - along * qy) * norm
        d_quats[i, 3] = (gz - along * qz) * norm

        # T = J R_view with J = (fx/z, 0, -fx sx/z; 0, fy/z, -fy sy/z) and sx = x/z unless clamped.
        dt0 = (dot(d0, m0), dot(d0, m1), dot(d0, m2))
        dt1 = (dot(d1, m0), dot(d1, m1), dot(d1, m2))
        j00 = dt0[0] * view[0, 0] + dt0[1] * view[0, 1] + dt0[2] * view[0, 2]
        j02 = dt0[0] * view[2, 0] + dt0[1] * view[2, 1] + dt0[2] * view[2, 2]
        j11 = dt1[0] * view[1, 0] + dt1[1] * view[1, 1] + dt1[2] * view[1, 2]
        j12 = dt1[0] * view[2, 0] + dt1[1] * view[2, 1] + dt1[2] * view[2, 2]
        per_x, per_y = lens[0] / z, lens[1] / z
        gx, gy = du * per_x, dv * per_y
        gz = -(du * per_x * x + dv * per_y * y) / z
        gz += (-j00 * per_x - j11 * per_y + j02 * per_x * slope_x + j12 * per_y * slope_y) / z
        if free_x:
            gx -= j02 * per_x / z
            gz += j02 * per_x * slope_x / z
        if free_y:
            gy -= j12 * per_y / z
            gz += j12 * per_y * slope_y / z
        for k in range(3):
            d_means[i, k] = view[0, k] * gx + view[1, k] * gy + view[2, k] * gz

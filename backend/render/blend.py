"""Blending: the most expensive kernels.

Tiles are processed one at a time, Gaussians front to back. For each Gaussian the weights of its pixels are computed
first (:func:`weigh`), in whole rows of 16 pixels without branches: a row is one AVX-512 register (two of AVX2), and a
branch per pixel costs more than the pixel. Then each channel adds its part in one loop over those rows. So one compiled
kernel handles any number of channels. Everything is float32.
"""

from __future__ import annotations

import numpy as np

from backend.compiled import inlined, kernel
from backend.render.model import ALPHA_MAX, ALPHA_MIN, TILE, TRANSMITTANCE_MIN
from backend.render.project import CONIC_A, CONIC_B, CONIC_C, HALF, ONE, OPACITY, F, U, V

CAP = F(ALPHA_MAX)
CUT = F(ALPHA_MIN)
OPAQUE = F(TRANSMITTANCE_MIN)
LOWEST = F(-6.4)
AREA = TILE * TILE
CHECK_EVERY = 16
"""Gaussians between two checks whether a tile is opaque; Gaussians drawn into an opaque tile add nothing."""

ORDERED = {"nnan", "ninf", "nsz", "arcp", "contract", "afn"}
"""All fast-math flags but the permission to reorder sums, for kernels that do not gain from it."""

# exp(8 y) = p(y)^8: interpolation of exp(y) at the six Chebyshev nodes of -0.8 <= y <= 0. Within 2e-6 of exp.
_NODES = -0.4 + 0.4 * np.cos((np.arange(6) + 0.5) * np.pi / 6)
E0, E1, E2, E3, E4, E5 = (F(c) for c in np.linalg.solve(np.vander(_NODES, increasing=True), np.exp(_NODES)))


@inlined(fastmath=ORDERED)
def falloff(x):
    """Return exp(x) for x <= 0; below -6.4 (where alpha < 1/600 is cut anyway) its value at -6.4."""
    y = max(x, LOWEST) * F(0.125)
    p = E0 + y * (E1 + y * (E2 + y * (E3 + y * (E4 + y * E5))))
    p = p * p
    p = p * p
    return p * p


@inlined(fastmath=ORDERED)
def weigh(footprints, i, left, top, low, high, transmittance, weights):
    """Compute weights of Gaussian i in rows low to high of the tile at (left, top), and the transmittance behind it.

    Args:
        transmittance: (TILE, TILE), before the Gaussian; updated to that behind it.
        weights: (TILE, TILE), written in those rows only.
    """
    u, v = footprints[i, U] - F(left) - HALF, footprints[i, V] - F(top) - HALF
    a, b, c = footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C]
    opacity = footprints[i, OPACITY]
    for y in range(low, high + 1):
        dy = F(y) - v
        p0, p1, p2 = -HALF * c * dy * dy, -b * dy, -HALF * a
        for x in range(TILE):
            dx = F(x) - u
            alpha = min(opacity * falloff(p0 + dx * (p1 + p2 * dx)), CAP)
            alpha = alpha if alpha >= CUT else F(0)
            before = transmittance[y, x]
            weight = alpha * before
            after = before - weight
            transmittance[y, x] = after if after >= OPAQUE else F(0)
            weights[y, x] = weight


@inlined(fastmath=True)
def opaque(transmittance):
    """Return whether no light is left in any pixel of the tile."""
    total = F(0)
    for y in range(TILE):
        for x in range(TILE):
            total += transmittance[y, x]
    return total == F(0)


@inlined(fastmath=True)
def open_tile(left, top, width, height):
    """Return (TILE, TILE) transmittance before the first Gaussian: 1 inside the image, 0 outside."""
    transmittance = np.zeros((TILE, TILE), np.float32)
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            transmittance[y, x] = ONE
    return transmittance


@kernel(fastmath=True)
def blend(begin, end, schedule, start, members, rows, footprints, features, across, image, transmittance, stop):
    """Blend features into an image.

    Args:
        schedule, start, members, rows, across: see :class:`backend.render.tiles.Bins`.
        footprints: (N, 8), see :mod:`backend.render.project`. features: (N, C).
        image: (H, W, C), written. transmittance: (H, W), written: that behind the last Gaussian.
        stop: (tiles,) int64, written: the index in members at which a tile ended.
    """
    height, width = transmittance.shape
    channels = features.shape[1]
    for turn in range(begin, end):
        tile = schedule[turn]
        left, top = (tile % across) * TILE, (tile // across) * TILE
        light = open_tile(left, top, width, height)
        weights = np.zeros((TILE, TILE), np.float32)
        flat = weights.reshape(AREA)
        colour = np.zeros((channels, AREA), np.float32)
        end = start[tile + 1]
        for k in range(start[tile], start[tile + 1]):
            i = members[k]
            low, high = int(rows[k]) % TILE, int(rows[k]) // TILE
            weigh(footprints, i, left, top, low, high, light, weights)
            for ch in range(channels):
                feature = features[i, ch]
                for p in range(low * TILE, high * TILE + TILE):
                    colour[ch, p] += flat[p] * feature
            if k % CHECK_EVERY == CHECK_EVERY - 1 and opaque(light):
                end = k + 1
                break
        stop[tile] = end
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                transmittance[top + y, left + x] = light[y, x]
                for ch in range(channels):
                    image[top + y, left + x, ch] = colour[ch, y * TILE + x]


@inlined(fastmath=True)
def weigh_back(footprints, i, left, top, low, high, light, to_come, gain, weights, lanes, absolute):
    """As :func:`weigh`, and compute the derivative of the loss by alpha, summed per column of pixels.

    Args:
        to_come: (TILE, TILE), loss terms of this and all later Gaussians; this one's are subtracted.
        gain: (TILE, TILE), d_image . feature.
        lanes: (5, TILE), written: sums over the rows of g, g dy and g dy^2, where g = alpha dL/dalpha; if absolute,
            also of the absolute values of the pixel's contribution to the centre's gradient.
        absolute: True or None, see :func:`blend_backward`.
    """
    u, v = footprints[i, U] - F(left) - HALF, footprints[i, V] - F(top) - HALF
    a, b, c = footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C]
    opacity = footprints[i, OPACITY]
    for x in range(TILE):
        lanes[0, x], lanes[1, x], lanes[2, x] = F(0), F(0), F(0)
        if absolute is not None:
            lanes[3, x], lanes[4, x] = F(0), F(0)
    for y in range(low, high + 1):
        dy = F(y) - v
        p0, p1, p2 = -HALF * c * dy * dy, -b * dy, -HALF * a
        for x in range(TILE):
            dx = F(x) - u
            raw = opacity * falloff(p0 + dx * (p1 + p2 * dx))
            alpha = min(raw, CAP)
            alpha = alpha if alpha >= CUT else F(0)
            before = light[y, x]
            weight = alpha * before
            after = before - weight
            light[y, x] = after if after >= OPAQUE else F(0)
            weights[y, x] = weight
            rest = to_come[y, x] - weight * gain[y, x]
            to_come[y, x] = rest
            g = (before * gain[y, x] - rest / (ONE - alpha)) * alpha
            g = g if (raw < CAP) & (before > F(0)) else F(0)
            lanes[0, x] += g
            lanes[1, x] += g * dy
            lanes[2, x] += g * dy * dy
            if absolute is not None:
                lanes[3, x] += abs(g * (a * dx + b * dy))
                lanes[4, x] += abs(g * (b * dx + c * dy))


@kernel(fastmath=True)
def blend_backward(
    begin, end, schedule, start, members, rows, slots, footprints, features, across, image, transmittance, stop,
    d_image, d_alpha, sums, absolute,
):  # fmt: skip
    """Gradients of :func:`blend`, per pair, so that no two threads write the same number.

    Front to back again, with one number per pixel for the remaining loss terms: the derivative of the loss by alpha_i
    is T_i f_i - (terms of all later Gaussians) / (1 - alpha_i), where f_i is d_image . feature_i. The remaining terms
    are d_image . image minus those processed; the transmittance that is left adds -d_alpha T_end.

    Args:
        d_image: (H, W, C). d_alpha: (H, W).
        sums: (n, C + 6), written: per pair, grouped by Gaussian, the gradients of its features, then the six moments
            for :func:`backend.render.project.project_backward`; if absolute (n, C + 8), with the sums of |dL/dmeans2d|
            over pixels.
        absolute: True or None. numba evaluates the test for None at compile time, so None has no cost.
        Otherwise as in :func:`blend`, whose results image, transmittance and stop are inputs.
    """
    height, width = transmittance.shape
    channels = features.shape[1]
    for turn in range(begin, end):
        tile = schedule[turn]
        left, top = (tile % across) * TILE, (tile // across) * TILE
        light = open_tile(left, top, width, height)
        weights, gain = np.zeros((TILE, TILE), np.float32), np.zeros((TILE, TILE), np.float32)
        flat_weights, flat_gain = weights.reshape(AREA), gain.reshape(AREA)
        lanes = np.zeros((5, TILE), np.float32)
        wanted = np.zeros((channels, AREA), np.float32)
        to_come = np.zeros((TILE, TILE), np.float32)
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                to_come[y, x] = -d_alpha[top + y, left + x] * transmittance[top + y, left + x]
                for ch in range(channels):
                    wanted[ch, y * TILE + x] = d_image[top + y, left + x, ch]
                    to_come[y, x] += d_image[top + y, left + x, ch] * image[top + y, left + x, ch]
        for k in range(start[tile], stop[tile]):
            i, slot = members[k], slots[k]
            u = footprints[i, U] - F(left) - HALF
            low, high = int(rows[k]) % TILE, int(rows[k]) // TILE
            first, last = low * TILE, high * TILE + TILE
            for p in range(first, last):
                flat_gain[p] = F(0)
            for ch in range(channels):
                feature = features[i, ch]
                for p in range(first, last):
                    flat_gain[p] += wanted[ch, p] * feature
            weigh_back(footprints, i, left, top, low, high, light, to_come, gain, weights, lanes, absolute)
            for ch in range(channels):
                total = F(0)
                for p in range(first, last):
                    total += flat_weights[p] * wanted[ch, p]
                sums[slot, ch] = total
            g0, gx, gy, gxx, gxy, gyy = F(0), F(0), F(0), F(0), F(0), F(0)
            for x in range(TILE):
                dx = F(x) - u
                g0 += lanes[0, x]
                gx += lanes[0, x] * dx
                gxx += lanes[0, x] * dx * dx
                gy += lanes[1, x]
                gxy += lanes[1, x] * dx
                gyy += lanes[2, x]
            sums[slot, channels], sums[slot, channels + 1], sums[slot, channels + 2] = g0, gx, gy
            sums[slot, channels + 3], sums[slot, channels + 4], sums[slot, channels + 5] = gxx, gxy, gyy
            if absolute is not None:
                pull_x, pull_y = F(0), F(0)
                for x in range(TILE):
                    pull_x += lanes[3, x]
                    pull_y += lanes[4, x]
                sums[slot, channels + 6], sums[slot, channels + 7] = pull_x, pull_y
        for k in range(stop[tile], start[tile + 1]):
            for j in range(sums.shape[1]):
                sums[slots[k], j] = F(0)


@kernel(fastmath=True)
def gather(begin, end, order, first, sums, d_features, moments):
    """Sum the pairs of each Gaussian in a fixed order: d_features (N, C) and moments (N, 6 or 8), initially zero."""
    channels, others = d_features.shape[1], moments.shape[1]
    for r in range(begin, end):
        i = order[r]
        for pair in range(first[r], first[r + 1]):
            for ch in range(channels):
                d_features[i, ch] += sums[pair, ch]
            for j in range(others):
                moments[i, j] += sums[pair, channels + j]

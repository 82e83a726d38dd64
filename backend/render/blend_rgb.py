"""Blending of three channels, which dominates training: :mod:`backend.render.blend` with the channels
unrolled, so that a row of 16 pixels is read, weighted and accumulated in registers once.
"""

from __future__ import annotations

import numpy as np

from backend.compiled import inlined, kernel
from backend.render.blend import CAP, CHECK_EVERY, CUT, OPAQUE, falloff, opaque
from backend.render.model import TILE
from backend.render.project import CONIC_A, CONIC_B, CONIC_C, HALF, ONE, OPACITY, F, U, V

CHANNELS = 3
LIGHT = 3
TO_COME = 4
"""The state of a tile is one array, colours first, then these. So the compiler knows that its parts do not overlap, and
needs no check per row."""


@inlined(fastmath=True)
def open_light(light, left, top, width, height):
    """As :func:`backend.render.blend.open_tile`, into an array (TILE, TILE) of zeros."""
    for y in range(min(TILE, height - top)):
        for x in range(min(TILE, width - left)):
            light[y, x] = ONE


@kernel(fastmath=True)
def blend_rgb(begin, end, schedule, start, members, rows, footprints, features, across, image, transmittance, stop):
    """As :func:`backend.render.blend.blend` with features (N, 3) and image (H, W, 3)."""
    height, width = transmittance.shape
    for turn in range(begin, end):
        tile = schedule[turn]
        left, top = (tile % across) * TILE, (tile // across) * TILE
        state = np.zeros((CHANNELS + 1, TILE, TILE), np.float32)
        open_light(state[LIGHT], left, top, width, height)
        end = start[tile + 1]
        for k in range(start[tile], start[tile + 1]):
            i = members[k]
            u, v = footprints[i, U] - F(left) - HALF, footprints[i, V] - F(top) - HALF
            a, b, c = footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C]
            opacity = footprints[i, OPACITY]
            red, green, blue = features[i, 0], features[i, 1], features[i, 2]
            for y in range(int(rows[k]) % TILE, int(rows[k]) // TILE + 1):
                dy = F(y) - v
                p0, p1, p2 = -HALF * c * dy * dy, -b * dy, -HALF * a
                for x in range(TILE):
                    dx = F(x) - u
                    alpha = min(opacity * falloff(p0 + dx * (p1 + p2 * dx)), CAP)
                    alpha = alpha if alpha >= CUT else F(0)
                    before = state[LIGHT, y, x]
                    weight = alpha * before
                    after = before - weight
                    state[LIGHT, y, x] = after if after >= OPAQUE else F(0)
                    state[0, y, x] += weight * red
                    state[1, y, x] += weight * green
                    state[2, y, x] += weight * blue
            if k % CHECK_EVERY == CHECK_EVERY - 1 and opaque(state[LIGHT]):
                end = k + 1
                break
        stop[tile] = end
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                transmittance[top + y, left + x] = state[LIGHT, y, x]
                for ch in range(CHANNELS):
                    image[top + y, left + x, ch] = state[ch, y, x]


@kernel(fastmath=True)
def blend_rgb_backward(
    begin, end, schedule, start, members, rows, slots, footprints, features, across, image, transmittance, stop,
    d_image, d_alpha, sums, absolute,
):  # fmt: skip
    """As :func:`backend.render.blend.blend_backward` with features (N, 3), image (H, W, 3) and sums (n, 9 or 11)."""
    height, width = transmittance.shape
    for turn in range(begin, end):
        tile = schedule[turn]
        left, top = (tile % across) * TILE, (tile // across) * TILE
        state = np.zeros((CHANNELS + 2, TILE, TILE), np.float32)
        open_light(state[LIGHT], left, top, width, height)
        lanes = np.zeros((8, TILE), np.float32)
        for y in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                rest = -d_alpha[top + y, left + x] * transmittance[top + y, left + x]
                for ch in range(CHANNELS):
                    state[ch, y, x] = d_image[top + y, left + x, ch]
                    rest += d_image[top + y, left + x, ch] * image[top + y, left + x, ch]
                state[TO_COME, y, x] = rest
        for k in range(start[tile], stop[tile]):
            i = members[k]
            u, v = footprints[i, U] - F(left) - HALF, footprints[i, V] - F(top) - HALF
            a, b, c = footprints[i, CONIC_A], footprints[i, CONIC_B], footprints[i, CONIC_C]
            opacity = footprints[i, OPACITY]
            red, green, blue = features[i, 0], features[i, 1], features[i, 2]
            for j in range(6):
                for x in range(TILE):
                    lanes[j, x] = F(0)
            if absolute is not None:
                for x in range(TILE):
                    lanes[6, x], lanes[7, x] = F(0), F(0)
            for y in range(int(rows[k]) % TILE, int(rows[k]) // TILE + 1):
                dy = F(y) - v
                p0, p1, p2 = -HALF * c * dy * dy, -b * dy, -HALF * a
                for x in range(TILE):
                    dx = F(x) - u
                    raw = opacity * falloff(p0 + dx * (p1 + p2 * dx))
                    alpha = min(raw, CAP)
                    alpha = alpha if alpha >= CUT else F(0)
                    before = state[LIGHT, y, x]
                    weight = alpha * before
                    after = before - weight
                    state[LIGHT, y, x] = after if after >= OPAQUE else F(0)
                    w0, w1, w2 = state[0, y, x], state[1, y, x], state[2, y, x]
                    gain = w0 * red + w1 * green + w2 * blue
                    rest = state[TO_COME, y, x] - weight * gain
                    state[TO_COME, y, x] = rest
                    g = (before * gain - rest / (ONE - alpha)) * alpha
                    g = g if (raw < CAP) & (before > F(0)) else F(0)
                    lanes[0, x] += weight * w0
                    lanes[1, x] += weight * w1
                    lanes[2, x] += weight * w2
                    lanes[3, x] += g
                    lanes[4, x] += g * dy
                    lanes[5, x] += g * dy * dy
                    if absolute is not None:
                        lanes[6, x] += abs(g * (a * dx + b * dy))
                        lanes[7, x] += abs(g * (b * dx + c * dy))
            s0, s1, s2 = F(0), F(0), F(0)
            g0, gx, gy, gxx, gxy, gyy = F(0), F(0), F(0), F(0), F(0), F(0)
            for x in range(TILE):
                dx = F(x) - u
                s0 += lanes[0, x]
                s1 += lanes[1, x]
                s2 += lanes[2, x]
                g0 += lanes[3, x]
                gx += lanes[3, x] * dx
                gxx += lanes[3, x] * dx * dx
                gy += lanes[4, x]
                gxy += lanes[4, x] * dx
                gyy += lanes[5, x]
            slot = slots[k]
            sums[slot, 0], sums[slot, 1], sums[slot, 2] = s0, s1, s2
            sums[slot, 3], sums[slot, 4], sums[slot, 5] = g0, gx, gy
            sums[slot, 6], sums[slot, 7], sums[slot, 8] = gxx, gxy, gyy
            if absolute is not None:
                pull_x, pull_y = F(0), F(0)
                for x in range(TILE):
                    pull_x += lanes[6, x]
                    pull_y += lanes[7, x]
                sums[slot, 9], sums[slot, 10] = pull_x, pull_y
        for k in range(stop[tile], start[tile + 1]):
            for j in range(sums.shape[1]):
                sums[slots[k], j] = F(0)

"""The rendering model in numbers. Both engines and the dense reference read them here.

A pixel blends the Gaussians that cover it from front to back (Kerbl et al. 2023, eqs. (2) and (3)):

    alpha_i = min(ALPHA_MAX, opacity_i exp(-1/2 d^T conic_i d)),  0 where below ALPHA_MIN
    weight_i = alpha_i T_i,   T_1 = 1,   T_{i+1} = T_i (1 - alpha_i),  0 where below TRANSMITTANCE_MIN
    image = sum_i weight_i feature_i,   alpha = 1 - T_end

where d is the pixel's centre minus the projected mean. ``conic`` is the inverse of the projected covariance plus
LOW_PASS on its diagonal.
"""

from __future__ import annotations

NEAR = 1e-5
"""Gaussians whose centre is nearer than this, in scene units along the viewing axis, are not drawn. A unit may be a
kilometre as well as a millimetre: gsplat's 0.01 hid the whole of a scene that is a hundredth of a unit away."""

LOW_PASS = 0.3
"""Added to both variances of a projected Gaussian, in square pixels, so that none is thinner than a pixel."""

ALPHA_MAX = 0.999
"""gsplat 1.5.3's bound; INRIA's is 0.99. A gradient through a bounded alpha is zero."""

ALPHA_MIN = 1.0 / 255.0
"""A smaller alpha counts as nothing, in value and gradient."""

TRANSMITTANCE_MIN = 1e-4
"""A pixel whose transmittance falls below this is finished: its transmittance becomes exactly 0."""

CLAMP = 0.3
"""The projection is linearised no further outside the image than this share of half its width or height."""

TILE = 16
"""Pixels along the side of a tile: one row of a tile is one AVX-512 register of float32."""

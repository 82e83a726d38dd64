"""The constants of the rendering model, used by both engines and the dense reference.

A pixel blends the Gaussians that cover it from front to back (Kerbl et al. 2023, eqs. (2) and (3)):

    alpha_i = min(ALPHA_MAX, opacity_i exp(-1/2 d^T conic_i d)),  0 where below ALPHA_MIN
    weight_i = alpha_i T_i,   T_1 = 1,   T_{i+1} = T_i (1 - alpha_i),  0 where below TRANSMITTANCE_MIN
    image = sum_i weight_i feature_i,   alpha = 1 - T_end

where d is the pixel's centre minus the projected mean. ``conic`` is the inverse of the projected covariance plus
LOW_PASS on its diagonal.
"""

from __future__ import annotations

NEAR = 1e-5
"""Gaussians with a centre nearer than this, in scene units along the viewing axis, are not drawn. A unit may be a
kilometre or a millimetre: gsplat's default of 0.01 hid a whole scene at a distance of 0.01 units."""

LOW_PASS = 0.3
"""Added to both variances of a projected Gaussian, in square pixels, so that it is at least about a pixel wide."""

ALPHA_MAX = 0.999
"""The limit in gsplat 1.5.3; INRIA's is 0.99. A clamped alpha has no gradient."""

ALPHA_MIN = 1.0 / 255.0
"""A smaller alpha counts as zero, in value and gradient."""

TRANSMITTANCE_MIN = 1e-4
"""A pixel whose transmittance falls below this is finished: its transmittance is set to exactly 0."""

CLAMP = 0.3
"""The projection is linearised at most this far outside the image, as a share of half its width or height."""

TILE = 16
"""Pixels along the side of a tile; a row of a tile is one AVX-512 register of float32."""

"""What the tests of this folder draw their examples from."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.splats import SH_COUNTS, Splats

EXTRA_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
"""Every type that a PLY column can have."""


def random_splats(
    count: int, degree: int = 0, seed: int = 0, extra: dict[str, str] | None = None, spread: float = 3.0
) -> Splats:
    """Return ``count`` Gaussians; quaternions are not normalised and never zero."""
    rng = np.random.default_rng(seed)

    def floats(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0, spread, shape).astype(np.float32)

    columns = {name: rng.integers(0, 100, count).astype(dtype) for name, dtype in (extra or {}).items()}
    quats = floats(count, 4)
    quats[:, 0] += np.where(quats[:, 0] < 0, -0.1, 0.1).astype(np.float32)
    return Splats(
        floats(count, 3), quats, floats(count, 3) / 3, floats(count), floats(count, SH_COUNTS[degree], 3), columns
    )


@st.composite
def splats(draw: st.DrawFn, max_count: int = 40) -> Splats:
    """Gaussians of any SH degree with extra columns of any type, any finite bits in their columns."""
    names = draw(st.lists(st.from_regex(r"[a-z]{1,8}_[0-9]?", fullmatch=True), unique=True, max_size=4))
    stock = {"f_rest_", "f_dc_", "scale_", "rot_"}
    extra = {name: draw(st.sampled_from(EXTRA_TYPES)) for name in names if name.rstrip("0123456789") not in stock}
    seed = draw(st.integers(0, 2**32 - 1))
    spread = draw(st.sampled_from([1e-30, 1.0, 1e30]))
    return random_splats(draw(st.integers(0, max_count)), draw(st.integers(0, 3)), seed, extra, spread)


@st.composite
def rotations(draw: st.DrawFn) -> NDArray[np.float64]:
    """Rotation matrices (3, 3), among them the identity, half turns and quarter turns."""
    small = st.sampled_from([-1.0, 0.0, 1.0]) | st.floats(-1, 1, allow_subnormal=False)
    quat = np.array(draw(st.tuples(small, small, small, small).filter(lambda q: np.linalg.norm(q) > 1e-3)))
    w, x, y, z = quat / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@st.composite
def placements(draw: st.DrawFn) -> NDArray[np.float64]:
    """Matrices (4, 4) of a rotation, a uniform scale and a translation."""
    matrix = np.eye(4)
    matrix[:3, :3] = draw(rotations()) * draw(st.floats(0.05, 20))
    matrix[:3, 3] = draw(st.tuples(*[st.floats(-10, 10)] * 3))
    return matrix

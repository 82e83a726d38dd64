"""Codes of pixels."""

from __future__ import annotations

import numpy as np

from backend.render.types import Contributions
from bench.experiments.code_map import code_map


def test_code_map_decodes_the_rendered_embedding() -> None:
    rng = np.random.default_rng(0)
    found = Contributions(np.arange(6), rng.integers(0, 4, (6, 2)).astype(np.int32), rng.random((6, 2)).astype("f4"))
    embedding = rng.normal(size=(4, 12)).astype(np.float32)
    got = code_map(found, embedding, (2, 3))
    for p in range(6):
        rendered = found.weights[p] @ embedding[found.ids[p]]
        assert got.ravel()[p] == sum(2**k for k in range(12) if rendered[k] > 0)

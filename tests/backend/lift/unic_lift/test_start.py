"""The embedding before its first step."""

from __future__ import annotations

import numpy as np
import torch

from backend.lift.unic_lift.start import start


def drawn(means: np.ndarray, length: float) -> np.ndarray:
    return start(means.astype(np.float32), 4000, 0.3, length, torch.Generator().manual_seed(1)).numpy()


def test_a_start_without_length_is_independent_and_normal() -> None:
    found = drawn(np.zeros((3, 3)), 0.0)
    assert abs(found.std() - 0.3) < 0.01
    assert abs(np.corrcoef(found)[0, 1]) < 0.06


def test_a_start_with_a_length_is_correlated_by_distance() -> None:
    means = np.array([[0, 0, 0], [0, 1, 0], [2, 0, 0], [20, 0, 0]], float)
    found = drawn(means, 2.0)
    assert np.abs(found.std(1) - 0.3).max() < 0.05
    distance = np.linalg.norm(means - means[0], axis=1)
    # 256 waves estimate a correlation to within about their root's inverse.
    np.testing.assert_allclose(np.corrcoef(found)[0], np.exp(-((distance / 2.0) ** 2) / 2), atol=0.2)

"""Axes of other files: where a point goes, and what it looks like from there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from protocol.formats.axes import PLY, to_ply_axes
from protocol.formats.spz import AXES
from protocol.sh import sh_basis
from protocol.splats import Splats
from tests.protocol.formats.packing import storable

CODES = sorted(set(AXES))


def matrix_of(axes: str) -> np.ndarray:
    return np.array([PLY[letter] for letter in axes], float).T


def covariances(splats: Splats) -> np.ndarray:
    rotations = Rotation.from_quat(splats.quats[:, [1, 2, 3, 0]].astype(float)).as_matrix()
    return rotations @ (np.exp(2 * splats.scales)[:, :, None] * rotations.transpose(0, 2, 1))


def test_the_axes_that_spz_numbers() -> None:
    assert len(AXES) == 17
    assert len(CODES) == 16
    assert (AXES[0], AXES[4], AXES[6], AXES[16]) == ("RUB", "RUB", "RDF", "RFU")


@pytest.mark.parametrize("axes", CODES)
def test_centres_shapes_and_colours_go_together(axes: str) -> None:
    stored = storable(30, 3)
    read = to_ply_axes(stored, axes)
    matrix = matrix_of(axes)
    np.testing.assert_allclose(read.means, stored.means @ matrix.T, atol=1e-6)
    np.testing.assert_allclose(covariances(read), matrix @ covariances(stored) @ matrix.T, atol=1e-5)
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = np.einsum("dk,nkc->ndc", sh_basis(3, directions), stored.sh)
    after = np.einsum("dk,nkc->ndc", sh_basis(3, directions @ matrix.T), read.sh)
    np.testing.assert_allclose(after, before, atol=1e-5)
    np.testing.assert_array_equal(read.opacities, stored.opacities)


@given(st.sampled_from([code for code in CODES if code[1] in "UD"]), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_turning_about_twice_gives_the_bits_back(axes: str, degree: int) -> None:
    stored = storable(5, degree)
    again = to_ply_axes(to_ply_axes(stored, axes), axes)
    for name in ("means", "quats", "scales", "opacities", "sh"):
        np.testing.assert_array_equal(getattr(again, name), getattr(stored, name))

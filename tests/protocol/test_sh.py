from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.sh import rotate_sh, sh_basis, sh_rotation
from tests.protocol.strategies import random_splats, rotations


def directions(count: int = 200, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_basis_is_that_of_gsplat(degree: int):
    import torch
    from gsplat.cuda._torch_impl import _spherical_harmonics

    sh = np.random.default_rng(1).normal(size=(200, (degree + 1) ** 2, 3))
    theirs = _spherical_harmonics(degree, torch.from_numpy(directions()), torch.from_numpy(sh)).numpy()
    ours = np.einsum("nk,nkc->nc", sh_basis(degree, directions()), sh)
    assert np.abs(ours - theirs).max() < 1e-12


def test_basis_is_orthonormal_over_the_sphere():
    nodes, weights = np.polynomial.legendre.leggauss(8)
    turns = np.arange(16) * np.pi / 8
    z, turn = np.meshgrid(nodes, turns, indexing="ij")
    radius = np.sqrt(1 - z * z)
    basis = sh_basis(3, np.stack([radius * np.cos(turn), radius * np.sin(turn), z], -1))
    gram = np.einsum("ij,ijk,ijl->kl", np.outer(weights, np.full(16, np.pi / 8)), basis, basis)
    assert np.abs(gram - np.eye(16)).max() < 1e-13


@settings(deadline=None)
@given(rotation=rotations(), degree=st.integers(0, 3))
def test_a_turned_gaussian_shows_its_colour_in_the_turned_direction(rotation: np.ndarray, degree: int):
    sh = np.random.default_rng(2).normal(size=((degree + 1) ** 2, 3))
    before = sh_basis(degree, directions()) @ sh
    after = sh_basis(degree, directions() @ rotation.T) @ (sh_rotation(degree, rotation) @ sh)
    assert np.abs(before - after).max() < 1e-12


@settings(deadline=None)
@given(first=rotations(), second=rotations())
def test_rotations_compose_and_keep_lengths(first: np.ndarray, second: np.ndarray):
    both = sh_rotation(3, second @ first)
    assert np.abs(both - sh_rotation(3, second) @ sh_rotation(3, first)).max() < 1e-12
    assert np.abs(both @ both.T - np.eye(16)).max() < 1e-12


def test_the_first_band_turns_like_a_vector():
    rotation = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y
    # Band 1 holds -y, z, -x.
    expected = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assert np.abs(sh_rotation(1, rotation)[1:, 1:] - expected).max() < 1e-12


def test_the_identity_and_the_constant_band_keep_their_bits():
    sh = random_splats(10, 3).sh
    assert rotate_sh(sh, np.eye(3)) is sh
    turned = rotate_sh(sh, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    assert turned.dtype == np.float32
    assert np.array_equal(turned[:, 0], sh[:, 0])
    assert not np.array_equal(turned[:, 1], sh[:, 1])
    assert rotate_sh(sh[:0], np.diag([-1.0, -1, 1])).shape == (0, 16, 3)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import BadSplats
from protocol.sh import sh_basis
from protocol.splats import Splats
from protocol.transform import TOLERANCE, decompose, transform
from tests.protocol.strategies import placements, random_splats, rotations


def covariances(splats: Splats) -> np.ndarray:
    """R S S^T R^T (N, 3, 3), the rotation by Rodrigues' formula and so independent of the code under test."""
    quats = splats.quats.astype(np.float64)
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    w, v = quats[:, 0], quats[:, 1:]
    cross = np.zeros((len(splats), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]] = v
    cross -= cross.transpose(0, 2, 1)
    rotation = np.eye(3) + 2 * w[:, None, None] * cross + 2 * cross @ cross
    spread = rotation * np.exp(splats.scales.astype(np.float64))[:, None, :]
    return spread @ spread.transpose(0, 2, 1)


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-4) -> bool:
    return bool(np.abs(a - b).max() <= tolerance * max(1.0, np.abs(b).max()))


def alike(a: Splats, b: Splats) -> bool:
    """Whether two splats look the same: a quaternion and its negative are one rotation."""
    turns = np.abs((a.quats * b.quats).sum(1)) / np.linalg.norm(a.quats, axis=1) / np.linalg.norm(b.quats, axis=1)
    return (
        close(a.means, b.means)
        and close(a.scales, b.scales)
        and close(a.sh, b.sh)
        and close(turns, np.ones(len(a)))
        and np.array_equal(a.opacities, b.opacities)
    )


@settings(deadline=None, max_examples=50)
@given(matrix=placements())
def test_means_and_covariances_follow_the_matrix(matrix: np.ndarray):
    before = random_splats(30, 1)
    after = transform(before, matrix)
    linear = matrix[:3, :3]
    assert close(after.means, before.means @ linear.T + matrix[:3, 3])
    expected = linear @ covariances(before) @ linear.T
    sizes = np.trace(expected, axis1=1, axis2=2)[:, None, None]
    assert np.abs((covariances(after) - expected) / sizes).max() < 1e-4


@settings(deadline=None, max_examples=50)
@given(matrix=placements(), degree=st.integers(0, 3))
def test_the_colour_seen_from_the_turned_direction_is_the_same(matrix: np.ndarray, degree: int):
    before = random_splats(20, degree)
    after = transform(before, matrix)
    eye = np.array([1.0, 2.0, -20.0])
    moved_eye = matrix[:3, :3] @ eye + matrix[:3, 3]

    def colours(splats: Splats, seen_from: np.ndarray) -> np.ndarray:
        rays = splats.means - seen_from
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        return np.einsum("nk,nkc->nc", sh_basis(degree, rays), splats.sh)

    assert np.abs(colours(before, eye) - colours(after, moved_eye)).max() < 1e-3


@settings(deadline=None, max_examples=50)
@given(first=placements(), second=placements())
def test_transforms_compose(first: np.ndarray, second: np.ndarray):
    drawn = random_splats(20, 3)
    assert alike(transform(transform(drawn, first), second), transform(drawn, second @ first))


@settings(deadline=None, max_examples=50)
@given(matrix=placements())
def test_the_inverse_gives_the_splats_back(matrix: np.ndarray):
    drawn = random_splats(20, 3)
    there = transform(drawn, matrix)
    assert alike(transform(there, np.linalg.inv(matrix)), drawn)


@settings(deadline=None, max_examples=50)
@given(matrix=placements())
def test_a_float32_matrix_does_as_well(matrix: np.ndarray):
    drawn = random_splats(20, 3)
    assert alike(transform(drawn, matrix.astype(np.float32)), transform(drawn, matrix))


def test_a_chain_of_float32_parents_stays_within_tolerance():
    rng = np.random.default_rng(0)
    matrix = np.eye(4, dtype=np.float32)
    for _ in range(30):
        step = np.eye(4, dtype=np.float32)
        step[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] * rng.uniform(0.5, 2)
        step[:3, :3] *= np.sign(np.linalg.det(step[:3, :3]))
        matrix = matrix @ step
    rotation, scale = decompose(matrix)
    assert np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-12
    assert np.abs(rotation * scale - matrix[:3, :3]).max() < TOLERANCE / 10 * scale


def test_the_identity_keeps_every_bit_and_a_move_only_moves():
    drawn = random_splats(50, 3, extra={"label": "int32"})
    for matrix in (np.eye(4), np.eye(4, dtype=np.float32)):
        same = transform(drawn, matrix)
        for name in ("means", "quats", "scales", "opacities", "sh"):
            assert np.array_equal(getattr(same, name), getattr(drawn, name)), name
    shift = np.eye(4)
    shift[:3, 3] = 1, 2, 3
    moved = transform(drawn, shift)
    assert np.allclose(moved.means, drawn.means + np.array([1, 2, 3], np.float32))
    assert np.array_equal(moved.quats, drawn.quats)
    assert np.array_equal(moved.sh, drawn.sh)
    assert moved.extra["label"] is drawn.extra["label"]


def test_a_pure_scale_adds_its_logarithm():
    drawn = random_splats(5, 2)
    after = transform(drawn, np.diag([3.0, 3, 3, 1]))
    assert np.allclose(after.scales - drawn.scales, np.log(3), atol=1e-6)
    assert np.array_equal(after.sh, drawn.sh)
    assert np.array_equal(after.quats, drawn.quats)


def test_no_gaussians_can_be_moved():
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -2, 0], [2, 0, 0], [0, 0, 2]]
    assert len(transform(random_splats(0, 3), matrix)) == 0


def with_entries(**entries: float) -> np.ndarray:
    """The identity with some entries changed: ``a01`` is row 0, column 1."""
    matrix = np.eye(4)
    for name, value in entries.items():
        matrix[int(name[1]), int(name[2])] = value
    return matrix


BAD_MATRICES: dict[str, tuple[np.ndarray, str]] = {
    "3 by 3": (np.eye(3), r"matrix has shape \(3, 3\); \(4, 4\) is expected"),
    "NaN": (with_entries(a13=np.nan), "contains NaN or infinity"),
    "infinite": (with_entries(a00=np.inf), "contains NaN or infinity"),
    "perspective": (with_entries(a30=0.5), "contains a perspective projection"),
    "zero scale": (np.diag([0.0, 0, 0, 1]), r"has a scale of zero\."),
    "flat": (np.diag([1.0, 1, 0, 1]), "has a scale of zero along one axis"),
    "flat and turned": (with_entries(a10=1.0, a11=0.0), "has a scale of zero along one axis"),
    "mirrored": (np.diag([-1.0, 1, 1, 1]), "mirrors"),
    "mirrored through the origin": (np.diag([-2.0, -2, -2, 1]), "mirrors"),
    "sheared": (with_entries(a01=0.3), "shears"),
    "slightly sheared": (with_entries(a01=1e-3), "shears"),
    "stretched": (np.diag([1.0, 2, 1, 1]), r"has a non-uniform scale \(1, 2, 1\)"),
    "slightly stretched": (np.diag([1.0, 1.001, 1, 1]), r"has a non-uniform scale \(1, 1.001, 1\)"),
    "far away": (with_entries(a03=1e39), "out of the range of float32"),
}


@pytest.mark.parametrize("name", BAD_MATRICES)
def test_what_gaussians_cannot_follow_is_refused(name: str):
    matrix, sentence = BAD_MATRICES[name]
    with pytest.raises(BadSplats, match=sentence) as caught:
        transform(random_splats(3), matrix)
    assert caught.value.sentence.endswith(".")


@settings(deadline=None)
@given(rotation=rotations(), scale=st.floats(1e-12, 1e12), noise=st.integers(0, 2**32 - 1))
def test_rounding_is_forgiven_and_a_visible_stretch_is_not(rotation: np.ndarray, scale: float, noise: int):
    matrix = np.eye(4)
    error = np.random.default_rng(noise).uniform(-3e-6, 3e-6, (3, 3))
    matrix[:3, :3] = scale * (rotation + error)
    turned, found = decompose(matrix)
    assert found == pytest.approx(scale, rel=1e-5)
    assert np.abs(turned - rotation).max() < 1e-5
    matrix[:3, :3] = scale * rotation @ np.diag([1, 1.001, 1])
    with pytest.raises(BadSplats, match="non-uniform"):
        decompose(matrix)

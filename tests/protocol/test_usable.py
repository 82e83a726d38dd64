"""Infinities that mean something, and rows that mean nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadSplats
from protocol.ply import may_hold_gaussians, read_ply, write_ply
from protocol.splats import Splats, merge
from tests.protocol.strategies import random_splats
from tests.protocol.test_ply import STOCK, floats, ply, same


def test_a_size_of_nothing_and_opacities_of_all_or_nothing_are_kept(tmp_path: Path) -> None:
    drawn = random_splats(6, 1, extra={"label": "int32"})
    drawn.scales[0, 2] = drawn.scales[1] = -np.inf
    drawn.opacities[2:4] = np.inf, -np.inf
    write_ply(drawn, tmp_path / "a.ply")
    with pytest.warns(UserWarning, match="has 4 Gaussians with size 0 or with opacity 0 or 1; they were"):
        read = read_ply(tmp_path / "a.ply")
    drawn.scales[0, 2] = drawn.scales[1] = -20
    drawn.opacities[2:4] = 15, -15
    same(read, drawn)


def test_flat_gaussians_may_be_all_there_are(tmp_path: Path) -> None:
    drawn = random_splats(5)
    drawn.scales[:, 2] = -np.inf
    write_ply(drawn, tmp_path / "a.ply")
    with pytest.warns(UserWarning, match="has 5 Gaussians with size 0"):
        assert (read_ply(tmp_path / "a.ply").scales[:, 2] == -20).all()


@pytest.mark.parametrize(
    ("column", "value"),
    [("means", np.inf), ("means", np.nan), ("quats", -np.inf), ("scales", np.inf), ("scales", np.nan), ("sh", -np.inf),
     ("opacities", np.nan)],
)  # fmt: skip
def test_other_values_that_are_not_finite_are_dropped(tmp_path: Path, column: str, value: float) -> None:
    drawn = random_splats(4, 1)
    getattr(drawn, column).reshape(4, -1)[2, 0] = value
    write_ply(drawn, tmp_path / "a.ply")
    with pytest.warns(UserWarning, match="has 1 Gaussians with values that are not finite; they were dropped"):
        same(read_ply(tmp_path / "a.ply"), drawn.pick(np.array([0, 1, 3])))


def test_rows_of_zeros_are_dropped(tmp_path: Path) -> None:
    good = random_splats(1)
    means, quats, scales, opacities, sh = (np.zeros((5, *s), np.float32) for s in ((3,), (4,), (3,), (), (1, 3)))
    nothing = Splats(means, quats, scales, opacities, sh)
    write_ply(merge([good, nothing]), tmp_path / "a.ply")
    with pytest.warns(UserWarning, match="has 5 Gaussians with a zero quaternion"):
        same(read_ply(tmp_path / "a.ply"), good)


def test_none_left(tmp_path: Path) -> None:
    drawn = random_splats(3)
    drawn.quats[:2] = 0
    drawn.means[2] = np.nan
    write_ply(drawn, tmp_path / "a.ply")
    with pytest.raises(
        BadSplats, match=r"None of the 3 Gaussians of .* is usable: 1 are not finite, 2 have a zero quat"
    ):
        read_ply(tmp_path / "a.ply")
    write_ply(random_splats(0), tmp_path / "empty.ply")
    assert len(read_ply(tmp_path / "empty.ply")) == 0


@pytest.mark.parametrize("kind", ["binary_little_endian", "ascii"])
def test_of_degree_4_the_first_three_are_read(tmp_path: Path, kind: str) -> None:
    names = [*STOCK, *(f"f_rest_{i}" for i in range(72)), "label"]
    values = np.arange(1, len(names) + 1, dtype="<f4")
    row = values.tobytes() if kind != "ascii" else (" ".join(map(str, values)) + "\n").encode()
    (tmp_path / "a.ply").write_bytes(ply(floats(names), 1, row, kind))
    with pytest.warns(UserWarning, match="has spherical harmonics of degree 4; the fourth band was ignored"):
        read = read_ply(tmp_path / "a.ply")
    assert read.sh.shape == (1, 16, 3)
    rest = values[len(STOCK) : -1].reshape(3, 24)
    np.testing.assert_array_equal(read.sh[0, 1:], rest[:, :15].T)
    assert list(read.extra) == ["label"]


@pytest.mark.parametrize(
    ("name", "content", "holds"),
    [
        ("a.ply", ply(floats(STOCK), 0), True),
        ("a.PLY", b"ply\nproperty uint packed_position\n", True),
        ("a.ply", ply(floats(["x", "y", "z"]), 0), False),
        ("a.ply", b" f_dc_0", False),
        ("a.spz", b"", True),
        ("a.Splat", b"", True),
        ("a.png", b"", False),
    ],
)
def test_files_that_may_hold_gaussians(tmp_path: Path, name: str, content: bytes, holds: bool) -> None:
    (tmp_path / name).write_bytes(content)
    assert may_hold_gaussians(tmp_path / name) == holds
    assert not may_hold_gaussians(tmp_path / "absent.ply")

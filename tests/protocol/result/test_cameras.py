"""The cameras of a result: round trips, and nothing that leads out of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import BadResult
from protocol.result.cameras import CameraRow, LensRow, photograph_of, read_cameras, write_cameras
from protocol.result.names import CAMERAS, MAX_SIDE

K: Any = ((50.5, 0.0, 16.0), (0.0, 49.0, 12.0), (0.0, 0.0, 1.0))
POSE: Any = tuple(map(tuple, np.eye(4).tolist()))
FILE_NAMES = st.text(st.characters(exclude_characters="/\\\x00", exclude_categories=["Cs"]), min_size=1, max_size=30)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
cameras = st.builds(
    CameraRow,
    name=FILE_NAMES,
    width=st.integers(1, MAX_SIDE),
    height=st.integers(1, MAX_SIDE),
    K=st.tuples(*[st.tuples(*[NUMBERS] * 3)] * 3),
    viewmat=st.tuples(*[st.tuples(*[NUMBERS] * 4)] * 4),
    photograph=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    lens=st.none()
    | st.builds(
        LensRow,
        model=st.just("SIMPLE_RADIAL"),
        params=st.tuples(*[NUMBERS] * 4),
        width=st.integers(1, MAX_SIDE),
        height=st.integers(1, MAX_SIDE),
    ),
)


@given(st.lists(cameras, unique_by=lambda row: row.name, max_size=5))
@settings(deadline=None)
def test_cameras_come_back_as_they_were_written(rows: list[CameraRow]) -> None:
    with TemporaryDirectory() as name:
        write_cameras(Path(name), rows)
        assert read_cameras(Path(name)) == rows


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../b"},
        {"name": "a\\b"},
        {"name": ""},
        {"name": "a\x00"},
        {"name": "x" * 1025},
        {"width": 0},
        {"height": MAX_SIDE + 1},
        {"width": 1.5},
        {"K": [[1, 0, 0], [0, 1, 0]]},
        {"viewmat": [[1, 0, 0, None]] * 4},
        {"photograph": 7},
        {"lens": {"model": "FISHEYE", "params": [1, 1, 1, 1], "width": 1, "height": 1}},
    ],
)
def test_cameras_out_of_range_are_refused_in_both_directions(tmp_path: Path, changes: dict) -> None:
    fields = {"name": "a", "width": 32, "height": 24, "K": K, "viewmat": POSE, "photograph": None, **changes}
    (tmp_path / CAMERAS).write_text(json.dumps({"format": 1, "views": [fields]}))
    with pytest.raises(BadResult, match="not a valid list of cameras") as caught:
        read_cameras(tmp_path, "Do this.")
    assert caught.value.remedy == "Do this."
    (tmp_path / CAMERAS).unlink()
    with pytest.raises(BadResult, match="cannot be written"):
        write_cameras(tmp_path, [CameraRow(**fields)])
    assert not list(tmp_path.iterdir())


def test_a_view_named_twice_is_refused(tmp_path: Path) -> None:
    row = CameraRow("a", 32, 24, K, POSE)
    write_cameras(tmp_path, [row, CameraRow("b", 32, 24, K, POSE), row])
    with pytest.raises(BadResult, match="lists the view 'a' 2 times"):
        read_cameras(tmp_path)


def test_a_result_without_cameras_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadResult, match=r"has no cameras\.json"):
        read_cameras(tmp_path)


@pytest.mark.parametrize(
    "path", ["../secret.png", "images/../../secret.png", "..\\secret.png", "C:secret.png", "C:\\secret.png", "a\x00b"]
)
def test_photographs_outside_the_capture_are_not_followed(tmp_path: Path, path: str) -> None:
    capture = tmp_path / "capture"
    (capture / "images").mkdir(parents=True)
    (tmp_path / "secret.png").touch()
    for name in ("..\\secret.png", "C:secret.png", "C:\\secret.png"):
        (capture / name).touch()  # names that lead elsewhere on another system
    assert photograph_of(CameraRow("a", 1, 1, K, POSE, path), capture) is None
    assert photograph_of(CameraRow("a", 1, 1, K, POSE, str(tmp_path / "secret.png")), capture) is None


def test_photographs_in_the_capture_are_found(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    assert photograph_of(CameraRow("a", 1, 1, K, POSE, "images/a.png"), tmp_path) == tmp_path / "images" / "a.png"
    assert photograph_of(CameraRow("b", 1, 1, K, POSE, "images/b.png"), tmp_path) is None
    assert photograph_of(CameraRow("c", 1, 1, K, POSE), tmp_path) is None


def test_a_lens_with_the_wrong_number_of_parameters_is_refused(tmp_path: Path) -> None:
    write_cameras(tmp_path, [CameraRow("a", 32, 24, K, POSE, lens=LensRow("OPENCV", (1.0, 2.0), 32, 24))])
    with pytest.raises(BadResult, match=r"lens of the view 'a' .* has 2 parameters; OPENCV has 8"):
        read_cameras(tmp_path)

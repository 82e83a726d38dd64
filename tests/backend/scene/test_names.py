"""Names of views."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.scene.names import NOT_IN_FILE_NAMES, view_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["images/a.png", "images/b.jpg"], ["a", "b"]),
        (["train/r_0.png", "test/r_0.png", "test/r_1.png"], ["train_r_0", "test_r_0", "test_r_1"]),
        (["images/l/a.png", "images/r/a.png"], ["l_a", "r_a"]),
        (["a.png", "sub/a.png"], ["a", "sub_a"]),
        (["a.png", "a.jpg", "A.jpg"], ["a", "a_2", "A_3"]),
        (["a/b_c.png", "a_b/c.png", "x/c.png"], ["a_b_c", "a_b_c_2", "x_c"]),
        (["frame.01.png"], ["frame.01"]),
        (["a:b*.png"], ["a_b_"]),
    ],
)
def test_names(paths: list[str], names: list[str]) -> None:
    assert view_names(paths) == names


parts = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=90).filter(
    lambda part: part not in (".", "..")
)


@given(st.lists(st.lists(parts, min_size=1, max_size=4).map("/".join), min_size=1, max_size=8))
def test_names_are_unique_and_fit_to_be_file_names(paths: list[str]) -> None:
    names = view_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    for name in names:
        assert not NOT_IN_FILE_NAMES.search(name)
        assert len(f"{name}.png".encode()) < 255
        assert name == name.rstrip(". ")

"""Which mask is whose by its name."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.endings import MASK_ENDINGS
from protocol.folder_names import folded
from protocol.mask_names import match_masks

PHOTOGRAPHS = ["images/v_1.jpg", "images/v_2.JPG", "images/v_10.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        "{}.png",
        "{}.jpg.png",
        "{}.jpg.mask.png",
        "{}.mask.PNG",
        "{}_mask.png",
        "{} masks.npy",
        "mask_{}.npz",
        "{}_instance_ids.png",
        "SEG_{}.png",
        "run/{}.png",
        "{}/anything.png",
        "{}_0.png",
        "{}.json",
    ],
)
def test_every_way_to_name_a_mask(name: str) -> None:
    stems = ("v_1", "V_2", "v_10")
    files = [name.format(stem) for stem in stems]
    match = match_masks(PHOTOGRAPHS, files)
    assert match.masks == [(file,) for file in files]
    assert (match.conflicts, match.strays) == ({}, [])


@pytest.mark.parametrize(
    "name", ["v_1_{}.png", "v_1_mask_{}.png", "v_1.jpg_{}.png", "v_1/{}.png", "v_1/mask {}.png", "{}/v_1.png"]
)
def test_several_masks_in_order(name: str) -> None:
    files = [name.format(n) for n in (10, 9, 1)]
    assert match_masks(PHOTOGRAPHS, files).masks[0] == tuple(reversed(files))


@pytest.mark.parametrize(
    "name", ["{}/v_1.png", "{}_mask/v_1_mask.png", "v_1_{}.png", "v_1.jpg.{}.png", "v_1_mask_{}.png"]
)
def test_one_mask_for_each_named_object(name: str) -> None:
    files = [name.format(thing) for thing in ("chair", "coffee table", "chair_2")]
    match = match_masks(PHOTOGRAPHS, files)
    assert sorted(match.masks[0]) == sorted(files)
    assert (match.masks[1:], match.conflicts, match.strays) == ([(), ()], {}, [])


@pytest.mark.parametrize("name", ["depth", "vis", "overlay_color", "v2"])
def test_other_forms_of_masks_are_no_objects(name: str) -> None:
    beside = match_masks(PHOTOGRAPHS, ["v_1.png", f"v_1_{name}.png"])
    assert (beside.masks[0], beside.strays) == (("v_1.png",), [f"v_1_{name}.png"])
    assert not any(match_masks(PHOTOGRAPHS, [f"v_1_{name}.jpg", "v_1_chair.txt"]).masks)
    files = [f"{name}/v_1.png", "chair/v_1.png"]
    assert match_masks(PHOTOGRAPHS, files).conflicts == {0: sorted(files)}


@pytest.mark.parametrize(
    "files",
    [
        ["v_1.png", "v_1.npy"],
        ["v_1.png", "v_1_mask.png"],
        ["v_1.png", "v_1_0.png"],
        ["v_1_0.png", "v_1/0.png"],
        ["v_1_0.png", "v_1_0.npy"],
        ["a/v_1.png", "b/v_1.png"],
        ["v_1.png", "V_1.png"],
    ],
)
def test_contradictions(files: list[str]) -> None:
    match = match_masks(PHOTOGRAPHS, files)
    assert match.conflicts == {0: sorted(files)}
    assert match.masks == [(), (), ()]


def test_the_most_literal_reading_goes_first() -> None:
    assert match_masks(["v.png", "v_1.png"], ["v.png", "v_1.png"]).masks == [("v.png",), ("v_1.png",)]
    # v_2 is one of the other photographs; v_3 is not a photograph.
    match = match_masks(["v.png"], ["v_2.png", "v_3.png"], others=["v_2.png"])
    assert (match.masks, match.strays) == ([("v_3.png",)], [])
    assert match_masks(["mask_1.png"], ["mask_1.png"]).masks == [("mask_1.png",)]


def test_names_that_several_photographs_share() -> None:
    photographs = ["left/a.png", "right/a.png", "right/b.png"]
    match = match_masks(photographs, ["a.png", "left/a.png", "right_a.png", "b.png"], ["left_a", "right_a", "right_b"])
    assert match.masks == [("left/a.png",), ("right_a.png",), ("b.png",)]
    assert (match.strays, match.shared) == ([], ["a.png"])
    both = match_masks(["a.png", "a.jpg"], ["a.png.png", "a.jpg.png"])
    assert both.masks == [("a.png.png",), ("a.jpg.png",)]


def test_numbers_tell_where_no_name_does() -> None:
    photographs = ["rgb_0001.jpg", "rgb_0002.jpg", "rgb_0010.jpg"]
    match = match_masks(photographs, ["mask0010.png", "mask2.png.png", "mask1.png"])
    assert match.masks == [("mask1.png",), ("mask2.png.png",), ("mask0010.png",)]
    assert match.by_number
    assert match_masks(photographs[:2], ["1.png", "2.png", "10.png"], others=photographs[2:]).by_number


@pytest.mark.parametrize(
    ("photographs", "files"),
    [
        (["a_1.jpg", "a_2.jpg"], ["0.png", "1.png"]),
        (["a_1.jpg", "a_2.jpg"], ["0.png", "1.png", "2.png"]),
        (["a_1.jpg", "a_2.jpg"], ["1.png"]),
        (["a_1.jpg", "b_1.jpg"], ["1.png"]),
        (["a_1.jpg", "a_2.jpg"], ["1.png", "2.png", "x2.png"]),
        (["a_1.jpg", "b.jpg"], ["1.png", "2.png"]),
        (["a_1.jpg", "a_2.jpg"], ["1.gif", "2.gif"]),
    ],
    ids=["from 0", "one too many", "one too few", "of two cameras", "two of a number", "without a number", "no masks"],
)
def test_numbers_that_may_count_from_elsewhere_tell_nothing(photographs: list[str], files: list[str]) -> None:
    match = match_masks(photographs, files)
    assert match.masks == [(), ()]
    assert match.strays == files
    assert not match.by_number


def test_case_tells_apart_where_both_are_there() -> None:
    assert match_masks(["a.png", "A.png"], ["A.png", "a.png"]).masks == [("a.png",), ("A.png",)]


def test_only_what_says_so_is_a_mask_beside_photographs() -> None:
    files = ["v_1_0.png", "v_1.png", "v_2_mask.png", "v_10_mask_0.png", "v_10_mask_1.png", "v_1/0.png"]
    match = match_masks(PHOTOGRAPHS, files, marked=True)
    assert match.masks == [(), ("v_2_mask.png",), ("v_10_mask_0.png", "v_10_mask_1.png")]


NAME = st.text(st.sampled_from("abv0123456789_-. Üß"), min_size=1, max_size=8).map(lambda text: f"x{text}x")


@given(st.lists(NAME, min_size=1, max_size=6, unique_by=folded), st.sampled_from(["", "_mask", ".mask"]), st.data())
def test_masks_named_in_one_way_are_all_found(stems: list[str], word: str, data: st.DataObject) -> None:
    ending = data.draw(st.sampled_from(MASK_ENDINGS))
    form: Literal["NFC", "NFD"] = data.draw(st.sampled_from(["NFC", "NFD"]))
    files = [unicodedata.normalize(form, f"{stem}{word}{ending}") for stem in stems]
    match = match_masks([f"images/{stem}.jpg" for stem in stems], files)
    assert match.masks == [(file,) for file in files]


REST = st.sampled_from([".png", ".npy", "_1.png", "/1.png", ".md"])


@given(st.lists(NAME, max_size=5), st.lists(st.tuples(NAME, REST), max_size=8))
def test_no_file_has_two_owners_and_none_is_lost(stems: list[str], drawn: list[tuple[str, str]]) -> None:
    files = sorted({stem + rest for stem, rest in drawn})
    match = match_masks([f"{i}/{stem}.jpg" for i, stem in enumerate(stems)], files)
    owned = [file for masks in match.masks for file in masks]
    accounted = [*owned, *match.strays, *match.shared, *(file for each in match.conflicts.values() for file in each)]
    assert sorted(accounted) == files

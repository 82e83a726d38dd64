"""Common names of folders."""

from __future__ import annotations

import unicodedata

import pytest

from protocol.folder_names import (
    MASK_FOLDERS,
    folded,
    is_passed_over,
    mask_folders,
    names_among,
    says_masks,
)


def test_names_are_compared_without_case_and_form() -> None:
    assert folded(unicodedata.normalize("NFD", "KÜCHE")) == folded("küche")


def test_customary_folders() -> None:
    assert names_among(["b", "Masks_4", "masks_2", "MASKS", "sam", "masks_gt"], ["masks", "b"]) == [
        "MASKS",
        "b",
        "masks_2",
        "Masks_4",
    ]


@pytest.mark.parametrize(
    "name",
    ["mask", "sam2_masks", "masks-png", "images masks", "instanceMasks", "Seg_Maps", "output_mask_2", "SAM3.masks"],
)
def test_folders_that_say_masks(name: str) -> None:
    assert says_masks(name)
    assert mask_folders([name, "x"], MASK_FOLDERS) == [name]


@pytest.mark.parametrize(
    "name",
    ["images", "gt", "segmentations", "test_mask", "rs_instance", "sky_masks", "masks_gt", "labels", "damask", ""],
)
def test_folders_that_do_not(name: str) -> None:
    assert not says_masks(name)
    assert mask_folders([name], MASK_FOLDERS) == []


def test_a_layout_with_folders_of_its_own_takes_no_others() -> None:
    assert mask_folders(["sam2_masks", "masks", "m2f_instance"], ("m2f_instance", "masks")) == ["m2f_instance", "masks"]


def test_litter() -> None:
    assert [is_passed_over(name) for name in (".git", "@eaDir", "__MACOSX", "._a.png", "images", "a.png")] == [
        *[True] * 4,
        *[False] * 2,
    ]

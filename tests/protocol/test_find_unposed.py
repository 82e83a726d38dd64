"""Which photographs or video of a folder poses are computed from, by names alone."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from protocol.errors import BadScene
from protocol.find_unposed import find_in
from protocol.unposed import FEWEST, Unposed

ROOT = Path("/captures/kitchen")


def found(*names: str) -> Unposed | None:
    return find_in(ROOT, [PurePosixPath(name) for name in names])


def taken(*names: str) -> Unposed:
    unposed = found(*names)
    assert unposed is not None
    return unposed


def below(paths: tuple[Path, ...]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def pictures(folder: str, count: int = FEWEST, ending: str = ".jpg") -> list[str]:
    return [f"{folder}{number}{ending}" for number in range(count)]


@pytest.mark.parametrize("folder", ["", "images/", "Images/", "input/left/", "day 1/", "day 1/raw/"])
def test_photographs_are_found_here_and_one_level_down(folder):
    unposed = taken(*pictures(folder), "notes.txt", "out/report.json")
    assert below(unposed.photographs) == pictures(folder)
    assert unposed.folder == ROOT / folder.split("/")[0]
    assert (unposed.video, unposed.masked, unposed.refusal(), unposed.warnings) == (None, 0, None, ())


def test_phones_and_cameras_of_any_kind():
    names = ["0.HEIC", "1.avif", "2.JPG", "3.webp", "4.tiff", "5.dng"]
    assert below(taken(*names).photographs) == names[:5]


def test_truth_and_masks_are_no_photographs():
    unposed = taken(*pictures("images/"), *pictures("gt/", 9), *pictures("images/masks/", 9, ".png"))
    assert below(unposed.photographs) == pictures("images/")
    assert unposed.masks == ROOT / "images" / "masks"
    assert unposed.masked == FEWEST


def test_most_photographs_win_among_customary_folders_and_the_rest_is_told():
    unposed = taken(*pictures("images/", 6), *pictures("photos/", 7), "a.jpg", "clip.mp4")
    assert unposed.folder == ROOT / "photos"
    assert unposed.warnings == (
        f"1 photographs in {ROOT} were skipped; those in {ROOT}/photos are used.",
        f"6 photographs in {ROOT}/images were skipped; those in {ROOT}/photos are used.",
        f"1 videos in {ROOT} were skipped; the photographs are used (first: clip.mp4).",
    )


def test_several_other_folders_are_refused():
    with pytest.raises(BadScene, match="in several folders: a, b, c and 1 more") as refused:
        found(*(name for folder in "abcd" for name in pictures(f"{folder}/")))
    assert refused.value.remedy == ("Give one of them, or move the photographs of all into a folder named images.")


@pytest.mark.parametrize("inner", ["", "images/"])
def test_parts_of_one_set_are_read_together(inner):
    names = [name for split in ("test", "train", "valid") for name in pictures(f"{split}/{inner}", 3)]
    unposed = taken(*names, "README.txt")
    assert below(unposed.photographs) == names
    assert unposed.folder == ROOT
    assert unposed.warnings == (f"The photographs in {ROOT}/test, {ROOT}/train, {ROOT}/valid were used together.",)
    masked = taken(*names, *(f"{split}/masks/{n}.png" for split in ("test", "train") for n in range(3)))
    assert (masked.masked, len(masked.masks_of)) == (6, 9)
    assert below(masked.masks_of[3]) == ["train/masks/0.png"]
    with pytest.raises(BadScene, match="in several folders"):
        found(*names, *pictures("holiday/"))


def test_masks_numbered_from_0_in_the_order_of_the_photographs():
    names = [f"images/IMG_{number}.jpg" for number in (998, 999, 1000, 1003, 1010)]
    unposed = taken(*names, *(f"masks/{number:05d}.png" for number in range(5)))
    owners = {path.name: masks for path, masks in zip(unposed.photographs, unposed.masks_of, strict=True)}
    assert below(owners["IMG_1000.jpg"]) == ["masks/00002.png"]
    assert unposed.warnings == (
        "Masks were matched to photographs by order, because there are as many masks as photographs "
        f"({ROOT}/masks/00002.png belongs to IMG_1000.jpg).",
    )
    for numbers in (range(4), range(6), range(2, 7), (0, 1, 2, 3, 5)):
        assert taken(*names, *(f"masks/{number:05d}.png" for number in numbers)).masked == 0


def test_assumptions_about_masks_are_told():
    unposed = taken(*pictures("images/"), "masks/0_1.png", "masks/0_2.png", "masks/x.png")
    assert unposed.warnings[:2] == (
        f"1 photographs have several masks in {ROOT}/masks; each file was treated as one instance.",
        f"1 files in {ROOT}/masks do not match any photograph and were ignored (first: x.png).",
    )


def test_a_video_goes_before_photographs_of_any_folder_but_customary_ones():
    assert taken("clip.MOV", *pictures("thumbnails/")).video == ROOT / "clip.MOV"
    assert taken("phone/clip.mp4").video == ROOT / "phone" / "clip.mp4"
    assert taken("clip.mp4").refusal() is None
    assert "The masks in /captures/kitchen/masks" in taken("clip.mp4", "masks/0.png").warnings[0]
    for names in (("a.mp4", "b.mkv"), ("x/a.mp4", "y/b.mkv")):
        with pytest.raises(BadScene, match=f"holds 2 videos .first: {names[0]}"):
            found(*names)


def test_neither():
    assert found() is None
    assert found("notes.txt", "masks/0.png", "a/b/clip.mp4") is None


def test_masks_in_a_folder_beside_or_among_the_photographs():
    unposed = taken(*pictures("images/"), "masks/0.png", "masks/1.jpg.mask.png", "masks/of/9.png")
    assert (unposed.masks, unposed.masks_from, unposed.masked) == (ROOT / "masks", ROOT / "masks", 2)
    assert below(unposed.mask_files) == ["masks/0.png", "masks/1.jpg.mask.png", "masks/of/9.png"]
    unposed = taken(*pictures(""), "0.mask.png", "1_mask.png", "x_mask.png")
    assert below(unposed.photographs) == [*pictures(""), "x_mask.png"]
    assert below(unposed.masks_beside) == ["0.mask.png", "1_mask.png"]
    assert (unposed.masks, unposed.masks_from, unposed.masked) == (None, ROOT, 2)


def test_masks_of_no_photograph_are_told():
    unposed = taken(*pictures("images/"), "masks/frame_1.png")
    assert unposed.masked == 0
    assert below(unposed.strays) == ["masks/frame_1.png"]
    assert "contains no mask with the name of a photograph (first: frame_1.png)" in unposed.warnings[0]


def test_what_is_sent_is_what_is_read():
    names = [*pictures("images/"), "masks/0.png", "clip.mp4", "holiday/1.jpg", "notes.txt"]
    assert below(taken(*names).files) == [*pictures("images/"), "masks/0.png"]
    assert below(taken("clip.mp4", "other/a.png").files) == ["clip.mp4"]


def test_too_few_photographs_and_masks_that_may_be_either():
    refusal = taken(*pictures("", FEWEST - 1)).refusal()
    assert refusal is not None
    assert f"holds {FEWEST - 1} photographs; poses need at least {FEWEST}" in refusal.sentence
    unposed = taken(*pictures("images/"), "masks/0.png", "masks/0_mask.png")
    assert below(unposed.rivals) == ["masks/0.png", "masks/0_mask.png"]
    assert "masks/0_mask.png" in str(unposed.refusal())


def test_depth_maps_and_thumbnails_are_no_photographs():
    depth = [f"frame-{i}.depth.png" for i in range(FEWEST)]
    unposed = taken(*(f"frame-{i}.color.png" for i in range(FEWEST)), *depth, *pictures("thumbnails/"))
    assert below(unposed.photographs) == [f"frame-{i}.color.png" for i in range(FEWEST)]
    assert unposed.warnings == (
        f"{FEWEST} depth maps among the photographs in {ROOT} were skipped (first: {depth[0]}).",
    )
    assert below(taken(*pictures("rgb_left/"), *pictures("depth_left/")).photographs) == pictures("rgb_left/")
    assert len(taken(*depth).photographs) == FEWEST


def test_thumbnails_and_masked_copies_beside_photographs_are_skipped():
    copies = ["images/0_masked.jpg", "images/1_masked.JPG", "images/thumb_2.png", "images/3.preview.jpg"]
    unposed = taken(*pictures("images/"), *copies)
    assert below(unposed.photographs) == pictures("images/")
    assert unposed.warnings == (
        f"4 pictures in {ROOT} are thumbnails or masked copies of photographs and were skipped (first: {copies[0]}).",
    )
    alone = [f"{i}_masked.jpg" for i in range(FEWEST)]
    assert below(taken(*alone).photographs) == alone
    assert below(taken(*pictures(""), "thumb_of_the_door.jpg").photographs) == [*pictures(""), "thumb_of_the_door.jpg"]


def test_one_photograph_in_two_formats_is_read_once():
    unposed = taken(*pictures(""), *pictures("", ending=".png"))
    assert below(unposed.photographs) == pictures("")
    assert unposed.warnings == (
        f"{FEWEST} photographs in {ROOT} have the name of another one with a different ending and were skipped (first: "
        "0.png; 0.jpg is used).",
    )
    more = taken(*pictures("images/", 2), *pictures("images/", 7, ".HEIC"))
    assert below(more.photographs) == pictures("images/", 7, ".HEIC")


def test_usual_folders_in_the_only_folder_go_before_its_others():
    unposed = taken(*pictures("keyframes/images/"), *pictures("keyframes/corrected_images/", 9))
    assert below(unposed.photographs) == pictures("keyframes/images/")

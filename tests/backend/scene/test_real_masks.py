"""Masks as people's programs write them: by other names, of other sizes, in other pixels, several for a photograph."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from backend.scene import Scene, load_scene, read_mask
from backend.scene.mask_files import assumption, fits, load_ids, mask_size
from backend.scene.mask_fit import turned_back
from backend.scene.types import VOID, MaskIds
from protocol.endings import MASK_ENDINGS
from protocol.errors import BadMask
from tests.backend.scene import writing
from tests.backend.scene.writing import HEIGHT, STEMS, WIDTH

IDS = np.zeros((HEIGHT, WIDTH), np.uint8)
IDS[5:15, 5:20] = 3
IDS[15:25, 20:35] = 7
FIRST, SECOND = IDS == 3, IDS == 7
TWO = np.where(FIRST, 1, np.where(SECOND, 2, 0))
COLOURS = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
COLOURS[FIRST] = 128, 0, 0
COLOURS[SECOND] = 0, 128, 0
RED, GREEN = 128 << 16, 128 << 8
COLOURED = np.where(FIRST, RED, np.where(SECOND, GREEN, 0))


def assert_masks(scene: Scene, expected: NDArray) -> None:
    """Every view has the mask that is expected."""
    for view in scene.views:
        ids = read_mask(view)
        assert ids is not None
        np.testing.assert_array_equal(ids, expected)


def scene_with(root: Path, write: Callable[[Path, str], object]) -> Path:
    """Write a COLMAP capture; ``write`` is given its folder and the stem of each photograph."""
    writing.write_colmap(root)
    (root / "masks").mkdir()
    for stem in STEMS:
        write(root, stem)
    return root


def pixels(name: str, content: NDArray | Image.Image | bytes) -> Callable[[Path, str], object]:
    """Write a mask to a file below the scene folder, with the stem in place of ``{}``."""

    def write(root: Path, stem: str) -> None:
        file = root / name.format(stem)
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif isinstance(content, Image.Image):
            content.save(file)
        else:
            writing.write_mask(file, content)

    return write


# By other names


@pytest.mark.parametrize(
    "name",
    [
        "masks/{}.png.png",
        "masks/{}.png.mask.png",
        "masks/{}.mask.png",
        "masks/{}_mask.png",
        "masks/{}-Mask.PNG",
        "masks/mask_{}.npy",
        "masks/{}.PNG",
        "masks/{}.jpg.png",
        "masks/{}_instance_ids.png",
        "masks/{}.tif",
        "masks/run 1/{}.png",
        "mask/{}.png",
        "Masks/{}.png",
        "masks_4/{}.png",
        "Annotations/{}.png",
        "images/masks/{}.png",
        "images/{}.png.mask.png",
        "images/{}_mask.png",
        "sam2_masks/{}.png",
        "masks_png/{}.png",
        "images_masks/{}.png",
        "InstanceSegmentation/{}.png",
    ],
)
def test_names_of_other_programs(tmp_path: Path, name: str) -> None:
    scene = load_scene(scene_with(tmp_path, pixels(name, IDS)))
    assert_masks(scene, IDS)
    folder, _, file = name.partition("/")
    is_known = folder.casefold() in ("mask", "masks", "masks_4", "annotations") or file.startswith("masks/")
    assert scene.warnings == (() if is_known else scene.warnings[:1])
    assert is_known or f"The masks were read from {tmp_path / folder}" in scene.warnings[0]
    assert scene.masks_from is not None
    assert scene.masks_from.is_dir()


def test_pictures_beside_photographs_are_masks_only_if_they_say_so(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    for name in ("v_1_0.png", "v_1 copy.png", "v_2.json", "v_1.tif"):
        pixels(f"images/{name}", IDS if not name.endswith("json") else b"[]")(tmp_path, "")
    assert load_scene(tmp_path).masks_from is None


def test_files_that_belong_to_no_photograph_are_counted(tmp_path: Path) -> None:
    scene_with(tmp_path, pixels("masks/{}.png", IDS))
    for name in ("frame_7.png", "v_3.png", "notes.md", ".DS_Store", "._v_1.png"):
        pixels(f"masks/{name}", IDS if name.endswith("7.png") or name == "v_3.png" else b"x")(tmp_path, "")
    scene = load_scene(tmp_path)
    assert_masks(scene, IDS)
    folder = tmp_path / "masks"
    assert scene.warnings == (
        f"2 files in {folder} do not match any photograph and were ignored (first: frame_7.png).",
    )


def test_masks_of_photographs_without_a_pose_are_not_strays(tmp_path: Path) -> None:
    """Photographs v and v_2: the mask v_2.png is not the second one of v."""
    writing.write_colmap(tmp_path, names=("v.png", "v_1.png"))
    writing.photograph(0).save(tmp_path / "images" / "v.png")
    (tmp_path / "images" / "v_10.png").unlink()
    for name in ("v", "v_1", "v_2"):
        pixels(f"masks/{name}.png", IDS)(tmp_path, "")
    scene = load_scene(tmp_path)
    assert_masks(scene, IDS)
    assert len(scene.warnings) == 1
    assert "1 of 3 photographs" in scene.warnings[0]


def test_names_that_were_looked_for_and_found_are_said(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    for i in range(5):
        pixels(f"masks/frame{i}.png", IDS)(tmp_path, "")
    scene = load_scene(tmp_path)
    found = "found frame0.png, frame1.png, frame2.png and 2 more."
    assert scene.warnings == (
        f"The folder {tmp_path / 'masks'} contains no mask with the name of a photograph, {found} Give each mask the "
        "name of its photograph.",
    )
    assert "v_1.png or v_1.npy or v_1.npz, v_1.png.png, v_1_mask.png or similar" in scene.without_masks
    assert found[:-1] in scene.without_masks
    with pytest.raises(BadMask, match=r"expected v_1\.png .* or similar, found frame0\.png"):
        load_scene(tmp_path, tmp_path / "masks")


def test_two_folders_of_masks(tmp_path: Path) -> None:
    scene_with(tmp_path, pixels("masks/{}.png", IDS))
    for stem in STEMS:
        pixels("sam_mask/{}.png", IDS // 3)(tmp_path, stem)
    scene = load_scene(tmp_path)
    assert_masks(scene, IDS)
    assert scene.warnings == (
        f"The masks were read from {tmp_path / 'masks'}; {tmp_path / 'sam_mask'} also contains masks.",
    )


@pytest.mark.parametrize(
    "second",
    ["masks/{}.npy", "masks/{}_mask.png", "masks/{}_0.png", "masks/{}/0.png", "masks/{}.png.png", "masks/a/{}.png"],
)
def test_several_files_that_may_be_the_mask_are_refused(tmp_path: Path, second: str) -> None:
    scene_with(tmp_path, lambda root, stem: (pixels("masks/{}.png", IDS)(root, stem), pixels(second, IDS)(root, stem)))
    with pytest.raises(BadMask, match=r"match the photograph .*; this affects 3 of 3 photographs"):
        load_scene(tmp_path)


def test_a_text_beside_a_picture_is_no_second_mask(tmp_path: Path) -> None:
    scene_with(tmp_path, pixels("masks/{}.png", IDS))
    for stem in STEMS:
        pixels("masks/{}.json", b'{"labels": ["mug"]}')(tmp_path, stem)
    assert_masks(load_scene(tmp_path), IDS)


def test_masks_that_only_their_numbers_tell(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path, names=tuple(f"Image000{i}.png" for i in (1, 2, 3)))
    for i, stem in enumerate(STEMS, 1):
        (tmp_path / "images" / f"{stem}.png").rename(tmp_path / "images" / f"Image000{i}.png")
        writing.write_mask(tmp_path / "masks" / f"Mask000{i}.png", np.full_like(IDS, i) * FIRST)
    scene = load_scene(tmp_path)
    ids = [read_mask(view) for view in scene.views]
    assert [each.max() for each in ids if each is not None] == [1, 2, 3]
    masks = tmp_path / "masks"
    assert scene.warnings == (
        f"Masks were matched to photographs by number ({masks / 'Mask0001.png'} belongs to Image0001.png).",
    )


def test_an_empty_folder_gives_way_to_a_filled_one(tmp_path: Path) -> None:
    scene = load_scene(scene_with(tmp_path, pixels("instance_masks/{}.png", IDS)))
    assert_masks(scene, IDS)
    assert scene.warnings == ()


def test_a_customary_folder_above_goes_before_another_name(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path / "dense")
    for stem in STEMS:
        pixels("masks/{}.png", IDS)(tmp_path, stem)
        pixels("dense/masks_raw/{}.png", IDS // 3)(tmp_path, stem)
    scene = load_scene(tmp_path)
    assert_masks(scene, IDS)
    said = f"The masks were read from {tmp_path}/masks; {tmp_path}/dense/masks_raw also contains masks."
    assert scene.warnings[1:] == (said,)


def test_two_folders_of_which_neither_is_customary_are_refused(tmp_path: Path) -> None:
    scene_with(tmp_path, pixels("sam2_masks/{}.png", IDS))
    for stem in STEMS:
        pixels("masks_raw/{}.png", IDS)(tmp_path, stem)
    with pytest.raises(BadMask, match=r"Masks were found in .*masks_raw and in .*sam2_masks\."):
        load_scene(tmp_path)
    assert_masks(load_scene(tmp_path, tmp_path / "masks_raw"), IDS)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("segmentations/{}/mug.png", "; {root}/segmentations contains files with the names of photographs"),
        ("depth/{}.png", "; {root}/depth contains files with the names of photographs"),
        ("masks.zip", "; found the file {root}/masks.zip"),
        ("masks.npy", "; found the file {root}/masks.npy"),
        ("instances.json", "; found the file {root}/instances.json"),
        ("gt/{}.png", "seg_masks"),
    ],
)
def test_what_may_be_masks_is_named(tmp_path: Path, name: str, said: str) -> None:
    writing.write_colmap(tmp_path)
    for stem in STEMS:
        pixels(name.format(stem), IDS if "{" in name else b"x")(tmp_path, stem)
    scene = load_scene(tmp_path)
    assert scene.masks_from is None
    assert scene.without_masks.endswith(said.format(root=tmp_path))


def test_photographs_without_a_mask_are_counted(tmp_path: Path) -> None:
    scene_with(tmp_path, pixels("masks/{}.png", IDS))
    (tmp_path / "masks" / "v_2.png").unlink()
    said = f"1 of 3 photographs have no mask (first: {tmp_path / 'images' / 'v_2.png'})."
    assert load_scene(tmp_path).warnings == (said,)


@pytest.mark.parametrize("what", ["masks", "masks/v_1.png"])
def test_links_out_of_the_scene_folder_are_not_followed(tmp_path: Path, what: str) -> None:
    root = scene_with(tmp_path / "scene", pixels("masks/{}.png", IDS))
    (root / what).rename(tmp_path / "outside")
    (root / what).symlink_to(tmp_path / "outside")
    scene = load_scene(root)
    if what == "masks":
        assert scene.masks_from is None
        assert "masks leads out of the scene folder and was ignored" in scene.without_masks
        # A folder that is named is read, wherever it leads.
        assert_masks(load_scene(root, root / "masks"), IDS)
    else:
        assert [view.mask_path is not None for view in scene.views] == [False, True, True]
        assert "1 links in" in scene.warnings[0]


# Several for a photograph


@pytest.mark.parametrize(
    "name",
    [
        "masks/{}_{n}.png",
        "masks/{}_mask_{n}.png",
        "masks/{}/{n}.png",
        "masks/{}.png_{n}.png",
        "masks/{n}/{}.png",
        "masks/object_{n}/{}.png",
    ],
)
@pytest.mark.parametrize("on", [1, 255])
def test_several_masks_of_a_photograph_are_a_stack(tmp_path: Path, name: str, on: int) -> None:
    def write(root: Path, stem: str) -> None:
        for n, part in ((2, FIRST), (10, SECOND)):
            pixels(name.replace("{n}", str(n)), part.astype(np.uint8) * on)(root, stem)

    scene = load_scene(scene_with(tmp_path, write))
    assert_masks(scene, TWO)
    assert scene.warnings == (
        f"3 photographs have several masks in {tmp_path / 'masks'}; each file was treated as one instance.",
    )


@pytest.mark.parametrize("name", ["masks/{thing}/{}.png", "masks/{}_{thing}.png"])
def test_one_mask_for_each_named_object(tmp_path: Path, name: str) -> None:
    def write(root: Path, stem: str) -> None:
        for thing, part in (("chair", FIRST), ("table", SECOND)):
            pixels(name.replace("{thing}", thing), part.astype(np.uint8) * 255)(root, stem)

    scene = load_scene(scene_with(tmp_path, write))
    assert_masks(scene, TWO)
    assert scene.warnings == (
        f"3 photographs have several masks in {tmp_path / 'masks'}; each file was treated as one instance.",
    )


def test_one_numbered_mask_is_a_map(tmp_path: Path) -> None:
    assert_masks(load_scene(scene_with(tmp_path, pixels("masks/{}_0.png", IDS))), IDS)


def test_parts_of_a_stack_that_hold_several_ids_are_refused(tmp_path: Path) -> None:
    scene_with(tmp_path, lambda root, stem: [pixels(f"masks/{stem}_{n}.png", IDS)(root, stem) for n in range(2)])
    with pytest.raises(BadMask, match="is one of 2 masks of its photograph and contains 2 ids"):
        load_scene(tmp_path)


def test_parts_of_a_stack_have_one_size(tmp_path: Path) -> None:
    def write(root: Path, stem: str) -> None:
        pixels("masks/{}_0.png", FIRST)(root, stem)
        pixels("masks/{}_1.png", FIRST[::2, ::2])(root, stem)

    with pytest.raises(BadMask, match=r"v_1_1\.png is 20 x 15 pixels, .*v_1_0\.png of the same photograph 40 x 30"):
        load_scene(scene_with(tmp_path, write))


# Of other sizes


@pytest.mark.parametrize(
    ("mask", "photograph"),
    [
        ((10, 8), (40, 30)),
        ((10, 7), (40, 30)),
        ((1297, 840), (5187, 3361)),
        ((1296, 840), (5187, 3361)),
        ((1600, 1200), (4032, 3024)),
        ((952, 535), (952, 534)),
        ((951, 534), (952, 534)),
        ((5187, 3361), (1297, 840)),
        ((41, 30), (40, 30)),
        ((1024, 683), (3000, 2000)),
    ],
)
def test_sizes_that_differ_by_rounding_fit(mask: tuple[int, int], photograph: tuple[int, int]) -> None:
    assert fits(mask, photograph)


@pytest.mark.parametrize(
    ("mask", "photograph"),
    [
        ((30, 40), (40, 30)),
        ((43, 30), (40, 30)),
        ((80, 30), (40, 30)),
        ((952, 540), (952, 534)),
        ((1024, 1024), (3000, 2000)),
        ((512, 384), (1920, 1080)),
        ((0, 0), (40, 30)),
    ],
)
def test_other_shapes_do_not(mask: tuple[int, int], photograph: tuple[int, int]) -> None:
    assert not fits(mask, photograph)


def test_a_mask_of_a_rounded_size_keeps_its_pixels(tmp_path: Path) -> None:
    small = IDS[::4, ::4][:8]
    scene = load_scene(scene_with(tmp_path, pixels("masks/{}.png", small)))
    assert small.shape == (8, 10)
    assert_masks(scene, small)


# In other pixels


def rgba(alpha: int | NDArray) -> Image.Image:
    channels = np.dstack([COLOURS, np.zeros((HEIGHT, WIDTH), np.uint8)])
    channels[..., 3] = alpha
    return Image.fromarray(channels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


GREY = Image.fromarray(IDS)
GOOD_PIXELS: dict[str, tuple[str, NDArray | Image.Image | bytes, NDArray]] = {
    "three equal channels": (".png", np.dstack([IDS] * 3), IDS),
    "grey and alpha": (".png", Image.merge("LA", [GREY, Image.new("L", GREY.size, 255)]), IDS),
    "ids in the colours of RGBA": (".png", np.dstack([IDS, IDS, IDS, np.full_like(IDS, 255)]), IDS),
    "a colour for each instance": (".png", COLOURS, COLOURED),
    "the same with alpha": (".png", rgba(255), COLOURED),
    "transparent pixels are nothing": (".png", rgba(np.where(FIRST, 255, 0)), np.where(FIRST, RED, 0)),
    "colours through which a photograph is to be seen": (".png", rgba(90), COLOURED),
    "TIFF": (".tiff", GREY, IDS),
    "TIFF of 16 bits": (".tif", Image.fromarray(IDS.astype(np.uint16) * 100), IDS.astype(int) * 100),
    "TIFF of floating-point numbers": (".tif", Image.fromarray(IDS.astype(np.float32)), IDS),
    "pages of TIFF": (".tif", encoded(Image.fromarray(FIRST.astype(np.uint8)), "TIFF", save_all=True,
                                      append_images=[Image.fromarray(SECOND.astype(np.uint8))]), TWO),
    "WebP without loss": (".webp", encoded(GREY, "WEBP", lossless=True), IDS),
    "WebP with alpha, without loss": (".webp", encoded(rgba(255), "WEBP", lossless=True), COLOURED),
    "BMP": (".bmp", GREY, IDS),
    "black and white JPEG": (".jpg", Image.fromarray(FIRST.astype(np.uint8) * 255), FIRST),
    "black JPEG": (".jpeg", Image.new("L", GREY.size), np.zeros_like(IDS)),
    "JPEG by the name of PNG": (".png", encoded(Image.fromarray(FIRST.astype(np.uint8) * 255), "JPEG"), FIRST),
    "stack with a channel of length 1": (".npy", np.stack([FIRST, SECOND])[:, None], TWO),
    "map in a stack of one": (".npy", IDS.astype(np.int64)[None], IDS),
    "map with a channel": (".npy", IDS[..., None], IDS),
    "whole floating-point numbers": (".npy", IDS.astype(np.float32), IDS),
    "half floats of a stack": (".npy", np.stack([FIRST, SECOND]).astype(np.float16), TWO),
    "stack of long integers": (".npy", np.stack([FIRST, SECOND]).astype(np.int64), TWO),
    "stack of 0 and 255": (".npz", np.stack([FIRST, SECOND]).astype(np.uint8) * 255, TWO),
    "stack of four axes": (".npy", np.stack([FIRST, SECOND])[None], TWO),
    "instances last": (".npy", np.dstack([FIRST, SECOND]), TWO),
    "three instances last": (".npy", np.dstack([FIRST, SECOND, SECOND]).astype(np.uint8),
                             np.where(FIRST, 1, np.where(SECOND, 3, 0))),
    "colours in an array": (".npy", COLOURS, COLOURED),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD_PIXELS)
def test_pixels_of_other_programs(tmp_path: Path, case: str) -> None:
    ending, content, expected = GOOD_PIXELS[case]
    scene = load_scene(scene_with(tmp_path, pixels("masks/{}" + ending, content)))
    assert_masks(scene, expected.astype(int))


def test_what_is_assumed_of_pixels_is_said(tmp_path: Path) -> None:
    for case, said in (("a colour for each instance", "in colour;"), ("black and white JPEG", "black and white")):
        ending, content, _ = GOOD_PIXELS[case]
        root = scene_with(tmp_path / case, pixels("masks/{}" + ending, content))
        (warning,) = load_scene(root).warnings
        assert said in warning


def test_a_palette_whose_black_is_not_first(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2, 1]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_ids(tmp_path / "a.png"), [[1, 0, 2, 0]])
    image.putpalette([255, 0, 0, 9, 9, 9, 0, 255, 0])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_ids(tmp_path / "a.png"), [[0, 1, 2, 1]])


def png16(channels: int) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + np.full((WIDTH, channels), 5, ">u2").tobytes()
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = zlib.compress(row * HEIGHT)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
BAD_PIXELS: dict[str, tuple[str, NDArray | Image.Image | bytes, str]] = {
    "a photograph": (".png", NOISE, r"holds \d+ colours, like a photograph"),
    "a photograph in an array": (".npy", NOISE, r"holds \d+ colours, like a photograph"),
    "colours of 16 bits": (".png", png16(3), "holds 16-bit RGB colours"),
    "grey and alpha of 16 bits": (".png", png16(2), "holds 16-bit .* colours"),
    "four inks": (".tif", Image.new("CMYK", GREY.size), "holds CMYK colours"),
    "ids in JPEG": (".jpg", Image.fromarray(IDS * 30), "is compressed as JPEG, which changes ids"),
    "small ids in JPEG": (".jpg", Image.fromarray(IDS), "is compressed as JPEG, which changes ids"),
    "ids in WebP with loss": (".webp", encoded(GREY, "WEBP", quality=50), "is compressed as WEBP, which changes ids"),
    "ids in pages": (
        ".tif",
        encoded(GREY, "TIFF", save_all=True, append_images=[GREY]),
        "a stack with values up to 7",
    ),
    "scores": (".npy", IDS * 0.3, "holds float64 values; integers, booleans or whole numbers are expected"),
    "not a number": (".npy", np.where(FIRST, np.nan, 0), "holds NaN or infinite values, 150 of 1200"),
    "a stack of ids": (".npy", np.stack([IDS, IDS]), "a stack with values up to 7"),
    "a stack below zero": (".npy", np.stack([FIRST, SECOND]) * -1, "a stack with values up to 0"),
    "complex numbers": (".npy", IDS * 1j, "holds complex128 values"),
    "what SAM returns": (".npy", np.array([{"segmentation": FIRST}], object), "holds object values"),
    "four axes": (".npy", np.zeros((2, 2, HEIGHT, WIDTH), bool), r"holds bool of shape \(2, 2, 30, 40\)"),
    "a map on its side": (".npy", IDS.T.copy(), "is 30 x 40 pixels, but its photograph has 40 x 30"),
    "no run lengths": (".json", b'{"label": "mug"}', "contains no run lengths or polygons"),
    "polygons": (".json", b'[{"segmentation": [[1, 2, 3, 4]]}]', "contains a polygon without three corners"),
    "run lengths of another sum": (
        ".json",
        b'[{"segmentation": {"size": [30, 40], "counts": [100, 50]}}]',
        "contains run lengths that do not match 40 x 30 pixels",
    ),
    "run lengths of another size": (
        ".json",
        b'[{"segmentation": {"size": [40, 30], "counts": [1200]}}]',
        "is 30 x 40 pixels, but its photograph has 40 x 30",
    ),
    "run lengths of several photographs": (
        ".json",
        json.dumps(
            [{"image_id": i, "segmentation": {"size": [30, 40], "counts": [100, 50, 1050]}} for i in (1, 2)]
        ).encode(),
        "holds masks of 2 photographs",
    ),
    "JSON cut short": (".json", b'[{"segmentation": {"size": [30, 40], "counts": [100, 5', "cannot be read"),
    "an empty picture": (".png", b"", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_PIXELS)
def test_pixels_that_name_no_ids_are_refused_at_load(tmp_path: Path, case: str) -> None:
    ending, content, said = BAD_PIXELS[case]
    scene_with(tmp_path, pixels("masks/{}" + ending, content))
    with pytest.raises(BadMask, match=said) as caught:
        load_scene(tmp_path)
    assert caught.value.sentence.endswith(".")
    assert str(tmp_path / "masks") in caught.value.sentence


def test_an_axis_of_length_one_is_no_side(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IDS[..., None])
    assert mask_size(tmp_path / "a.npy") == (WIDTH, HEIGHT)
    np.save(tmp_path / "a.npy", np.ones((1, 9), np.uint8))
    assert mask_size(tmp_path / "a.npy") == (9, 1)


# Run lengths


def test_run_lengths(tmp_path: Path) -> None:
    content = json.dumps([{"segmentation": {"size": [30, 40], "counts": [100, 50, 1050]}, "area": 50}])
    scene = load_scene(scene_with(tmp_path, pixels("masks/{}.json", content.encode())))
    expected = np.zeros(1200, int)
    expected[100:150] = 1
    assert_masks(scene, expected.reshape(40, 30).T)
    assert scene.masks_from == tmp_path / "masks"


def test_a_file_without_any_mask_is_an_empty_map(tmp_path: Path) -> None:
    assert_masks(load_scene(scene_with(tmp_path, pixels("masks/{}.json", b"[]"))), np.zeros((HEIGHT, WIDTH)))


# Turned by their EXIF orientation


def with_orientation(root: Path, orientations: list[int], masks_follow: bool) -> Path:
    """Write photographs with an EXIF orientation, and masks of the pixels as shown or as stored."""
    writing.write_colmap(root, names=tuple(f"{stem}.jpg" for stem in STEMS))
    shutil.rmtree(root / "images")
    (root / "images").mkdir()
    for i, (stem, turn) in enumerate(zip(STEMS, orientations, strict=True)):
        exif = Image.Exif()
        exif[0x0112] = turn
        writing.photograph(i).save(root / "images" / f"{stem}.jpg", exif=exif)
        marked = GREY.copy()
        marked.getexif()[0x0112] = turn
        shown = np.asarray(ImageOps.exif_transpose(marked)) if masks_follow else IDS
        writing.write_mask(root / "masks" / f"{stem}.png", np.ascontiguousarray(shown))
    return root


@pytest.mark.parametrize("turn", range(1, 9))
def test_turning_back_undoes_what_an_orientation_does(turn: int) -> None:
    marked = GREY.copy()
    marked.getexif()[0x0112] = turn
    shown = np.asarray(ImageOps.exif_transpose(marked)).astype(np.int32)
    np.testing.assert_array_equal(turned_back(shown, turn), IDS)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_masks_of_turned_photographs_are_turned_back(tmp_path: Path, turn: int) -> None:
    scene = load_scene(with_orientation(tmp_path, [turn] * 3, masks_follow=True))
    assert_masks(scene, IDS)
    (said,) = scene.warnings
    assert f"the EXIF orientation applied; they were rotated back (first: v_1, orientation {turn})" in said
    scene = load_scene(with_orientation(tmp_path / "stored", [turn] * 3, masks_follow=False))
    assert_masks(scene, IDS)
    assert scene.warnings == ()


def test_half_turns_follow_the_quarter_turns_beside_them(tmp_path: Path) -> None:
    assert_masks(load_scene(with_orientation(tmp_path, [3, 6, 1], masks_follow=True)), IDS)
    stored = load_scene(with_orientation(tmp_path / "stored", [3, 6, 1], masks_follow=False))
    assert_masks(stored, IDS)
    assert stored.warnings == ()


@pytest.mark.parametrize("turn", [2, 3, 4])
def test_an_orientation_that_keeps_the_sides_is_a_warning(tmp_path: Path, turn: int) -> None:
    (said,) = load_scene(with_orientation(tmp_path, [turn] * 3, masks_follow=False)).warnings
    assert f"3 photographs with masks have an EXIF orientation (first: v_1, orientation {turn})" in said


def test_a_size_that_fits_neither_way_names_the_orientation(tmp_path: Path) -> None:
    with_orientation(tmp_path, [6] * 3, masks_follow=True)
    writing.write_mask(tmp_path / "masks" / "v_1.png", np.ones((9, 9), np.uint8))
    with pytest.raises(BadMask, match="is 9 x 9 pixels, but its photograph has 40 x 30 with the EXIF orientation 6"):
        load_scene(tmp_path)


# Ids that are no objects


def test_an_id_that_holds_the_rim_is_a_warning(tmp_path: Path) -> None:
    root = scene_with(tmp_path, pixels("masks/{}.png", np.where(IDS == 0, 7, IDS).astype(np.uint8)))
    (said,) = load_scene(root).warnings
    assert "The id 7 covers most of the image border in 3 of 3 inspected masks" in said
    assert "--background-id 7" in said
    named = load_scene(root, mask_ids=MaskIds(background=(7,)))
    assert named.warnings == ()
    assert_masks(named, np.where(IDS == 3, 3, 0))


def test_ids_below_0_are_a_warning(tmp_path: Path) -> None:
    scene = load_scene(scene_with(tmp_path, pixels("masks/{}.npy", IDS.astype(np.int16) - 1)))
    assert len(scene.warnings) == 1
    assert "Ids below 0 were treated as unknown, 0 as background" in scene.warnings[0]


def test_masks_without_any_object_are_a_warning(tmp_path: Path) -> None:
    scene = load_scene(scene_with(tmp_path, pixels("masks/{}.png", np.zeros_like(IDS))))
    assert scene.warnings == ("None of the 3 inspected masks shows an object.",)


def test_outlines_of_255_are_a_warning(tmp_path: Path) -> None:
    drawn = IDS.copy()
    drawn[4:16, [4, 20]] = drawn[[4, 15], 4:21] = 255
    root = scene_with(tmp_path, pixels("masks/{}.png", drawn))
    (said,) = load_scene(root).warnings
    assert "The id 255 forms thin lines in 3 of 3 inspected masks" in said
    named = load_scene(root, mask_ids=MaskIds(void=(255,)))
    assert named.warnings == ()
    assert_masks(named, np.where(drawn == 255, VOID, drawn.astype(int)))


def test_an_object_of_the_id_255_is_none(tmp_path: Path) -> None:
    assert load_scene(scene_with(tmp_path, pixels("masks/{}.png", FIRST.astype(np.uint8) * 255))).warnings == ()


def test_an_object_that_fills_one_view_is_no_background(tmp_path: Path) -> None:
    root = scene_with(tmp_path, pixels("masks/{}.png", IDS))
    writing.write_mask(root / "masks" / "v_1.png", np.full_like(IDS, 9))
    assert load_scene(root).warnings == ()


# Files that are anything


@given(st.sampled_from(MASK_ENDINGS), st.sampled_from(sorted(GOOD_PIXELS)), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_masks_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, ending: str, case: str, data: st.DataObject
) -> None:
    """A few bytes of a good file are changed, or it is cut short, and it may have any ending."""
    own, content, _ = GOOD_PIXELS[case]
    folder = tmp_path_factory.mktemp("damaged")
    pixels(f"whole{own}", content)(folder, "")
    damaged = bytearray((folder / f"whole{own}").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(len(damaged) // 2, len(damaged))) :]
    file = folder / f"damaged{ending}"
    file.write_bytes(damaged)
    with contextlib.suppress(BadMask), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ids = load_ids(file, (WIDTH, HEIGHT))
        assert (ids.dtype, ids.ndim) == (np.int32, 2)
    with contextlib.suppress(BadMask), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mask_size(file, (WIDTH, HEIGHT))


def test_an_array_whose_header_does_not_end(tmp_path: Path) -> None:
    writing.write_mask(tmp_path / "a.npy", IDS)
    # A header that is no literal is tried again as one of Python 2, token by token.
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes().replace(b"(30, 40), }", b"(30, 40,   "))
    with pytest.raises(BadMask, match=r"The mask .*a\.npy cannot be read"):
        load_ids(tmp_path / "a.npy")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    scene_with(tmp_path, pixels("masks/{}.png", IDS))
    (tmp_path / "masks" / os.fsdecode(b"m\xff.png")).write_bytes(b"x")
    (said,) = load_scene(tmp_path).warnings
    assert "m\\udcff.png" in said
    said.encode()


def soft(mask: NDArray) -> Image.Image:
    return Image.fromarray(mask.astype(np.uint8) * 255).resize(
        (4 * writing.WIDTH, 4 * writing.HEIGHT), Image.Resampling.BICUBIC
    )


def test_soft_edges_are_no_ids(tmp_path):
    for name, picture in (
        ("a.png", soft(FIRST)),
        ("b.png", soft(FIRST).convert("RGB")),
        ("c.png", soft(FIRST).convert("RGBA")),
    ):
        picture.save(tmp_path / name)
        ids = load_ids(tmp_path / name)
        assert set(np.unique(ids)) == {0, 1}
        assert (ids[::4, ::4] == FIRST).mean() > 0.98
        assert "soft edges" in (assumption(tmp_path / name) or "")
    rows = np.r_[np.arange(29) * 8, 255].astype(np.uint8)
    writing.write_mask(tmp_path / "d.png", np.repeat(rows[:, None], 40, 1))
    assert len(np.unique(load_ids(tmp_path / "d.png"))) == 30


def test_a_cut_out_photograph_is_a_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (writing.HEIGHT, writing.WIDTH, 4), np.uint8)
    noise[..., 3] = FIRST * 255
    black = noise * [0, 0, 0, 1]
    for name, pixels in (("a.png", noise), ("b.png", black)):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name)
        np.testing.assert_array_equal(load_ids(tmp_path / name), FIRST)
        assert "cut out by transparency" in (assumption(tmp_path / name) or "")
    noise[..., 3] = 255
    Image.fromarray(noise).save(tmp_path / "c.png")
    with pytest.raises(BadMask, match="colours, like a photograph"):
        load_ids(tmp_path / "c.png")


def test_ids_of_interpolated_masks_are_a_warning(tmp_path):
    writing.write_colmap(tmp_path)
    for stem in STEMS:
        ids = np.zeros((writing.HEIGHT, writing.WIDTH), np.uint16)
        ids[5:20, 5:25] = 40
        ids[4, 5:25] = np.arange(1, 21)
        writing.write_mask(tmp_path / f"masks/{stem}.png", ids)
    (said,) = load_scene(tmp_path).warnings
    assert said.startswith(f"20 of the 21 ids in {tmp_path}/masks/v_1.png form thin lines only")


def test_an_inverted_mask_is_a_warning(tmp_path):
    writing.write_colmap(tmp_path)
    for stem in STEMS:
        writing.write_mask(tmp_path / f"masks/{stem}.png", np.where(FIRST, 0, 255).astype(np.uint8))
    (said,) = load_scene(tmp_path).warnings
    assert said.startswith("The id 255 covers most of the image border in 3 of 3 inspected masks")

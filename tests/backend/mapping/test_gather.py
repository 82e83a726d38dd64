"""Photographs of phones: EXIF orientation and focal length, HEIC, names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
import pycolmap
import pytest
from PIL import Image

from backend.mapping.gather import gather, matched_size
from backend.progress import silent
from backend.scene.images import orientation, read_pixels
from backend.scene.unposed import find_unposed

PATTERN = np.kron(np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8), np.ones((20, 20, 1), np.uint8))


def exif(turn: int = 1, focal: float | None = None) -> Image.Exif:
    data = Image.Exif()
    data[0x0112] = turn
    if focal is not None:
        data.get_ifd(0x8769)[0x920A] = focal / 5
        data.get_ifd(0x8769)[0xA405] = round(focal)
    return data


def gathered(folder: Path, out: Path):
    source = find_unposed(folder)
    assert source is not None
    for part in ("images", "copies"):
        (out / part).mkdir(parents=True)
    return gather(source, out / "images", out / "copies", silent)


def test_an_orientation_is_ignored_as_colmap_and_the_scene_ignore_it(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(PATTERN).save(folder / "a.jpg", exif=exif(6))
    (photograph,), unreadable, _ = gathered(folder, tmp_path / "out")
    file = tmp_path / "out" / "images" / "a.jpg"
    assert unreadable == []
    assert (photograph.width, photograph.height) == (160, 120)
    assert file.read_bytes() == (folder / "a.jpg").read_bytes()
    assert orientation(file) == 6
    # COLMAP, the scene and the copy for features agree; small photographs are enlarged for the features.
    read = pycolmap.Bitmap.read(file, as_rgb=True)
    assert read is not None
    assert read.to_array().shape == read_pixels(file).shape == (120, 160, 3)
    assert Image.open(tmp_path / "out" / "copies" / "000000.png").size == matched_size(160, 120) == (640, 480)


def test_the_focal_length_is_that_of_the_exif_data(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(PATTERN).save(folder / "a.jpg", exif=exif(focal=28))
    Image.fromarray(PATTERN).save(folder / "b.jpg", exif=exif(focal=56))
    Image.fromarray(PATTERN).save(folder / "c.jpg")
    (wide, narrow, unknown), _, _ = gathered(folder, tmp_path / "out")
    # The diagonal of a 35 mm film is 43.27 mm.
    assert wide.focal == pytest.approx(28 / 43.27 * 200, rel=1e-3)
    assert narrow.focal == pytest.approx(2 * wide.focal)
    assert wide.known
    assert narrow.lens != wide.lens
    assert not unknown.known
    assert unknown.focal == 1.2 * 160


def test_heic_becomes_jpeg_upright(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pillow_heif.register_heif_opener()
    Image.fromarray(PATTERN).save(folder / "IMG_1.HEIC", quality=95, exif=exif(focal=28).tobytes())
    (photograph,), _, _ = gathered(folder, tmp_path / "out")
    assert photograph.name == "IMG_1.jpg"
    assert photograph.origin == "IMG_1.HEIC"
    assert photograph.known
    pixels = read_pixels(tmp_path / "out" / "images" / "IMG_1.jpg")
    assert np.abs(pixels.astype(int) - PATTERN).mean() < 8


@pytest.mark.parametrize(("turn", "quarters"), [(3, 2), (6, 3), (8, 1)])
def test_a_turned_heic_becomes_an_upright_jpeg(tmp_path: Path, turn: int, quarters: int) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pillow_heif.register_heif_opener()
    Image.fromarray(PATTERN).save(folder / "a.heic", quality=95, exif=exif(turn, focal=28).tobytes())
    (photograph,), _, _ = gathered(folder, tmp_path / "out")
    upright = np.rot90(PATTERN, quarters)
    pixels = read_pixels(tmp_path / "out" / "images" / "a.jpg")
    assert (photograph.height, photograph.width) == pixels.shape[:2] == upright.shape[:2]
    assert np.abs(pixels.astype(int) - upright).mean() < 8
    assert orientation(tmp_path / "out" / "images" / "a.jpg") == 1
    assert photograph.focal == pytest.approx(28 / 43.27 * 200, rel=1e-3)


def test_names_of_folders_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in" / "images" / "left").mkdir(parents=True)
    Image.fromarray(PATTERN).save(tmp_path / "in" / "images" / "left" / "a.png")
    (photograph,), _, _ = gathered(tmp_path / "in", tmp_path / "out")
    assert photograph.name == "left/a.png"
    assert photograph.origin == "images/left/a.png"


def test_heic_under_the_ending_of_a_jpeg_becomes_a_jpeg(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(PATTERN).save(tmp_path / "in" / "a.heic")
    (tmp_path / "in" / "a.heic").rename(tmp_path / "in" / "a.jpg")
    (photograph,), _, _ = gathered(tmp_path / "in", tmp_path / "out")
    with Image.open(tmp_path / "out" / "images" / photograph.name) as image:
        assert (photograph.name, image.format) == ("a.jpg", "JPEG")

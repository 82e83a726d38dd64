"""Photographs in every kind of pixel a camera or a renderer writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import EpsImagePlugin, Image

from backend.scene import read_image
from backend.scene.images import FORMATS, image_size, read_pixels
from backend.scene.types import Camera, View
from protocol.errors import BadArgument, BadScene


def view_of(file: Path, image: Image.Image, **options: Any) -> View:
    image.save(file, **options)
    return View("a", Camera(np.eye(4), np.eye(3), *image.size), file)


def test_transparency_lies_over_black(tmp_path: Path) -> None:
    pixels = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], np.uint8)
    got = read_image(view_of(tmp_path / "a.png", Image.fromarray(pixels)))
    np.testing.assert_array_equal(got, [[[200, 100, 50], [0, 0, 0], [40, 20, 10]]])


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([[0, 128, 255]], np.uint8), [0, 128, 255]),
        (np.array([[0, 128 * 257, 65535]], np.uint16), [0, 128, 255]),
        (np.array([[False, True, True]]), [0, 255, 255]),
    ],
    ids=["8 bits", "16 bits", "1 bit"],
)
def test_grey(tmp_path: Path, pixels: np.ndarray, expected: list[int]) -> None:
    got = read_image(view_of(tmp_path / "a.png", Image.fromarray(pixels)))
    np.testing.assert_array_equal(got[0], np.repeat(np.array(expected)[:, None], 3, 1))
    assert got.dtype == np.uint8


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([9, 8, 7, 60, 50, 40])
    np.testing.assert_array_equal(read_image(view_of(tmp_path / "a.png", image)), [[[9, 8, 7], [60, 50, 40]]])


def test_scaling_down_takes_the_mean_of_the_area(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    view = view_of(tmp_path / "a.png", Image.fromarray(pixels))
    got = read_image(view, (5, 3))
    # Pillow scales rows and columns one after the other and rounds each time.
    np.testing.assert_allclose(got, pixels.reshape(3, 4, 5, 4, 3).mean((1, 3)), atol=1.01)
    np.testing.assert_array_equal(read_image(view, (20, 12)), pixels)
    assert read_image(view, (40, 24)).shape == (24, 40, 3)


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    view = view_of(tmp_path / "a.jpg", Image.new("RGB", (8, 4)), exif=exif)
    assert image_size(view.image_path) == (8, 4)
    assert read_image(view).shape == (4, 8, 3)


def test_cut_off_photograph(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    view = view_of(tmp_path / "a.png", Image.fromarray(noise))
    view.image_path.write_bytes(view.image_path.read_bytes()[:-500])
    assert image_size(view.image_path) == (50, 50)
    with pytest.raises(BadScene, match=r"a\.png cannot be read"):
        read_image(view)


def test_photograph_that_changed(tmp_path: Path) -> None:
    view = view_of(tmp_path / "a.png", Image.new("RGB", (8, 4)))
    Image.new("RGB", (4, 4)).save(view.image_path)
    with pytest.raises(BadScene, match="is 4 x 4 pixels, but was 8 x 4"):
        read_image(view)


def test_size_below_one_pixel(tmp_path: Path) -> None:
    view = view_of(tmp_path / "a.png", Image.new("RGB", (8, 4)))
    with pytest.raises(BadArgument, match="0 x 3 pixels"):
        read_image(view, (0, 3))


def test_no_other_program_reads_a_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives PostScript to Ghostscript, also if the file's name ends in .png."""
    run: list[object] = []
    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *given, **_: run.append(given) or Image.new("RGB", (4, 3))
    )
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\nshowpage\n")
    for read in (read_pixels, image_size):
        with pytest.raises(BadScene, match="is not a picture in a format that is read"):
            read(tmp_path / "a.png")
    assert not run


@pytest.mark.parametrize("name", FORMATS)
def test_formats_of_photographs(tmp_path: Path, name: str) -> None:
    pillow_heif.register_heif_opener()
    Image.new("RGB", (64, 48), (10, 200, 30)).save(tmp_path / "a.png", name)
    assert read_pixels(tmp_path / "a.png").shape == (48, 64, 3)

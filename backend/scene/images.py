"""Reads photographs: size from the header, pixels on request.

EXIF orientation is ignored, as in COLMAP, because poses belong to the stored pixels. Most programs that make masks
respect it, so :mod:`backend.scene.mask_fit` reads it.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from backend.scene.lens import undistort_image
from backend.scene.types import View
from protocol.errors import BadArgument, BadScene
from protocol.expansion import too_much

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    RuntimeError,
    MemoryError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""Exceptions of Pillow for files that are truncated, not an image, inconsistent in size, or absurdly large."""

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "JPEG2000", "HEIF", "AVIF")
"""Formats of photographs, by their names in Pillow; the ending of a file does not matter. Others are not read: for EPS,
Pillow runs another program on the file, Ghostscript."""
ORIENTATION = 0x0112
PANORAMA = b"equirectangular"
"""Word in the XMP metadata of photographs that show all directions (GPano:ProjectionType)."""
LFS_POINTER = b"version https://git-lfs"
"""Beginning of a text that stands for a file in a repository whose content was not downloaded."""


def open_photograph(file: Path) -> Image.Image:
    """Open a file of one of :data:`FORMATS` and read its header; raises one of :data:`BROKEN` if it is not one."""
    Image.init()
    return Image.open(file, formats=[each for each in FORMATS if each in Image.OPEN])


class Pixels(NamedTuple):
    """The pixels of a photograph.

    Attributes:
        image: (H, W, 3) uint8, sRGB; transparency is composited on black.
        alpha: (H, W) uint8, 255 where the photograph is opaque; None if it is opaque everywhere.
    """

    image: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None


def check_expansion(image: Image.Image, file: Path, pages: int = 1) -> None:
    """Refuse a picture whose header declares more pixels than its bytes can hold; nothing has been unpacked yet.

    Raises:
        ValueError: with the reason.
    """
    wrong = too_much(file.stat().st_size, image.width * image.height * pages * max(1, len(image.getbands())))
    if wrong is not None:
        raise ValueError(f"it {wrong}")


def image_size(file: Path) -> tuple[int, int]:
    """Return width and height from the header of a photograph.

    Raises:
        BadScene: if it is not an image, or its colours are not sRGB.
    """
    try:
        with open_photograph(file) as image:
            _check_mode(image)
            check_expansion(image, file)
            return image.size
    except BROKEN as error:
        raise _unreadable(file, error) from error


def orientation(file: Path) -> int:
    """Return the EXIF orientation of a photograph, 1 (upright) to 8, from its header; 1 if missing.

    Raises:
        BadScene: if it is not an image.
    """
    try:
        with open_photograph(file) as image:
            # PNG may have EXIF after the pixels, where no program reads it. Pillow applies the orientation of TIFF
            # itself.
            known = image.getexif().get(ORIENTATION, 1) if "exif" in image.info else 1
    except BROKEN as error:
        raise _unreadable(file, error) from error
    return known if known in range(1, 9) else 1


def is_panorama(file: Path) -> bool:
    """Whether a photograph says in its metadata that it shows all directions; False if it cannot be read."""
    try:
        with open_photograph(file) as image:
            notes = image.info.get("xmp", b"")
    except BROKEN:
        return False
    return PANORAMA in (notes.encode(errors="replace") if isinstance(notes, str) else bytes(notes))


def is_transparent_format(file: Path) -> bool:
    """Whether a photograph may have transparent pixels, by its header.

    Raises:
        BadScene: if it is not an image.
    """
    try:
        with open_photograph(file) as image:
            return image.has_transparency_data
    except BROKEN as error:
        raise _unreadable(file, error) from error


def alpha_range(file: Path) -> tuple[int, int]:
    """Return the least and the largest alpha of a photograph, 0 to 255; both are 255 without an alpha channel.

    Raises:
        BadScene: if the file cannot be read.
    """
    alpha = _decoded(file).alpha
    return (255, 255) if alpha is None else (int(alpha.min()), int(alpha.max()))


def read_image(view: View, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Return the photograph of ``view`` as seen by its pinhole camera: (H, W, 3) uint8, sRGB as stored.

    Grey becomes RGB, 16 bits become 8, transparency is composited on black.

    Args:
        view: whose photograph.
        size: width and height to scale to by area averaging; None for the camera's size.

    Raises:
        BadScene: if the file cannot be read, or its size has changed since the scene was loaded.
        BadArgument: if ``size`` is below one pixel.
    """
    return read_with_alpha(view, size).image


def read_with_alpha(view: View, size: tuple[int, int] | None = None) -> Pixels:
    """Return the photograph as :func:`read_image` does, and its alpha channel; arguments and errors are the same."""
    if size is not None and min(size) < 1:
        raise BadArgument(f"A photograph cannot be scaled to {size[0]} x {size[1]} pixels.")
    image, alpha = _stored(view)
    pixels = image if alpha is None else np.dstack([image, alpha])
    if view.lens is not None:
        pixels = undistort_image(view.lens, pixels)
    # Apart, because Pillow would weight the colours by the alpha channel once more.
    return Pixels(
        _scaled(np.ascontiguousarray(pixels[..., :3]), view, size),
        None if alpha is None else _scaled(np.ascontiguousarray(pixels[..., 3]), view, size),
    )


def _scaled(pixels: NDArray[np.uint8], view: View, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    if size is None or size == (view.camera.width, view.camera.height):
        return pixels
    shrinks = size[0] <= view.camera.width and size[1] <= view.camera.height
    resampling = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(size, resampling))


def read_stored(view: View) -> NDArray[np.uint8]:
    """Return the photograph of ``view`` as stored, with lens distortion: (H, W, 3) uint8, sRGB.

    Raises:
        BadScene: as :func:`read_image`.
    """
    return _stored(view).image


def _stored(view: View) -> Pixels:
    pixels = _decoded(view.image_path)
    height, width = pixels.image.shape[:2]
    if (width, height) != (view.camera.width, view.camera.height):
        raise BadScene(
            f"The photograph {view.image_path} is {width} x {height} pixels, but was {view.camera.width} x "
            f"{view.camera.height} when the scene was loaded."
        )
    return pixels


def read_pixels(file: Path) -> NDArray[np.uint8]:
    """Return a photograph as stored: (H, W, 3) uint8, sRGB; transparency is composited on black.

    Raises:
        BadScene: if the file cannot be read.
    """
    return _decoded(file).image


def _decoded(file: Path) -> Pixels:
    try:
        with open_photograph(file) as image:
            check_expansion(image, file)
            return _pixels(image)
    except BROKEN as error:
        raise _unreadable(file, error) from error


def _pixels(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):
        # Pillow's conversion clips values above 255 instead of scaling them.
        grey = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
        return Pixels(np.asarray(grey.convert("RGB")), None)
    _check_mode(image)
    if not image.has_transparency_data:
        return Pixels(np.asarray(image.convert("RGB")), None)
    image = image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    composited = np.asarray(Image.alpha_composite(black, image).convert("RGB"))
    return Pixels(composited, None if alpha.min() == 255 else alpha)


def _check_mode(image: Image.Image) -> None:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")


def reason_of(file: Path, error: Exception) -> str:
    """Return why a picture or an array cannot be read, as the end of a sentence."""
    if isinstance(error, Image.DecompressionBombError) and Image.MAX_IMAGE_PIXELS is not None:
        return f"it has more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels"
    if not isinstance(error, UnidentifiedImageError):
        # Python says nothing about a header that is nested too deeply for its parser.
        return str(error).rstrip(".") or "it is damaged, or does not fit in memory"
    with file.open("rb") as stream:
        head = stream.read(64).lstrip()
    if not head:
        return "it is empty"
    if head.startswith(LFS_POINTER):
        return "it is a pointer of Git LFS; run git lfs pull in its repository"
    if head[:1] in b"<{":
        return "it contains text, not a picture"
    return "it is not a picture in a format that is read"


def _unreadable(file: Path, error: Exception) -> BadScene:
    return BadScene(
        f"The photograph {file} cannot be read: {reason_of(file, error)}.",
        "Replace the file, or remove it from the scene.",
    )

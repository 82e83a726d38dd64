"""Lossless WebP images with Pillow."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.formats.packages import needed

PURPOSE = "SOG, which stores values as WebP images,"


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels (H, W, 4) as a lossless WebP image.

    Raises:
        Unavailable: if Pillow is not installed.
    """
    stream = io.BytesIO()
    _pillow().fromarray(np.ascontiguousarray(pixels)).save(stream, "WEBP", lossless=True, exact=True, method=3)
    return stream.getvalue()


def decode(data: bytes, most: int) -> NDArray[np.uint8] | None:
    """Return the pixels (H, W, 4) of a WebP or PNG image, or None if it is neither or has more than ``most`` pixels.

    Raises:
        Unavailable: if Pillow is not installed.
    """
    pillow = _pillow()
    try:
        # The size is checked before the pixels are decoded.
        with pillow.open(io.BytesIO(data), formats=("WEBP", "PNG")) as picture:
            if picture.width * picture.height > most:
                return None
            return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError):
        return None


def _pillow() -> Any:
    return needed("pillow", "PIL.Image", PURPOSE)

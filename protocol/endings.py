"""Endings of the files of a capture: photographs, videos, masks, Gaussians, and what is not read."""

from __future__ import annotations

from collections.abc import Sequence

PHOTOGRAPH_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".jfif", ".jpe")
"""Endings of photographs that can be read."""
CONVERTED_ENDINGS = (".heic", ".heif", ".avif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".mov", ".mp4")
"""Endings that a list of photographs may name where the folder has a copy with one of :data:`PHOTOGRAPH_ENDINGS`."""
HEIF_ENDINGS = (".heic", ".heif", ".avif")
"""Endings of photographs that are converted when poses are computed."""
VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv")
RAW_ENDINGS = (
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".orf",
    ".rw2",
    ".raf",
    ".srw",
    ".pef",
    ".gpr",
    ".iiq",
    ".3fr",
    ".nrw",
    ".raw",
)
"""Endings of a camera's raw data, which are not read."""
OTHER_PICTURE_ENDINGS = (".gif", ".exr", ".hdr", ".jxl", ".jp2", ".psd", ".svg", ".ppm", ".pgm", ".tga")
"""Endings of other pictures that are not read."""
PANORAMA_ENDINGS = (".insp", ".insv", ".360")
"""Endings of pictures and videos of cameras with two fisheye lenses, which are not read."""
ARCHIVE_ENDINGS = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".bz2", ".xz")
ARRAY_ENDINGS = (".npy", ".npz")
PICTURE_ENDINGS = PHOTOGRAPH_ENDINGS
RLE_ENDING = ".json"
MASK_ENDINGS = (".png", *ARRAY_ENDINGS, *PICTURE_ENDINGS[1:], RLE_ENDING)
SPLAT_ENDINGS = (".ply", ".spz", ".sog", ".splat")


def without_ending(name: str, endings: Sequence[str]) -> str:
    """Return ``name`` without its ending if that is one of ``endings``, ignoring case."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and f".{ending.lower()}" in endings else name


def is_one_of(name: str, endings: Sequence[str]) -> bool:
    """Whether ``name`` has one of ``endings``, ignoring case."""
    return without_ending(name, endings) != name

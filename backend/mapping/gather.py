"""Copies photographs into a workspace, each with a camera from its size and EXIF data."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pillow_heif
from PIL import Image

from backend.colmap_library import pycolmap
from backend.mapping.frames import choose_frames
from backend.progress import Progress
from backend.scene.images import BROKEN, check_expansion, open_photograph, read_pixels
from backend.scene.videos import frame_name, read_frames
from protocol.endings import HEIF_ENDINGS, is_one_of
from protocol.errors import BadScene
from protocol.unposed import Unposed

LONG_SIDE = 1000
ENLARGED = 4.0
LEAST_LONG_SIDE = 800
"""Longest and least longest side in pixels for feature detection. Smaller photographs are enlarged, at most by
ENLARGED, because the pixel thresholds of matching and mapping are made for such sizes."""
JPEG_QUALITY = 95
GUESSED_FOCAL = 1.2
"""Focal length in units of the longest side if EXIF data do not contain it, as COLMAP guesses it."""
EXIF_IFD, FOCAL_LENGTH, FOCAL_LENGTH_35 = 0x8769, 0x920A, 0xA405


def copy_name(number: int) -> str:
    """Return the name of the copy of a photograph for feature detection."""
    return f"{number:06d}.png"


@dataclass(frozen=True)
class Photograph:
    """A photograph in the workspace.

    Attributes:
        name: its path below the workspace's ``images``.
        origin: its path below the user's folder; None for a video frame.
        width, height: pixels as stored.
        focal: focal length in pixels.
        known: whether the focal length is from EXIF data.
        lens: camera and lens in the EXIF data; photographs with equal values share a camera.
    """

    name: str
    origin: str | None
    width: int
    height: int
    focal: float
    known: bool
    lens: tuple[str, ...]


class Gathered(NamedTuple):
    """The photographs in the workspace, the unreadable ones (path and reason), and warnings."""

    photographs: list[Photograph]
    unreadable: list[tuple[str, str]]
    warnings: list[str]


def gather(source: Unposed, images: Path, copies: Path, progress: Progress) -> Gathered:
    """Write the photographs to ``images``, and copies for feature detection, ``000000.png`` and so on, to ``copies``.

    Photographs are copied unchanged, including EXIF data; HEIC, AVIF and video frames become JPEG.

    Raises:
        BadScene: if a video cannot be read.
    """
    if source.video is not None:
        return _frames(source.video, images, copies, progress)
    pillow_heif.register_heif_opener()
    photographs: list[Photograph] = []
    unreadable: list[tuple[str, str]] = []
    top = source.folder or source.root
    taken: set[str] = set()
    for number, file in enumerate(source.photographs):
        progress("poses", 0.15 * number / len(source.photographs), f"photograph {number + 1}")
        name = _utf8(file.relative_to(top).as_posix(), number)
        if is_one_of(name, HEIF_ENDINGS):
            name = f"{name.rpartition('.')[0]}.jpg"
            name = name if name not in taken and not (top / name).exists() else f"{name.removesuffix('.jpg')}_heic.jpg"
        target = images / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy(file, target)
            pixels = read_pixels(target)
        except (BadScene, *BROKEN) as error:
            # Name the user's photograph in the error, not the copy.
            reason = str(error.__cause__ or error).replace(str(target), source.path_below_root(file))
            unreadable.append((source.path_below_root(file), reason))
            target.unlink(missing_ok=True)
            continue
        taken.add(name)
        height, width = pixels.shape[:2]
        _resize(Image.fromarray(pixels), copies / copy_name(len(photographs)))
        focal, known, lens = _focal(target, width, height)
        photographs.append(Photograph(name, source.path_below_root(file), width, height, focal, known, lens))
    for file in source.masks_beside:
        shutil.copyfile(file, images / file.relative_to(top))
    return Gathered(photographs, unreadable, [])


def _utf8(name: str, number: int) -> str:
    """Return a name that COLMAP can store; a name that is not UTF-8 is replaced."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return f"photograph_{number:06d}{Path(name).suffix.encode(errors='ignore').decode()}"
    return name


def _copy(file: Path, target: Path) -> None:
    # Programs also store HEIC under the ending of a JPEG.
    if not pillow_heif.is_supported(file):
        shutil.copyfile(file, target)
        return
    with open_photograph(file) as image:
        check_expansion(image, file)
        exif = image.getexif()
        # Decoding has applied the orientation already.
        exif.pop(0x0112, None)
        image.convert("RGB").save(target, quality=JPEG_QUALITY, subsampling=0, exif=exif)


def matched_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) for feature detection in a photograph."""
    longest = max(width, height)
    factor = min(LONG_SIDE / longest, max(1.0, min(ENLARGED, LEAST_LONG_SIDE / longest)))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _resize(image: Image.Image, target: Path) -> None:
    size = matched_size(*image.size)
    how = Image.Resampling.BICUBIC if size[0] > image.width else Image.Resampling.BOX
    image.resize(size, how).save(target, compress_level=1)


def _frames(video: Path, images: Path, copies: Path, progress: Progress) -> Gathered:
    damages: list[int] = []
    chosen = choose_frames(video, progress, lambda: damages.append(1))
    photographs: list[Photograph] = []
    for number, _, pixels in read_frames(video, wanted=set(chosen)):
        progress("poses", 0.1 + 0.05 * len(photographs) / len(chosen), f"frame {number + 1:,} of the video")
        name = frame_name(number)
        image = Image.fromarray(pixels)
        image.save(images / name, quality=JPEG_QUALITY, subsampling=0)
        _resize(image, copies / copy_name(len(photographs)))
        focal = GUESSED_FOCAL * max(image.size)
        photographs.append(Photograph(name, None, *image.size, focal, False, ()))
        if len(photographs) == len(chosen):
            break
    said = f"{len(damages)} parts of the video {video.name} are damaged and were skipped."
    return Gathered(photographs, [], [said] if damages else [])


def _focal(file: Path, width: int, height: int) -> tuple[float, bool, tuple[str, ...]]:
    """Return the focal length in pixels, whether EXIF data contain it, and the camera and lens in them."""
    with open_photograph(file) as image:
        exif = image.getexif()
        inner = exif.get_ifd(EXIF_IFD)
    said = tuple(str(value) for value in (exif.get(0x010F), exif.get(0x0110), inner.get(FOCAL_LENGTH)))
    lens = (*said, str(inner.get(FOCAL_LENGTH_35)))
    if FOCAL_LENGTH in inner or FOCAL_LENGTH_35 in inner:
        guessed = pycolmap.infer_camera_from_image(file)
        if guessed.has_prior_focal_length and (guessed.width, guessed.height) == (width, height):
            return guessed.mean_focal_length(), True, lens
    return GUESSED_FOCAL * max(width, height), False, lens

"""Reads instance ids from mask files. Accepted, by ending:

- images (``.png .tif .tiff .webp .bmp``): grey with 1 to 16 bits, or a palette, whose indices are the ids. Colours are
  ids too: three equal channels count as grey, otherwise each colour is an instance with the id red * 65536 + green *
  256 + blue; fully transparent pixels are background. Several pages are a stack. Lossy images (``.jpg``, some
  ``.webp``) are only accepted if they are black and white, because their grey levels have changed.
- ``.npy``: a map of integers (H, W), or a stack (N, H, W) or (H, W, N) of N instances, with two values, one of them 0;
  axes of length 1 are removed. Also (H, W, 3) colours.
- ``.npz``: one such array, or several of which one is named one of :data:`ARRAY_NAMES`; scores of a stack's masks in
  one of :data:`SCORE_NAMES`.
- ``.json``: run lengths in COCO's format, see :mod:`backend.scene.rle`.

Slice i of a stack is instance i + 1. If slices overlap, :mod:`backend.scene.mask_sets` keeps all of them; in an id map
the smaller one is on top, like a part on its object; of equal sizes the later one. Id 0 is background, and negative ids
become VOID. Ids beyond int32 are renumbered from 1.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from backend.scene import images
from backend.scene.mask_limits import Size
from backend.scene.rle import Filled, paint, read_rle, read_scored_rle, rle_size
from backend.scene.thin import has_soft_edges
from backend.scene.types import VOID
from protocol.annotations import Id
from protocol.broken_arrays import BROKEN_ARRAY
from protocol.endings import ARRAY_ENDINGS, RLE_ENDING
from protocol.errors import BadMask
from protocol.expansion import too_much

FORMATS = ["PNG", "TIFF", "WEBP", "BMP", "JPEG"]
ARRAY_NAMES = ("masks", "mask", "instance", "instances", "indices", "ids", "segmentation", "labels")
SCORE_NAMES = ("scores", "score", "predicted_iou", "predicted_ious")
"""Names of arrays next to the stack with a score for each mask."""
LEAST_SIDE = 16
"""Least height and width by which an array without a known name is a mask."""
MAX_VALUES = 1 << 33
"""Most values in one file, because a small compressed file may claim any number."""
MOST_COLOURS = 1000
"""Most instances in a colour image; more indicate shades of a photograph or blurred edges."""
PIXELS_A_COLOUR = 16
BLACK, WHITE = 32, 223
"""Grey levels up to which, and from which on, a lossy pixel is black or white; JPEG adds ringing at edges."""
GREYS = 0.05
"""Largest share of a lossy image's pixels that are neither black nor white."""
BROKEN = (*images.BROKEN, *BROKEN_ARRAY, zipfile.BadZipFile)
"""Exceptions of Pillow, numpy and zipfile for files that are truncated or do not match their ending."""


def fits(mask: Size, photograph: Size) -> bool:
    """Whether the mask's size is the photograph's size scaled by one factor and rounded to whole pixels.

    Predicting one side from the other may be off by at most one pixel of the coarser of the two.
    """
    (w, h), (W, H) = mask, photograph
    if min(w, h) < 1:
        return False
    pixel = max(1, w / W, h / H)
    return abs(h - H * w / W) <= pixel or abs(w - W * h / H) <= pixel


def mask_size(file: Path, photograph: Size | None = None, entry: Id | None = None) -> Size | None:
    """Return width and height from the header of a mask file; None for an empty list of masks, which has no size.

    Args:
        file: the mask.
        photograph: width and height of its photograph, to distinguish a stack (H, W, N) from (N, H, W).
        entry: the id of the photograph, if the file has annotations of many.

    Raises:
        BadMask: if it cannot be read or contains no mask.
    """
    with _explained(file):
        ending = file.suffix.lower()
        if ending == RLE_ENDING:
            return rle_size(file, photograph, entry)
        if ending not in ARRAY_ENDINGS:
            with Image.open(file, formats=FORMATS) as image:
                return image.size
        with _array_stream(file) as (stream, length):
            plan = _array_plan(stream, length, file, photograph)
        return plan.size


def load_ids(file: Path, photograph: Size | None = None, entry: Id | None = None) -> NDArray[np.int32]:
    """Return the (H, W) int32 instance ids of a mask file; 0 is background, negative ids become :data:`VOID`.

    Args: as :func:`mask_size`.

    Raises:
        BadMask: if it cannot be read or contains no mask.
    """
    with _explained(file):
        ending = file.suffix.lower()
        if ending == RLE_ENDING:
            return _read_rle(file, photograph, entry)
        values = _read_array(file, photograph) if ending in ARRAY_ENDINGS else _read_picture(file)
        return _flattened(values, file) if values.ndim == 3 else _as_int32(values)


class _OfIds(Sequence[NDArray[np.bool_]]):
    """The pixels of each positive id of a map, each created on access: a map may have as many ids as pixels."""

    def __init__(self, ids: NDArray[np.int32]) -> None:
        self._ids = ids
        self._present = np.unique(ids[ids > 0])

    def __len__(self) -> int:
        return len(self._present)

    def __getitem__(self, i):
        return self._ids == self._present[i]


class Stack(NamedTuple):
    """The masks of one file, each of one instance, in the order of the file.

    Attributes:
        slices: N masks (H, W), or (N, H, W); non-zero pixels are inside.
        scores: (N,) float32, if the file has one for each mask.
        shape: height and width.
    """

    slices: Sequence[NDArray] | NDArray
    scores: NDArray[np.float32] | None
    shape: tuple[int, int]


def may_overlap(file: Path) -> bool:
    """Whether a file is a stack or contains run lengths, by its header.

    Raises:
        BadMask: if it cannot be read or contains no mask.
    """
    with _explained(file):
        ending = file.suffix.lower()
        if ending == RLE_ENDING:
            return True
        if ending not in ARRAY_ENDINGS:
            with Image.open(file, formats=FORMATS) as image:
                return getattr(image, "n_frames", 1) > 1
        with _array_stream(file) as (stream, length):
            plan = _array_plan(stream, length, file, None)
        # Colours (H, W, 3) have the shape of a stack; :func:`load_stack` distinguishes them.
        return plan.kind != "map"


def load_stack(file: Path, photograph: Size | None = None, entry: Id | None = None) -> Stack:
    """Return the masks of a file for which :func:`may_overlap` is true; a colour image has one mask per colour.

    Args: as :func:`mask_size`.

    Raises:
        BadMask: if it cannot be read or contains no mask, or the number of scores is wrong.
    """
    with _explained(file):
        ending = file.suffix.lower()
        if ending == RLE_ENDING:
            masks, scores = read_scored_rle(file, photograph, entry)
            width, height = (masks[0].width, masks[0].height) if masks else photograph or (1, 1)
            return Stack(Filled(masks), scores, (height, width))
        values = _read_array(file, photograph) if ending in ARRAY_ENDINGS else _read_picture(file)
        if values.ndim == 2:
            ids = _as_int32(values)
            return Stack(_OfIds(ids), None, (ids.shape[0], ids.shape[1]))
        _check_stack(values, file)
        height, width = values.shape[1:]
        return Stack(values, _read_scores(file, len(values)), (height, width))


def load_parts(files: Sequence[Path], photograph: Size | None = None) -> NDArray[np.int32]:
    """Return the ids of several files, each the mask of one instance: file i gets the id i + 1.

    Raises:
        BadMask: if one cannot be read, contains several ids, or differs in size from the first.
    """
    slices: list[NDArray[np.bool_]] = []
    for file in files:
        ids = load_ids(file, photograph)
        present = np.unique(ids[ids > 0])
        if len(present) > 1:
            raise BadMask(
                f"The mask {file} is one of {len(files)} masks of its photograph and contains {len(present)} ids; "
                "each file must show one instance.",
                "Keep one file with all ids per photograph.",
            )
        if slices and ids.shape != slices[0].shape:
            raise BadMask(
                f"The mask {file} is {ids.shape[1]} x {ids.shape[0]} pixels, {files[0]} of the same photograph "
                f"{slices[0].shape[1]} x {slices[0].shape[0]}."
            )
        slices.append(ids > 0)
    return _painted(slices, slices[0].shape)


def assumption(file: Path) -> str | None:
    """Return what is assumed about a mask's pixels because its format does not say, as the end of a sentence.

    Raises:
        BadMask: if it cannot be read.
    """
    with _explained(file):
        if file.suffix.lower() in (RLE_ENDING, *ARRAY_ENDINGS):
            return None
        with Image.open(file, formats=FORMATS) as image:
            if _is_lossy(image, file):
                return "black and white with lossy compression; white was treated as one instance"
            if _alpha_mask(image) is not None:
                return "cut out by transparency; opaque pixels were treated as one instance"
            page = _page(image, file)
            if image.mode in ("LA", "RGB", "RGBA") and page.dtype != np.uint8:
                return "in colour; each colour was treated as an instance, black as background"
            if image.mode in ("L", "LA", "RGB", "RGBA") and has_soft_edges(np.asarray(image.convert("L"))):
                return "black and white with soft edges; bright pixels were treated as one instance"
    return None


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        reason = images.reason_of(file, error)
        raise BadMask(f"The mask {file} cannot be read: {reason}.", "Create the file again, or delete it.") from error


# Images


def _read_picture(file: Path) -> NDArray:
    """Return ids (H, W), or (N, H, W) of a file with several pages."""
    with Image.open(file, formats=FORMATS) as image:
        pixels = image.width * image.height * getattr(image, "n_frames", 1)
        if pixels > MAX_VALUES:
            raise BadMask(f"The mask {file} declares {pixels} values; at most {MAX_VALUES} are allowed.")
        images.check_expansion(image, file, getattr(image, "n_frames", 1))
        if _is_lossy(image, file):
            return _black_and_white(image, file)
        pages = [_page(page, file) for page in ImageSequence.Iterator(image)]
    if len({page.shape for page in pages}) > 1:
        raise BadMask(f"The mask {file} contains pages of different sizes.", "Write one mask per file.")
    return pages[0] if len(pages) == 1 else np.stack(pages)


def _page(image: Image.Image, file: Path) -> NDArray:
    deep = ";16" in str(getattr(image, "tile", ""))
    if image.mode == "L":
        return _hardened(np.asarray(image))
    if image.mode == "1" or image.mode.startswith("I"):
        return np.asarray(image)
    if image.mode == "P":
        return _indices(image)
    if image.mode == "F":
        return _whole_numbers(np.asarray(image), file)
    if image.mode not in ("LA", "RGB", "RGBA") or deep:
        raise BadMask(
            f"The mask {file} holds {'16-bit ' if deep else ''}{image.mode} colours, which are not instance ids.",
            "Save it as 8-bit or 16-bit greyscale, or with a palette.",
        )
    alpha = _alpha_mask(image)
    if alpha is not None:
        return alpha.astype(np.uint8)
    pixels = np.array(image.convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return _colour_ids(pixels[..., :3], file)


def _hardened(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey page unchanged, or the bright pixels as one instance if it is black and white with soft edges."""
    return (grey >= 128).astype(np.uint8) if has_soft_edges(grey) else grey


def _alpha_mask(image: Image.Image) -> NDArray[np.bool_] | None:
    """Return the opaque pixels of a cut-out photograph or of a black silhouette; None for other images."""
    if image.mode not in ("LA", "RGBA") or ";16" in str(getattr(image, "tile", "")):
        return None
    pixels = np.asarray(image.convert("RGBA"))
    opaque = pixels[..., 3] >= 128
    if opaque.all() or not opaque.any():
        return None
    shown = pixels[opaque][:, :3]
    is_mask = shown.any() and _count_colours(_packed(shown)) <= _most_colours(opaque.size)
    return None if is_mask else opaque


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the three bytes of each colour (..., 3) as one number."""
    return pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _count_colours(packed: NDArray[np.int32]) -> int:
    there = np.zeros(1 << 24, bool)
    there[packed] = True
    return int(np.count_nonzero(there))


def _most_colours(pixels: int) -> int:
    return max(PIXELS_A_COLOUR, min(MOST_COLOURS, pixels // PIXELS_A_COLOUR))


def _indices(image: Image.Image) -> NDArray[np.uint8]:
    """Return the indices of a palette, with black as 0, because programs that reduce palettes put it anywhere."""
    ids = np.array(image)
    palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
    used = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
    black = [i for i in used if i < len(palette) and not palette[i].any()]
    if len(palette) and palette[0].any() and len(black) == 1:
        swapped = np.arange(256, dtype=np.uint8)
        swapped[[0, black[0]]] = black[0], 0
        return swapped[ids]
    return ids


def _colour_ids(pixels: NDArray[np.uint8], file: Path) -> NDArray:
    """Return the channel if all are equal; else the three bytes of each colour of (H, W, 3) as one number."""
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
        return _hardened(pixels[..., 0])
    packed = _packed(pixels)
    count = _count_colours(packed)
    if count > _most_colours(packed.size):
        raise BadMask(
            f"The mask {file} holds {count} colours, like a photograph; a mask has one colour per instance.",
            "Save instance ids as 8-bit or 16-bit greyscale without anti-aliasing.",
        )
    return packed


def _is_lossy(image: Image.Image, file: Path) -> bool:
    return image.format == "JPEG" or (image.format == "WEBP" and not _has_lossless_chunk(file))


def _has_lossless_chunk(file: Path) -> bool:
    """Whether a WebP contains the chunk of lossless pixels: RIFF chunks have a name, a size and padding to even."""
    with file.open("rb") as stream:
        stream.seek(12)
        while len(head := stream.read(8)) == 8:
            if head[:4] == b"VP8L":
                return True
            if head[:4] in (b"VP8 ", b"ANMF"):
                return False
            size = int.from_bytes(head[4:], "little")
            stream.seek(size + size % 2, 1)
    return False


def _black_and_white(image: Image.Image, file: Path) -> NDArray[np.uint8]:
    """Return 1 for white and 0 for black pixels of a lossy image."""
    grey = np.asarray(image.convert("L"))
    between = np.count_nonzero((grey > BLACK) & (grey < WHITE))
    # Without white there is no ringing, so a level that is not quite black is an id.
    dark = grey.max() < WHITE and grey.max() > 0
    if between > GREYS * grey.size or dark:
        raise BadMask(
            f"The mask {file} is compressed as {image.format}, which changes ids, and is not black and white.",
            "Save ids as PNG, or one black and white image per instance.",
        )
    return (grey >= 128).astype(np.uint8)


# Arrays


@dataclass(frozen=True)
class _Plan:
    """How an array is read: its axes without those of length 1, and the meaning of the third one, if any."""

    shape: tuple[int, ...]
    kind: str

    @property
    def size(self) -> Size:
        height, width = self.shape[:2] if self.kind == "last" else self.shape[-2:]
        return width, height


def _read_array(file: Path, photograph: Size | None) -> NDArray:
    with _array_stream(file) as (stream, length):
        plan = _array_plan(stream, length, file, photograph)
    with _array_stream(file) as (stream, _):
        values = np.lib.format.read_array(stream, allow_pickle=False).reshape(plan.shape)
    if plan.kind == "last" and plan.shape[2] in (3, 4) and values.dtype == np.uint8 and values.max() > 1:
        return _colour_ids(values[..., :3], file)
    whole = _whole_numbers(values, file) if values.dtype.kind == "f" else values
    return np.moveaxis(whole, 2, 0) if plan.kind == "last" else whole


@contextmanager
def _array_stream(file: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open the bytes of the mask array of a ``.npy`` or ``.npz`` file; yield their number too."""
    if file.suffix.lower() == ".npy":
        with file.open("rb") as stream:
            yield stream, file.stat().st_size
        return
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        named = [f"{name}.npy" for name in ARRAY_NAMES if f"{name}.npy" in names]
        if not named and len(names) > 1:
            like_masks = [name for name in names if name.endswith(".npy") and _may_be_mask(archive, name)]
            named = like_masks if len(like_masks) == 1 else []
        if not named and len(names) != 1:
            raise BadMask(
                f"The mask {file} holds {len(names)} arrays ({', '.join(names[:5])}); no array is named "
                f"{', '.join(ARRAY_NAMES)}.",
                "Save the masks as one array named masks, such as numpy.stack(masks).",
            )
        entry = archive.getinfo((named or names)[0])
        if (wrong := too_much(entry.compress_size, entry.file_size)) is not None:
            raise BadMask(f"The mask {file} {wrong}.", "Save it with numpy.savez_compressed.")
        with archive.open(entry) as stream:
            yield stream, entry.file_size  # pyright: ignore[reportReturnType]


def _may_be_mask(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether an array has the shape of an id map or a stack, which boxes, points and scores have not."""
    with archive.open(name) as stream:
        shape, dtype = _array_header(stream)
    axes = _squeezed(shape)
    return dtype.kind in "biuf" and len(axes) in (2, 3) and sorted(axes)[-2] >= LEAST_SIDE


def _array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype of the array at the beginning of a stream; nothing is allocated."""
    major = np.lib.format.read_magic(stream)[0]
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _array_plan(stream: BinaryIO, length: int, file: Path, photograph: Size | None) -> _Plan:
    """Return how to read an array, from its header, before anything is allocated.

    Raises:
        BadMask: if its shape, type or size is not valid for a mask.
    """
    shape, dtype = _array_header(stream)
    if dtype.kind not in "biuf":
        raise BadMask(
            f"The mask {file} holds {dtype} values; integers or booleans are expected.",
            "Save the list that SAM returns with numpy.stack([mask['segmentation'] for mask in masks]).",
        )
    squeezed = _squeezed(shape)
    if len(squeezed) not in (2, 3):
        raise _no_mask(file, dtype, shape)
    kind = "map"
    if len(squeezed) == 3:
        a, b, c = squeezed
        last = photograph is not None and fits((b, a), photograph) and not fits((c, b), photograph)
        kind = "last" if last else "first"
    count = int(np.prod(shape, dtype=object))
    if count > MAX_VALUES:
        raise BadMask(f"The mask {file} declares {count} values; at most {MAX_VALUES} are allowed.")
    if count * dtype.itemsize > length:
        raise ValueError(f"it declares {count * dtype.itemsize} bytes of values and has {length}")
    plan = _Plan(squeezed, kind)
    if 0 in plan.size:
        raise _no_mask(file, dtype, shape)
    return plan


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Remove axes of length 1 while there are more than two."""
    axes = list(shape)
    while len(axes) > 2 and 1 in axes:
        axes.remove(1)
    return tuple(axes)


def _no_mask(file: Path, dtype: np.dtype, shape: tuple[int, ...]) -> BadMask:
    return BadMask(
        f"The mask {file} holds {dtype} of shape {shape}.",
        "Save integers of shape (H, W), or booleans of shape (N, H, W).",
    )


def _whole_numbers(values: NDArray, file: Path) -> NDArray[np.int64]:
    finite = np.isfinite(values)
    if not finite.all():
        raise BadMask(
            f"The mask {file} holds NaN or infinite values, {np.count_nonzero(~finite)} of {values.size}.",
            "Use 0 for background and -1 for unknown pixels.",
        )
    if not ((np.abs(values) < 2**53).all() and (values == np.rint(values)).all()):
        raise BadMask(
            f"The mask {file} holds {values.dtype} values; integers, booleans or whole numbers are expected.",
            "Apply a threshold to scores or probabilities and save booleans.",
        )
    return values.astype(np.int64)


# Run lengths, stacks and ids


def _read_rle(file: Path, photograph: Size | None, entry: Id | None) -> NDArray[np.int32]:
    masks = read_rle(file, photograph, entry)
    if masks:
        return paint(masks, masks[0].height, masks[0].width)
    width, height = photograph or (1, 1)
    return np.zeros((height, width), np.int32)


def _flattened(stack: NDArray, file: Path) -> NDArray[np.int32]:
    """Return the ids of a stack, after checking that it has two values, one of them 0."""
    _check_stack(stack, file)
    return _painted(stack, stack.shape[1:])


def _check_stack(stack: NDArray, file: Path) -> None:
    top = stack.max(initial=0)
    if stack.dtype != bool and any(((part != 0) & (part != top)).any() for part in stack):
        raise BadMask(
            f"The mask {file} is a stack with values up to {top}; each slice must show one instance as 0 and 1.",
            "Save ids as one (H, W) map instead.",
        )


def _read_scores(file: Path, count: int) -> NDArray[np.float32] | None:
    """Return the scores next to the stack in a ``.npz``, or None."""
    if file.suffix.lower() != ".npz":
        return None
    with zipfile.ZipFile(file) as archive:
        names = [f"{name}.npy" for name in SCORE_NAMES if f"{name}.npy" in archive.namelist()]
        if not names:
            return None
        with archive.open(names[0]) as stream:
            shape, dtype = _array_header(stream)
        if shape not in ((count,), (count, 1)) or dtype.kind not in "iuf":
            raise BadMask(
                f"The mask {file} holds {count} masks, and {names[0].removesuffix('.npy')} of shape {shape} and type "
                f"{dtype}.",
                "Write one number for each mask.",
            )
        with archive.open(names[0]) as stream:
            scores = np.lib.format.read_array(stream, allow_pickle=False).reshape(-1).astype(np.float32)
    if not np.isfinite(scores).all():
        raise BadMask(f"The mask {file} contains scores that are not finite.", "Write one number for each mask.")
    return scores


def _painted(slices: Sequence[NDArray] | NDArray, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Paint the non-zero pixels of the slices of a stack, larger first, so that smaller ones stay on top."""
    ids = np.zeros(shape, np.int32)
    for i in np.argsort([-np.count_nonzero(part) for part in slices], kind="stable"):
        ids[slices[i] != 0] = i + 1
    return ids


def _as_int32(values: NDArray) -> NDArray[np.int32]:
    if values.dtype == bool or np.iinfo(values.dtype).max <= np.iinfo(np.int32).max:
        ids = values.astype(np.int32)
        return np.maximum(ids, VOID, out=ids)
    void = values < 0
    values = np.where(values > 0, values, 0)
    if values.max() <= np.iinfo(np.int32).max:
        return np.where(void, VOID, values).astype(np.int32)
    present, index = np.unique(values, return_inverse=True)
    return np.where(void, VOID, index.reshape(values.shape) + (present[0] > 0)).astype(np.int32)

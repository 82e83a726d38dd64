"""Preprocesses photographs according to the model's preprocessor configuration.

The processors of transformers would do the same, but those of SAM 2 and later need torchvision, each build of which
fits only one build of torch. The tests compare this module with the processors that do not need it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from backend.segmenter.weights import MAX_JSON
from protocol.errors import BadArgument

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
BICUBIC = 3
"""Pillow's number of bicubic resampling; all others are treated as bilinear, which every known model uses."""
MAX_SIDE = 8192
PADS_BEFORE_SCALING = ("eomt", "eomt_dinov3")
"""Model types whose processor pads with black; others pad with the mean colour."""

Size = tuple[int, int]
"""Height and width."""


class _Sides(msgspec.Struct):
    height: int | None = None
    width: int | None = None
    shortest_edge: int | None = None
    longest_edge: int | None = None


class _File(msgspec.Struct):
    """The fields of a preprocessor configuration that are used."""

    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    size: _Sides | int
    max_size: int | None = None
    pad_size: _Sides | None = None
    size_divisor: int | None = None
    rescale_factor: float = 1 / 255
    resample: int | None = None
    do_pad: bool | None = None
    do_normalize: bool = True
    do_split_image: bool = False


@dataclass(frozen=True)
class Recipe:
    """The preprocessing for a model.

    Attributes:
        sides: exact ``height`` and ``width``, or only ``longest_edge``, or ``shortest_edge`` with an upper limit.
        mean, std: of the three channels, for values of 0 to 1.
        factor: multiplied with byte values.
        divisor: both sides are rounded up to a multiple of it.
        pad: height and width after padding at the bottom and on the right; None for no padding.
        pads_black: whether padding is black.
        bicubic: whether resampling is bicubic.
    """

    sides: _Sides
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    factor: float = 1 / 255
    divisor: int = 1
    pad: Size | None = None
    pads_black: bool = False
    bicubic: bool = False


@dataclass(frozen=True)
class Prepared:
    """A batch of photographs of one size.

    Attributes:
        pixels: (B, 3, H, W) float32.
        seen: height and width of the photographs in it; the rest is padding.
    """

    pixels: torch.Tensor
    seen: Size


def read_recipe(folder: Path, kind: str) -> Recipe:
    """Return the preprocessing for the model in ``folder``.

    Args:
        folder: contains ``preprocessor_config.json`` or ``processor_config.json``.
        kind: the ``model_type`` of the configuration.

    Raises:
        BadArgument: if neither exists, or it lacks necessary fields.
    """
    for name in (PREPROCESSOR, PROCESSOR):
        file = folder / name
        if file.is_file() and file.stat().st_size <= MAX_JSON:
            break
    else:
        raise BadArgument(f"The model folder {folder} has no file {PREPROCESSOR}.", "Copy the model again.")
    try:
        content = msgspec.json.decode(file.read_bytes())
        content = content.get("image_processor", content) if isinstance(content, dict) else content
        read = msgspec.convert({key: value for key, value in content.items() if value is not None}, _File)
        recipe = _recipe(read, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, AttributeError) as error:
        raise BadArgument(
            f"{file} is not a valid preprocessor configuration: {error}.", "Copy the model again."
        ) from error
    if recipe is None:
        raise BadArgument(f"{file} contains no supported image size.", "Choose another model.")
    if read.do_split_image:
        raise BadArgument(
            f"The model in {folder} splits photographs into crops, as models for semantic classes do; it does not "
            "find objects.",
            "Choose a model for panoptic or instance segmentation.",
        )
    return recipe


def _recipe(read: _File, kind: str) -> Recipe | None:
    sides = read.size if isinstance(read.size, _Sides) else _Sides(shortest_edge=read.size, longest_edge=read.max_size)
    pad = read.pad_size or _Sides()
    lengths = [sides.height, sides.width, sides.shortest_edge, sides.longest_edge, pad.height, pad.width]
    known = [length for length in lengths if length is not None]
    divisor = read.size_divisor or 1
    if not known or not all(0 < length <= MAX_SIDE for length in [*known, divisor]):
        return None
    if (sides.height is None) != (sides.width is None) or 0.0 in read.image_std:
        return None
    mean, std = (read.image_mean, read.image_std) if read.do_normalize else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return Recipe(
        sides,
        mean,
        std,
        read.rescale_factor,
        divisor,
        _pad(read, sides, kind),
        kind in PADS_BEFORE_SCALING,
        read.resample == BICUBIC,
    )


def _pad(read: _File, sides: _Sides, kind: str) -> Size | None:
    given = read.pad_size
    if given is not None and given.height is not None and given.width is not None:
        return (given.height, given.width) if read.do_pad is not False else None
    if read.do_pad and kind in PADS_BEFORE_SCALING and sides.shortest_edge is not None:
        return sides.shortest_edge, sides.longest_edge or sides.shortest_edge
    return None


def seen_size(recipe: Recipe, photograph: Size) -> Size:
    """Return height and width of a photograph of size ``photograph`` after resizing, without padding."""
    height, width = photograph
    sides = recipe.sides
    if sides.height is not None and sides.width is not None:
        size = sides.height, sides.width
    elif sides.shortest_edge is not None:
        size = _by_shortest(height, width, sides.shortest_edge, sides.longest_edge)
    else:
        assert sides.longest_edge is not None
        factor = sides.longest_edge / max(height, width)
        size = int(height * factor + 0.5), int(width * factor + 0.5)
    h, w = (max(1, math.ceil(side / recipe.divisor)) * recipe.divisor for side in size)
    return h, w


def _by_shortest(height: int, width: int, shortest: int, longest: int | None) -> Size:
    """Round like the processors of DETR and its successors: the short side exactly, the long side down."""
    short, long = min(height, width), max(height, width)
    exact = float(shortest)
    if longest is not None and long / short * shortest > longest:
        exact = longest * short / long
    target = round(exact)
    other = int(exact * long / short)
    return (target, other) if height <= width else (other, target)


def prepare(recipe: Recipe, photographs: Sequence[NDArray[np.uint8]], device: str) -> Prepared:
    """Preprocess photographs for a model.

    Args:
        recipe: of the model.
        photographs: (H, W, 3) uint8, sRGB, all of one size.
        device: a torch device.
    """
    height, width = photographs[0].shape[:2]
    size = seen_size(recipe, (height, width))
    bytes_ = torch.from_numpy(np.stack(photographs)).to(device).permute(0, 3, 1, 2).float()
    if bytes_.shape[-2:] != size:
        mode = "bicubic" if recipe.bicubic else "bilinear"
        bytes_ = F.interpolate(bytes_, size, mode=mode, align_corners=False, antialias=True).round_().clamp_(0, 255)
    if recipe.pads_black:
        bytes_ = _padded(bytes_, recipe.pad)
    mean, std = (torch.tensor(each, device=device)[:, None, None] for each in (recipe.mean, recipe.std))
    pixels = (bytes_ * recipe.factor - mean) / std
    return Prepared(pixels if recipe.pads_black else _padded(pixels, recipe.pad), size)


def _padded(pixels: torch.Tensor, pad: Size | None) -> torch.Tensor:
    if pad is None:
        return pixels
    below, right = (max(0, wanted - there) for wanted, there in zip(pad, pixels.shape[-2:], strict=True))
    return F.pad(pixels, (0, right, 0, below))


def to_photograph(logits: torch.Tensor, prepared: Prepared, size: Size) -> torch.Tensor:
    """Return (N, h, w) logits of the model's input with padding as (N, *size) logits of the photograph."""
    whole = prepared.pixels.shape[-2:]
    if prepared.seen != tuple(whole):
        logits = F.interpolate(logits[None], whole, mode="bilinear", align_corners=False)[0]
        logits = logits[:, : prepared.seen[0], : prepared.seen[1]]
    return F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]

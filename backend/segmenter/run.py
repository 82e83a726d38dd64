"""Makes a folder of masks from photographs of a scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.progress import Progress, silent
from backend.scene.images import orientation, read_stored
from backend.scene.types import View
from backend.segmenter.choose import choose_views, enough
from backend.segmenter.devices import PHOTOGRAPHS_AT_ONCE
from backend.segmenter.folder import Maker, MaskFolder, digest_of, open_folder
from backend.segmenter.load import Segmenter, load_segmenter
from backend.segmenter.mask_records import as_record
from backend.segmenter.prepare import Size
from backend.segmenter.weights import Weights
from protocol.errors import BadScene
from protocol.lists import first_of

LONG_SIDE = 1024
"""Most pixels along the longer side of a mask, which is the input size of SAM."""
PER_SIDE = 32
"""Points along a side of the grid for models of mask generation."""


@dataclass(frozen=True)
class MadeMasks:
    """The result of making masks.

    Attributes:
        photographs: number of photographs with masks.
        kept: number of these that had masks before.
        masks: number of masks found in the others.
        warnings: sentences for the user.
    """

    photographs: int
    kept: int
    masks: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Shot:
    """A photograph that needs masks.

    Attributes:
        view: of the scene.
        digest: hash of its file.
        turn: its EXIF orientation; the model gets the upright image.
        pixels: (H, W, 3) uint8, upright.
        size: height and width of its upright masks.
    """

    view: View
    digest: str
    turn: int
    pixels: NDArray[np.uint8] = field(repr=False)
    size: Size


def make_masks(
    views: Sequence[View],
    out: Path,
    weights: Weights,
    *,
    count: int | None = None,
    device: str = "cpu",
    per_side: int = PER_SIDE,
    progress: Progress = silent,
) -> MadeMasks:
    """Make masks of photographs that cover a scene with a model, one file ``<view>.json`` each.

    Files of an earlier run with the same model, settings and photographs are kept. A mask belongs to the stored
    photograph with lens distortion, with at most :data:`LONG_SIDE` pixels per side.

    Args:
        views: of the scene.
        out: the folder of masks.
        weights: of the model.
        count: number of photographs; None for as many as lifting needs.
        device: "cpu" or "cuda".
        per_side: points along a side, for models of mask generation.
        progress: told the stage "masks".

    Raises:
        BadArgument: if the model makes no masks or its files are damaged, or ``out`` contains anything else.
        BadScene: if no photograph can be read.
        Unavailable: if memory, a package or disk space is missing; finished masks are kept.
        Cancelled: if ``progress`` raises it; finished masks are kept.
    """
    folder = open_folder(out, maker_of(weights, per_side), weights.licence)
    chosen = choose_views(views, enough(len(views)) if count is None else count)
    unreadable: list[BadScene] = []
    kept: list[str] = []
    segmenter: Segmenter | None = None
    warnings: tuple[str, ...] = ()
    done = masks = 0
    empty: list[str] = []
    progress("masks", 0.0, f"{len(chosen)} photographs")
    for batch in _batches(_shots(chosen, folder, kept, unreadable), PHOTOGRAPHS_AT_ONCE[device]):
        if segmenter is None:
            progress("masks", 0.0, f"loading {weights.name}")
            segmenter, warnings = load_segmenter(weights, device, per_side)
        before = done + len(kept) + len(unreadable)

        def tell(share: float, before: int = before, batch: list[_Shot] = batch) -> None:
            fraction = min(1.0, (before + share * len(batch)) / len(chosen))
            progress("masks", fraction, f"photograph {min(before + 1, len(chosen))} of {len(chosen)}")

        found = segmenter([shot.pixels for shot in batch], batch[0].size, tell)
        for shot, of_shot in zip(batch, found, strict=True):
            folder.write(shot.view.name, shot.digest, [as_record(mask, shot.turn) for mask in of_shot])
            masks += len(of_shot)
            empty += [] if of_shot else [shot.view.name]
        done += len(batch)
    if not done and not kept:
        raise unreadable[0]
    progress("masks", 1.0, f"{done + len(kept)} photographs")
    said = (*warnings, *_unreadable(unreadable, len(chosen)), *_empty(empty, done, weights.name))
    return MadeMasks(done + len(kept), len(kept), masks, said)


def maker_of(weights: Weights, per_side: int = PER_SIDE) -> Maker:
    """Return the origin of masks made with these weights and this grid of points."""
    return Maker(weights.name, weights.bytes, per_side)


def _shots(views: Sequence[View], folder: MaskFolder, kept: list[str], unreadable: list[BadScene]) -> Iterator[_Shot]:
    """Yield the photographs that need masks; the others are added to ``kept`` and ``unreadable``."""
    for view in views:
        width, height = view.camera.size_within(LONG_SIDE)
        try:
            digest = digest_of(view.image_path)
            if folder.is_done(view.name, digest, (height, width)):
                kept.append(view.name)
                continue
            turn, pixels = orientation(view.image_path), read_stored(view)
        except OSError as error:
            unreadable.append(BadScene(f"The photograph {view.image_path} cannot be read: {error.strerror}."))
            continue
        except BadScene as error:
            unreadable.append(error)
            continue
        size = (width, height) if turn > 4 else (height, width)
        yield _Shot(view, digest, turn, upright(pixels, turn), size)


def _batches(shots: Iterator[_Shot], most: int) -> Iterator[list[_Shot]]:
    """Yield batches of photographs of one size, with at most ``most`` each."""
    batch: list[_Shot] = []
    for shot in shots:
        if batch and (len(batch) == most or shot.pixels.shape != batch[0].pixels.shape):
            yield batch
            batch = []
        batch.append(shot)
    if batch:
        yield batch


def upright(pixels: NDArray[np.uint8], turn: int) -> NDArray[np.uint8]:
    """Apply the EXIF orientation to a photograph; inverse of :func:`backend.scene.mask_fit.turned_back`."""
    if turn in (2, 3, 4):
        return np.ascontiguousarray(pixels[:: -1 if turn != 2 else 1, :: -1 if turn != 4 else 1])
    if turn in (5, 7):
        return np.ascontiguousarray((pixels if turn == 5 else pixels[::-1, ::-1]).swapaxes(0, 1))
    if turn in (6, 8):
        return np.ascontiguousarray(np.rot90(pixels, -1 if turn == 6 else 1))
    return pixels


def _unreadable(errors: Sequence[BadScene], total: int) -> tuple[str, ...]:
    if not errors:
        return ()
    return (
        f"{len(errors)} of {total} photographs got no masks because they cannot be read. First: {errors[0].sentence}",
    )


def _empty(views: Sequence[str], total: int, model: str) -> tuple[str, ...]:
    if not views:
        return ()
    return (f"{model} found no masks in {len(views)} of {total} photographs: {first_of(views)}.",)

"""`Capture`: what a reader makes of a folder, before views are named and masks are found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.scene.lens import Lens
from backend.scene.types import Camera
from protocol.capture_names import MASK_FOLDERS


@dataclass(frozen=True)
class Shot:
    """One photograph that is there.

    Attributes:
        path: below the scene folder, with forward slashes and its ending; names the view and finds its mask.
        file: where it lies.
        camera: undistorted pinhole camera at the photograph's own size.
        lens: how to undistort, or None.
        mask: the mask file that the capture names for this photograph, or None.
        held_out: the capture names it as one for testing only.
    """

    path: str
    file: Path
    camera: Camera
    lens: Lens | None = None
    mask: Path | None = None
    held_out: bool = False


@dataclass(frozen=True)
class Capture:
    """What one reader returns.

    Attributes:
        shots: the photographs that are there; at least one.
        listing: the file that lists them.
        points: (P, 3) float32, sparse points in the world.
        colours: (P, 3) uint8.
        mask_folders: what the folder of the masks is called in this layout, best first.
        others: photographs beside those that are not listed.
        absent: names of photographs that are no shots for a reason that ``warnings`` give; their masks are no strays.
        transparency: whether transparent pixels are part of the layout: they lie over black.
        warnings: sentences for the user.
        matched: whether poses and points come from matches that the capture records.
    """

    shots: list[Shot]
    listing: Path
    points: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    colours: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 3), np.uint8))
    mask_folders: tuple[str, ...] = MASK_FOLDERS
    others: tuple[Path, ...] = ()
    absent: tuple[str, ...] = ()
    transparency: bool = False
    warnings: tuple[str, ...] = ()
    matched: bool = False

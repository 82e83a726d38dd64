"""`Capture`: the result of a reader, before views are named and masks are found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.scene.lens import Lens
from backend.scene.types import Camera
from protocol.folder_names import MASK_FOLDERS


@dataclass(frozen=True)
class Shot:
    """One existing photograph.

    Attributes:
        path: below the scene folder, with forward slashes and ending; determines the name of the view and its mask.
        file: its location.
        camera: undistorted pinhole camera at the photograph's own size.
        lens: the distortion, or None.
        mask: the mask file that the capture lists for this photograph, or None.
        held_out: whether the capture defines it as a test photograph.
    """

    path: str
    file: Path
    camera: Camera
    lens: Lens | None = None
    mask: Path | None = None
    held_out: bool = False


@dataclass(frozen=True)
class Capture:
    """The result of a reader.

    Attributes:
        shots: the existing photographs; at least one.
        listing: the file that lists them.
        points: (P, 3) float32, sparse points in the world.
        colours: (P, 3) uint8.
        mask_folders: names of mask folders in this layout, best first.
        others: photographs in the same folder that are not listed.
        absent: names of photographs that are not shots for a reason given in ``warnings``; their masks are not strays.
        cut_out: whether transparent pixels are empty space by the definition of the layout.
        warnings: sentences for the user.
        matched: whether poses and points come from feature matches that the capture records.
    """

    shots: list[Shot]
    listing: Path
    points: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    colours: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 3), np.uint8))
    mask_folders: tuple[str, ...] = MASK_FOLDERS
    others: tuple[Path, ...] = ()
    absent: tuple[str, ...] = ()
    cut_out: bool = False
    warnings: tuple[str, ...] = ()
    matched: bool = False

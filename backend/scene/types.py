"""`Scene`: the content of a capture on disk. Pixels are read on request and not cached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backend.scene.lens import Lens

VOID = -1
"""The id of unlabelled mask pixels, which are neither an object nor background."""

Transparent = Literal["empty", "hidden"]
"""What transparent pixels of a photograph mean: empty space around an object that was cut out, or a part of the scene
that is not shown, such as a tripod or a passer-by."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    Attributes:
        viewmat: (4, 4) float64, world to camera; camera axes x right, y down, z forward (COLMAP, OpenCV, gsplat).
        K: (3, 3) float64, intrinsics in pixels; pixel (column x, row y) has its centre at (x + 0.5, y + 0.5).
        width, height: pixels.
    """

    viewmat: NDArray[np.float64]
    K: NDArray[np.float64]
    width: int
    height: int

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) float64, the position of the camera in the world."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

    def from_world(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points (..., 3) of the world in the camera's frame; the last coordinate is the depth."""
        return points @ self.viewmat[:3, :3].T + self.viewmat[:3, 3]

    def moved(self, by: NDArray[np.float64]) -> Camera:
        """Return the same camera with its centre moved by (3,) in the world."""
        viewmat = self.viewmat.copy()
        viewmat[:3, 3] = -viewmat[:3, :3] @ (self.centre + by)
        return replace(self, viewmat=viewmat)

    def size_within(self, long_side: int) -> tuple[int, int]:
        """Return (width, height) of the camera's image, reduced so that no side is longer than ``long_side``."""
        factor = min(1.0, long_side / max(self.width, self.height))
        return max(1, round(self.width * factor)), max(1, round(self.height * factor))

    def resized(self, width: int, height: int) -> Camera:
        """Return the same camera for an image of another size."""
        K = self.K.copy()
        K[0] *= width / self.width
        K[1] *= height / self.height
        return replace(self, K=K, width=width, height=height)


@dataclass(frozen=True)
class MaskIds:
    """The mask ids that are not objects.

    Attributes:
        background: read as 0.
        void: read as :data:`VOID`.
    """

    background: tuple[int, ...] = ()
    void: tuple[int, ...] = ()


@dataclass(frozen=True)
class View:
    """One photograph with its camera and its mask.

    Attributes:
        name: unique in the scene, without folders and endings; result files are named after it.
        camera: the undistorted pinhole camera, at the photograph's own size.
        image_path: the photograph.
        mask_path: the instance mask, or None if the view has none.
        lens: the lens distortion, or None.
        held_out: whether the capture defines this view as a test view (``split_views`` with "own").
        mask_parts: if the view has one mask per instance: all of them, ``mask_path`` first.
        mask_entry: if ``mask_path`` has annotations of many photographs: the id of this one there.
        mask_turn: the EXIF orientation of the photograph if the mask was made from the rotated image, else 1.
        mask_ids: which ids of the mask are not objects.
        transparent: what transparent pixels of the photograph mean; None if it has none.
    """

    name: str
    camera: Camera
    image_path: Path
    mask_path: Path | None = None
    lens: Lens | None = None
    held_out: bool = False
    mask_parts: tuple[Path, ...] = ()
    mask_entry: int | str | None = None
    mask_turn: int = 1
    mask_ids: MaskIds = MaskIds()
    transparent: Transparent | None = None


@dataclass(frozen=True)
class Scene:
    """A capture.

    Attributes:
        root: the folder.
        layout: the detected layout: "colmap", "transforms", "nerf-synthetic", "messy-rooms" or "panoptic-lifting".
        views: sorted by name, numbers by value ("r_2" before "r_10"); at least one.
        points: (P, 3) float32, sparse points in the world; P is 0 if the capture has none.
        colours: (P, 3) uint8, their colours.
        warnings: sentences for the user, such as how many listed images were missing.
        matched: whether poses and points come from feature matches between the photographs (structure from motion),
            according to the capture; then they need no check.
        inexact: whether features of the photographs show that the poses are not exact.
        masks_from: the folder that contains the masks, or the file that lists them; None if there are none.
        without_masks: if there are none, what was expected and found, as the end of a sentence.
    """

    root: Path
    layout: str
    views: tuple[View, ...]
    points: NDArray[np.float32]
    colours: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()
    matched: bool = False
    inexact: bool = False
    masks_from: Path | None = None
    without_masks: str = ""

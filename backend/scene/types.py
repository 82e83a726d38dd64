"""`Scene`: what a capture on disk holds. Lazy: pixels are read when asked for, and not kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.scene.lens import Lens

VOID = -1
"""The id of mask pixels about which nothing is known, neither an object nor background."""


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
        """(3,) float64, where the camera stands in the world."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

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
    """What ids of masks mean that are no objects.

    Attributes:
        background: read as 0.
        void: read as :data:`VOID`.
    """

    background: tuple[int, ...] = ()
    void: tuple[int, ...] = ()


@dataclass(frozen=True)
class View:
    """One photograph: its camera, where its pixels lie, and where its mask lies.

    Attributes:
        name: unique in the scene, free of folders and endings; result files are named after it.
        camera: the undistorted pinhole camera, at the photograph's own size.
        image_path: the photograph.
        mask_path: the instance mask, or None where this view has none.
        lens: how to undistort, or None where the photograph needs none.
        held_out: the capture itself names this view as one for testing only (``split_views`` with "own").
        mask_parts: where the view has several masks, each of one instance: all of them, ``mask_path`` first.
        mask_turn: the EXIF orientation of the photograph where the mask was made of the turned picture, else 1.
        mask_ids: which ids of the mask are no objects.
    """

    name: str
    camera: Camera
    image_path: Path
    mask_path: Path | None = None
    lens: Lens | None = None
    held_out: bool = False
    mask_parts: tuple[Path, ...] = ()
    mask_turn: int = 1
    mask_ids: MaskIds = MaskIds()


@dataclass(frozen=True)
class Scene:
    """A capture.

    Attributes:
        root: the folder.
        layout: which reader recognised it: "colmap", "transforms", "nerf-synthetic", "messy-rooms" or
            "panoptic-lifting".
        views: sorted by name, numbers by value ("r_2" before "r_10"); at least one.
        points: (P, 3) float32, sparse points in the world; P is 0 where the capture has none.
        colours: (P, 3) uint8, their colours.
        warnings: sentences for the user, such as how many listed images were missing.
        matched: whether poses and points come from matches between the photographs (structure from motion), as the
            capture itself records them: then they agree with the photographs as well as they can.
        masks_from: the folder that holds the masks, or the file that lists them; None if there are none.
        without_masks: if there are none, what was searched for and what was found, to end a sentence.
    """

    root: Path
    layout: str
    views: tuple[View, ...]
    points: NDArray[np.float32]
    colours: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()
    matched: bool = False
    masks_from: Path | None = None
    without_masks: str = ""

"""Previews of running jobs as icons for Blender's panels. Held in memory only; no file is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pictures:
    """The latest preview of each running job."""

    def __init__(self) -> None:
        self._previews: Any = None
        self._shown: dict[str, int] = {}

    def show(self, jobs: Mapping[str, tuple[int, NDArray[np.uint8] | None]]) -> None:
        """Remove the previews of other jobs, and load new ones.

        Args:
            jobs: by id, the number of previews so far, and the latest, (H, W, 3) uint8 with the first row at the top.
        """
        for job in [job for job in self._shown if job not in jobs]:
            del self._previews[job]
            del self._shown[job]
        for job, (count, picture) in jobs.items():
            if picture is not None and self._shown.get(job) != count:
                self._draw(job, picture)
                self._shown[job] = count

    def icon(self, job: str) -> int:
        """Return the icon id of a job's preview, 0 if it has none; for ``draw``."""
        return self._previews[job].icon_id if job in self._shown else 0

    def clear(self) -> None:
        """Remove all previews."""
        if self._previews is not None:
            import bpy.utils.previews

            bpy.utils.previews.remove(self._previews)
        self._previews = None
        self._shown.clear()

    def _draw(self, job: str, picture: NDArray[np.uint8]) -> None:
        import bpy.utils.previews

        if self._previews is None:
            self._previews = bpy.utils.previews.new()
        preview = self._previews[job] if job in self._previews else self._previews.new(job)
        height, width = picture.shape[:2]
        # Blender stores rows bottom-up and draws squares, so the rest of the square is transparent.
        side = max(height, width)
        pixels = np.zeros((side, side, 4), np.float32)
        top, left = (side - height) // 2, (side - width) // 2
        inner = pixels[top : top + height, left : left + width]
        inner[..., :3] = picture[::-1].astype(np.float32) / 255
        inner[..., 3] = 1
        preview.image_size = (side, side)
        preview.image_pixels_float.foreach_set(pixels.ravel())

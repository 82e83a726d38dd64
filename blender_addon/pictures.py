"""Pictures of running jobs as Blender's panels draw them. Held in memory only; no file is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pictures:
    """The newest picture of each job that runs."""

    def __init__(self) -> None:
        self._previews: Any = None
        self._shown: dict[str, int] = {}

    def show(self, jobs: Mapping[str, tuple[int, NDArray[np.uint8] | None]]) -> None:
        """Keep the pictures of these jobs alone, and take in those that are new.

        Args:
            jobs: by id, how many pictures there were, and the newest, (H, W, 3) uint8 with the first row at the top.
        """
        for job in [job for job in self._shown if job not in jobs]:
            del self._previews[job]
            del self._shown[job]
        for job, (count, picture) in jobs.items():
            if picture is not None and self._shown.get(job) != count:
                self._draw(job, picture)
                self._shown[job] = count

    def icon(self, job: str) -> int:
        """Return the icon of a job's picture, 0 where it has none; for ``draw``."""
        return self._previews[job].icon_id if job in self._shown else 0

    def clear(self) -> None:
        """Let go of all of them."""
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
        # Blender counts rows from below, and wants squares: what is beside the picture stays clear.
        side = max(height, width)
        pixels = np.zeros((side, side, 4), np.float32)
        top, left = (side - height) // 2, (side - width) // 2
        inner = pixels[top : top + height, left : left + width]
        inner[..., :3] = picture[::-1].astype(np.float32) / 255
        inner[..., 3] = 1
        preview.image_size = (side, side)
        preview.image_pixels_float.foreach_set(pixels.ravel())

"""A result with enough views that words can be decided: two balls, the large one on the left of every view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from backend.objects import result
from backend.objects.table import object_table
from protocol.result.folder import whole_folder
from tests.backend.select.test_selection import CAMERA, made

VIEWS = 8


def write_seen(folder: Path) -> Path:
    """Write the result of :func:`tests.backend.select.test_selection.write` with more cameras."""
    splats, lift = made(False)
    cameras = {}
    for number in range(VIEWS):
        viewmat = CAMERA.viewmat.copy()
        viewmat[:3, 3] += np.array([0.05, 0.02, 0.1]) * number
        cameras[f"view{number}"] = replace(CAMERA, viewmat=viewmat)
    with whole_folder(folder) as part:
        result.write_gaussians(part, splats, lift)
        result.write_objects(part, "balls", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
        result.write_cameras(part, cameras)
    return folder

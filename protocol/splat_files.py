"""Names of files of Gaussians: unpacked SOG archives, and several states of one training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_DIGITS = re.compile(r"[0-9]{1,18}")

SOG_PARTS = ("means_l.webp", "means_u.webp")
"""Images of the positions in an unpacked SOG file."""
_SOG_FILES = (*SOG_PARTS, "scales.webp", "quats.webp", "sh0.webp", "shN_centroids.webp", "shN_labels.webp")


def without_sog(paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the paths without the images of unpacked SOG files."""
    folders = {path.parent for path in paths if path.name in SOG_PARTS}
    return [path for path in paths if path.parent not in folders or path.name not in _SOG_FILES]


def is_sog_part(name: str) -> bool:
    """Whether a file is an image of Gaussians, as in an unpacked SOG file; these are no photographs."""
    return name in SOG_PARTS


def latest(paths: Sequence[PurePosixPath]) -> PurePosixPath | None:
    """Return the last of several states of one training, or None if the paths do not differ in one number only.

    3D Gaussian splatting writes point_cloud/iteration_7000/point_cloud.ply and so on.
    """
    forms = {_DIGITS.sub("#", str(path)) for path in paths}
    numbers = [[int(number) for number in _DIGITS.findall(str(path))] for path in paths]
    varying = [values for values in zip(*numbers, strict=False) if len(set(values)) > 1]
    if len(forms) != 1 or len(varying) != 1 or len(set(varying[0])) < len(paths):
        return None
    return paths[varying[0].index(max(varying[0]))]

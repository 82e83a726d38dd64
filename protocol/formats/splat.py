"""`.splat`, the format of antimatter15's viewer: 32 bytes per Gaussian, no header.

Three float32 for the centre, three for the standard deviations, four bytes of colour and opacity in 255ths, four bytes
for the quaternion wxyz as 128 q + 128 (antimatter15/splat, `convert.py`). Axes are those of the PLY that it was made
from.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from protocol.errors import BadSplats
from protocol.formats.codes import LINEAR, as_bytes, bounded, logits, unit
from protocol.sh import SH0
from protocol.splats import Splats

ROW = np.dtype([("mean", "<f4", 3), ("size", "<f4", 3), ("colour", "u1", 4), ("quat", "u1", 4)])


def read(file: BinaryIO, path: Path) -> Splats:
    """Return the Gaussians of an open file. They have degree 0, as the format stores no view-dependent colour.

    Raises:
        BadSplats: if the file is empty or its length is no multiple of 32 bytes.
    """
    data = file.read()
    if not data or len(data) % ROW.itemsize:
        raise BadSplats(
            f"{path} is not a complete .splat file: its size, {len(data)} bytes, is not a multiple of {ROW.itemsize}.",
            "Copy or export it again.",
        )
    rows = np.frombuffer(data, ROW)
    with np.errstate(divide="ignore", invalid="ignore"):  # log of 0 is minus infinity, log of a negative size is NaN
        scales = np.log(rows["size"])
    return Splats(
        means=rows["mean"].astype(np.float32),
        quats=(rows["quat"].astype(np.float32) - 128) / 128,
        scales=scales.astype(np.float32),
        opacities=logits(rows["colour"][:, 3]),
        sh=((rows["colour"][:, None, :3] / np.float32(255) - np.float32(0.5)) / np.float32(SH0)),
    )


def write(splats: Splats, path: Path) -> list[str]:
    """Write the Gaussians without their view-dependent colour, and return sentences about clamped values."""
    said: list[str] = []
    colours = bounded(splats.sh[:, 0] * np.float32(SH0) + np.float32(0.5), 0, 1, "colours", said)
    rows = np.zeros(len(splats), ROW)
    rows["mean"] = splats.means
    rows["size"] = np.exp(bounded(splats.scales, *LINEAR, "log-scales", said))
    rows["colour"][:, :3] = as_bytes(colours)
    rows["colour"][:, 3] = as_bytes(splats.alphas)
    rows["quat"] = np.clip(np.rint(unit(splats.quats) * 128 + 128), 0, 255)
    path.write_bytes(rows.tobytes())
    return said

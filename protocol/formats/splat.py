"""`.splat`, the format of antimatter15's viewer: 32 bytes a Gaussian, no header.

Three float32 of the centre, three of the standard deviations, four bytes of colour and opacity in 255ths, four bytes of
the quaternion wxyz as 128 q + 128 (antimatter15/splat, `convert.py`). Axes are those of the PLY it was made from.
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
    """Return the Gaussians of an open file; of degree 0, which is all that the format holds.

    Raises:
        BadSplats: if the file is empty or ends within a Gaussian.
    """
    data = file.read()
    if not data or len(data) % ROW.itemsize:
        raise BadSplats(
            f"{path} is not a complete .splat file: its size, {len(data)} bytes, is not a multiple of {ROW.itemsize}.",
            "Copy or export it again.",
        )
    rows = np.frombuffer(data, ROW)
    with np.errstate(divide="ignore", invalid="ignore"):  # no size becomes minus infinity, a negative one is no number
        scales = np.log(rows["size"])
    return Splats(
        means=rows["mean"].astype(np.float32),
        quats=(rows["quat"].astype(np.float32) - 128) / 128,
        scales=scales.astype(np.float32),
        opacities=logits(rows["colour"][:, 3]),
        sh=((rows["colour"][:, None, :3] / np.float32(255) - np.float32(0.5)) / np.float32(SH0)),
    )


def write(splats: Splats, path: Path) -> list[str]:
    """Write the Gaussians but for their view-dependent colour, and return what of their values was bounded."""
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

"""`read_splats`: any splat file that people have, by what it holds, to `Splats` in the axes of a 3DGS PLY.

The compressed formats are decoded here, in numpy. The libraries that were tried are not used: gaussforge 0.6.0 fails on
every file without view-dependent colour (`std::bad_cast`); gsply 0.4.6 decodes SPZ and compressed PLY rightly, but
leaves SPZ in its own axes, knows no `.splat`, and unpacks as much as a damaged file makes it (1 GiB from 33 KB).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from backend.splat_files import compressed_ply, splat, spz
from protocol.errors import BadSplats
from protocol.ply import read_ply
from protocol.splats import Splats

ENDINGS = (".ply", ".spz", ".splat")
"""Of the files that can be read; only `.splat`, which has no mark of its own, is known by it."""


def read_splats(path: Path | str) -> Splats:
    """Return the Gaussians of a file, in the axes and conventions of the 3DGS reference implementation's PLY.

    Known are 3DGS PLY with all its variants (:func:`protocol.ply.read_ply`), the compressed PLY of PlayCanvas, SPZ of
    version 2 to 4, and `.splat`. Warns of Gaussians that were dropped because they are not finite, and of bytes that
    follow the last one. Memory is bounded by a small multiple of the Gaussians that the file really holds.

    Raises:
        BadSplats: if the file cannot be read, is damaged, or is none of these.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise BadSplats(f"There is no file {path}.", "Name a file of 3D Gaussians.")
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start[:3] == b"ply":
                if not compressed_ply.is_compressed(file, path):
                    return read_ply(path)
                splats = compressed_ply.read(file, path)
            elif start[:2] == spz.GZIP or start == spz.MAGIC:
                splats = spz.read(file, path)
            elif path.suffix.lower() == ".splat":
                splats = splat.read(file, path)
            else:
                raise BadSplats(
                    f"{path} is no splat file that is known here.", f"Convert it to one of {', '.join(ENDINGS)}."
                )
    except OSError as error:
        raise BadSplats(f"The file {path} cannot be read: {error.strerror or error}.") from error
    return _finite(splats, path)


def _finite(splats: Splats, path: Path) -> Splats:
    columns = (splats.means, splats.quats, splats.scales, splats.opacities[:, None], splats.sh.reshape(len(splats), -1))
    good = np.logical_and.reduce([np.isfinite(column).all(1) for column in columns])
    if good.all():
        return splats
    lost = int((~good).sum())
    if lost == len(splats):
        raise BadSplats(f"None of the {lost} Gaussians of {path} is finite.", "Copy or export it again.")
    warnings.warn(f"{path} has {lost} Gaussians that are not finite; they were dropped.", stacklevel=3)
    return splats.pick(good)

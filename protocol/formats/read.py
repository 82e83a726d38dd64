"""`read_splats` reads a splat file of any supported format, recognised by content, into the axes of a 3DGS PLY.

The compressed formats are decoded in this package, in numpy. Existing libraries were tried and are not used: gaussforge
0.6.0 fails on every file without view-dependent colour (`std::bad_cast`); gsply 0.4.6 decodes SPZ and compressed PLY
correctly, but does not convert the axes of SPZ, does not read `.splat`, and allocates whatever a damaged file asks for
(1 GiB from 33 KB).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

from protocol.endings import SPLAT_ENDINGS
from protocol.errors import BadSplats
from protocol.formats import compressed_ply, glb, sog, splat, spz
from protocol.ply import read_ply
from protocol.splats import Splats
from protocol.usable import Tally, repair_block, usable_splats

ENDINGS = SPLAT_ENDINGS
"""Endings of files that can be read. Only `.splat`, which has no signature, is recognised by its ending."""


def read_splats(path: Path | str) -> Splats:
    """Return the Gaussians of a file, in the axes and conventions of the 3DGS reference implementation's PLY.

    Supported are 3DGS PLY and its variants (:func:`protocol.ply.read_ply`), the compressed PLY of PlayCanvas, SPZ of
    version 2 to 4, SOG of version 2, also the folder or the ``meta.json`` of one that was extracted, GLB with
    KHR_gaussian_splatting, and `.splat`. Warns about Gaussians that were dropped or clamped (:mod:`protocol.usable`),
    about data that was ignored, and about bytes after the last Gaussian. Memory is bounded by a small multiple of the
    Gaussians that the file really holds.

    Raises:
        BadSplats: if the file cannot be read, is damaged, has another format, or holds no usable Gaussian.
        Unavailable: if the format needs a package that is not installed.
    """
    path = Path(path)
    try:
        folder = path.parent if path.name == sog.META else path
        if folder.is_dir():
            splats = _read_folder(folder)
        else:
            if not path.is_file():
                raise BadSplats(f"The file {path} does not exist.", "Give a file of 3D Gaussians.")
            with path.open("rb") as file:
                start = file.read(4)
                file.seek(0)
                if start[:3] == b"ply" and not compressed_ply.is_compressed(file, path):
                    return read_ply(path)
                splats = _read_file(file, start, path)
    except OSError as error:
        raise BadSplats(f"The file {path} cannot be read: {error.strerror or error}.") from error
    tally = Tally()
    usable = repair_block(splats, slice(None), tally)
    return usable_splats(splats, usable, tally, path)


def _read_folder(folder: Path) -> Splats:
    if not (folder / sog.META).is_file():
        raise BadSplats(
            f"{folder} is a folder without {sog.META}, not a splat file.",
            f"Give a file that ends in {', '.join(ENDINGS)}, or the folder of an extracted .sog file.",
        )
    return sog.read_folder(folder)


def _read_file(file: BinaryIO, start: bytes, path: Path) -> Splats:
    """Read an open file, other than a plain PLY, that begins with ``start``."""
    if start[:3] == b"ply":
        return compressed_ply.read(file, path)
    if start[:2] == spz.GZIP or start == spz.MAGIC:
        return spz.read(file, path)
    if start == sog.ZIP:
        return sog.read(file, path)
    if start == glb.MAGIC:
        return glb.read(file, path)
    if path.suffix.lower() == ".splat":
        return splat.read(file, path)
    raise BadSplats(f"{path} is not a supported splat file.", f"Convert it to one of {', '.join(ENDINGS)}.")


def read_splats_and_warnings(path: Path | str) -> tuple[Splats, list[str]]:
    """Return the Gaussians as :func:`read_splats` does, and its warnings as sentences."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        splats = read_splats(path)
    return splats, [str(each.message) for each in caught if issubclass(each.category, UserWarning)]

"""``evidence.npz`` of a result: what the masks say about small regions of Gaussians. Labels are solved again from it.

The archive holds plain arrays only. Every length is checked against the others before an array is read.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from protocol.broken_arrays import BROKEN_ARRAY
from protocol.errors import BadResult
from protocol.result.names import EVIDENCE, MAX_EVIDENCE, MAX_LABEL, MAX_VIEWS, SPLATS

REMEDY = "Segment the scene again."
UNREADABLE = (*BROKEN_ARRAY, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


class RegionEvidence(NamedTuple):
    """The evidence on R regions of N Gaussians in V views.

    Attributes:
        region: (N,) int32, the region of each Gaussian, 0 to R - 1; -1 for Gaussians that are not finite.
        label: (R,) int32, the label of each region before all corrections; 0 is background.
        first, second: (E,) int32, pairs of regions that a mask contains together, ``first`` < ``second``.
        attraction: (E,) float32, the number of views in which masks put both in one mask; see
            :mod:`backend.lift.consensus.merging`.
        visible: (R, V) bool, which views show enough of the region.
        presence: (L + 1,) float32, for each label the share of the views showing it in which it has a separate mask.
        tau: () float64, regions join above this share of the views that show both.
    """

    region: NDArray[np.int32]
    label: NDArray[np.int32]
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    attraction: NDArray[np.float32]
    visible: NDArray[np.bool_]
    presence: NDArray[np.float32]
    tau: NDArray[np.float64]


DTYPES = {
    "region": (np.int32, 1),
    "label": (np.int32, 1),
    "first": (np.int32, 1),
    "second": (np.int32, 1),
    "attraction": (np.float32, 1),
    "visible": (np.bool_, 2),
    "presence": (np.float32, 1),
    "tau": (np.float64, 0),
}


def write_evidence(folder: Path, found: RegionEvidence) -> None:
    """Write the evidence of a result.

    Raises:
        BadResult: if it is too large.
    """
    if sum(array.nbytes for array in found) > MAX_EVIDENCE:
        raise BadResult(f"The evidence is larger than {MAX_EVIDENCE} bytes.", "Set a larger region size.")
    np.savez_compressed(folder / EVIDENCE, allow_pickle=False, **found._asdict())


def read_evidence(folder: Path, gaussians: int, remedy: str = REMEDY) -> RegionEvidence | None:
    """Return the evidence of a result of N ``gaussians``, or None if it has none.

    Raises:
        BadResult: if the file is broken, too large or inconsistent, or belongs to another number of Gaussians.
    """
    path = folder / EVIDENCE
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(archive.getinfo(f"{name}.npy").file_size for name in DTYPES) > MAX_EVIDENCE:
                raise BadResult(f"{path} contains more than {MAX_EVIDENCE} bytes.", remedy)
            found = RegionEvidence(*(_read(archive, name, *kind) for name, kind in DTYPES.items()))
    except UNREADABLE as error:
        raise BadResult(f"{path} cannot be read: {error}.", remedy) from error
    if len(found.region) != gaussians:
        raise BadResult(f"{path} has regions of {len(found.region)} Gaussians, but {SPLATS} has {gaussians}.", remedy)
    if not _consistent(found):
        raise BadResult(f"The arrays of {path} contradict each other.", remedy)
    return found


def _read(archive: zipfile.ZipFile, name: str, dtype: type, dimensions: int) -> NDArray:
    """Return one array; its size follows from the archive, not from its own header."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as file:
        if npy.read_magic(file) != (1, 0):
            raise ValueError(f"{name} has an unknown version")
        shape, fortran, found = npy.read_array_header_1_0(file)
        if found != np.dtype(dtype) or len(shape) != dimensions or (fortran and dimensions > 1):
            raise ValueError(f"{name} is not an array of {np.dtype(dtype).name} with {dimensions} axes")
        data = file.read(entry.file_size)
    if len(data) != math.prod(shape) * found.itemsize:
        raise ValueError(f"{name} does not have the size that its header says")
    return np.frombuffer(data, found).reshape(shape)


def _consistent(found: RegionEvidence) -> bool:
    regions, views = found.visible.shape
    edges = len(found.first)
    return (
        len(found.label) == regions
        and len(found.second) == len(found.attraction) == edges
        and 1 <= views <= MAX_VIEWS
        and _within(found.region, -1, regions - 1)
        and _within(found.label, 0, MAX_LABEL)
        and len(found.presence) > found.label.max(initial=0)
        and _within(found.second, 0, regions - 1)
        and bool(np.all((found.first >= 0) & (found.first < found.second)))
        and _within(found.attraction, 0, views * 1.001)
        and _within(found.presence, 0, 1)
        and _within(found.tau, 0, 1)
    )


def _within(values: NDArray, low: float, high: float) -> bool:
    """Whether all values lie between two bounds; NaN does not."""
    return bool(np.all((values >= low) & (values <= high)))

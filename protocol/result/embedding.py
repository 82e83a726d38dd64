"""``embedding.npy`` of a result: one row per Gaussian of ``splats.ply``, if the method trained an embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.broken_arrays import BROKEN_ARRAY
from protocol.errors import BadResult
from protocol.result.names import EMBEDDING, SPLATS

REMEDY = "Download or segment the result again."


def read_embedding(folder: Path, gaussians: int, remedy: str = REMEDY) -> NDArray | None:
    """Return the embedding (N, d) of a result of N ``gaussians``, or None if it has none.

    It is float16 or float32, memory-mapped and read-only.

    Raises:
        BadResult: if ``embedding.npy`` is broken or has another number of rows.
    """
    path = folder / EMBEDDING
    if not path.exists():
        return None
    if not path.is_file():
        raise BadResult(f"{path} is not a file.", remedy)
    try:
        # A memory map accepts only plain numeric arrays: no pickled objects, and no more data than the file has.
        values = np.lib.format.open_memmap(path, mode="r")
    except BROKEN_ARRAY as error:
        raise BadResult(f"{path} cannot be read: {error}.", remedy) from error
    if values.dtype not in (np.float16, np.float32) or values.ndim != 2:
        raise BadResult(f"{path} does not contain an embedding.", remedy)
    if len(values) != gaussians:
        raise BadResult(f"{path} has rows for {len(values)} Gaussians, but {SPLATS} has {gaussians}.", remedy)
    return values


def write_embedding(folder: Path, values: NDArray) -> None:
    """Write an embedding (N, d), float16 or float32, in the order of ``splats.ply``."""
    np.save(folder / EMBEDDING, values)

"""Cache of photographs that do not fit in memory: decoded once into a memory-mapped file.

The system reads mapped pages when they are used and drops them when memory runs short. So training does not depend on
where photographs are stored, and the result is the same to the last bit. The process itself only needs memory for one
photograph.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.errors import Unavailable


def large_folder() -> Path:
    """Return a folder for large files: TMPDIR if set, else /var/tmp, because /tmp is in memory on many systems."""
    usual = Path("/var/tmp")
    if "TMPDIR" not in os.environ and usual.is_dir():
        return usual
    return Path(tempfile.gettempdir())


class PhotoCache:
    """Rows of arrays in one unnamed file, which the system removes when the process exits or is killed.

    All rows must be written before any is read.

    Args:
        folder: the folder of the file.

    Raises:
        Unavailable: if the file cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        except OSError as error:
            raise self._unwritable(error) from error
        self._ends = [0]
        self._rows: list[list[tuple[tuple[int, ...], np.dtype]]] = []
        self._map: mmap.mmap | None = None

    def put(self, arrays: Sequence[NDArray]) -> None:
        """Append a row.

        Raises:
            Unavailable: if the file cannot be written, usually because the disk is full.
        """
        try:
            for array in arrays:
                self._file.write(np.ascontiguousarray(array).data)
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        self._ends.append(self._ends[-1] + sum(array.nbytes for array in arrays))
        self._rows.append([(array.shape, array.dtype) for array in arrays])

    def _unwritable(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"Photographs that do not fit in memory cannot be cached in {self._folder}: {error.strerror}.",
            "Free some space on that disk, or use fewer or smaller photographs.",
        )

    def row(self, number: int) -> list[NDArray]:
        """Return the arrays of a row as views of the mapped file."""
        if self._map is None:
            # Copy on write, because torch only accepts writable arrays.
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        arrays, start = [], self._ends[number]
        for shape, dtype in self._rows[number]:
            arrays.append(np.ndarray(shape, dtype, self._map, start))
            start += arrays[-1].nbytes
        return arrays

    def expect(self, numbers: Iterable[int]) -> None:
        """Let the system prefetch these rows without blocking, and mark the others as unused."""
        # Windows has no such call and works without it.
        if self._map is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        self._map.madvise(mmap.MADV_DONTNEED)
        for number in numbers:
            start = self._ends[number] // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, start, self._ends[number + 1] - start)

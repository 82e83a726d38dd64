"""Checkpoints of a reconstruction: a run that was killed resumes from them with the same result.

A checkpoint is one ``.npz`` of plain arrays, never pickle. It belongs to one scene and one set of settings, and stores
their fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.scene.types import MaskIds, View
from protocol.broken_arrays import BROKEN_ARRAY
from protocol.whole_file import whole_file

log = logging.getLogger(__name__)

VERSION = 1

Arrays = dict[str, NDArray]


def fingerprint(views: Sequence[View], settings: Mapping[str, object]) -> str:
    """Return a hex digest of the views' cameras, file sizes, the meaning of mask ids and alpha, and the settings."""
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode())
    for view in views:
        camera = view.camera
        files = (view.image_path, view.mask_path, *view.mask_parts[1:])
        sizes = [path.stat().st_size if path and path.exists() else -1 for path in files]
        ids = [*view.mask_ids.background, None, *view.mask_ids.void] if view.mask_ids != MaskIds() else []
        alpha = [view.transparent] if view.transparent else []
        digest.update(json.dumps([view.name, camera.width, camera.height, *sizes, *ids, *alpha]).encode())
        digest.update(np.ascontiguousarray(camera.viewmat, np.float64).tobytes())
        digest.update(np.ascontiguousarray(camera.K, np.float64).tobytes())
    return digest.hexdigest()


def save(path: Path, arrays: Arrays, mark: str) -> None:
    """Write ``arrays`` with the fingerprint ``mark``, atomically.

    Raises:
        OSError: if it cannot be written; the last checkpoint stays.
    """
    header = np.array(json.dumps({"version": VERSION, "fingerprint": mark}))
    columns = {"header": header, **arrays}
    path.parent.mkdir(parents=True, exist_ok=True)
    # As np.savez, which leaves its archive open if the disk is full.
    with whole_file(path) as part, open(part, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


class Saver:
    """Writes the checkpoints of a run, which goes on without them if the disk is full or fails.

    Args:
        path: the file; None for no checkpoints.
        mark: the fingerprint of the run.
    """

    def __init__(self, path: Path | None, mark: str) -> None:
        self._path = path
        self._mark = mark
        self._warned = False
        self._saved = time.monotonic()

    def due(self, every: float) -> bool:
        """Return whether ``every`` seconds have passed since the last attempt."""
        return self._path is not None and time.monotonic() - self._saved > every

    def save(self, arrays: Callable[[], Arrays]) -> None:
        """Write a checkpoint of what ``arrays`` returns; warn the first time that it cannot be written."""
        if self._path is None:
            return
        try:
            save(self._path, arrays(), self._mark)
        except OSError as error:
            if not self._warned:
                log.warning(
                    "The checkpoint %s cannot be written (%s). Training continues; if it is interrupted, it resumes "
                    "from the last checkpoint that was written.",
                    self._path,
                    error.strerror or error,
                )
            self._warned = True
        self._saved = time.monotonic()


def load(path: Path, mark: str) -> Arrays | None:
    """Return the arrays from :func:`save`, or None if the file is missing, unreadable or from another run.

    An existing file that is not used is named in a log warning.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"][()]))
            if header.get("version") != VERSION or header.get("fingerprint") != mark:
                log.warning(
                    "The checkpoint %s is from another scene or other settings; training starts from the beginning.",
                    path,
                )
                return None
            return {name: file[name] for name in file.files if name != "header"}
    except (*BROKEN_ARRAY, AttributeError, zipfile.BadZipFile) as error:
        log.warning("The checkpoint %s cannot be read (%s); training starts from the beginning.", path, error)
        return None

"""Names and size limits of the files and columns of a result folder."""

from __future__ import annotations

import re
from pathlib import Path

from protocol.errors import BadArgument

FORMAT = 1
"""Written into each JSON file of a result."""

TABLE = "objects.json"
"""A folder with this file is a result."""
PARTS = "parts.json"
SPLATS = "splats.ply"
CAMERAS = "cameras.json"
EMBEDDING = "embedding.npy"
REPORT = "report.json"
OVERVIEW = "overview.png"

OBJECTS = "objects"
MESHES = "meshes"
LABELS = "labels"
GALLERY = "gallery"
BACKUP = "before-edits"

LABEL = "label"
"""Column of ``splats.ply``, an integer: the object that a Gaussian belongs to, 0 for the background."""
CONFIDENCE = "confidence"
"""Column of ``splats.ply``, 0 to 1: how sure that label is."""
PART = "part"
"""Column of ``splats.ply``, an integer, where objects have parts: the part of its object that a Gaussian belongs to, 0
for none."""
ROW = "splat_row"
"""Column of the ``splats.ply`` of an edited result: the row that a Gaussian had before all edits."""

MAX_LABEL = 65_535
"""Labels fit the 16-bit id maps."""
MAX_VIEWS = 65_536
MAX_SIDE = 65_536
"""Pixels along a side of an id map."""
MAX_TEXT = 1024
"""Characters of a name."""
MAX_JSON = 64 << 20
"""Bytes of the largest table of objects or list of cameras."""
MAX_REPORT = 1 << 20
"""Bytes of ``report.json``."""

VIEW_NAME = r"^[^/\\\x00]+$"
"""Names of views are names of files, so they have no separator of any system in them."""


def object_path(folder: Path, label: int) -> Path:
    """Return where the Gaussians of an object are."""
    return folder / OBJECTS / _numbered(label)


def mesh_path(folder: Path, label: int) -> Path:
    """Return where the surface of an object is."""
    return folder / MESHES / _numbered(label)


def label_map_path(folder: Path, view: str) -> Path:
    """Return where the id map of a view is.

    Raises:
        BadArgument: if ``view`` cannot be used as a file name.
    """
    if not re.fullmatch(VIEW_NAME, view):
        raise BadArgument(f"The view {view!r} cannot be used as a file name.", "Rename its photograph.")
    return folder / LABELS / f"{view}.png"


def _numbered(label: int) -> str:
    return f"{label:04d}.ply"

"""Names and size limits of the files and columns of a result folder."""

from __future__ import annotations

import re
from pathlib import Path

from protocol.errors import BadArgument

FORMAT = 1
"""Format version, written into each JSON file of a result."""

TABLE = "objects.json"
"""A folder with this file is a result."""
PARTS = "parts.json"
SPLATS = "splats.ply"
CAMERAS = "cameras.json"
EMBEDDING = "embedding.npy"
EVIDENCE = "evidence.npz"
CORRECTIONS = "corrections.json"
REPORT = "report.json"
OVERVIEW = "overview.png"

OBJECTS = "objects"
MESHES = "meshes"
LABELS = "labels"
GALLERY = "gallery"
BACKUP = "before-edits"
TURNTABLE = "turntable.gif"
"""In the gallery."""
PICTURES_OF_LABELS = (LABELS, OVERVIEW, f"{GALLERY}/{TURNTABLE}")
"""What is no longer true once labels have changed, until it is drawn again."""

LABEL = "label"
"""Column of ``splats.ply``, an integer: the object that a Gaussian belongs to, 0 for the background."""
CONFIDENCE = "confidence"
"""Column of ``splats.ply``, 0 to 1: how sure that label is."""
PART = "part"
"""Integer column of ``splats.ply``, if objects have parts: the part of its object that a Gaussian belongs to, or 0."""
INVENTED = "invented"
"""Column of ``splats.ply``, 0 or 1, if holes were filled: whether no photograph shows the Gaussian."""
ROW = "splat_row"
"""Column of the ``splats.ply`` of an edited result: the row of the Gaussian before all edits."""

MAX_LABEL = 65_535
"""Largest label, so that labels fit 16-bit id maps."""
MAX_VIEWS = 65_536
MAX_SIDE = 65_536
"""Most pixels along a side of an id map."""
MAX_TEXT = 1024
"""Most characters of a name."""
MAX_JSON = 64 << 20
"""Most bytes of a table of objects or a list of cameras."""
MAX_EVIDENCE = 1 << 30
"""Most bytes of the arrays in ``evidence.npz``."""
MAX_REPORT = 1 << 20
"""Most bytes of ``report.json``."""

VIEW_NAME = r"^[^/\\\x00]+$"
"""Views are saved under their names, so names contain no path separator of any system."""


def object_path(folder: Path, label: int) -> Path:
    """Return the path of an object's Gaussians."""
    return folder / OBJECTS / _numbered(label)


def mesh_path(folder: Path, label: int) -> Path:
    """Return the path of an object's surface."""
    return folder / MESHES / _numbered(label)


def label_map_path(folder: Path, view: str) -> Path:
    """Return the path of a view's id map.

    Raises:
        BadArgument: if ``view`` cannot be used as a file name.
    """
    if not re.fullmatch(VIEW_NAME, view):
        raise BadArgument(f"The view {view!r} cannot be used as a file name.", "Rename its photograph.")
    return folder / LABELS / f"{view}.png"


def _numbered(label: int) -> str:
    return f"{label:04d}.ply"

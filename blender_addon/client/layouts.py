"""Detects the layout of a scene folder's cameras by the names of its files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from protocol.folder_names import folded

COLMAP = "COLMAP"
SYNTHETIC, ROOMS, SCANS = "NeRF-synthetic", "Messy-Rooms", "ScanNet or Replica"
SPARSE, COLOR = "sparse", "color"
TABLES = ("cameras", "images", "points3d")
ENDINGS = (".bin", ".txt")
CAMERAS = tuple(f"cameras{ending}" for ending in ENDINGS)
LAYOUTS = (
    ("Nerfstudio or Instant-NGP", ("transforms.json",)),
    (SYNTHETIC, ("transforms_train.json", "transforms_test.json")),
    (SCANS, ("intrinsic/intrinsic_color.txt",)),
    (ROOMS, ("metadata.json",)),
)
"""Names of the layouts other than COLMAP's, each with files that identify it."""
LINKED = (SPARSE, "transforms.json", "transforms_train.json")
"""Names of links out of the folder that mean cameras."""
DEPTH = 3
"""Levels of subfolders of a scene folder that are searched for its capture."""
CLIMB = 3
"""Levels of folders above a file that are searched for its scene folder."""


def layout_of(paths: Sequence[PurePosixPath]) -> tuple[str | None, PurePosixPath]:
    """Return the name of the layout and its folder: the scene folder, else the nearest subfolder."""
    of_model = {place_of(model) for model in models(paths)}
    names = {folded(str(path)) for path in paths}
    coloured = {path.parent.parent for path in paths if folded(path.parent.name) == COLOR}
    places = sorted({parent for path in paths for parent in path.parents if len(parent.parts) <= DEPTH}, key=_depth)
    for place in places:
        if place in of_model:
            return COLMAP, place
        for title, marks in LAYOUTS:
            is_there = any(folded(str(place / mark)) in names for mark in marks)
            if is_there and (title != ROOMS or place in coloured):
                return title, place
    return None, PurePosixPath()


def holds_cameras(paths: Sequence[PurePosixPath], links: Iterable[Path] = ()) -> bool:
    """Whether a layout, a part of one, or a link to one exists; then no poses are computed.

    Args:
        paths: files of a scene folder, relative to it.
        links: links that lead out of it, relative to it.
    """
    tables = {f"{table}{ending}" for table in TABLES for ending in ENDINGS}
    parts = [place_of(path.parent) for path in paths if folded(path.name) in tables]
    linked = any(folded(str(link)) in LINKED for link in links)
    return linked or layout_of(paths)[0] is not None or any(len(place.parts) <= DEPTH for place in parts)


def models(paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the folders with a COLMAP model, identified by its cameras file."""
    return sorted({path.parent for path in paths if path.name in CAMERAS})


def place_of(model: PurePosixPath) -> PurePosixPath:
    """Return the folder of the capture that a model belongs to; the model may be in ``sparse/0`` or ``sparse``."""
    if folded(model.parent.name) == SPARSE:
        return model.parent.parent
    return model.parent if folded(model.name) == SPARSE else model


def scene_above(path: Path) -> Path | None:
    """Return the outermost folder with a known layout among the path itself and the folders above it, or None.

    COLMAP's tables may be in a folder of their own.
    """
    start = path if path.is_dir() else path.parent
    known = [folder for folder in (start, *start.parents[:CLIMB]) if _is_scene(folder)]
    return known[-1] if known else None


def _is_scene(folder: Path) -> bool:
    marked = any((folder / mark).is_file() for _, marks in LAYOUTS for mark in marks)
    places = (f"{SPARSE}/*", SPARSE, ".")
    return marked or any(next(folder.glob(f"{place}/{name}"), None) for place in places for name in CAMERAS)


def _depth(place: PurePosixPath) -> tuple[int, PurePosixPath]:
    return len(place.parts), place

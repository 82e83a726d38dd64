"""Which layout the cameras of a scene folder have, told by the names of its files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from protocol.capture_names import folded

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
"""What a layout other than COLMAP's is called, and the files by any of which it is known."""
LINKED = (SPARSE, "transforms.json", "transforms_train.json")
"""Names that say of a link out of the folder that cameras are behind it."""
DEPTH = 3
"""How many folders below a scene folder its capture is searched for."""
CLIMB = 3
"""How many folders above a file its scene folder is searched for."""


def layout_of(paths: Sequence[PurePosixPath]) -> tuple[str | None, PurePosixPath]:
    """Return what the layout is called and the folder that has it: the scene folder, else the nearest below."""
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
    """Whether a layout, a part of one, or a link to one is there: then no poses are computed.

    Args:
        paths: files of a scene folder, relative to it.
        links: links that lead out of it, relative to it.
    """
    tables = {f"{table}{ending}" for table in TABLES for ending in ENDINGS}
    parts = [place_of(path.parent) for path in paths if folded(path.name) in tables]
    linked = any(folded(str(link)) in LINKED for link in links)
    return linked or layout_of(paths)[0] is not None or any(len(place.parts) <= DEPTH for place in parts)


def models(paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the folders that hold a reconstruction of COLMAP's, known by its cameras."""
    return sorted({path.parent for path in paths if path.name in CAMERAS})


def place_of(model: PurePosixPath) -> PurePosixPath:
    """Return the folder of the capture that a reconstruction belongs to: it may lie in ``sparse/0`` or ``sparse``."""
    if folded(model.parent.name) == SPARSE:
        return model.parent.parent
    return model.parent if folded(model.name) == SPARSE else model


def scene_above(path: Path) -> Path | None:
    """Return the outermost of the few folders above a file or folder that has a known layout, or that itself; or None.

    COLMAP's tables may lie in a folder of their own.
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

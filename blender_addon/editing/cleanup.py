"""Clean up objects with a preview: mark Gaussians that are probably floaters, then delete the marked ones or none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument
from protocol.result.cameras import CameraRow
from protocol.splats import Splats

from ..session import source_of
from ..splats.attributes import read_splats
from ..splats.capture import read_cameras
from ..splats.marks import MARKED, marks_of, write_marks
from .floaters import GAP, LARGEST, floaters
from .modes import outside_edit_mode
from .moving import drop_rows
from .parts import Piece, check_parts, own_data, pieces_of, refresh_or_dissolve, scene_of
from .selection import check_shown, write_selection

OPACITY = 0.02
SIZE = 20.0
VIEWS = 0

REASONS = ("opacity", "size", "distance", "views")


class Marked(NamedTuple):
    """How many Gaussians are marked, in all and for each reason; one Gaussian can have several."""

    total: int
    opacity: int
    size: int
    distance: int
    views: int


@outside_edit_mode
def mark_floaters(
    parts: Iterable[Any],
    *,
    opacity: float = OPACITY,
    size: float = SIZE,
    gap: float = GAP,
    largest: float = LARGEST,
    views: int = VIEWS,
) -> Marked:
    """Mark and select Gaussians of objects that are probably floaters, and remove earlier marks. Nothing is deleted.

    Args:
        opacity: Gaussians less opaque than this, 0 to 1; 0 for none.
        size: Gaussians whose longest axis is more than so many times the median of the object's; 0 for none.
        gap: small pieces so far from the rest, as in :func:`.floaters.remove_floaters`; 0 for none.
        largest: see there.
        views: Gaussians whose centre is in the pictures of fewer cameras of the capture; 0 for none.

    Raises:
        BadArgument: if there are no objects, or one is shown as a mesh, which would not show the marks.
        BadResult: if ``views`` is not 0 and the scene's result folder has no cameras.
    """
    several = check_parts(parts)
    pieces = check_shown([piece for part in several for piece in pieces_of(part)])
    cameras = read_cameras(source_of(scene_of(several[0]))) if views else []
    found = [(piece, reasons_of(piece, opacity, size, gap, largest, cameras, views)) for piece in pieces]
    for piece, reasons in found:
        rows = reasons.any(0)
        data = own_data(piece.thing)
        write_marks(data, rows)
        write_selection(data, rows)
        data[MARKED] = [int(rows.sum()), *(int(each.sum()) for each in reasons)]
    return marked_in(several)


def reasons_of(
    piece: Piece,
    opacity: float,
    size: float,
    gap: float,
    largest: float,
    cameras: list[CameraRow],
    views: int,
) -> NDArray[np.bool_]:
    """Return (4, N) bool, the Gaussians that are floaters by each of :data:`REASONS`."""
    splats = read_splats(piece.thing.data)
    reasons = np.zeros((len(REASONS), len(splats)), bool)
    if not len(splats):
        return reasons
    reasons[0] = splats.alphas < opacity
    if size:
        longest = splats.scales.max(1)
        reasons[1] = longest > np.median(longest) + np.log(size)
    if gap:
        reasons[2] = floaters(piece.thing.data, gap, largest)
    if views:
        reasons[3] = views_of(splats, cameras) < views
    return reasons


def views_of(splats: Splats, cameras: Iterable[CameraRow]) -> NDArray[np.intp]:
    """Return (N,) int, in the pictures of how many cameras the centre of each Gaussian is; what hides it counts not."""
    counts = np.zeros(len(splats), np.intp)
    for camera in cameras:
        matrix = np.array(camera.K) @ np.array(camera.viewmat)[:3]
        x, y, depth = (splats.means @ matrix[:, :3].T + matrix[:, 3]).T
        counts += (depth > 0) & (x >= 0) & (x < camera.width * depth) & (y >= 0) & (y < camera.height * depth)
    return counts


@outside_edit_mode
def remove_marked(parts: Iterable[Any]) -> int:
    """Delete the marked Gaussians of objects and return how many; an object without any left is removed.

    Raises:
        BadArgument: if none are marked.
    """
    several = check_parts(parts)
    chosen = [(piece, marks_of(piece.thing.data)) for part in several for piece in pieces_of(part)]
    count = sum(int(rows.sum()) for _, rows in chosen)
    if not count:
        raise BadArgument("No Gaussians are marked.", "Mark floaters first.")
    scene = scene_of(several[0])
    for piece, rows in chosen:
        drop_rows(piece, rows)
        _clear(piece)
    for part in several:
        refresh_or_dissolve(part, scene)
    return count


@outside_edit_mode
def clear_marks(parts: Iterable[Any]) -> None:
    """Take the marks off objects, and the selection that came with them; nothing is deleted.

    Raises:
        BadArgument: if there are no objects.
    """
    for part in check_parts(parts):
        for piece in pieces_of(part):
            if MARKED in piece.thing.data:
                _clear(piece)


def marked_in(parts: Iterable[Any]) -> Marked:
    """Return how many Gaussians of objects were marked the last time; without reading them, for panels."""
    counts = np.zeros(1 + len(REASONS), int)
    for part in parts:
        for thing in part.all_objects:
            if thing.data is not None and MARKED in thing.data:
                counts += np.array(thing.data[MARKED])
    return Marked(*counts.tolist())


def _clear(piece: Piece) -> None:
    data = piece.thing.data
    write_selection(data, np.zeros(len(marks_of(data)), bool))
    write_marks(data, np.zeros(len(marks_of(data)), bool))
    if MARKED in data:
        del data[MARKED]

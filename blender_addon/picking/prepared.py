"""What is kept of data-blocks between clicks, because making it takes longer than a click may.

Nothing of it is in the file. Data are known by the number that Blender gives them for one run. What an edit, a step of
undo or another file may have changed is compared with the data at the next click, and made again if it differs.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from protocol.ray_picking import RayIndex
from protocol.splats import Splats

from ..after_update import after_update
from ..splats.attributes import read_shapes
from .likeness import Likeness


class Prepared:
    """One data-block.

    Attributes:
        index: of its Gaussians, in the frame of the data.
    """

    def __init__(self, splats: Splats) -> None:
        self.index = RayIndex(splats)
        self._likeness: Likeness | None = None

    def likeness(self, data: Any) -> Likeness:
        """Return which Gaussians belong together, for data without labels; made when it is first needed."""
        if self._likeness is None:
            self._likeness = Likeness(data, self.index.splats)
        return self._likeness


class PreparedData:
    """All data-blocks that were clicked."""

    def __init__(self) -> None:
        self._made: dict[int, Prepared] = {}
        self._doubtful: set[int] = set()

    def of(self, data: Any) -> Prepared:
        """Return what is kept of a data-block, made now if it is not known or has changed.

        Raises:
            BadSplats: if its Gaussians cannot be read.
        """
        number = data.session_uid
        found = self._made.get(number)
        if found is not None and number not in self._doubtful:
            return found
        splats = read_shapes(data)
        if found is None or not _same(splats, found.index.splats):
            found = self._made[number] = Prepared(splats)
        self._doubtful.discard(number)
        return found

    def doubt(self, number: int) -> None:
        """Compare a data-block with what is kept of it before the next use."""
        self._doubtful.add(number)

    def doubt_all(self) -> None:
        """As :meth:`doubt`, for all."""
        self._doubtful.update(self._made)

    def clear(self) -> None:
        """Keep nothing."""
        self._made.clear()
        self._doubtful.clear()


prepared = PreparedData()


def _same(a: Splats, b: Splats) -> bool:
    pairs = ((a.means, b.means), (a.quats, b.quats), (a.scales, b.scales), (a.opacities, b.opacities), (a.sh, b.sh))
    return all(x.shape == y.shape and np.array_equal(x, y, equal_nan=True) for x, y in pairs)


@after_update
def doubt_edited(scene: Any, depsgraph: Any) -> None:
    """Blender calls this after an evaluation."""
    for update in depsgraph.updates:
        if update.is_updated_geometry and update.id.id_type in ("MESH", "POINTCLOUD"):
            prepared.doubt(update.id.original.session_uid)


@bpy.app.handlers.persistent
def doubt_all(*_: Any) -> None:
    """Blender calls this after undo and redo."""
    prepared.doubt_all()


@bpy.app.handlers.persistent
def clear(*_: Any) -> None:
    """Blender calls this after another file was loaded."""
    prepared.clear()


def register() -> None:
    handlers = bpy.app.handlers
    handlers.depsgraph_update_post.append(doubt_edited)
    handlers.undo_post.append(doubt_all)
    handlers.redo_post.append(doubt_all)
    handlers.load_post.append(clear)


def unregister() -> None:
    handlers = bpy.app.handlers
    handlers.depsgraph_update_post.remove(doubt_edited)
    handlers.undo_post.remove(doubt_all)
    handlers.redo_post.remove(doubt_all)
    handlers.load_post.remove(clear)
    prepared.clear()

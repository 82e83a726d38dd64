"""Draws the Gaussians that clicks have selected in splats without labels, because Object Mode shows no points."""

from __future__ import annotations

from typing import Any, cast

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from numpy.typing import NDArray

from ..editing.selection import read_selection
from ..splats.columns import read_positions
from .clicking import Clicks

MOST = 50_000
"""Most points drawn; of more a random share."""
SIZE = 4.0
"""Pixels of a point."""
COLOUR = (0.1, 0.9, 1.0, 1.0)
"""Unlike the orange in which Blender draws all points of the selected object."""


class Overlay:
    """What the views show while the tool runs.

    Args:
        clicks: whose selection is drawn.
    """

    def __init__(self, clicks: Clicks) -> None:
        self._clicks = clicks
        self._drawn: dict[str, tuple[NDArray[np.bool_], Any]] = {}
        view: Any = bpy.types.SpaceView3D
        self._handle = view.draw_handler_add(self._draw, (), "WINDOW", "POST_VIEW")

    def remove(self) -> None:
        """Draw nothing any more."""
        view: Any = bpy.types.SpaceView3D
        view.draw_handler_remove(self._handle, "WINDOW")

    def _draw(self) -> None:
        context: Any = bpy.context
        things = [context.view_layer.objects.get(name) for name in self._clicks.splats]
        # The attributes of what is in Edit Mode are not accessible, and Blender shows its selection.
        things = [thing for thing in things if thing is not None and thing.select_get() and thing.mode == "OBJECT"]
        if not things:
            return
        shader: Any = gpu.shader.from_builtin("UNIFORM_COLOR")
        state: Any = gpu.state
        state.point_size_set(SIZE)
        shader.bind()
        shader.uniform_float("color", COLOUR)
        for thing in things:
            with cast(Any, gpu.matrix).push_pop():
                gpu.matrix.multiply_matrix(thing.matrix_world)
                if (batch := self._batch(shader, thing)) is not None:
                    batch.draw(shader)

    def _batch(self, shader: Any, thing: Any) -> Any:
        # Undo changes the selection too.
        chosen = read_selection(thing.data)
        known = self._drawn.get(thing.name)
        if known is not None and np.array_equal(known[0], chosen):
            return known[1]
        rows = np.flatnonzero(chosen)
        if not len(rows):
            return None
        if len(rows) > MOST:
            rows = np.random.default_rng(0).choice(rows, MOST, replace=False)
        places: Any = np.ascontiguousarray(read_positions(thing.data)[rows])
        batch = batch_for_shader(shader, "POINTS", {"pos": places})
        self._drawn[thing.name] = chosen, batch
        return batch

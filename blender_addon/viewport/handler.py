"""Draws the scenes that are shown as splats into the 3D views, where Blender itself does not draw Gaussians.

Blender calls :func:`_draw` after it has drawn a view. What is on the graphics card is made again after edits, and the
order of drawing after the view has changed; in between an older order is drawn. Nothing here is kept in the file, and
nothing of the file is kept here: data are known by the numbers Blender gives them for one run.

An error while drawing must not reach Blender, which would call the handler again with the next mouse move. It turns the
drawing off, and the panel shows it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import bpy
import gpu
import numpy as np

from protocol.errors import Fault

from ..after_update import after_update
from ..sight import Sight
from ..splats.attributes import read_splats
from ..splats.collections import srgb
from ..splats.colours import labels_shown
from ..splats.columns import count_of
from ..splats.display import MODIFIER, drawn_by
from ..splats.marks import marks_of
from .content import Content, Look, Order, Target, blending
from .packing import Packed, pack
from .shaders import ACTIVE, SELECTED, over_shader, square

PATIENCE = 2.0
"""A view is sorted again when so many times as long as sorting takes have passed since."""


class _View:
    """What is kept of one region: the images it is drawn into, and the order of drawing with what it was made for."""

    def __init__(self) -> None:
        self.target: Target | None = None
        self.order: Order | None = None
        self.made_for: tuple[Any, ...] = ()
        self.made_at = self.cost = 0.0


class Drawing:
    """All that is kept between two drawings.

    Attributes:
        failure: why nothing is drawn, a sentence for the panel; empty while all is well.
        refused: the sentences on objects that cannot be drawn.
    """

    def __init__(self) -> None:
        self.failure = ""
        self.refused: list[str] = []
        self.clear()

    def clear(self) -> None:
        """Let go of everything on the graphics card, and of what was read of the file."""
        self._read: dict[int, Packed | Fault] = {}
        self._stale: set[int] = set()
        self._content: Content | None = None
        self._drawn: list[int] = []
        self._views: dict[int, _View] = {}
        self._over: tuple[Any, Any] | None = None

    def try_again(self) -> None:
        """Draw again after a failure."""
        self.failure = ""
        self.clear()

    def forget(self, number: int) -> None:
        """Read the data-block of a number again at the next drawing."""
        self._stale.add(number)

    def draw(self, context: Any) -> None:
        """Draw the splats of the active view layer into the region that Blender draws."""
        space = context.space_data
        things = splats_seen(context.view_layer)
        if not things or space.shading.type == "WIREFRAME":
            return
        self._bring_up_to_date(things)
        if self._content is None or not self._content.count:
            return
        active = context.view_layer.objects.active
        looks = [_look(thing, active) if thing.visible_get(viewport=space) else None for thing in things]
        if not any(looks):
            return
        self._draw(context, looks, _labels_in(space))

    def _bring_up_to_date(self, things: list[Any]) -> None:
        """Read the data that are new or were edited, and put them on the graphics card."""
        numbers = [thing.data.session_uid for thing in things]
        stale = self._stale.intersection(numbers)
        new = [
            thing.data
            for thing in things
            if thing.data.session_uid in stale or thing.data.session_uid not in self._read
        ]
        if not new and numbers == self._drawn and self._content is not None:
            return
        for data in {data.session_uid: data for data in new}.values():
            self._read[data.session_uid] = _packed(data)
        self._stale.clear()
        self._read = {number: self._read[number] for number in dict.fromkeys(numbers)}
        found = [self._read[number] for number in numbers]
        self.refused = [str(each) for each in self._read.values() if isinstance(each, Fault)]
        self._content = None  # its images go before the new ones come
        self._content = Content([each if isinstance(each, tuple) else _nothing() for each in found])
        self._drawn = numbers
        for view in self._views.values():
            view.order, view.made_for = None, ()

    def _draw(self, context: Any, looks: list[Look | None], labels: bool) -> None:
        if self._content is None:
            return
        region = context.region
        outside: Any = gpu.state.active_framebuffer_get()
        place = outside.viewport_get()
        eye = Sight(
            np.array(context.region_data.view_matrix, np.float64),
            np.array(context.region_data.window_matrix, np.float64),
            *place[2:],
        )
        view = self._views.setdefault(region.as_pointer(), _View())
        if view.target is None or view.target.size != (eye.width, eye.height):
            view.target = None
            view.target = Target(eye.width, eye.height)
        order = self._order(view, eye, looks, region)
        depths = outside.read_depth(*place)
        depths.dimensions = eye.width * eye.height
        self._content.draw(
            eye,
            looks,
            order,
            view.target,
            labels=labels,
            view_dependent=context.scene.splatlift.view_dependent,
            depths=gpu.types.GPUTexture((eye.width, eye.height), format="R32F", data=depths),
        )
        outside.bind()
        gpu.state.viewport_set(*place)
        self._lay_over(context, view.target)

    def _order(self, view: _View, eye: Sight, looks: Sequence[Look | None], region: Any) -> Order:
        """Return the order of drawing of a view: a new one if it has changed and sorting is not too dear."""
        wanted = tuple(None if look is None else tuple((eye.view @ look.matrix)[2].round(6)) for look in looks)
        if view.order is not None and wanted == view.made_for:
            return view.order
        now = time.perf_counter()
        shown = [each is None for each in wanted] == [each is None for each in view.made_for]
        if view.order is not None and shown and now - view.made_at < PATIENCE * view.cost:
            _redraw_later(region, view.made_at + PATIENCE * view.cost - now)
            return view.order
        assert self._content is not None
        view.order = self._content.sort(eye, looks)
        view.made_for, view.made_at = wanted, time.perf_counter()
        view.cost = view.made_at - now
        return view.order

    def _lay_over(self, context: Any, target: Target) -> None:
        if self._over is None:
            shader = over_shader()
            self._over = shader, square(shader)
        shader, batch = self._over
        theme = context.preferences.themes[0].view_3d
        shader.bind()
        shader.uniform_sampler("seen", target.seen)
        shader.uniform_sampler("chosen", target.chosen)
        shader.uniform_float("outline", (*theme.object_selected, 1.0))
        shader.uniform_float("active_outline", (*theme.object_active, 1.0))
        shader.uniform_int("outlines", int(context.space_data.overlay.show_overlays))
        with blending():
            batch.draw(shader)


drawing = Drawing()
"""What the views show."""

_handles: list[Any] = []
_waiting: set[int] = set()


def splats_seen(layer: Any) -> list[Any]:
    """Return the objects of a view layer that are shown as splats, visible or not, and are not in Edit Mode."""
    return [
        thing
        for thing in layer.objects
        if thing.type == "MESH"
        and thing.mode == "OBJECT"
        and MODIFIER in thing.modifiers
        and drawn_by(thing.modifiers[MODIFIER].node_group)[0] == "SPLATS"
    ]


def _look(thing: Any, active: Any) -> Look:
    state = (ACTIVE if thing == active else SELECTED) if thing.select_get() else 0.0
    return Look(np.array(thing.matrix_world, np.float64), srgb(thing.color), state)


def _labels_in(space: Any) -> bool:
    """Whether a view shows the colours of labels: a solid one where it shows those of objects."""
    return space.shading.color_type == "OBJECT" if space.shading.type == "SOLID" else labels_shown()


def _packed(data: Any) -> Packed | Fault:
    try:
        return pack(read_splats(data), marks_of(data)) if count_of(data) else _nothing()
    except Fault as fault:
        return fault


def _nothing() -> Packed:
    return Packed(np.empty((0, 3), np.float32), np.empty((0, 4, 4), np.float32), np.empty((0, 0, 3), np.float32))


def _redraw_later(region: Any, seconds: float) -> None:
    """Have a region drawn again when its order may be computed again."""
    number = region.as_pointer()
    if number in _waiting:
        return
    _waiting.add(number)

    def redraw() -> None:
        _waiting.discard(number)
        # The region may have been closed meanwhile.
        for window in bpy.context.window_manager.windows:
            for each in (each for area in window.screen.areas for each in area.regions):
                if each.as_pointer() == number:
                    each.tag_redraw()

    bpy.app.timers.register(redraw, first_interval=max(seconds, 0.001))


def _draw() -> None:
    """Called by Blender for each 3D view."""
    if drawing.failure:
        return
    try:
        drawing.draw(bpy.context)
    except Exception as error:  # noqa: BLE001, whatever it is, Blender would repeat it with each move of the mouse
        drawing.clear()
        drawing.failure = str(error) if isinstance(error, Fault) else f"Splats cannot be drawn here: {error}."


@after_update
def forget_edited(scene: Any, depsgraph: Any) -> None:
    """Read edited data again; the geometry of objects is also evaluated again when they or the camera move."""
    for update in depsgraph.updates:
        if update.is_updated_geometry and update.id.id_type == "MESH":
            drawing.forget(update.id.original.session_uid)


@bpy.app.handlers.persistent
def forget_all(*_: Any) -> None:
    """Start again: another file was loaded, or a step was undone."""
    drawing.clear()


def register() -> None:
    handlers = bpy.app.handlers
    handlers.depsgraph_update_post.append(forget_edited)
    for each in (handlers.load_post, handlers.undo_post, handlers.redo_post):
        each.append(forget_all)
    if not bpy.app.background:
        view: Any = bpy.types.SpaceView3D
        _handles.append(view.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW"))


def unregister() -> None:
    view: Any = bpy.types.SpaceView3D
    while _handles:
        view.draw_handler_remove(_handles.pop(), "WINDOW")
    handlers = bpy.app.handlers
    handlers.depsgraph_update_post.remove(forget_edited)
    for each in (handlers.load_post, handlers.undo_post, handlers.redo_post):
        each.remove(forget_all)
    drawing.try_again()

"""What moves on by itself in a Blender with a window: the panel's connection and an import, a few milliseconds a tick.

A timer calls :func:`tick` in Blender's main thread; there are no other Python threads. It runs only while there is
something to move, and never in background mode, where operators wait instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import bpy

from protocol.errors import Fault

from .connection import Connection
from .job import Job
from .preferences import cache_folder

PERIOD = 0.05
CONNECTION_BUDGET = 0.005
IMPORT_BUDGET = 0.015
"""Seconds a tick may take for each."""


class Import:
    """An import that goes on over many ticks.

    Attributes:
        fraction, note: how far it is.
    """

    def __init__(self, steps: Generator[tuple[float, str], None, Any], done: Callable[[Any], None]) -> None:
        self.fraction = 0.0
        self.note = ""
        self._steps = steps
        self._done = done

    def step(self, budget: float) -> bool:
        """Go on for about that many seconds; say whether the import has ended.

        Raises:
            Fault: if the result cannot be imported.
        """
        deadline = time.perf_counter() + budget
        while time.perf_counter() < deadline:
            try:
                self.fraction, self.note = next(self._steps)
            except StopIteration as end:
                self._done(end.value)
                return True
        return False

    def close(self) -> None:
        self._steps.close()


class Pump:
    """What the panel shows and its operators steer.

    Attributes:
        job: the panel's latest job, or None.
        importing: the import under way, or None.
        error: why the last import failed, or None.
    """

    def __init__(self) -> None:
        self.job: Job | None = None
        self.importing: Import | None = None
        self.error: Fault | None = None
        self._connection: Connection | None = None
        self._dirty = False

    @property
    def connection(self) -> Connection:
        """The panel's connection, made at the first use.

        Raises:
            Unavailable: if there is no folder for downloads.
        """
        if self._connection is None:
            self._connection = Connection(cache_folder(), changed=self.redraw)
        return self._connection

    @property
    def known_connection(self) -> Connection | None:
        """The panel's connection if it was used already; for ``draw``, which makes nothing."""
        return self._connection

    @property
    def idle(self) -> bool:
        waiting = self._connection is not None and (self._connection.wanted or bool(self._connection.unfinished))
        return not waiting and self.importing is None

    def redraw(self) -> None:
        """Have the panels drawn again at the next tick."""
        self._dirty = True

    def start(self) -> None:
        """Make sure that the timer runs, where there are any."""
        if not bpy.app.background and not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=0.0, persistent=True)
        self.redraw()

    def begin_import(self, steps: Generator[tuple[float, str], None, Any], done: Callable[[Any], None]) -> None:
        self.stop_import()
        self.error = None
        self.importing = Import(steps, done)
        self.start()

    def stop_import(self) -> None:
        if self.importing is not None:
            self.importing.close()
            self.importing = None
            self.redraw()

    def tick(self) -> None:
        """Move everything on a little."""
        if self._connection is not None:
            self._connection.step(CONNECTION_BUDGET)
        if self.importing is not None:
            self._step_import(self.importing)
        if self._dirty:
            self._dirty = False
            redraw_panels()

    def _step_import(self, importing: Import) -> None:
        try:
            ended = importing.step(IMPORT_BUDGET)
        except Fault as fault:
            self.error = fault
            ended = True
        if ended:
            self.importing = None
        self.redraw()

    def stop(self) -> None:
        """Let go of everything."""
        if bpy.app.timers.is_registered(tick):
            bpy.app.timers.unregister(tick)
        self.stop_import()
        if self._connection is not None:
            self._connection.destroy()
        self._connection = self.job = self.error = None


pump = Pump()
"""The one that the panel shows."""


def tick() -> float | None:
    """Called by Blender's timer; ends it when there is nothing left to move."""
    pump.tick()
    return None if pump.idle else PERIOD


def redraw_panels() -> None:
    """Have the side panels of all 3D views drawn again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def register() -> None:
    """Nothing runs before it is needed."""


def unregister() -> None:
    pump.stop()

"""The timer of a Blender with a window: it advances the panel's connection and an import, a few milliseconds a tick.

A timer calls :func:`tick` in Blender's main thread; there are no other Python threads. It runs only while there is
something to move, and never in background mode, where operators wait instead.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import bpy

from protocol.errors import Fault, Unavailable

from . import session, values
from .client import record
from .client.cache import Cache, make_room
from .client.connection import Connection
from .client.job import Job
from .client.job_list import JobList
from .client.local_server import LocalServer
from .client.survey import Survey, survey
from .pictures import Pictures
from .preferences import cache_folder, cache_limit

PERIOD = 0.05
BUSY_PERIOD = 0.005
"""Seconds between two ticks, and while files are on their way."""
MOVING = ("preparing", "uploading", "downloading")
"""States of jobs whose files are on their way."""
CONNECTION_BUDGET = 0.005
BUSY_BUDGET = 0.015
IMPORT_BUDGET = 0.015
SURVEY_BUDGET = 0.005
"""Seconds a tick may take for each."""
DRAWING_PERIOD = 0.1
"""Seconds, at least, between two drawings of the panels: one may take longer than a tick, and each tick has news."""


class Import:
    """An import that continues over many ticks.

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


class Timer:
    """What the panel shows and its operators control, advanced by :meth:`tick`.

    Attributes:
        local: the server on this machine.
        pictures: of the jobs, as Blender draws them.
        surveyed: what was found in the chosen scene folder, or why nothing was; None while it is looked through.
        importing: the import under way, or None.
        error: why the last import failed, or None.
    """

    def __init__(self) -> None:
        self.importing: Import | None = None
        self.error: Fault | None = None
        self.local = LocalServer(Path(), self.redraw)
        self.pictures = Pictures()
        self.surveyed: Survey | Fault | None = None
        self._folder: Path | None = None
        self._surveying: Generator[int, None, Survey] | None = None
        self._job_list: JobList | None = None
        self._recorded: list[record.Entry] = []
        self._tidying: Generator[None, None, int] | None = None
        self._dirty = False
        self._drawn = float("-inf")

    @property
    def job_list(self) -> JobList:
        """The panel's jobs, with those of the last session; made at the first use.

        Raises:
            Unavailable: if there is no folder for downloads.
        """
        if self._job_list is None:
            cache = Cache(cache_folder())
            self._job_list = JobList(Connection(changed=self.redraw), cache)
            self._recorded = record.read(cache.folder)
            self._job_list.restore(self._recorded)
        return self._job_list

    @property
    def connection(self) -> Connection:
        """The panel's connection, made at the first use. Raises as :attr:`job_list`."""
        return self.job_list.connection

    @property
    def known_connection(self) -> Connection | None:
        """The panel's connection if it was used already; for ``draw``, which makes nothing."""
        return self._job_list.connection if self._job_list is not None else None

    @property
    def jobs(self) -> list[Job]:
        """The panel's jobs, oldest first."""
        return self._job_list.jobs if self._job_list is not None else []

    @property
    def idle(self) -> bool:
        here = any(job.state == "preparing" for job in self.jobs)
        known = self.known_connection
        connected = known is not None and known.wanted
        local = self.local.state != "stopped"
        return not (here or connected or local or self._surveying or self._tidying or self.importing or self._dirty)

    @property
    def moving(self) -> bool:
        """Whether files are on their way, so that the next tick should come soon.

        What the server asked for is often all sent in one tick, and nothing left to do until it asks again.
        """
        known = self.known_connection
        if known is None:
            return False
        return known.busy or (known.state == "connected" and any(job.state in MOVING for job in self.jobs))

    def redraw(self) -> None:
        """Have the panels drawn again at one of the next ticks."""
        self._dirty = True

    def start(self) -> None:
        """Make sure that the timer runs, where there are any."""
        if not bpy.app.background and not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=0.0, persistent=True)
        self.redraw()

    def start_local(self, program: Path) -> None:
        """Start a server on this machine, and connect to it when it says where it is.

        Raises:
            Fault: as :meth:`.client.local_server.LocalServer.start`.
        """
        self.local.stop(wait=True)
        self.local = LocalServer(self.job_list.cache.folder, self.redraw)
        self.local.start(program)
        self.start()

    def notice(self, folder: Path | None) -> None:
        """Take note of the chosen scene folder: one that is new is looked through in the ticks to come.

        May be called from ``draw``: nothing is read here.
        """
        if folder != self._folder:
            self._folder, self.surveyed = folder, None
            self._surveying = survey(folder) if folder is not None else None
            self.start()

    def look_at(self, folder: Path) -> Survey | Fault:
        """Look through a scene folder at once, and return what is in it or why that cannot be told."""
        if folder == self._folder and self._surveying is None:
            self._folder = None  # it may have changed since
        self.notice(folder)
        while self.surveyed is None:
            self._survey(1.0)
        return self.surveyed

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
        if self._job_list is not None:
            self._job_list.connection.step(BUSY_BUDGET if self.moving else CONNECTION_BUDGET)
        self._tend_local()
        self._survey(SURVEY_BUDGET)
        self._tidy(SURVEY_BUDGET)
        if self.importing is not None:
            self._step_import(self.importing)
        if self._dirty and time.perf_counter() - self._drawn >= DRAWING_PERIOD:
            self._dirty = False
            self._drawn = time.perf_counter()
            self.settle()
            redraw_panels()

    def settle(self) -> None:
        """Bring Blender's data and the record on disk in step with the connection."""
        if self._job_list is None:
            return
        if declared := self._job_list.connection.info.settings:
            scene: Any
            for scene in bpy.data.scenes:
                values.declare(scene.splatlift, declared)
        self.pictures.show({job.id: (job.pictures, job.picture) for job in self.jobs if not job.final})
        entries = self._job_list.record()
        cache = self._job_list.cache.folder
        if entries != self._recorded:
            self._recorded = entries
            # A record that cannot be written costs the list its memory, and no job anything.
            with contextlib.suppress(OSError):
                record.write(cache, entries)
            kept = {entry.id for entry in entries}
            kept |= {Path(bpy.path.abspath(scene.splatlift.source)).name for scene in session.scenes()}
            self._tidying = make_room(cache, cache_limit(), kept)

    def _tidy(self, budget: float) -> None:
        """Go on making room in the cache for about that many seconds; what is in a download is not looked at."""
        deadline = time.perf_counter() + budget
        downloading = any(job.state == "downloading" for job in self.jobs)
        try:
            while self._tidying is not None and not downloading and time.perf_counter() < deadline:
                next(self._tidying)
        except (StopIteration, OSError):  # a cache that cannot be tidied still serves
            self._tidying = None

    def _tend_local(self) -> None:
        before = self.local.state
        self.local.tick()
        if before == "starting" and self.local.address is not None:
            self.connection.connect(self.local.address, started_here=True)
        if before == "running" and self.local.state == "stopped" and self.connection.started_here:
            self.connection.close()  # it has ended by itself, and the next one has another port

    def _survey(self, budget: float) -> None:
        """Look through the scene folder for about that many seconds."""
        deadline = time.perf_counter() + budget
        try:
            while self._surveying is not None and time.perf_counter() < deadline:
                next(self._surveying)
            return
        except StopIteration as end:
            self.surveyed = end.value
        except Fault as fault:
            self.surveyed = fault
        except OSError as error:
            self.surveyed = Unavailable(f"The folder cannot be read: {error}.")
        self._surveying = None
        self.redraw()

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
        self.settle()
        if self._job_list is not None:
            self._job_list.connection.destroy()
        self.local.stop(wait=True)
        self.pictures.clear()
        self._tidying = None
        self._job_list = self._folder = self._surveying = self.surveyed = self.error = None
        self._dirty = False


timer = Timer()
"""The one that the panel shows."""


def tick() -> float | None:
    """Called by Blender's timer; ends it when there is nothing left to move."""
    timer.tick()
    if timer.idle:
        return None
    return BUSY_PERIOD if timer.moving else PERIOD


def redraw_panels() -> None:
    """Have the side panels of all 3D views drawn again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def register() -> None:
    """Show the jobs of the last session; nothing goes over the network before somebody asks for it."""
    if not bpy.app.background:
        with contextlib.suppress(Unavailable):
            if (cache_folder() / record.FILE).is_file():
                timer.connection.step()


def unregister() -> None:
    timer.stop()

"""The timer of a Blender with a window: it advances the panel's connection and imports, a few milliseconds per tick.

A timer calls :func:`tick` in Blender's main thread; there are no other Python threads. It runs only while there is
work, and never in background mode, where operators block instead.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import bpy

from protocol.coroutines import advance, map_steps
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
"""Seconds between two ticks; the second while files are being transferred."""
MOVING = ("preparing", "uploading", "downloading")
"""States of jobs whose files are being prepared or transferred."""
CONNECTION_BUDGET = 0.005
BUSY_BUDGET = 0.015
IMPORT_BUDGET = 0.015
SURVEY_BUDGET = 0.005
"""Seconds per tick for each kind of work; the busy budget is for the connection while files are being transferred."""
DRAWING_PERIOD = 0.1
"""Least seconds between two redraws of the panels: a redraw may take longer than a tick."""


class Import:
    """An import that runs over many ticks.

    Attributes:
        fraction, note: its progress, 0 to 1 and a short text.

    Args:
        steps: the import; yields its progress and returns its result.
        done: called with the result.
    """

    def __init__(self, steps: Generator[tuple[float, str], None, Any], done: Callable[[Any], None]) -> None:
        self.fraction = 0.0
        self.note = ""
        self._steps = map_steps(self._show, steps)
        self._done = done

    def step(self, budget: float) -> bool:
        """Work for about ``budget`` seconds; return whether the import has ended.

        Raises:
            Fault: if the result cannot be imported.
        """
        ended = advance(self._steps, budget)
        if ended is not None:
            self._done(ended.value)
        return ended is not None

    def _show(self, progress: tuple[float, str]) -> None:
        self.fraction, self.note = progress

    def close(self) -> None:
        """Cancel the import."""
        self._steps.close()


class Timer:
    """The state that the panel shows and its operators control, advanced by :meth:`tick`.

    Attributes:
        local: the server on this machine.
        pictures: previews of the jobs as icons.
        surveyed: the survey of the chosen scene folder, or why it failed; None while it runs.
        importing: the running import, or None.
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
        self._evicting: Generator[None, None, int] | None = None
        self._dirty = False
        self._drawn = float("-inf")

    @property
    def job_list(self) -> JobList:
        """The panel's jobs, including those of the last session; created on first use.

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
        """The panel's connection, created on first use. Raises as :attr:`job_list`."""
        return self.job_list.connection

    @property
    def known_connection(self) -> Connection | None:
        """The panel's connection if it exists; for ``draw``, which must not create it."""
        return self._job_list.connection if self._job_list is not None else None

    @property
    def jobs(self) -> list[Job]:
        """The panel's jobs, oldest first."""
        return self._job_list.jobs if self._job_list is not None else []

    @property
    def idle(self) -> bool:
        """Whether a tick has nothing to do: no job, connection, local server, survey, eviction, import or redraw."""
        preparing = any(job.state == "preparing" for job in self.jobs)
        known = self.known_connection
        connected = known is not None and known.wanted
        serving = self.local.state != "stopped"
        return not (
            preparing or connected or serving or self._surveying or self._evicting or self.importing or self._dirty
        )

    @property
    def moving(self) -> bool:
        """Whether files are being transferred, so that the next tick should come soon.

        All requested ranges are often sent in one tick; then there is nothing to do until the server's next request.
        """
        known = self.known_connection
        if known is None:
            return False
        return known.busy or (known.state == "connected" and any(job.state in MOVING for job in self.jobs))

    def redraw(self) -> None:
        """Redraw the panels at one of the next ticks."""
        self._dirty = True

    def start(self) -> None:
        """Start Blender's timer if it is not running; not in background mode."""
        if not bpy.app.background and not bpy.app.timers.is_registered(tick):
            bpy.app.timers.register(tick, first_interval=0.0, persistent=True)
        self.redraw()

    def start_local(self, program: Path) -> None:
        """Start a server on this machine, and connect to it when it prints its address.

        Raises:
            Fault: as :meth:`.client.local_server.LocalServer.start`.
        """
        self.local.stop(wait=True)
        self.local = LocalServer(self.job_list.cache.folder, self.redraw)
        self.local.start(program)
        self.start()

    def notice(self, folder: Path | None) -> None:
        """Set the chosen scene folder; a new one is surveyed in the next ticks.

        May be called from ``draw``, because nothing is read here.
        """
        if folder != self._folder:
            self._folder, self.surveyed = folder, None
            self._surveying = survey(folder) if folder is not None else None
            self.start()

    def look_at(self, folder: Path) -> Survey | Fault:
        """Survey a scene folder at once, and return the survey or the reason why it failed."""
        if folder == self._folder and self._surveying is None:
            self._folder = None  # its content may have changed
        self.notice(folder)
        while self.surveyed is None:
            self._survey(1.0)
        return self.surveyed

    def begin_import(self, steps: Generator[tuple[float, str], None, Any], done: Callable[[Any], None]) -> None:
        """Start an import in the next ticks, instead of a running one; arguments as of :class:`Import`."""
        self.stop_import()
        self.error = None
        self.importing = Import(steps, done)
        self.start()

    def stop_import(self) -> None:
        """Cancel the running import, if there is one; Blender's data stay unchanged."""
        if self.importing is not None:
            self.importing.close()
            self.importing = None
            self.redraw()

    def tick(self) -> None:
        """Advance everything by a few milliseconds."""
        if self._job_list is not None:
            self._job_list.connection.step(BUSY_BUDGET if self.moving else CONNECTION_BUDGET)
        self._tick_local_server()
        self._survey(SURVEY_BUDGET)
        self._evict(SURVEY_BUDGET)
        if self.importing is not None:
            self._step_import(self.importing)
        if self._dirty and time.perf_counter() - self._drawn >= DRAWING_PERIOD:
            self._dirty = False
            self._drawn = time.perf_counter()
            self.settle()
            redraw_panels()

    def settle(self) -> None:
        """Update Blender's data and the record on disk after changes of the connection and the jobs."""
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
            # Without the record the list is empty in the next session, but no job is affected.
            with contextlib.suppress(OSError):
                record.write(cache, entries)
            kept = {entry.id for entry in entries}
            kept |= {session.source_of(scene).name for scene in session.scenes()}
            self._evicting = make_room(cache, cache_limit(), kept)

    def _evict(self, budget: float) -> None:
        """Continue the eviction of the cache for about ``budget`` seconds, unless a download is running."""
        if self._evicting is None or any(job.state == "downloading" for job in self.jobs):
            return
        try:
            if advance(self._evicting, budget):
                self._evicting = None
        except OSError:  # the cache works without eviction
            self._evicting = None

    def _tick_local_server(self) -> None:
        """Advance the server on this machine, and connect to it or disconnect when it starts or exits."""
        before = self.local.state
        self.local.tick()
        if before == "starting" and self.local.address is not None:
            self.connection.connect(self.local.address, started_here=True)
        if before == "running" and self.local.state == "stopped" and self.connection.started_here:
            self.connection.close()  # it has exited, and the next one has another port

    def _survey(self, budget: float) -> None:
        """Continue the survey for about ``budget`` seconds."""
        if self._surveying is None:
            return
        try:
            ended = advance(self._surveying, budget)
            if ended is None:
                return
            self.surveyed = ended.value
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
        """Close everything."""
        if bpy.app.timers.is_registered(tick):
            bpy.app.timers.unregister(tick)
        self.stop_import()
        self.settle()
        if self._job_list is not None:
            self._job_list.connection.destroy()
        self.local.stop(wait=True)
        self.pictures.clear()
        self._evicting = None
        self._job_list = self._folder = self._surveying = self.surveyed = self.error = None
        self._dirty = False


timer = Timer()
"""The instance that the panel shows."""


def tick() -> float | None:
    """Called by Blender's timer; stops it when there is no work left."""
    timer.tick()
    if timer.idle:
        return None
    return BUSY_PERIOD if timer.moving else PERIOD


def redraw_panels() -> None:
    """Redraw the side panels of all 3D views."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def register() -> None:
    """Show the jobs of the last session; nothing is sent over the network before the user asks for it."""
    if not bpy.app.background:
        with contextlib.suppress(Unavailable):
            if (cache_folder() / record.FILE).is_file():
                timer.connection.step()


def unregister() -> None:
    timer.stop()

"""A job: a scene folder is uploaded, segmented on the server, and downloaded as a result folder."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from protocol.errors import BadFrames, Fault, JobFailed, NotFound, Refused, Unavailable, fault, readable
from protocol.job_request import JobRequest, check, check_features
from protocol.messages import FINAL_STATES, MAX_SIDE, Accepted, Cancel, GetResult, Progress, Result, Submit, Sync
from protocol.result.report import read_warnings

from .cache import Cache
from .connection import Connection
from .coroutines import Steps
from .dispatcher import ConnectionLost, Dispatcher
from .download import download
from .rate import Rate
from .record import Entry
from .scene_files import inside
from .upload import OfferedFolder, prepare, upload

State = Literal[
    "preparing", "uploading", "queued", "running", "cancelling", "downloading", "finished", "failed", "cancelled"
]

NOT_YET = 0.99
"""Most that :attr:`Job.fraction` shows before the result is downloaded."""


class _Cancelled(Exception):
    """The server has cancelled the job."""


class Job:
    """A segmentation job. It is a task of the connection's runner.

    The folder is hashed and offered, the server pulls the files that it lacks and computes, and the result is pulled
    into the cache and linked into a folder. If the connection is lost meanwhile, the job waits for the next one and
    resumes.

    Attributes:
        id: a UUID4 in hex, the same on the server.
        title: the name of the scene.
        scene: the folder, the video or the splat file, absolute.
        state: the last three states are final.
        stage: the current stage, "prepare", "upload", "download" or a stage of the server.
        fraction: the share of the stage that is done, below 1 until the job is finished.
        note: a short description.
        bytes_done, bytes_total: of the stage, if it transfers files.
        speed: bytes per second, if it transfers files; None while unknown.
        left: seconds until the stage is done; None while unknown.
        ahead: number of jobs of this client before this one in the server's queue.
        picture: the latest preview, (H, W, 3) uint8 with the first row at the top, or None.
        pictures: number of previews received.
        left_out: links out of the scene folder, which are not uploaded.
        warnings: warnings of the result about assumptions and skipped files, once finished.
        error: why it failed.
        folder: the result, once finished.

    Raises:
        BadArgument: if an option of the request is out of range, two options exclude each other, or a path is not
            inside the scene folder.
    """

    def __init__(self, connection: Connection, cache: Cache, scene: Path, request: JobRequest) -> None:
        check(request)
        splats = inside(scene, request.splats, "splat file") if request.splats else None
        masks = inside(scene, request.masks, "mask folder") if request.masks else None
        self.id = uuid.uuid4().hex
        self.title = (scene.stem if scene.is_file() else scene.name).encode("utf-8", "backslashreplace").decode()[:200]
        self.scene = scene
        self.request = replace(request, splats=splats, masks=masks)
        self.state: State = "preparing"
        self.stage = "prepare"
        self.fraction = 0.0
        self.note = ""
        self.bytes_done = self.bytes_total = 0
        self.speed: float | None = None
        self.left: float | None = None
        self.ahead = 0
        self.picture: NDArray[np.uint8] | None = None
        self.pictures = 0
        self.left_out = 0
        self.warnings: list[str] = []
        self.error: Fault | None = None
        self.folder: Path | None = None
        self._connection = connection
        self._cache = cache
        self._remote: Progress | None = None
        self._submitted = False
        self._cancelling = False
        self._rate = Rate()
        self._work: Steps[None] | None = self._run(tuple(path for path in (splats, masks) if path))

    @classmethod
    def recorded(cls, connection: Connection, cache: Cache, entry: Entry) -> Job:
        """Return the job of a record: finished, or unfinished on the server that has it.

        Raises:
            Fault: if it is not finished and its scene folder has changed.
        """
        request = JobRequest() if entry.finished else entry.request
        job = cls(connection, cache, Path(entry.scene), request)
        job.id, job.title, job.request = entry.id, entry.title, entry.request
        if entry.finished:
            job.folder = cache.result_folder(entry.id)
            job.warnings = read_warnings(job.folder)
            job._end(state="finished", stage="download", fraction=1.0)
        else:
            job._submitted = True
            job.show(state="queued", stage="queued")
        return job

    @property
    def submitted(self) -> bool:
        """Whether the server may have the job."""
        return self._submitted

    @property
    def final(self) -> bool:
        return self.state in ("finished", "failed", "cancelled")

    def result(self, timeout: float | None = None, watch: Callable[[], object] = lambda: None) -> Path:
        """Wait for the result and return its folder; ``watch`` is called repeatedly meanwhile. For scripts: it blocks.

        Raises:
            Fault: why the job failed, or why there is no connection; Refused if the job was cancelled; Unavailable
                after ``timeout`` seconds, or without a connection.
        """
        connection = self._connection

        def settled() -> bool:
            watch()
            return self.final or not connection.wanted

        in_time = connection.run(settled, timeout)
        if self.folder is not None:
            return self.folder
        if self.state == "cancelled":
            raise Refused(f"The job {self.title} was cancelled and has no result.", "Start it again.")
        if not in_time:
            raise Unavailable(f"The job {self.title} had no result after {timeout:g} s.", "Ask again later.")
        raise (
            self.error
            or connection.error
            or Unavailable("There is no connection to a server.", "Connect to a server first.")
        )

    def cancel(self) -> None:
        """Cancel: at once while files are being prepared or transferred, otherwise by a request to the server."""
        if self._submitted and not self.final and self.state != "downloading":
            self._cancelling = True
            self.show(state="cancelling")
        elif not self.final:
            self.stop()

    def stop(self) -> None:
        """Stop the job in this client, without telling the server."""
        self._end(state="cancelled", note="")

    def fail(self, reason: Fault) -> None:
        """Fail with this error."""
        self._end(state="failed", note="", error=reason)

    def advance(self) -> bool:
        """Do one step; return whether more can be done at once."""
        if self._work is None:
            return False
        try:
            return next(self._work)
        except StopIteration:
            self._work = None
        except _Cancelled:
            self.stop()
        except Fault as reason:
            self.fail(reason)
        except OSError as error:
            self.fail(Unavailable(f"The job {self.title} cannot continue: {error}."))
        except Exception as bug:
            # Shown in the panel too, because few users read Blender's console.
            self.fail(Fault(f"SplatLift has a bug: {bug!r}.", "Please report the error message in the console."))
            raise
        return False

    def update(self, progress: Progress) -> None:
        """Apply a progress message of the server, unless a newer one was applied already."""
        if self.final or (self._remote is not None and progress.seq <= self._remote.seq):
            return
        self._remote = progress
        if progress.state not in FINAL_STATES:
            state = "cancelling" if self._cancelling else progress.state
            stage = progress.stage or progress.state
            if readable(stage) != self.stage:
                self._rate = Rate()
            self._rate.add(self._connection.now(), progress.fraction)
            self.left = self._rate.left(1.0)
            self.show(state=state, stage=readable(stage), fraction=progress.fraction, note=readable(progress.note))

    def update_picture(self, arrays: Sequence[NDArray]) -> None:
        """Show a preview.

        Raises:
            BadFrames: if the arrays are not an image.
        """
        if len(arrays) != 1 or arrays[0].dtype != np.uint8 or arrays[0].ndim != 3 or arrays[0].shape[2] != 3:
            raise BadFrames("The server sent an invalid preview image.")
        if min(arrays[0].shape) == 0 or max(arrays[0].shape) > MAX_SIDE:
            raise BadFrames(
                f"The server sent a preview image with an invalid size, {arrays[0].shape[1]} x {arrays[0].shape[0]} "
                "pixels."
            )
        if not self.final:
            self.picture, self.pictures = arrays[0].copy(), self.pictures + 1
            self._connection.changed()

    def show(self, **shown: Any) -> None:
        """Set attributes, and notify observers of the connection if one of them has changed."""
        if "fraction" in shown and shown.get("state") != "finished":
            shown["fraction"] = min(shown["fraction"], NOT_YET)
        if any(getattr(self, name) != value for name, value in shown.items()):
            for name, value in shown.items():
                setattr(self, name, value)
            self._connection.changed()

    def transferred(self, done: int, total: int) -> None:
        """Show the transferred bytes of the current stage."""
        self._rate.add(self._connection.now(), done)
        self.speed, self.left = self._rate.speed, self._rate.left(total)
        note = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        self.show(bytes_done=done, bytes_total=total, fraction=done / max(total, 1), note=note)

    def _begin(self, state: State, stage: str) -> None:
        self._rate = Rate()
        self.show(state=state, stage=stage, fraction=0.0, note="", bytes_done=0, bytes_total=0, speed=None, left=None)

    def _end(self, **shown: Any) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.close()
        self.show(**shown)

    def _run(self, also: tuple[str, ...]) -> Steps[None]:
        """Run the whole job; after a lost link, resume over the next one."""
        offered: OfferedFolder | None = None
        while True:
            try:
                if offered is None and not self._submitted:
                    offered = yield from prepare(self.scene, also, self)
                dispatcher = yield from self._connection.connected()
                if not (yield from self._is_known(dispatcher)):
                    self._check_server()
                    if offered is None:  # it was submitted in an earlier session of Blender
                        continue
                    self._begin("uploading", "upload")
                    yield from upload(offered, dispatcher, self)
                    yield from self._submit(dispatcher, offered)
                yield from self._follow(dispatcher)
                result = yield from dispatcher.ask(GetResult(self.id), Result)
                self._connection.refresh_info()
                self._begin("downloading", "download")
                local = self._connection.info.local_store
                folder = yield from download(self.id, result, dispatcher, self._cache, local, self.transferred)
                self.show(state="finished", fraction=1.0, note="", folder=folder, warnings=read_warnings(folder))
                return
            except ConnectionLost:
                continue

    def _check_server(self) -> None:
        """Refuse options that the server does not support, before anything is uploaded."""
        server = self._connection.server
        if server is not None:
            check_features(self.request, server.features, server.server)

    def _is_known(self, dispatcher: Dispatcher) -> Steps[bool]:
        """Return whether the server has the job already; if so, its progress is followed from now on."""
        if not self._submitted:
            return False
        try:
            yield from dispatcher.ask(Sync(self.id), Progress)
        except NotFound:
            if self._cancelling:
                raise _Cancelled from None
            # The submission never arrived, or the server has lost the job; its sequence numbers are void.
            self._submitted = False
            self._remote = None
            return False
        return True

    def _submit(self, dispatcher: Dispatcher, offered: OfferedFolder) -> Steps[None]:
        # From here on the server may have the job, even if its answer is lost.
        self._submitted = True
        submit = Submit(self.id, self.title, offered.offer.manifest, self.request)
        yield from dispatcher.ask(submit, Accepted)
        self._begin("cancelling" if self._cancelling else "queued", "queued")
        yield from dispatcher.ask(Sync(self.id), Progress)

    def _follow(self, dispatcher: Dispatcher) -> Steps[None]:
        """Wait until the server has finished; forward a cancellation."""
        asked = False
        while self._remote is None or self._remote.state not in FINAL_STATES:
            dispatcher.check()
            if self._cancelling and not asked:
                yield from dispatcher.ask(Cancel(self.id), Progress)
                asked = True
            yield False
        if self._remote.state == "cancelled":
            raise _Cancelled
        if self._remote.state == "failed":
            reason = self._remote.error
            raise JobFailed("The job failed.") if reason is None else fault(reason.code, reason.sentence, reason.remedy)

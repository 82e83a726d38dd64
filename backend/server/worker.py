"""The worker process: one job, from the stored scene to the result folder.

Started by the server as ``python -m backend.server.worker FOLDER``. A job that a stopped server left behind is started
anew on the same folder and continues from the checkpoint in it.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from backend.progress import Cancelled, Progress
from backend.server import worker_protocol
from backend.server.child_stdout import take_stdout
from backend.server.kept_poses import KeptPoses
from backend.server.worker_protocol import Assignment, Done, Failed, Line, Pictured, Step, clip
from protocol.errors import Fault
from protocol.manifest import safe_path
from protocol.store import Store, read_manifest

Take = Callable[[NDArray[np.uint8]], object]
Segment = Callable[[dict[str, Any], Progress, Take, KeptPoses], object]
"""Carries out the settings of a ``SegmentRequest`` and leaves the result folder at its ``out``."""


def main() -> int:
    return work(Path(sys.argv[1]), _pipeline)


def _pipeline(settings: dict[str, Any], progress: Progress, picture: Take, kept: KeptPoses) -> object:
    # Importing torch takes seconds: the server hears a first step before, and can cancel meanwhile.
    from backend.pipeline import SegmentRequest, segment

    return segment(SegmentRequest(**settings), progress, picture, kept)


def work(folder: Path, segment: Segment) -> int:
    """Carry out the assignment in ``folder`` and return the exit status, 0 unless the work was cancelled or failed."""
    faulthandler.enable()
    reporter = _Reporter(take_stdout(), folder)
    threading.Thread(target=_listen, args=(reporter,), daemon=True).start()
    try:
        reporter.progress("scene", 0.0)
        assignment = worker_protocol.read_assignment(folder)
        store = Store(Path(assignment.store))
        segment(_settings(folder, assignment, store), reporter.progress, reporter.picture, KeptPoses(store))
        _sync(folder / worker_protocol.RESULT)
    except Cancelled:
        return 1
    except Fault as fault:
        # The folder here means nothing to who sent it: files are called what they are called there.
        scene = str(folder / worker_protocol.SCENE)
        sentence, remedy = (
            text.replace(f"{scene}/", "").replace(scene, "the capture") for text in (fault.sentence, fault.remedy)
        )
        reporter.say(Failed(fault.code, clip(sentence, 2000), clip(remedy, 2000)))
        return 1
    reporter.say(Done())
    return 0


class _Reporter:
    """Tells the server where the work is, and the work that it is to stop."""

    def __init__(self, channel: BinaryIO, folder: Path) -> None:
        self.channel = channel
        self.folder = folder
        self.cancel = False

    def say(self, line: Line) -> None:
        self.channel.write(worker_protocol.pack(line))

    def progress(self, stage: str, fraction: float, note: str = "") -> None:
        if self.cancel:
            raise Cancelled
        self.say(Step(clip(stage, 200), min(max(float(fraction), 0.0), 1.0), clip(note, 2000)))

    def picture(self, picture: NDArray[np.uint8]) -> None:
        worker_protocol.write_picture(self.folder, picture)
        self.say(Pictured())


def _listen(reporter: _Reporter) -> None:
    # Unbuffered: a thread that waits inside the buffer of sys.stdin aborts the interpreter at its exit.
    with open(0, "rb", buffering=0, closefd=False) as orders:
        for line in orders:
            if line == worker_protocol.CANCEL:
                reporter.cancel = True
    # The server is gone: nobody will take the result, and its successor starts this job again.
    os._exit(1)


def _settings(folder: Path, assignment: Assignment, store: Store) -> dict[str, Any]:
    """Lay out the scene in the job's folder and return the fields of the ``SegmentRequest``."""
    request = assignment.request
    scene, result = folder / worker_protocol.SCENE, folder / worker_protocol.RESULT
    for leftover in (scene, result):
        shutil.rmtree(leftover, ignore_errors=True)
    store.checkout(read_manifest(store, assignment.scene), scene)
    return {
        "scene": scene,
        "title": assignment.title,
        "out": result,
        "splats": scene / safe_path(request.splats) if request.splats is not None else None,
        "masks": scene / safe_path(request.masks) if request.masks is not None else None,
        "method": request.method,
        "test_views": request.test_views,
        "device": assignment.device,
        "seed": request.seed,
        "steps": request.steps,
        "quality": request.quality,
        "settings": request.settings,
        "checkpoint": folder / worker_protocol.CHECKPOINT,
    }


def _sync(result: Path) -> None:
    """Wait until the result is on the disk, so that a job that is done stays done through a power cut."""
    for path in sorted(result.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # All is said and synced; taking torch apart in order would hold the device for seconds more.
    os._exit(status)

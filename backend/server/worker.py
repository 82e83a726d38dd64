"""The worker process: one job, from the stored scene to the result folder.

Started by the server as ``python -m backend.server.worker FOLDER TOKEN``. It continues if the server ends: the next one
finds it by the lock that it holds. If a worker ends early, its job is started again in the same folder and continues
from the checkpoint there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from backend.memory import gib
from backend.pictures import Take
from backend.progress import Cancelled, Progress, Stopped
from backend.server import memory_limit, worker_protocol
from backend.server.kept_poses import KeptPoses
from backend.server.shortage import shortage
from backend.server.worker_channel import Channel, HeldError
from backend.server.worker_protocol import Assignment, Done, Failed, Pictured, Step, Stopping, clip
from protocol.errors import BadArgument, Fault, Unavailable
from protocol.job_request import JobRequest, check_paths
from protocol.store import Store, read_manifest
from protocol.synced import sync_tree


class Segment(Protocol):
    """Makes a result folder from a scene folder, as :func:`backend.pipeline.segment` does."""

    def __call__(
        self,
        scene: Path,
        out: Path,
        request: JobRequest,
        *,
        title: str,
        checkpoint: Path,
        progress: Progress,
        picture: Take,
        kept_poses: KeptPoses,
    ) -> object: ...


def main() -> int:
    return work(Path(sys.argv[1]), sys.argv[2], _pipeline)


def _pipeline(scene: Path, out: Path, request: JobRequest, **named: Any) -> object:
    # Importing torch takes seconds; before that, the server gets a first report, and it can cancel during the import.
    from backend.pipeline import segment

    return segment(scene, out, request, **named)


def work(folder: Path, token: str, segment: Segment) -> int:
    """Run the assignment in ``folder``; return the exit status, 0 unless the work was stopped or failed.

    If disk space, memory or file descriptors are lacking, the work continues later from its checkpoint.
    """
    faulthandler.enable()
    try:
        reporter = _Reporter(Channel(folder, token))
    except HeldError:
        return worker_protocol.HELD
    try:
        reporter.progress("scene", 0.0)
        assignment = worker_protocol.read_assignment(folder)
        limit = assignment.memory or memory_limit.usual_limit()
        memory_limit.watch(limit, lambda: _end_for_memory(reporter.channel, limit))
        store = Store(Path(assignment.store))
        request = _prepare(folder, assignment, store, reporter.progress)
        segment(
            folder / worker_protocol.SCENE,
            folder / worker_protocol.RESULT,
            request,
            title=assignment.title,
            checkpoint=folder / worker_protocol.CHECKPOINT,
            progress=reporter.progress,
            picture=reporter.picture,
            kept_poses=KeptPoses(store),
        )
        # Before the end is reported, so that the job remains done after a power cut.
        sync_tree(folder / worker_protocol.RESULT)
    except Cancelled:
        return 1
    except (Fault, OSError) as fault:
        if (missing := shortage(fault)) is not None:
            print(f"{missing} ({fault})", file=sys.stderr)
            return worker_protocol.LACKS
        if isinstance(fault, OSError):
            raise
        scene = folder / worker_protocol.SCENE
        sentence, remedy = (worded_for_client(text, scene) for text in (fault.sentence, fault.remedy))
        reporter.channel.say(Failed(fault.code, clip(sentence, 2000), clip(remedy, 2000)), surely=True)
        return 1
    reporter.channel.say(Done(), surely=True)
    return 0


def worded_for_client(text: str, scene: Path) -> str:
    """Return a text with words for the folder of the scene, whose path the client does not know.

    Files in it are named by their path in the client's folder.
    """
    text = text.replace(f"{scene}/", "")
    if text.startswith(str(scene)):
        text = text.replace(str(scene), "The capture", 1)
    return text.replace(str(scene), "the capture")


def _end_for_memory(channel: Channel, limit: int) -> None:
    """Report that the memory limit is exceeded, and end this process, because its main thread still allocates."""
    sentence = f"The job needs more than {gib(limit)} of memory, the limit of a worker on this server."
    remedy = (
        "Use fewer or smaller photographs and masks or fewer Gaussians, or start the server with a larger "
        "--worker-memory."
    )
    channel.say(Failed(Unavailable.code, sentence, remedy), surely=True)
    os._exit(1)


class _Reporter:
    """Reports progress to the server, and stops the work when the server asks."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._order = b""
        channel.hear_orders(self._obey)

    def _obey(self, order: bytes) -> None:
        self._order = order
        if order == worker_protocol.STOP:
            self.channel.say(Stopping())

    def progress(self, stage: str, fraction: float, note: str = "") -> None:
        if self._order == worker_protocol.STOP:
            raise Stopped
        if self._order == worker_protocol.CANCEL:
            raise Cancelled
        self.channel.say(Step(clip(stage, 200), min(max(float(fraction), 0.0), 1.0), clip(note, 2000)))

    def picture(self, picture: NDArray[np.uint8]) -> None:
        with contextlib.suppress(OSError):  # only the preview is missing
            worker_protocol.write_picture(self.channel.folder, picture)
            self.channel.say(Pictured())


def _prepare(folder: Path, assignment: Assignment, store: Store, progress: Progress) -> JobRequest:
    """Copy the scene into the job's folder; return the request with the device of this worker.

    Raises:
        BadArgument: if the request names a path outside the scene, or a folder as a model.
        NotFound: if a file of the scene is not stored, or damaged.
    """
    check_paths(assignment.request)
    model = assignment.request.masks_model
    if model is not None and Path(model).exists():
        raise BadArgument(f"The model {model} is a folder of the server.", "Give a model of the hub as owner/name.")
    scene = folder / worker_protocol.SCENE
    for leftover in (scene, folder / worker_protocol.RESULT):
        shutil.rmtree(leftover, ignore_errors=True)
    entries = read_manifest(store, assignment.scene)
    for entry in entries:
        store.checkout([entry], scene)
        progress("scene", 0.0, "reading the stored files")
    return replace(assignment.request, device=assignment.device)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Everything is reported and synced. The shutdown of torch would keep the device for seconds.
    os._exit(status)

"""The protocol between a server and its worker processes.

It consists of files in the job's folder, so a worker continues without a server, and the next server finds it. The
server writes an :class:`Assignment` and starts the worker on the folder, with a new token for each start. The worker
takes the folder's lock, writes its process id and the token next to it, and appends one JSON object per line to the
file that :func:`reports` returns. Its output goes to the log. The server writes :data:`CANCEL` or :data:`STOP` into the
file :data:`ORDER`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocol.broken_arrays import BROKEN_ARRAY
from protocol.field_types import Digest, Fraction, Name, Sentence
from protocol.job_request import JobRequest
from protocol.messages import MAX_SIDE
from protocol.whole_file import whole_file, write_whole

ASSIGNMENT = "job.json"
SCENE = "scene"
RESULT = "result"
CHECKPOINT = "checkpoint"
PICTURE = "picture.npy"
LOG = "worker.log"
LOCK = "worker.lock"
ORDER = "order"
STORING = "storing"
"""A file that the server makes before it stores the result."""
CANCEL = b"cancel"
"""The order to end without a checkpoint."""
STOP = b"stop"
"""The order to write a checkpoint and end: the job continues later."""
HELD = 75
"""The exit status of a worker if another worker holds the lock of its folder."""
LACKS = 76
"""The exit status of a worker that lacked disk space, memory or file descriptors, which may be there later."""
SAME_BOOT = 30.0
"""Seconds by which two readings of the machine's boot time may differ, because its clock may be adjusted."""
MAX_LINE = 64 * 1024


Device = Literal["auto", "cuda", "cpu"]


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file ``job.json``: the job of a worker.

    Attributes:
        store: path of the store.
        title: of the job.
        scene: hash of the scene's manifest.
        request: the options of the job.
        device: to compute on.
        memory: limit in bytes; None for the default.
        gpus: names of the GPUs of the worker; empty if it chooses.
    """

    store: str
    title: Name
    scene: Digest
    request: JobRequest
    device: Device
    memory: int | None = None
    gpus: list[str] = []


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of the reports of a worker."""


class Step(Line, frozen=True, tag="progress"):
    """Progress: ``fraction`` of ``stage`` is done."""

    stage: Name
    fraction: Fraction
    note: Sentence = ""


class Pictured(Line, frozen=True, tag="picture"):
    """The file ``picture.npy`` in the job's folder is new: (H, W, 3) uint8, RGB."""


class Stopping(Line, frozen=True, tag="stopping"):
    """The order to stop was read; a checkpoint will be written."""


class Done(Line, frozen=True, tag="done"):
    """The result folder is complete and synced."""


class Failed(Line, frozen=True, tag="error"):
    """The work failed with a :class:`protocol.errors.Fault`."""

    code: Name
    sentence: Sentence
    remedy: Sentence = ""


Said = Step | Pictured | Stopping | Done | Failed
"""A report of a worker."""

_line = msgspec.json.Decoder(Said, strict=True)
_assignment = msgspec.json.Decoder(Assignment, strict=True)


def pack(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def unpack(line: bytes) -> Said | None:
    """Return the report in a line of a worker, or None if the line is not a report."""
    try:
        return _line.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def reports(folder: Path, token: str) -> Path:
    """Return the file for the reports of the worker that was started with ``token``."""
    return folder / f"reports-{token}"


def write_order(folder: Path, order: bytes) -> None:
    write_whole(folder / ORDER, order, durable=False)


def read_order(folder: Path) -> bytes:
    """Return the last order of the server, or b"" if there is no order."""
    try:
        return (folder / ORDER).read_bytes()
    except OSError:
        return b""


def write_assignment(folder: Path, assignment: Assignment) -> None:
    write_whole(folder / ASSIGNMENT, msgspec.json.encode(assignment), durable=False)


def write_picture(folder: Path, picture: NDArray[np.uint8]) -> None:
    with whole_file(folder / PICTURE, durable=False) as part, part.open("wb") as file:
        np.save(file, picture, allow_pickle=False)


def read_picture(folder: Path) -> NDArray[np.uint8] | None:
    """Return the newest picture of a job, or None if it is missing or cannot be sent."""
    try:
        picture = np.load(folder / PICTURE, allow_pickle=False)
    except BROKEN_ARRAY:
        return None
    good = isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3
    return picture if good and picture.shape[2] == 3 and 0 < max(picture.shape[:2]) <= MAX_SIDE else None


def read_assignment(folder: Path) -> Assignment:
    return _assignment.decode((folder / ASSIGNMENT).read_bytes())


def clip(text: str, length: int) -> str:
    """Return ``text`` as one printable line of at most ``length`` characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= length else line[: length - 1] + "…"

"""What a server and its worker process tell one another.

All of it is files of the job's folder, so a worker works on while there is no server, and the next server finds it. The
server writes an :class:`Assignment` and starts the worker on the folder, with a token of its own for each start. The
worker takes the folder's lock, signs it with its process number and the token, and appends one JSON object per line to
the file that :func:`reports` names. What it prints goes to the log. The server writes :data:`CANCEL` or :data:`STOP`
into the file :data:`ORDER`.
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
"""The order to end, and to leave what was done."""
STOP = b"stop"
"""The order to write a checkpoint and end: the job continues later."""
HELD = 75
"""The exit status of a worker whose folder another worker holds."""
SAME_BOOT = 30.0
"""Seconds that two readings of the time of the machine's start may differ: its clock is set now and then."""
MAX_LINE = 64 * 1024


Device = Literal["auto", "cuda", "cpu"]


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file ``job.json``: which stored scene, what to do with it on which device, and in how much memory (bytes).

    ``gpus`` are the names of the GPUs that the worker was given; empty where it chooses.
    """

    store: str
    title: Name
    scene: Digest
    request: JobRequest
    device: Device
    memory: int | None = None
    gpus: list[str] = []


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of what a worker says."""


class Step(Line, frozen=True, tag="progress"):
    """The work is at ``fraction`` of ``stage``."""

    stage: Name
    fraction: Fraction
    note: Sentence = ""


class Pictured(Line, frozen=True, tag="picture"):
    """The file ``picture.npy`` in the job's folder is new: (H, W, 3) uint8, RGB."""


class Stopping(Line, frozen=True, tag="stopping"):
    """The order to stop was read; a checkpoint will be written."""


class Done(Line, frozen=True, tag="done"):
    """The result folder is whole, and on the disk."""


class Failed(Line, frozen=True, tag="error"):
    """The work came to a :class:`protocol.errors.Fault`."""

    code: Name
    sentence: Sentence
    remedy: Sentence = ""


Said = Step | Pictured | Stopping | Done | Failed
"""What a worker says."""

_line = msgspec.json.Decoder(Said, strict=True)
_assignment = msgspec.json.Decoder(Assignment, strict=True)


def pack(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def unpack(line: bytes) -> Said | None:
    """Return what a line of a worker says, or None where it is not one of ours."""
    try:
        return _line.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def reports(folder: Path, token: str) -> Path:
    """Return the file that the worker which was started with ``token`` writes its lines to."""
    return folder / f"reports-{token}"


def write_order(folder: Path, order: bytes) -> None:
    part = folder / f"{ORDER}.part"
    part.write_bytes(order)
    part.replace(folder / ORDER)


def read_order(folder: Path) -> bytes:
    """Return the order that the server has written last, or b"" where it has not."""
    try:
        return (folder / ORDER).read_bytes()
    except OSError:
        return b""


def write_assignment(folder: Path, assignment: Assignment) -> None:
    part = folder / f"{ASSIGNMENT}.part"
    part.write_bytes(msgspec.json.encode(assignment))
    part.replace(folder / ASSIGNMENT)


def write_picture(folder: Path, picture: NDArray[np.uint8]) -> None:
    part = folder / f"{PICTURE}.part"
    with part.open("wb") as file:
        np.save(file, picture, allow_pickle=False)
    part.replace(folder / PICTURE)


def read_picture(folder: Path) -> NDArray[np.uint8] | None:
    """Return the newest picture of a job, or None if there is none that can be sent."""
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

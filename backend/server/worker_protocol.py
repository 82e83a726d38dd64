"""What a server and its worker process tell one another.

The server writes an :class:`Assignment` into the job's folder and starts the worker on that folder. The worker writes
one JSON object per line to its standard output; everything it prints goes to the log file through standard error. On
its standard input it may read the line ``cancel``; the end of that input means that the server is gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

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
CANCEL = b"cancel\n"
MAX_LINE = 64 * 1024


Device = Literal["auto", "cuda", "cpu"]


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file ``job.json``: which stored scene, and what to do with it on which device."""

    store: str
    title: Name
    scene: Digest
    request: JobRequest
    device: Device


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of what a worker says."""


class Step(Line, frozen=True, tag="progress"):
    """The work is at ``fraction`` of ``stage``."""

    stage: Name
    fraction: Fraction
    note: Sentence = ""


class Pictured(Line, frozen=True, tag="picture"):
    """The file ``picture.npy`` in the job's folder is new: (H, W, 3) uint8, RGB."""


class Done(Line, frozen=True, tag="done"):
    """The result folder is whole."""


class Failed(Line, frozen=True, tag="error"):
    """The work came to a :class:`protocol.errors.Fault`."""

    code: Name
    sentence: Sentence
    remedy: Sentence = ""


_line = msgspec.json.Decoder(Step | Pictured | Done | Failed, strict=True)
_assignment = msgspec.json.Decoder(Assignment, strict=True)


def pack(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def unpack(line: bytes) -> Step | Pictured | Done | Failed | None:
    """Return what a line of a worker says, or None where it is not one of ours."""
    try:
        return _line.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


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
    except (OSError, ValueError, EOFError):
        return None
    good = isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3
    return picture if good and picture.shape[2] == 3 and 0 < max(picture.shape[:2]) <= MAX_SIDE else None


def read_assignment(folder: Path) -> Assignment:
    return _assignment.decode((folder / ASSIGNMENT).read_bytes())


def clip(text: str, length: int) -> str:
    """Return ``text`` as one printable line of at most ``length`` characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= length else line[: length - 1] + "…"

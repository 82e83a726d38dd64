"""What a server and its worker process tell one another.

The server writes an :class:`Assignment` into the job's folder and starts the worker on that folder. The worker writes
one JSON object per line to its standard output; everything it prints goes to the log file through standard error. On
its standard input it may read the line ``cancel``; the end of that input means that the server is gone.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from protocol.messages import Fraction, JobRequest, Name, Sentence, Sha256

ASSIGNMENT = "job.json"
SCENE = "scene"
RESULT = "result"
CHECKPOINT = "checkpoint"
LOG = "worker.log"
LOCK = "worker.lock"
CANCEL = b"cancel\n"
MAX_LINE = 64 * 1024


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file ``job.json``: which stored scene, and what to do with it on which device."""

    store: str
    title: Name
    scene: Sha256
    request: JobRequest
    device: str


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of what a worker says."""


class Step(Line, frozen=True, tag="progress"):
    """The work is at ``fraction`` of ``stage``."""

    stage: Name
    fraction: Fraction
    note: Sentence = ""


class Done(Line, frozen=True, tag="done"):
    """The result folder is whole."""


class Failed(Line, frozen=True, tag="error"):
    """The work came to a :class:`protocol.errors.Fault`."""

    code: Name
    sentence: Sentence
    remedy: Sentence = ""


_line = msgspec.json.Decoder(Step | Done | Failed, strict=True)
_assignment = msgspec.json.Decoder(Assignment, strict=True)


def pack(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def unpack(line: bytes) -> Step | Done | Failed | None:
    """Return what a line of a worker says, or None where it is not one of ours."""
    try:
        return _line.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def write_assignment(folder: Path, assignment: Assignment) -> None:
    part = folder / f"{ASSIGNMENT}.part"
    part.write_bytes(msgspec.json.encode(assignment))
    part.replace(folder / ASSIGNMENT)


def read_assignment(folder: Path) -> Assignment:
    return _assignment.decode((folder / ASSIGNMENT).read_bytes())


def clip(text: str, length: int) -> str:
    """Return ``text`` as one printable line of at most ``length`` characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= length else line[: length - 1] + "…"

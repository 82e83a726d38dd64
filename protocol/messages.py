"""Every message that crosses the wire, one class each.

Two pairs of sockets, DEALER at the client and ROUTER at the server. On *control*: hello, submit, cancel, status, sync,
result, select, heartbeat, and the progress that the server pushes. On *bulk*: files, pulled by whichever side receives
them, so that a cancel never waits behind an upload.

A message answers another where its header carries that one's ``id`` (see :mod:`protocol.wire`); an id of 0 marks a
message that answers nothing.
"""

# msgspec hands `frozen` on to subclasses; pyright knows only the rule of plain dataclasses.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.field_types import Count, Digest, FolderPath, Fraction, JobId, Name, Sentence, Token
from protocol.job_request import JobRequest
from protocol.settings import Setting

MAJOR, MINOR = 2, 1
"""Protocol version. Sides with different MAJOR refuse one another, naming both; MINOR only adds.

What a minor version adds is named among the features of :class:`Hello` and :class:`Welcome`; a side sends a message of
a feature only to one that named it.
"""

JobState = Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]
FINAL_STATES: frozenset[str] = frozenset({"done", "failed", "cancelled"})


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower):
    """Base of all messages; its tag on the wire is the class name in lower case."""


class Hello(Message):
    """Client to server, the first message on control."""

    protocol: tuple[int, int]
    client: Name
    features: list[Name] = []


class MethodInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lifting method the server offers, as the panel shows it."""

    name: Name
    title: Name
    summary: Sentence


class Welcome(Message):
    """Answer to :class:`Hello`.

    ``instance`` changes with each start of the server: a client that sees a new one says hello and sync again.
    ``session`` is what the client's bulk socket presents in :class:`Attach`.
    """

    protocol: tuple[int, int]
    server: Name
    instance: Token
    session: Token
    features: list[Name]
    methods: list[MethodInfo]
    device: Name
    """What jobs use that leave it open: "auto" while the server has not looked, see :class:`Facts`."""
    bulk: Name
    """Address of the bulk socket as the server knows it; a client replaces the host by the one it connected to."""


class Attach(Message):
    """Client to server, the first message on bulk."""

    session: Token


class Attached(Message):
    """Answer to :class:`Attach`."""


class Describe(Message):
    """Client to server: what do you work on? The answer is :class:`Facts`. Of the feature "facts"."""


class Facts(Message):
    """Answer to :class:`Describe`: the device in use, "cuda" or "cpu", what it is called, and its memory in bytes.

    ``free_bytes`` is as of the last minute or so, 0 where it is not known. ``problem`` says why no job can run.
    """

    device: Name
    device_name: Name
    free_bytes: Count
    total_bytes: Count
    problem: Sentence = ""


class DescribeMethod(Message):
    """Client to server: which settings has this method? The answer is :class:`MethodSettings`. Of "facts"."""

    method: Name


class MethodSettings(Message):
    """Answer to :class:`DescribeMethod`, in the order in which they are to be shown."""

    method: Name
    settings: list[Setting]


class Locate(Message):
    """Client to server: where are your files, if we are on one machine? Answered by :class:`Located`. Of "nearby"."""


class Located(Message):
    """Answer to :class:`Locate`: the folder of the server's store, laid out as :class:`protocol.store.Store` does.

    A client that finds the files there needs no :class:`Get` for them. It trusts neither the path nor what lies there.
    """

    store: FolderPath


class Submit(Message):
    """Client to server: start ``job`` on the stored scene whose manifest has hash ``scene``."""

    job: JobId
    title: Name
    scene: Digest
    request: JobRequest = JobRequest()


class Accepted(Message):
    """Answer to :class:`Submit`; the same for the first and for every later submission of one job id."""

    job: JobId
    state: JobState
    seq: Count


class Progress(Message):
    """Where a job is: pushed at each change to the sessions that follow it, and the answer to sync and cancel.

    ``seq`` grows by one with each change of the job; a client drops what is not newer than what it has.
    """

    job: JobId
    seq: Count
    state: JobState
    stage: Name = ""
    fraction: Fraction = 0.0
    note: Sentence = ""
    error: Error | None = None


class Cancel(Message):
    """Client to server: stop ``job``. The answer is its :class:`Progress`."""

    job: JobId


class Sync(Message):
    """Client to server: follow ``job`` from here on. The answer is its present :class:`Progress`."""

    job: JobId
    seq: Count = 0


class Status(Message):
    """Client to server: which jobs are there? The answer is :class:`Jobs`."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class JobInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of :class:`Jobs`."""

    job: JobId
    title: Name
    state: JobState
    stage: Name
    fraction: Fraction
    created: float
    """Seconds since 1970, the server's clock."""


class Jobs(Message):
    """Answer to :class:`Status`, newest first."""

    jobs: list[JobInfo]


MAX_SIDE = 320
"""Pixels along the longest side of a :class:`Picture`."""


class Picture(Message):
    """Server to client, who follows ``job``: how the work looks now. Of the feature "picture".

    The one array is (H, W, 3) uint8, RGB, the first row at the top.
    """

    job: JobId


class GetResult(Message):
    """Client to server: where is the result of ``job``? The answer is :class:`Result`."""

    job: JobId


class Result(Message):
    """The result folder of ``job`` as the hash and size of its :class:`Manifest`, to be fetched on bulk."""

    job: JobId
    manifest: Digest
    size: Count


class Select(Message):
    """Client to server: which Gaussians of the result of ``job`` are like this one? The answer is :class:`Selected`.

    Of the feature "select". Either ``gaussian`` is given, a row of the result's ``splats.ply``, or ``view`` with the
    column ``x`` and row ``y`` of its label map.
    """

    job: JobId
    gaussian: Count | None = None
    view: Name | None = None
    x: Count = 0
    y: Count = 0
    threshold: Annotated[float, Meta(ge=-1.0, le=1.0)] = 0.7
    """Cosine between the embeddings, at least."""
    hull: bool = True
    """Whether all Gaussians inside the convex hull of these are taken in place of them."""


class Selected(Message):
    """Answer to :class:`Select`: ``count`` of the result's ``total`` Gaussians.

    The arrays, uint8, are one after the other the bits of all Gaussians, the first in the highest bit of the first
    byte (``numpy.packbits``). Where the method trained no embedding, ``label`` is the label that decided.
    """

    job: JobId
    count: Count
    total: Count
    label: Annotated[int, Meta(ge=0, lt=2**31)] | None = None


class Heartbeat(Message):
    """Either way on control; the answer is another one. Shows that the main loop runs, not only its I/O thread."""


class Bye(Message):
    """Client to server: forget this session."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a :class:`Manifest`; ``path`` is relative, with forward slashes, and never leaves its folder."""

    path: Annotated[str, Meta(min_length=1, max_length=1024)]
    size: Count
    digest: Digest


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A folder as content: itself a file (this struct as JSON, entries sorted by path), known by its own hash."""

    files: list[FileEntry]


class Offer(Message):
    """Client to server on bulk: I have the folder with this manifest. The server pulls the manifest, answers
    :class:`Wanted`, pulls what it lacks, and ends with :class:`Stored`."""

    manifest: Digest
    size: Count


class Wanted(Message):
    """Answer to :class:`Offer` once the manifest is known: how much of the folder the server lacks."""

    manifest: Digest
    files: Count
    bytes: Count
    total_files: Count
    total_bytes: Count


class Stored(Message):
    """Server to client on bulk: the whole folder is stored and verified."""

    manifest: Digest


class Get(Message):
    """Receiver to sender on bulk: send this range of this file. The answer is :class:`Chunk` or :class:`Error`."""

    digest: Digest
    offset: Count
    length: Annotated[int, Meta(ge=1, le=1 << 20)]


class Chunk(Message):
    """A range of a file; its bytes are the one array frame, uint8."""

    digest: Digest
    offset: Count


class Error(Message):
    """A :class:`protocol.errors.Fault` on the wire."""

    code: Name
    sentence: Sentence
    remedy: Sentence = ""


AnyMessage = (
    Hello
    | Welcome
    | Describe
    | Facts
    | DescribeMethod
    | MethodSettings
    | Locate
    | Located
    | Attach
    | Attached
    | Submit
    | Accepted
    | Progress
    | Cancel
    | Sync
    | Status
    | Jobs
    | Picture
    | GetResult
    | Result
    | Select
    | Selected
    | Heartbeat
    | Bye
    | Offer
    | Wanted
    | Stored
    | Get
    | Chunk
    | Error
)
"""The tagged union that a header may hold."""

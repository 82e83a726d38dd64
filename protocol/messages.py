"""Every message of the protocol, one class each.

There are two pairs of sockets, DEALER at the client and ROUTER at the server. *Control* carries hello, submit, cancel,
status, sync, result, questions about results, heartbeat, and the progress that the server pushes. *Bulk* carries files,
pulled by the receiving side, so that a cancel never waits behind an upload.

An answer has the ``id`` of its request in its header (see :mod:`protocol.wire`); the id 0 means that a message answers
nothing.
"""

# msgspec inherits `frozen`; pyright only knows the rule of plain dataclasses.
# pyright: reportGeneralTypeIssues=false

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol.field_types import Count, Digest, FolderPath, Fraction, JobId, Label, Mac, Name, Phrase, Sentence, Token
from protocol.job_request import JobRequest
from protocol.result.corrections import Kind
from protocol.settings import Setting

MAJOR, MINOR = 2, 2
"""Protocol version. Two sides with different MAJOR refuse each other with both versions in the error; MINOR only adds.

Additions of a minor version are announced as features in :class:`Hello` and :class:`Welcome`; a side sends a message of
a feature only if the other side announced it.
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

    ``instance`` changes with each start of the server; a client that sees a new value sends hello and sync again.
    ``session`` is presented by the client's bulk socket in :class:`Attach`.
    """

    protocol: tuple[int, int]
    server: Name
    instance: Token
    session: Token
    features: list[Name]
    methods: list[MethodInfo]
    device: Name
    """Default device of jobs; "auto" while the server has not probed the machine yet, see :class:`Facts`."""
    bulk: Name
    """Address of the bulk socket as seen by the server; a client replaces the host by the one it connected to."""


class Challenge(Message):
    """Answer to :class:`Hello` from a server without encryption: the client must prove that it runs for the user who
    started the server. Sent to clients with the feature "proof".

    After the :class:`Welcome` of a server with the feature "server-proof" the client also sends one, and the server
    answers with a :class:`Proof`.
    """

    nonce: Token


class Proof(Message):
    """Answer to :class:`Challenge`, see :mod:`protocol.local_token`. The server answers a client's proof with
    :class:`Welcome`.
    """

    mac: Mac


class Attach(Message):
    """Client to server, the first message on bulk."""

    session: Token


class Attached(Message):
    """Answer to :class:`Attach`."""


class Describe(Message):
    """Client to server: request information about the machine. The answer is :class:`Facts`. Feature "facts"."""


class Facts(Message):
    """Answer to :class:`Describe`: the device in use, "cuda" or "cpu", its name, and its memory in bytes.

    ``free_bytes`` is about a minute old at most, 0 if unknown. ``problem`` is the reason why no job can run.
    """

    device: Name
    device_name: Name
    free_bytes: Count
    total_bytes: Count
    problem: Sentence = ""


class DescribeMasks(Message):
    """Client to server: request what makes masks where a capture has none. The answer is :class:`MaskModels`. Feature
    "masks"."""


class MaskModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A segmentation model that the server knows; ``is_here`` is whether its weights are on the server's machine."""

    name: Name
    title: Name
    bytes: Count
    is_here: bool


class MaskModels(Message):
    """Answer to :class:`DescribeMasks`.

    A job without masks and without a named model uses the first model of ``models`` that is on the machine; without
    one, objects are found by geometry. ``installed`` is whether the package that runs the models is installed.
    """

    installed: bool
    models: list[MaskModel] = []

    def default(self) -> MaskModel | None:
        """Return the model that such a job uses; None for geometry."""
        return next((model for model in self.models if model.is_here), None)


class DescribeMethod(Message):
    """Client to server: request the settings of a method. The answer is :class:`MethodSettings`. Feature "facts"."""

    method: Name


class MethodSettings(Message):
    """Answer to :class:`DescribeMethod`, in display order."""

    method: Name
    settings: list[Setting]


class Locate(Message):
    """Client to server: request the server's store, for use on one machine. Answered by :class:`Located`. Of
    "nearby"."""


class Located(Message):
    """Answer to :class:`Locate`: the folder of the server's store, with the layout of :class:`protocol.store.Store`.

    A client on the same machine can link files from it instead of sending :class:`Get`. It validates the path and every
    file.
    """

    store: FolderPath


class Submit(Message):
    """Client to server: start ``job`` on the stored scene whose manifest has hash ``scene``."""

    job: JobId
    title: Name
    scene: Digest
    request: JobRequest = JobRequest()


class Accepted(Message):
    """Answer to :class:`Submit`; repeated submissions of one job id get the same answer."""

    job: JobId
    state: JobState
    seq: Count


class Progress(Message):
    """State of a job: pushed at each change to the sessions that follow it, and the answer to sync and cancel.

    ``seq`` increases with each change of the job; a client ignores messages that are not newer than its state.
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
    """Client to server: follow ``job`` from now on. The answer is its current :class:`Progress`."""

    job: JobId
    seq: Count = 0


class Status(Message):
    """Client to server: request the list of jobs. The answer is :class:`Jobs`."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class JobInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of :class:`Jobs`."""

    job: JobId
    title: Name
    state: JobState
    stage: Name
    fraction: Fraction
    created: float
    """Seconds since 1970, by the server's clock."""


class Jobs(Message):
    """Answer to :class:`Status`, newest first."""

    jobs: list[JobInfo]


class Survey(Message):
    """Client to server: request an overview of the whole server. The answer is :class:`Overview`. Feature "overview".

    ``token`` proves that the client may read the server's data folder: it is in a file there that only its owner reads.
    """

    token: Token | None = None


class OverviewJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job in :class:`Overview`."""

    job: JobId
    title: Name
    client: Name
    """Whose job it is; "" for who gave no token."""
    state: JobState
    stage: Name
    fraction: Fraction
    note: Sentence
    created: float
    """Seconds since 1970, by the server's clock."""


class Overview(Message):
    """Answer to :class:`Survey`.

    ``jobs`` are those that run and the first of those that wait, in that order; ``clients`` are the names of the
    connected ones and of their programs. Who gave no token gets its own jobs and no names of clients. ``executor`` is
    what runs the workers, ``places`` the number of jobs that can run at once, None while that is not known. Times are
    seconds since 1970 by the server's clock. ``trouble`` is why changes of jobs are not written at the moment, "" if
    they are.
    """

    server: Name
    since: float
    executor: Name
    places: Count | None
    running: Count
    waiting: Count
    jobs: list[OverviewJob]
    sessions: Count
    clients: list[Name]
    store_bytes: Count
    free_bytes: Count
    disk_bytes: Count
    trouble: Sentence = ""


MAX_SIDE = 320
"""Most pixels along the longer side of a :class:`Picture`."""


class Picture(Message):
    """Server to a client that follows ``job``: a preview of the current state. Feature "picture".

    The array is (H, W, 3) uint8, RGB, first row at the top.
    """

    job: JobId


class GetResult(Message):
    """Client to server: request the result of ``job``. The answer is :class:`Result`."""

    job: JobId


class Result(Message):
    """The result folder of ``job``: hash and size of its :class:`Manifest`, which the client fetches on bulk."""

    job: JobId
    manifest: Digest
    size: Count


class Select(Message):
    """Client to server: select the Gaussians of a result that are similar to one. The answer is :class:`Selected`.

    Feature "select". Give either ``gaussian``, a row of the result's ``splats.ply``, or ``view`` with the column ``x``
    and row ``y`` of its label map.
    """

    job: JobId
    gaussian: Count | None = None
    view: Name | None = None
    x: Count = 0
    y: Count = 0
    threshold: Annotated[float, Meta(ge=-1.0, le=1.0)] = 0.7
    """Least cosine similarity of the embeddings."""
    hull: bool = True
    """Whether to select all Gaussians inside the convex hull of the similar ones."""


class Selected(Message):
    """Answer to :class:`Select`: ``count`` of the result's ``total`` Gaussians.

    The uint8 arrays concatenated hold one bit per Gaussian, the first in the highest bit of the first byte
    (``numpy.packbits``). If the method trained no embedding, ``label`` is the label that was selected.
    """

    job: JobId
    count: Count
    total: Count
    label: Annotated[int, Meta(ge=0, lt=2**31)] | None = None


MOST_MATCHES = 100
"""Most objects that :class:`Matches` lists with their scores."""


class SelectText(Message):
    """Client to server: find the objects of a result that a text names. The answer is :class:`Matches`.

    Feature "text". While it works, the server sends :class:`Working` with the id of the request.
    """

    job: JobId
    text: Phrase
    """As :func:`protocol.words.check_word` returns it."""
    model: Name | None = None
    """A detector of the hub, ``owner/name``; None for a known one that the server has."""


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object that a text may name: its label, its name in the result, a probability, and the number of views in
    which it was detected, of those that were searched and show it."""

    label: Label
    name: Annotated[str, Meta(max_length=60)]
    score: Fraction
    detected: Count
    looked: Count


class Matches(Message):
    """Answer to :class:`SelectText`: all Gaussians of the ``objects`` that the text names, and the best of these.

    The uint8 arrays hold one bit per Gaussian, as those of :class:`Selected`.
    """

    job: JobId
    text: Phrase
    objects: Count
    best: Annotated[list[Match], Meta(max_length=MOST_MATCHES)]
    """Best first; if ``objects`` is 0, the best candidate, which was not accepted."""
    views: Count
    """Number of views in which the detector looked."""
    rendered: bool
    """Whether the views were rendered, because no photograph of the scene belongs to a view of the result."""
    count: Count
    total: Count


class NameObjects(Message):
    """Client to server: name the objects of a result from a list of words. The answer is :class:`Named`.

    Feature "names". While it works, the server sends :class:`Working`. The names are kept: the result of the job
    becomes a new version. Objects that no word names keep their names.
    """

    job: JobId
    words: Annotated[list[Phrase], Meta(min_length=1, max_length=1000)]
    """As :func:`protocol.words.check_words` returns them."""
    model: Name | None = None
    """As in :class:`SelectText`."""
    base: Digest | None = None
    """The manifest of the version whose objects are named; None for the newest."""


class Named(Message):
    """Answer to :class:`NameObjects`: ``named`` of ``total`` objects got a name.

    The uint8 arrays concatenated are a JSON object: the names by label.
    """

    job: JobId
    base: Digest
    named: Count
    total: Count
    version: Digest
    """The manifest of the new version of the result, and its size in bytes."""
    size: Count


MAX_CONSTRAINTS = 64
"""Most constraints of one :class:`Correct`."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a constraint is about: the object with a label, or Gaussians.

    Exactly one is given. ``gaussians`` is the index of an array of the message, which holds one bit per Gaussian of the
    result, as those of :class:`Selected`.
    """

    label: Label | None = None
    gaussians: Annotated[int, Meta(ge=0, lt=8)] | None = None


class Constraint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said about the targets, see :class:`protocol.result.corrections.Correction`."""

    kind: Kind
    targets: Annotated[list[Target], Meta(min_length=1, max_length=2)]
    here: bool = False


class Correct(Message):
    """Client to server: solve the objects of a result again under constraints. The answer is :class:`Corrected`.

    Feature "corrections". Give constraints, or ``undo`` to take the last correction of the result back. The uint8
    arrays are those of the targets.
    """

    job: JobId
    constraints: Annotated[list[Constraint], Meta(max_length=MAX_CONSTRAINTS)] = []
    undo: bool = False
    take: bool = False
    """Whether the change is kept: the result of the job becomes a new version. Without it only the answer shows it."""
    base: Digest | None = None
    """The manifest of the version that is corrected; None for the newest. Earlier versions are stored for a day at
    least, so that a client that has undone a correction can go on from the version before it."""


class Corrected(Message):
    """Answer to :class:`Correct`: which Gaussians change their object.

    The first array is (moves, 5) int32: the label before and after, 0 for the background, the number of Gaussians, 1 if
    they change because similar ones do, and 1 if the label after is that of a new object. The other arrays concatenated
    are (M,) uint32, the rows of the Gaussians in ``splats.ply``, in the order of the moves.
    """

    job: JobId
    base: Digest
    moves: Count
    total: Count
    """Number of Gaussians of the result."""
    corrections: Count
    """Number of corrections after the change."""
    version: Digest | None = None
    """The manifest of the new version, if the change is kept, and its size in bytes."""
    size: Count = 0


class Withdraw(Message):
    """Client to server: the request with this id, a question about a result, needs no answer any more.

    Feature "withdraw". Neither message is answered; a version that the question would have made is not kept.
    """

    request: Count


class Working(Message):
    """Server to client, with the id of a request that takes long: the share of the work that is done, and a note."""

    fraction: Fraction
    note: Sentence = ""


class Heartbeat(Message):
    """In both directions on control; answered with another one. Shows that the main loop still runs."""


class Bye(Message):
    """Client to server: end this session."""


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a :class:`Manifest`; ``path`` is relative, with forward slashes, and inside the folder."""

    path: Annotated[str, Meta(min_length=1, max_length=1024)]
    size: Count
    digest: Digest


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a folder, stored as a file (this struct as JSON, entries sorted by path) under its own hash."""

    files: list[FileEntry]


class Offer(Message):
    """Client to server on bulk: offers a folder by its manifest. The server pulls the manifest, answers
    :class:`Wanted`,
    pulls the files that it lacks, and ends with :class:`Stored`."""

    manifest: Digest
    size: Count


class Wanted(Message):
    """Answer to :class:`Offer` once the manifest is read: how much of the folder the server lacks."""

    manifest: Digest
    files: Count
    bytes: Count
    total_files: Count
    total_bytes: Count


class Stored(Message):
    """Server to client on bulk: the whole folder is stored and verified."""

    manifest: Digest


class Get(Message):
    """Receiver to sender on bulk: request a range of a file. The answer is :class:`Chunk` or :class:`Error`."""

    digest: Digest
    offset: Count
    length: Annotated[int, Meta(ge=1, le=1 << 20)]


class Chunk(Message):
    """A range of a file; the one array frame, uint8, holds its bytes."""

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
    | Challenge
    | Proof
    | Describe
    | Facts
    | DescribeMasks
    | MaskModels
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
    | Survey
    | Overview
    | Picture
    | GetResult
    | Result
    | Select
    | Selected
    | SelectText
    | Matches
    | NameObjects
    | Named
    | Correct
    | Corrected
    | Withdraw
    | Working
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

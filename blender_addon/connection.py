"""The client: one object owns the connection to a server and has one explicit state. No bpy in it.

Nothing here waits. :meth:`Connection.step` does a bounded piece of what is to be done and returns; what takes longer is
written as a generator that yields after each piece: True where it could go on at once, False where it waits for news.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import zmq
from numpy.typing import NDArray

from protocol import errors
from protocol import pairing as pairing_string
from protocol.address import Address, parse
from protocol.errors import BadFrames, Fault, Refused, Unavailable, VersionMismatch
from protocol.messages import (
    FINAL_STATES,
    MAJOR,
    MINOR,
    AnyMessage,
    Attach,
    Attached,
    Error,
    Facts,
    Get,
    Heartbeat,
    Hello,
    JobRequest,
    Jobs,
    Message,
    Picture,
    Progress,
    Select,
    Setting,
    Status,
    Welcome,
)
from protocol.pairing import Pairing
from protocol.store import Store

from .errand import Errand
from .job import Job, Lost
from .learning import learn, look_again
from .link import Channel, Link, Received, Refusal
from .record import Entry
from .selecting import select

State = Literal["disconnected", "connecting", "connected", "error"]
T = TypeVar("T")
M = TypeVar("M", bound=Message)
Steps = Generator[bool, None, T]

ATTEMPT = 4.0
"""Seconds until a server that is being called counts as not there."""
SILENCE = 10.0
"""Seconds without a sign of life until a connected server counts as lost."""
BEAT = 2.0
"""Seconds between heartbeats. libzmq's own do not show that the server's main loop runs."""
FORGOTTEN = 20.0
"""Seconds without a step, as while Blender renders, until a session may be forgotten: the server waits for 30."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 15.0
"""Seconds between attempts to connect again; each wait is twice the one before."""
MAX_GETS = 64
"""Requests for ranges that may wait for their turn; a server keeps far fewer under way."""

CLIENT = "SplatLift for Blender"
FEATURES = ("facts", "picture", "select")
"""What this client can beyond the first version of the protocol."""


class Connection:
    """A connection, wanted or standing, and the jobs given to it.

    Args:
        cache: folder for downloads: ``store`` by content, ``results`` one folder a job. Made when first needed.
        changed: called after each change of the connection or of a job.
        clock: seconds that only go forward.

    Attributes:
        state: "disconnected": nothing is wanted, or the next attempt is due soon (see :attr:`wanted`); "connecting";
            "connected"; "error": it will not be tried again, see :attr:`error`.
        error: what is wrong, with a remedy; None where nothing is.
        server: what the server said of itself; stays after a disconnection, so that a panel can still show it.
        facts: what it said of its machine, None where it has not yet.
        settings: of each of its methods, as it declared them.
        nearby: the folder of its store, where that is on this machine.
        address: the server's, None before the first :meth:`connect`.
        started_here: whether the server is the one of this machine that was started for this client, at any port.
        jobs: all jobs of this connection, oldest first.
        errands: questions that are not answered yet.
        busy: whether the last step left something that could be done at once.
        gets: what the server asked for and has not been sent, with the numbers of its requests.
        uploading: whether an upload has its turn.
        withdrawing: whether the server is still to be told that an upload has ended.
        withdrew: whether one has ended over this link, so that the server may still ask for parts of it.
    """

    def __init__(
        self,
        cache: Path,
        *,
        changed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: State = "disconnected"
        self.error: Fault | None = None
        self.server: Welcome | None = None
        self.facts: Facts | None = None
        self.settings: dict[str, list[Setting]] = {}
        self.nearby: Path | None = None
        self.address: Address | None = None
        self.started_here = False
        self.jobs: list[Job] = []
        self.errands: list[Errand[Any]] = []
        self.cache = cache
        self.changed = changed
        self.busy = False
        self.uploading = False
        self.withdrawing = False
        self.withdrew = False
        self.gets: deque[tuple[Get, int]] = deque()
        self._clock = clock
        self._context: zmq.Context | None = None
        self._link: Link | None = None
        self._life: Steps[None] | None = None
        self._verdict: Fault | None = None
        self._files_port: int | None = None
        self._heard = self._stepped = clock()
        self._boxes: dict[int, deque[Received]] = {}
        # Far from the numbers a server gives to its own requests, which answers may not be taken for.
        self._ids = itertools.count(1 << 32)
        self._store: Store | None = None

    # What a person does

    def connect(self, address: str, pairing: str | None = None, *, started_here: bool = False) -> None:
        """Connect to a server, and again whenever it is lost, until :meth:`close`. Returns at once.

        Jobs of another server, if any are unfinished, fail. With a pairing string the connection is encrypted, or none.

        Args:
            started_here: whether the server was started on this machine for this client. It has the jobs of the one
                that was started before it, at whatever port that was.

        Raises:
            BadArgument: if it is no address, or no pairing string.
            Refused: if it is beyond this machine and there is no pairing string, as it would not be encrypted.
            Unavailable: if there is one and libzmq cannot encrypt.
        """
        where = parse(address)
        keys = pairing_string.parse(pairing) if pairing is not None and pairing.strip() else None
        if keys is None and not where.is_loopback:
            raise Refused(
                f"The server at {where} is on another machine, and without its pairing string nothing is encrypted.",
                "Enter the pairing string, which 'backend pairing' prints on that machine; or use an SSH tunnel: "
                "ssh -L 5757:127.0.0.1:5757 -L 5758:127.0.0.1:5758 HOST, then connect to tcp://127.0.0.1:5757.",
            )
        if keys is not None and not zmq.has("curve"):
            raise Unavailable("The pyzmq installed here cannot encrypt.", "Install the one from PyPI: pyzmq.")
        self.close()
        is_same = self.address in (None, where) or (started_here and self.started_here)
        if not is_same:
            for job in self.unfinished:
                job.abandon(Unavailable(f"The job ran at {self.address}, and {where} was connected to instead."))
            self.server = self.facts = None
            self.settings = {}
        self.address, self.started_here = where, started_here
        self._stepped = self._clock()
        self._life = self._live(where, keys)
        self._show("connecting", None)

    def close(self) -> None:
        """Disconnect. Jobs the server has go on there, and are followed again after the next :meth:`connect`."""
        self._life = None
        self._drop_link(farewell=True)
        self._show("disconnected", None)

    def destroy(self) -> None:
        """Disconnect for good and let go of everything; running jobs stay at the server."""
        for job in self.unfinished:
            job.stop()
        self.close()
        self.errands.clear()
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    def submit(self, folder: Path, request: JobRequest | None = None) -> Job:
        """Send a scene folder, have it segmented, and bring the result here. Returns at once.

        Without a connection the folder is prepared, and sent when there is one.

        Raises:
            BadArgument: if a path that the request names is not inside the folder.
        """
        job = Job(self, Path(folder).absolute(), request or JobRequest())
        self.jobs.append(job)
        self.changed()
        return job

    def cancel(self, job: Job) -> None:
        """Cancel a job: at once while files are on their way, by asking the server while it works."""
        job.cancel()

    def start(self, steps: Steps[T], done: Callable[[Errand[T]], object] | None = None) -> Errand[T]:
        """Take steps besides the jobs, such as those of :func:`.selecting.select`; ``done`` is called after the last.

        Returns at once.
        """
        errand = Errand(self, steps, done)
        self.errands.append(errand)
        return errand

    def select(
        self, wanted: Select, done: Callable[[Errand[NDArray[np.bool_]]], object] | None = None
    ) -> Errand[NDArray[np.bool_]]:
        """Ask which Gaussians of a result are like one of them: (N,) bool in the order of its ``splats.ply``.

        Returns at once. Fails with Unavailable without a connection, or where the server is too old for it.
        """
        return self.start(select(self, wanted), done)

    @property
    def wanted(self) -> bool:
        """Whether there is a connection or one is being tried for."""
        return self._life is not None

    @property
    def unfinished(self) -> list[Job]:
        return [job for job in self.jobs if not job.final]

    def forget(self, job: Job) -> None:
        """Take a job that has come to its end off the list; its result stays in the cache."""
        if job.final:
            self.jobs.remove(job)
            self.changed()

    def restore(self, entries: Sequence[Entry]) -> None:
        """Add the jobs of a record: those with a result here, and those that a server may still have."""
        for entry in entries:
            if entry.finished and not self.result_folder(entry.id).is_dir():
                continue
            try:
                job = Job.recorded(self, entry)
                address = parse(entry.address)
            except Fault:  # its scene folder is gone, and with it what could be sent again
                continue
            self.jobs.append(job)
            if not job.final:
                self.address, self.started_here = address, entry.started_here
        self.changed()

    def record(self) -> list[Entry]:
        """Return what of the jobs is worth remembering, oldest first."""
        return [
            Entry(
                job.id,
                job.title,
                str(job.scene),
                job.request,
                job.folder is not None,
                str(self.address),
                self.started_here,
            )
            for job in self.jobs
            if job.folder is not None or (job.submitted and not job.final)
        ]

    def result_folder(self, job: str) -> Path:
        """Return where the result of a job lies or will lie."""
        return self.cache / "results" / job

    def now(self) -> float:
        """Return the time of this connection's clock."""
        return self._clock()

    # Moving on

    def step(self, budget: float = 0.005) -> None:
        """Do what is to be done for about ``budget`` seconds, and never wait.

        :attr:`busy` tells afterwards whether there is more to do at once.
        """
        deadline = time.perf_counter() + budget
        while True:
            self.busy = any(
                [self._receive(), self._keep_alive(), *[each.advance() for each in (*self.unfinished, *self.errands)]]
            )
            self.errands = [errand for errand in self.errands if not errand.finished]
            self._withdraw()
            self._stepped = self._clock()
            if not self.busy or time.perf_counter() >= deadline:
                return

    def run(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Step until ``until()`` or ``timeout`` seconds have passed; return ``until()``. For scripts: it blocks."""
        deadline = None if timeout is None else self._clock() + timeout
        while not until():
            if deadline is not None and self._clock() >= deadline:
                return False
            self.step(0.02)
            if not self.busy:
                self._rest(0.02)
        return True

    def _rest(self, seconds: float) -> None:
        if self._link is None:
            time.sleep(seconds)
        else:
            self._link.wait(seconds)

    def _keep_alive(self) -> bool:
        if self._life is None:
            return False
        try:
            return next(self._life)
        except StopIteration:
            self._life = None
            return False

    def _live(self, address: Address, pairing: Pairing | None) -> Steps[None]:
        """The life of a connection: say hello, beat, and on a loss try again after growing waits."""
        wait = FIRST_WAIT
        while True:
            self._show("connecting", self.error)
            self._heard = self._clock()
            self._files_port = None
            self._context = self._context or zmq.Context()
            self._link = Link(self._context, address, pairing)
            try:
                yield from self._watched(self._greet(self._link))
                wait = FIRST_WAIT
                yield from self._watched(self._beat())
            except _Asleep:
                self._lose(None)
                continue
            except Fault as reason:
                if isinstance(reason, VersionMismatch | _Unpaired) or (
                    isinstance(reason, BadFrames) and not self._greeted
                ):
                    self._drop_link(farewell=False)
                    self._show("error", reason)
                    return
                self._lose(reason)
            yield from self._pause(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _greet(self, link: Link) -> Steps[None]:
        welcome, _ = yield from self._exchange(Hello((MAJOR, MINOR), CLIENT, list(FEATURES)), Welcome, "control")
        if welcome.protocol[0] != MAJOR:
            raise VersionMismatch(
                f"{welcome.server} speaks protocol {welcome.protocol[0]}, this add-on speaks protocol {MAJOR}.",
                "Update the older of the two, the add-on or the backend.",
            )
        self._files_port = _port(welcome.bulk)
        link.open_bulk(self._files_port)
        yield from self._exchange(Attach(welcome.session), Attached, "bulk")
        self._files_port = None
        self.server = welcome
        self._show("connected", None)
        self.start(learn(self))

    def job_ended(self) -> None:
        """Take note that a job has come to its end at the server."""
        if self._greeted:
            self.start(look_again(self))

    def _beat(self) -> Steps[None]:
        while True:
            yield from self._pause(BEAT)
            yield from self._exchange(Heartbeat(), Heartbeat, "control")
            if any(job.state == "queued" for job in self.jobs):
                yield from self._look_at_the_queue()

    def _look_at_the_queue(self) -> Steps[None]:
        """Learn how many jobs, of whomever, the server does before each of ours."""
        answer, _ = yield from self._exchange(Status(100), Jobs, "control")
        waiting = [info for info in answer.jobs if info.state not in FINAL_STATES]
        places = {info.job: len(waiting) - 1 - place for place, info in enumerate(waiting)}
        for job in self.jobs:
            job.show(ahead=places.get(job.id, 0))

    def _watched(self, steps: Steps[None]) -> Steps[None]:
        """Pass steps on for as long as the link is alive."""
        for more in steps:
            yield more
            self._check_life()

    def _check_life(self) -> None:
        """Raise what ends this link: nonsense from the server, the link's cut, silence, or our own long sleep."""
        assert self._link is not None
        now = self._clock()
        slept = now - self._stepped
        if self._verdict is not None:
            raise self._verdict
        if self._link.refusal is not None:
            raise _unpaired(self._link.refusal, self.address, encrypted=self._link.encrypted)
        if self._link.cut:
            raise self._gone()
        if slept > FORGOTTEN:
            raise _Asleep
        if slept > BEAT:
            self._heard = now  # the silence was ours
        if now - self._heard > (SILENCE if self._greeted else ATTEMPT):
            raise self._gone()

    @property
    def _greeted(self) -> bool:
        return self.state == "connected"

    def _gone(self) -> Unavailable:
        if self._greeted:
            return Unavailable(f"The server at {self.address} no longer answers.", "It is tried again by itself.")
        if self._files_port is not None and self.address is not None:
            return Unavailable(
                f"The server at {self.address} answers, but its second port, {self._files_port}, for files, does not.",
                f"Open both ports in the firewall of that machine, or pass both through the tunnel: ssh -L "
                f"{self.address.port}:127.0.0.1:{self.address.port} -L {self._files_port}:127.0.0.1:{self._files_port} "
                "HOST; it is tried again.",
            )
        return Unavailable(
            f"No SplatLift server answers at {self.address}.", "Start one there with: backend serve; it is tried again."
        )

    def _pause(self, seconds: float) -> Steps[None]:
        end = self._clock() + seconds
        while self._clock() < end:
            yield False

    def _lose(self, fault: Fault | None) -> None:
        self._drop_link(farewell=True)
        self._show("disconnected", fault)

    def _drop_link(self, *, farewell: bool) -> None:
        if self._link is not None:
            self._link.close(farewell=farewell)
        self._link = None
        self.nearby = None
        self._verdict = None
        self.withdrawing = self.withdrew = False
        self._boxes.clear()
        self.gets.clear()

    def _show(self, state: State, error: Fault | None) -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            self.changed()

    # Messages

    def _receive(self) -> bool:
        """Take one message from each socket and give it to whom it concerns."""
        return any([self._receive_on("control"), self._receive_on("bulk")])

    def _receive_on(self, channel: Channel) -> bool:
        if self._link is None or self._verdict is not None:
            return False
        try:
            received = self._link.receive(channel)
            if received is None:
                return False
            self._deliver(received)
        except (BadFrames, VersionMismatch) as fault:
            self._verdict = fault
        self._heard = self._clock()
        return True

    def _deliver(self, received: Received) -> None:
        message, arrays, id = received
        if isinstance(message, Progress):
            for job in self.jobs:
                if job.id == message.job:
                    job.take(message)
        if isinstance(message, Picture):
            for job in self.jobs:
                if job.id == message.job:
                    job.take_picture(arrays)
        if isinstance(message, Get):
            self.gets.append((message, id))
            if len(self.gets) > MAX_GETS:
                raise BadFrames(f"The server asked for more than {MAX_GETS} ranges at once.")
        elif id in self._boxes:
            self._boxes[id].append(received)

    # What the errands of jobs use

    def connected(self) -> Steps[Link]:
        """Wait until there is a connection and return its link."""
        while self._link is None or not self._greeted:
            yield False
        return self._link

    def is_over(self, link: Link) -> bool:
        return self._link is not link

    def ask(self, message: Message, answer: type[M]) -> Steps[M]:
        """Send a message on control and return its answer.

        Raises:
            Lost: if there is no connection, or it is lost first.
            Fault: the server's, if it answers with an error.
        """
        return (yield from self.ask_for_arrays(message, answer))[0]

    def ask_for_arrays(self, message: Message, answer: type[M]) -> Steps[tuple[M, list[NDArray]]]:
        """As :meth:`ask`, and return the arrays of the answer as well."""
        if not self._greeted:
            raise Lost
        return (yield from self._exchange(message, answer, "control"))

    def _exchange(self, message: Message, answer: type[M], channel: Channel) -> Steps[tuple[M, list[NDArray]]]:
        with self.conversation(channel) as talk:
            yield from talk.say(message)
            while not (heard := talk.hear()):
                yield False
            return expect(heard[0], answer), heard[1]

    @contextmanager
    def conversation(self, channel: Channel) -> Iterator[Conversation]:
        """Give a :class:`Conversation` over the present link.

        Raises:
            Lost: if there is none.
        """
        if self._link is None:
            raise Lost
        talk = Conversation(self, self._link, channel)
        try:
            yield talk
        finally:
            for id in talk.ids:
                self._boxes.pop(id, None)

    def open_box(self, box: deque[Received]) -> int:
        """Return a new message number; answers to it go into ``box``."""
        id = next(self._ids)
        self._boxes[id] = box
        return id

    def withdraw(self) -> None:
        """Tell the server, as soon as the socket takes it, that the upload under way has ended."""
        self.withdrawing = self._link is not None
        self.withdrew = self.withdrew or self.withdrawing

    def _withdraw(self) -> None:
        if self.withdrawing and self._link is not None:
            # It ends all uploads of the session, which are one, as jobs take turns.
            withdrawal = Error(Refused.code, "The upload was cancelled.")
            self.withdrawing = not self._link.send("bulk", withdrawal)

    @property
    def store(self) -> Store:
        """Where downloads lie by content.

        Raises:
            Unavailable: if the cache folder cannot be made.
        """
        if self._store is None:
            try:
                self._store = Store(self.cache / "store", durable=False)
            except OSError as error:
                raise Unavailable(
                    f"The cache folder {self.cache} cannot be used: {error.strerror}.",
                    "Choose another one in the add-on's preferences.",
                ) from error
        return self._store


class _Unpaired(Refused):
    """The server and this client do not agree on how to encrypt; trying again does not help."""


def _unpaired(refusal: Refusal, address: Address | None, *, encrypted: bool) -> _Unpaired:
    if refusal == "pairing":
        return _Unpaired(
            f"The server at {address} does not accept this pairing string.",
            "It is another server's, or was renewed. On the server's machine, this prints it: backend pairing.",
        )
    if encrypted:
        return _Unpaired(
            f"The server at {address} does not encrypt, and a pairing string was given.",
            "Leave the pairing string empty, or start the server with: backend serve --encrypt.",
        )
    return _Unpaired(
        f"The server at {address} lets in encrypted connections only, and no pairing string was given.",
        "Enter the pairing string; on the server's machine this prints it: backend pairing.",
    )


class _Asleep(Exception):
    """Nobody stepped the connection for so long that the server may have forgotten it."""


class Conversation:
    """Messages of one errand over one link, and the answers to them in the order they came."""

    def __init__(self, connection: Connection, link: Link, channel: Channel) -> None:
        self.ids: list[int] = []
        self._connection = connection
        self._link = link
        self._channel: Channel = channel
        self._box: deque[Received] = deque()

    def say(self, message: Message) -> Steps[None]:
        """Send a message that is to be answered, as soon as the socket takes it."""
        self.ids.append(self._connection.open_box(self._box))
        yield from self.answer(message, self.ids[-1])

    def answer(self, message: Message, id: int, arrays: Sequence[NDArray] = ()) -> Steps[None]:
        """Send a message that answers the server's request ``id``, as soon as the socket takes it."""
        while True:
            self._check()
            if self._link.send(self._channel, message, arrays, id=id):
                return
            yield False

    def hear(self) -> Received | None:
        """Return the next answer, or None.

        Raises:
            Lost: if the link is gone.
        """
        self._check()
        return self._box.popleft() if self._box else None

    def _check(self) -> None:
        if self._connection.is_over(self._link):
            raise Lost


def expect(message: AnyMessage, kind: type[M]) -> M:
    """Return a message of the kind expected.

    Raises:
        Fault: what an :class:`Error` stands for.
        BadFrames: if it is any other message.
    """
    if isinstance(message, Error):
        raise errors.fault(message.code, message.sentence, message.remedy)
    if not isinstance(message, kind):
        raise BadFrames(f"The server answered with a {type(message).__name__}, not with a {kind.__name__}.")
    return message


def _port(bulk: str) -> int:
    try:
        return parse(bulk).port
    except Fault as error:
        raise BadFrames(f"The server names {bulk!r} as its address for files.") from error

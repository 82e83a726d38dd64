"""The connection to a server as a state machine: socket, handshake, heartbeats, reconnect.

Nothing here blocks: :meth:`Connection.step` does a bounded amount of work and returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import zmq

from protocol import pairing as pairing_string
from protocol.address import Address, parse
from protocol.errors import BadFrames, Fault, Refused, Unavailable, VersionMismatch
from protocol.local_token import SERVER_PROOF, UnprovenServer, new_nonce, prove, read_token, server_proves, token_file
from protocol.messages import MAJOR, MINOR, Attach, Attached, Challenge, Heartbeat, Hello, Message, Proof, Welcome
from protocol.pairing import Pairing

from .coroutines import Runner, Steps, Task
from .dispatcher import Dispatcher, Handler
from .request import Request
from .server_info import ServerInfo
from .sockets import Refusal, Sockets

State = Literal["disconnected", "connecting", "connected", "error"]
T = TypeVar("T")

CONNECT_TIMEOUT = 4.0
"""Seconds without an answer after which a connection attempt fails."""
SILENCE_TIMEOUT = 10.0
"""Seconds without a message after which the connection is considered lost."""
HEARTBEAT_INTERVAL = 2.0
"""Seconds between heartbeats, which show that the server's main loop runs."""
SESSION_TIMEOUT = 20.0
"""Seconds without a step, as while Blender renders, after which a new session is started; the server waits 30."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 15.0
"""Seconds between attempts to reconnect; each wait is twice the previous one."""

CLIENT = "SplatLift for Blender"
FEATURES = ("facts", "picture", "proof", "select", "text", "names", "corrections")
"""Optional protocol features that this client supports."""


def _no_steps(dispatcher: Dispatcher) -> Steps[None]:
    yield from ()


class Connection:
    """A connection to a server, with the tasks that use it.

    Args:
        changed: called after each change of the connection or of a task.
        clock: a monotonic clock in seconds.

    Attributes:
        state: "disconnected": no connection is wanted, or the next attempt is due soon (see :attr:`wanted`);
            "connecting"; "connected"; "error": no further attempt is made, see :attr:`error`.
        error: what is wrong, with a remedy; None if nothing is.
        server: the server's answer to the handshake; kept after a disconnection, so that a panel can still show it.
        info: information that the server sends after the handshake.
        address: the server's, None before the first :meth:`connect`.
        started_here: whether the server was started on this machine for this client, at any port.
        handlers: for unsolicited messages of the server, by type.
        on_heartbeat: additional steps after each heartbeat.
        on_other_server: called with a reason when connecting to another server, which does not have the jobs.
    """

    def __init__(
        self, *, changed: Callable[[], object] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.state: State = "disconnected"
        self.error: Fault | None = None
        self.server: Welcome | None = None
        self.info = ServerInfo(changed)
        self.address: Address | None = None
        self.started_here = False
        self.changed = changed
        self.handlers: dict[type[Message], Handler] = {}
        self.on_heartbeat: Callable[[Dispatcher], Steps[None]] = _no_steps
        self.on_other_server: Callable[[Fault], object] = lambda reason: None
        self._clock = clock
        self._runner = Runner(self._advance, self.wait, self.now)
        self._context: zmq.Context | None = None
        self._sockets: Sockets | None = None
        self._dispatcher: Dispatcher | None = None
        self._life: Steps[None] | None = None
        self._files_port: int | None = None
        self._heard = self._stepped = clock()

    # Controlled by the user

    def connect(self, address: str, pairing: str | None = None, *, started_here: bool = False) -> None:
        """Connect to a server, and reconnect after a loss, until :meth:`close`. Returns at once.

        Unfinished jobs of another server fail. With a pairing string the connection is always encrypted.

        Args:
            started_here: whether the server was started on this machine for this client. It has the jobs of previous
                servers started this way, whatever their ports.

        Raises:
            BadArgument: if an argument is not an address or not a pairing string.
            Refused: if the server is on another machine and there is no pairing string, as nothing would be encrypted.
            Unavailable: if there is a pairing string and libzmq does not support encryption.
        """
        where = parse(address)
        keys = pairing_string.parse(pairing) if pairing is not None and pairing.strip() else None
        if keys is None and not where.is_loopback:
            raise Refused(
                f"The server at {where} is on another machine, and the connection is not encrypted without its "
                "pairing string.",
                "Enter the pairing string that 'backend pairing' prints on that machine. Through an SSH tunnel it is "
                "needed as well: start the server with --encrypt.",
            )
        if keys is not None and not zmq.has("curve"):
            raise Unavailable("The installed pyzmq does not support encryption.", "Install pyzmq from PyPI.")
        self.close()
        is_same = self.address in (None, where) or (started_here and self.started_here)
        if not is_same:
            self.on_other_server(
                Unavailable(f"The job runs on the server {self.address}, but the add-on is connected to {where}.")
            )
            self.server = None
            self.info = ServerInfo(self.changed)
        self.address, self.started_here = where, started_here
        self._stepped = self._clock()
        self._life = self._stay_connected(where, keys)
        self._show("connecting", None)

    def close(self) -> None:
        """Disconnect. Running jobs continue on the server and are followed again after the next :meth:`connect`."""
        self._life = None
        self._drop(send_bye=True)
        self._show("disconnected", None)

    def destroy(self) -> None:
        """Disconnect, stop all tasks, and free all resources; running jobs continue on the server."""
        self._runner.stop()
        self.close()
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    @property
    def wanted(self) -> bool:
        """Whether a connection exists or is being attempted."""
        return self._life is not None

    # Tasks

    def add(self, task: Task) -> None:
        """Add a task, which each :meth:`step` advances until it is final."""
        self._runner.tasks.append(task)

    def start(self, steps: Steps[T], done: Callable[[Request[T]], object] | None = None) -> Request[T]:
        """Start a request, such as the steps of :func:`.selection.select`; ``done`` is called after the last step.

        Returns at once.
        """
        request = Request(self._runner, steps, done)
        self.add(request)
        return request

    @property
    def requests(self) -> list[Request[Any]]:
        """The requests that are not answered yet."""
        return [task for task in self._runner.tasks if isinstance(task, Request)]

    @property
    def busy(self) -> bool:
        """Whether the last step left work that can be done at once."""
        return self._runner.busy

    def step(self, budget: float = 0.005) -> None:
        """Work for about ``budget`` seconds without blocking. :attr:`busy` says whether more work is left."""
        self._runner.step(budget)

    def run(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Step until ``until()`` or ``timeout`` seconds have passed; return ``until()``. For scripts: it blocks."""
        return self._runner.run(until, timeout)

    def wait(self, seconds: float) -> None:
        """Wait until a message arrives, for at most this many seconds. For scripts: it blocks."""
        if self._sockets is None:
            time.sleep(seconds)
        else:
            self._sockets.wait(seconds)

    def now(self) -> float:
        """Return the time of this connection's clock, in seconds."""
        return self._clock()

    def connected(self) -> Steps[Dispatcher]:
        """Wait for a connection and return its dispatcher."""
        while self._dispatcher is None or not self._is_connected:
            yield False
        return self._dispatcher

    def refresh_info(self) -> None:
        """Request the information that changes with each job again, if there is a connection."""
        if self._dispatcher is not None and self.server is not None and self._is_connected:
            self.start(self.info.refresh(self._dispatcher, self.server))

    # Keeping the connection

    def _advance(self) -> bool:
        """Receive, and do the next step to establish or keep the connection; return whether more can be done."""
        received = more = False
        if self._dispatcher is not None and self._sockets is not None:
            more = self._sockets.forward()
            received = self._dispatcher.receive()
            self._dispatcher.send_withdrawal()
        if received:
            self._heard = self._clock()
        if self._life is not None:
            try:
                more = next(self._life) or more
            except StopIteration:
                self._life = None
        self._stepped = self._clock()
        return received or more

    def _stay_connected(self, address: Address, pairing: Pairing | None) -> Steps[None]:
        """Perform the handshake and send heartbeats; after a loss, retry with growing waits."""
        wait = FIRST_WAIT
        while True:
            self._show("connecting", self.error)
            self._heard = self._clock()
            self._files_port = None
            self._context = self._context or zmq.Context()
            self._sockets = Sockets(self._context, address, pairing)
            self._dispatcher = Dispatcher(self._sockets, self.handlers)
            try:
                yield from self._watched(self._handshake(self._sockets, self._dispatcher, address))
                wait = FIRST_WAIT
                yield from self._watched(self._send_heartbeats(self._dispatcher))
            except _Suspended:
                self._lose(None)
                continue
            except Fault as reason:
                if isinstance(reason, VersionMismatch | _EncryptionMismatch | _AnotherUser | UnprovenServer) or (
                    isinstance(reason, BadFrames) and not self._is_connected
                ):
                    self._drop(send_bye=False)
                    self._show("error", reason)
                    return
                self._lose(reason)
            yield from self._pause(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _handshake(self, sockets: Sockets, dispatcher: Dispatcher, address: Address) -> Steps[None]:
        welcome = yield from dispatcher.ask(Hello((MAJOR, MINOR), CLIENT, list(FEATURES)), Message)
        token = None if sockets.encrypted else _own_token()
        if isinstance(welcome, Challenge) and not sockets.encrypted:
            welcome = yield from _show_user(welcome, dispatcher, address, token)
        if not isinstance(welcome, Welcome):
            raise BadFrames(f"The server answered with a {type(welcome).__name__} instead of a Welcome.")
        if welcome.protocol[0] != MAJOR:
            raise VersionMismatch(
                f"{welcome.server} uses protocol {welcome.protocol[0]}, this add-on uses protocol {MAJOR}.",
                "Update the add-on or the backend, whichever is older.",
            )
        if not sockets.encrypted:
            yield from _check_server(welcome, dispatcher, address, token)
        self._files_port = _port(welcome.bulk)
        sockets.open_bulk(self._files_port)
        yield from dispatcher.ask(Attach(welcome.session), Attached, "bulk")
        self._files_port = None
        self.server = welcome
        self._show("connected", None)
        self.start(self.info.fetch(dispatcher, welcome, address))

    def _send_heartbeats(self, dispatcher: Dispatcher) -> Steps[None]:
        while True:
            yield from self._pause(HEARTBEAT_INTERVAL)
            yield from dispatcher.ask(Heartbeat(), Heartbeat)
            yield from self.on_heartbeat(dispatcher)

    def _watched(self, steps: Steps[None]) -> Steps[None]:
        """Run steps while the link is alive."""
        for more in steps:
            yield more
            self._check_alive()

    def _check_alive(self) -> None:
        """Raise the reason to close this link: invalid message, disconnection, timeout, or pause between steps."""
        assert self._sockets is not None
        assert self._dispatcher is not None
        now = self._clock()
        paused = now - self._stepped
        if self._dispatcher.fault is not None:
            raise self._dispatcher.fault
        if self._sockets.refusal is not None:
            raise _encryption_mismatch(self._sockets.refusal, self.address, encrypted=self._sockets.encrypted)
        if self._sockets.lost:
            raise self._no_answer()
        if paused > SESSION_TIMEOUT:
            raise _Suspended
        if paused > HEARTBEAT_INTERVAL:
            self._heard = now  # this side was paused, not the server
        if now - self._heard > (SILENCE_TIMEOUT if self._is_connected else CONNECT_TIMEOUT):
            raise self._no_answer()

    @property
    def _is_connected(self) -> bool:
        return self.state == "connected"

    def _no_answer(self) -> Unavailable:
        if self._is_connected:
            return Unavailable(f"The server at {self.address} no longer answers.", "Reconnecting.")
        if self._files_port is not None and self.address is not None:
            return Unavailable(
                f"The server at {self.address} answers, but its second port, {self._files_port}, does not. It is "
                "needed for files.",
                f"Open both ports in the firewall of that machine, or forward both through the tunnel: ssh -L "
                f"{self.address.port}:127.0.0.1:{self.address.port} -L {self._files_port}:127.0.0.1:{self._files_port} "
                "HOST. Reconnecting.",
            )
        return Unavailable(
            f"No SplatLift server answers at {self.address}.", "Start one there with: backend serve. Reconnecting."
        )

    def _pause(self, seconds: float) -> Steps[None]:
        end = self._clock() + seconds
        while self._clock() < end:
            yield False

    def _lose(self, fault: Fault | None) -> None:
        self._drop(send_bye=True)
        self._show("disconnected", fault)

    def _drop(self, *, send_bye: bool) -> None:
        """Close the link; tasks that wait for answers get ConnectionLost."""
        if self._dispatcher is not None:
            self._dispatcher.closed = True
        if self._sockets is not None:
            self._sockets.close(send_bye=send_bye)
        self._sockets = self._dispatcher = None
        self.info.local_store = None

    def _show(self, state: State, error: Fault | None) -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            self.changed()


class _EncryptionMismatch(Refused):
    """The server and this client use different encryption settings; retrying does not help."""


def _encryption_mismatch(refusal: Refusal, address: Address | None, *, encrypted: bool) -> _EncryptionMismatch:
    if refusal == "pairing":
        return _EncryptionMismatch(
            f"The server at {address} does not accept this pairing string.",
            "The string belongs to another server, or was renewed or revoked. On the server's machine, 'backend "
            "pairing' prints the shared string, and 'backend pairing --for NAME --renew' a new one for one client.",
        )
    if encrypted:
        return _EncryptionMismatch(
            f"The server at {address} does not use encryption, but a pairing string was entered.",
            "Clear the pairing string, or start the server with: backend serve --encrypt.",
        )
    return _EncryptionMismatch(
        f"The server at {address} only accepts encrypted connections, but no pairing string was entered.",
        "Enter the pairing string. To print it, run 'backend pairing' on the server's machine.",
    )


class _AnotherUser(Refused):
    """The server was started by another user; retrying does not help."""


def _show_user(challenge: Challenge, dispatcher: Dispatcher, address: Address, token: str | None) -> Steps[Welcome]:
    """Show a server without encryption that this program runs for the user who started it."""
    refused = _AnotherUser(
        f"Only programs of the user who started the server at {address} may connect, or it is on another machine.",
        "Start it with: backend serve --encrypt, and enter the pairing string that 'backend pairing' prints there.",
    )
    if token is None:
        raise refused
    try:
        return (yield from dispatcher.ask(Proof(prove(token, challenge.nonce, address)), Welcome))
    except Refused as reason:
        raise refused from reason


def _check_server(welcome: Welcome, dispatcher: Dispatcher, address: Address, token: str | None) -> Steps[None]:
    """Have a server without encryption prove that the same user started it, before any data is sent to it."""
    if SERVER_PROOF in welcome.features and token is not None:
        nonce = new_nonce()
        proof = yield from dispatcher.ask(Challenge(nonce), Proof)
        if server_proves(proof.mac, token, nonce, address):
            return
    raise UnprovenServer(address)


def _own_token() -> str | None:
    try:
        return read_token(token_file())
    except RuntimeError:  # this user has no folder
        return None


class _Suspended(Exception):
    """There was no step for so long that the server may have ended the session."""


def _port(bulk: str) -> int:
    try:
        return parse(bulk).port
    except Fault as error:
        raise BadFrames(f"The server sent an invalid address for files: {bulk!r}.") from error

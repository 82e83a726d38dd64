"""Dispatches messages of one link: answers go to the waiting request, all others to their handler."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from numpy.typing import NDArray

from protocol import errors
from protocol.errors import BadFrames, Fault, Refused, VersionMismatch
from protocol.messages import AnyMessage, Error, Get, Message
from protocol.pull import WINDOW

from .coroutines import Steps
from .sockets import Channel, Received, Sockets
from .upload_state import UploadState

M = TypeVar("M", bound=Message)
MAX_UNREAD = WINDOW + 4
"""Most unread answers of one conversation: a download has as many as it has requested ranges. While a socket accepts
nothing, none is read."""
Handler = Callable[[Any, Sequence[NDArray]], object]
"""Called with an unsolicited message of the server and its arrays. May raise BadFrames, which ends the link."""


class ConnectionLost(Exception):
    """The link is closed. Requests then fail; jobs wait for the next link and resume."""


class Dispatcher:
    """Sends requests over one link and routes the answers. It never blocks.

    Args:
        sockets: of the link.
        handlers: by type of message.

    Attributes:
        upload: the state of uploads over this link.
        fault: the protocol violation of the server that ends the link, or None.
        closed: whether the link is closed; every use then raises :class:`ConnectionLost`.
    """

    def __init__(self, sockets: Sockets, handlers: Mapping[type[Message], Handler]) -> None:
        self.upload = UploadState()
        self.fault: Fault | None = None
        self.closed = False
        self._sockets = sockets
        self._handlers = handlers
        self._answers: dict[int, deque[Received]] = {}
        # Far from the ids of the server's own requests, so that an answer cannot be confused with one of them.
        self._ids = itertools.count(1 << 32)

    def receive(self) -> bool:
        """Receive one message from each socket and route it; return whether there was any."""
        return any([self._receive("control"), self._receive("bulk")])

    def ask(self, message: Message, answer: type[M], channel: Channel = "control") -> Steps[M]:
        """Send a message and return its answer.

        Raises:
            ConnectionLost: if the link is closed, or closes before the answer arrives.
            Fault: sent by the server instead of an answer; BadFrames if the answer has another type.
        """
        return (yield from self.ask_for_arrays(message, answer, channel))[0]

    def ask_for_arrays(
        self, message: Message, answer: type[M], channel: Channel = "control"
    ) -> Steps[tuple[M, list[NDArray]]]:
        """As :meth:`ask`, and return the arrays of the answer as well."""
        with self.conversation(channel) as talk:
            yield from talk.ask(message)
            while not (received := talk.receive()):
                yield False
            return expect(received[0], answer), received[1]

    @contextmanager
    def conversation(self, channel: Channel) -> Iterator[Conversation]:
        """Give a :class:`Conversation`; answers that arrive after the block are dropped.

        Raises:
            ConnectionLost: if the link is closed.
        """
        self.check()
        talk = Conversation(self, channel)
        try:
            yield talk
        finally:
            for id in talk.ids:
                self._answers.pop(id, None)

    def check(self) -> None:
        """Raise ConnectionLost if the link is closed."""
        if self.closed:
            raise ConnectionLost

    def expect_answer(self, queue: deque[Received]) -> int:
        """Return the id of a new request; answers to it are appended to ``queue``."""
        id = next(self._ids)
        self._answers[id] = queue
        return id

    def send(self, channel: Channel, message: Message, arrays: Sequence[NDArray], id: int) -> bool:
        """Send a message; return False if the socket cannot accept it now."""
        self.check()
        return self._sockets.send(channel, message, arrays, id=id)

    def send_withdrawal(self) -> None:
        """Tell the server that the upload was withdrawn, if that is still due and the socket accepts it."""
        if self.upload.withdrawing:
            # This withdraws all uploads of the session; there is only one, because jobs upload one at a time.
            withdrawal = Error(Refused.code, "The upload was cancelled.")
            self.upload.withdrawing = not self._sockets.send("bulk", withdrawal)

    def _receive(self, channel: Channel) -> bool:
        if self.fault is not None:
            return False
        try:
            received = self._sockets.receive(channel)
            if received is None:
                return False
            self._route(received)
        except (BadFrames, VersionMismatch) as fault:
            self.fault = fault
        return True

    def _route(self, received: Received) -> None:
        message, arrays, id = received
        if isinstance(message, Get):
            self.upload.add(message, id)
            return
        # Progress is pushed, and is also the answer to Sync and Cancel.
        if handler := self._handlers.get(type(message)):
            handler(message, arrays)
        if (unread := self._answers.get(id)) is not None:
            if len(unread) >= MAX_UNREAD:
                raise BadFrames("The server sent more answers than were requested.")
            unread.append(received)


class Conversation:
    """Several related requests over one link, and their answers in order of arrival.

    Attributes:
        ids: of the requests.
    """

    def __init__(self, dispatcher: Dispatcher, channel: Channel) -> None:
        self.ids: list[int] = []
        self._dispatcher = dispatcher
        self._channel: Channel = channel
        self._answers: deque[Received] = deque()

    def ask(self, message: Message, arrays: Sequence[NDArray] = ()) -> Steps[None]:
        """Send a request as soon as the socket accepts it. Raises ConnectionLost if the link is closed."""
        self.ids.append(self._dispatcher.expect_answer(self._answers))
        yield from self.answer(message, self.ids[-1], arrays)

    def answer(self, message: Message, id: int, arrays: Sequence[NDArray] = ()) -> Steps[None]:
        """Answer the server's request ``id`` as soon as the socket accepts it. Raises ConnectionLost."""
        while not self._dispatcher.send(self._channel, message, arrays, id):
            yield False

    def receive(self) -> Received | None:
        """Return the next answer, or None. Raises ConnectionLost if the link is closed."""
        self._dispatcher.check()
        return self._answers.popleft() if self._answers else None


def expect(message: AnyMessage, kind: type[M]) -> M:
    """Return a message after checking its type.

    Raises:
        Fault: the fault in an :class:`Error` message.
        BadFrames: if the message has any other type.
    """
    if isinstance(message, Error):
        raise errors.fault(message.code, message.sentence, message.remedy)
    if not isinstance(message, kind):
        raise BadFrames(f"The server answered with a {type(message).__name__} instead of a {kind.__name__}.")
    return message

"""What requests about results share: the server must support them, and says how far a long one is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from numpy.typing import NDArray

from protocol.errors import Unavailable
from protocol.messages import Message, Withdraw, Working

from .connection import Connection
from .coroutines import Steps
from .dispatcher import expect

M = TypeVar("M", bound=Message)
Tell = Callable[[float, str], object]
"""Called with the share of the work that is done, 0 to 1, and a note."""


def check_feature(connection: Connection, feature: str, what: str) -> None:
    """Refuse a request that cannot be sent.

    Raises:
        Unavailable: without a connection, or if the server does not support ``what``, its ``feature``.
    """
    if connection.state != "connected" or connection.server is None:
        raise Unavailable("There is no connection to a server.", "Connect to a server first.")
    if feature not in connection.server.features:
        raise Unavailable(f"{connection.server.server} does not support {what}.", "Update the backend.")


def ask_about_result(
    connection: Connection,
    wanted: Message,
    answer: type[M],
    tell: Tell = lambda fraction, note: None,
    arrays: Sequence[NDArray] = (),
) -> Steps[tuple[M, list[NDArray]]]:
    """Send a message and return its answer with its arrays. If this is closed earlier, the server stops its work.

    Raises:
        Fault: the server's; BadFrames if the answer has another type.
        ConnectionLost: if the link is closed.
    """
    dispatcher = yield from connection.connected()
    with dispatcher.conversation("control") as talk:
        yield from talk.ask(wanted, arrays)
        try:
            while True:
                received = talk.receive()
                if received is None:
                    yield False
                elif isinstance(received[0], Working):
                    tell(received[0].fraction, received[0].note)
                else:
                    return expect(received[0], answer), received[1]
        except GeneratorExit:
            server = connection.server
            if server is not None and "withdraw" in server.features and not dispatcher.closed:
                # Where the socket accepts nothing now, the server finishes the work.
                dispatcher.send("control", Withdraw(talk.ids[-1]), (), 0)
            raise

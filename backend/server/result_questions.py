"""Questions of clients about results. Each kind has a separate process: a search by words may take minutes, and a click
must not wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.server.question_protocol import Question, Reply, Wanted
from backend.server.result_process import ResultProcess
from protocol.errors import BadFrames, Refused
from protocol.messages import Correct, Corrected, Error, Message, NameObjects, Select, SelectText, Working
from protocol.store import Store
from protocol.wire import MAX_ARRAY, MAX_ARRAYS

FEATURES = ("select", "text", "names", "corrections", "withdraw")
"""The features of the protocol that this module answers."""
MOVE = 5 * 4
"""Bytes of a row of the first array of :class:`protocol.messages.Corrected`."""

Send = Callable[[Message, Sequence[NDArray]], object]
"""Sends a message with arrays to the client that asked."""


@dataclass(frozen=True)
class Stored:
    """A stored result: the manifests of the version in question, of the newest version, and of the scene."""

    manifest: str
    newest: str
    scene: str


class ResultQuestions:
    """Passes questions on to the processes that answer them.

    Args:
        store: contains results and scenes.
        data: folder of the server, for the working folders of the processes.
        selector, searcher, corrector: the commands of the processes; the store and a folder are added to them.
        wake: called from a thread when there is a reply for :meth:`tick`.
    """

    def __init__(
        self,
        store: Store,
        data: Path,
        selector: Sequence[str],
        searcher: Sequence[str],
        corrector: Sequence[str],
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        words = ResultProcess(store, data / "words", searcher, "searches by words", wake)
        self._processes: dict[type[Message], ResultProcess] = {
            Select: ResultProcess(store, data / "select", selector, "selects", wake),
            SelectText: words,
            NameObjects: words,
            Correct: ResultProcess(store, data / "correct", corrector, "corrects", wake),
        }
        self._asked: dict[tuple[bytes, int], tuple[ResultProcess, int] | None] = {}

    def expect(self, peer: bytes, request: int) -> None:
        """Announce that the ``request`` of a ``peer`` will be asked, unless it is withdrawn first."""
        self._asked[peer, request] = None

    def ask(
        self,
        stored: Stored,
        wanted: Wanted,
        arrays: Sequence[NDArray],
        send: Send,
        client: str,
        peer: bytes,
        request: int,
    ) -> None:
        """Ask about a stored result for an expected request; the replies are sent from :meth:`tick`.

        Raises:
            Refused: if too many such questions wait already.
            Unavailable: if the process cannot be started.
        """

        if (peer, request) not in self._asked:
            return

        def make(number: int) -> Question:
            data = [array.tobytes() for array in arrays]
            return Question(number, stored.manifest, wanted, stored.newest, stored.scene, data)

        def deliver(reply: Reply) -> None:
            if not isinstance(reply.said, Working):
                self._asked.pop((peer, request), None)
            send(*_message(reply))

        process = self._processes[type(wanted)]
        self._asked[peer, request] = process, process.ask(make, deliver, client)

    def withdraw(self, peer: bytes, request: int | None = None) -> None:
        """Forget a request of a peer, or all of them; they get no answer. Unknown ones are ignored."""
        for key in [key for key in self._asked if key[0] == peer and request in (None, key[1])]:
            asked = self._asked.pop(key)
            if asked is not None:
                process, number = asked
                process.withdraw(number)

    def tick(self) -> None:
        """Send the replies."""
        for process in set(self._processes.values()):
            process.tick()

    def close(self) -> None:
        for process in set(self._processes.values()):
            process.close()


def check_arrays(message: Message, arrays: Sequence[NDArray]) -> None:
    """Refuse arrays that a message must not have.

    Raises:
        BadFrames: if there are any, except the bits of :class:`protocol.messages.Correct`.
    """
    if isinstance(message, Correct):
        if any(array.dtype != np.uint8 or array.ndim != 1 for array in arrays):
            raise BadFrames("The arrays of a Correct message must hold bits, as bytes.")
    elif arrays:
        raise BadFrames(f"A {type(message).__name__} message must not contain arrays.")


def _message(reply: Reply) -> tuple[Message, list[NDArray]]:
    """Return the message to send, and its arrays split so that each fits into a frame."""
    first: list[NDArray] = []
    data = np.frombuffer(reply.data, np.uint8)
    if isinstance(reply.said, Corrected):
        table, rows = np.split(data, [MOVE * reply.said.moves])
        first, data = [table.view("<i4").reshape(-1, 5)], rows.view("<u4")
    each = MAX_ARRAY // data.itemsize
    arrays = [*first, *(data[at : at + each] for at in range(0, len(data), each))]
    if len(arrays) > MAX_ARRAYS or any(array.nbytes > MAX_ARRAY for array in arrays):
        return Error(Refused.code, "The answer is too large to be sent.", "Use a result with fewer Gaussians."), []
    return reply.said, arrays

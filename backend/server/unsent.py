"""The memory of answers that peers do not read: what libzmq has accepted and not sent yet.

libzmq limits the messages that wait for a peer, but not those of all peers together.
"""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

import zmq


class _Held(NamedTuple):
    """A frame in libzmq: whether it was sent, its length in bytes, and when it was passed on."""

    tracker: zmq.MessageTracker
    size: int
    at: float


class Unsent:
    """Counts the bytes of large frames that libzmq holds, for each peer and in total.

    libzmq copies short frames and does not tell when they are sent, so they are not counted; there is a limit for the
    number of messages that it holds for a peer.

    Attributes:
        total: bytes of all peers, as of the last :meth:`look`.
    """

    def __init__(self) -> None:
        self._held: dict[bytes, deque[_Held]] = {}
        self.total = 0

    def add(self, peer: bytes, frame: zmq.Frame) -> None:
        """Count a tracked frame that was passed to libzmq."""
        tracker = frame.tracker
        if tracker is not None and not tracker.done:
            self._held.setdefault(peer, deque()).append(_Held(tracker, len(frame), time.monotonic()))
            self.total += len(frame)

    def forget(self, peer: bytes) -> None:
        """Stop counting for a peer whose connection is closed."""
        self.total -= sum(each.size for each in self._held.pop(peer, ()))

    def look(self) -> None:
        """Find out what was sent meanwhile."""
        for peer, held in list(self._held.items()):
            while held and held[0].tracker.done:
                self.total -= held.popleft().size
            if not held:
                del self._held[peer]

    def has(self, peer: bytes) -> bool:
        """Whether anything is held for a peer, as of the last :meth:`look`."""
        return peer in self._held

    def oldest(self) -> dict[bytes, float]:
        """Return when the oldest frame of each peer was passed on, on the monotonic clock."""
        return {peer: held[0].at for peer, held in self._held.items()}

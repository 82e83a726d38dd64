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
    """

    def __init__(self) -> None:
        self._held: dict[bytes, deque[_Held]] = {}

    def add(self, peer: bytes, frame: zmq.Frame) -> None:
        """Count a tracked frame that was passed to libzmq."""
        tracker = frame.tracker
        if tracker is not None and not tracker.done:
            self._held.setdefault(peer, deque()).append(_Held(tracker, len(frame), time.monotonic()))

    def forget(self, peer: bytes) -> None:
        """Stop counting for a peer whose connection is closed."""
        self._held.pop(peer, None)

    def total(self) -> int:
        """Return the bytes of all peers."""
        return sum(map(self.of, list(self._held)))

    def of(self, peer: bytes) -> int:
        """Return the bytes of one peer."""
        held = self._held.get(peer, ())
        while held and held[0].tracker.done:
            held.popleft()
        if not held:
            self.forget(peer)
        return sum(each.size for each in held)

    def oldest(self) -> dict[bytes, float]:
        """Return when the oldest frame of each peer was passed on, on the monotonic clock."""
        return {peer: held[0].at for peer, held in self._held.items()}

"""The state of the uploads over one link. One job uploads at a time: the server knows one upload per session."""

from __future__ import annotations

from collections import deque

from protocol.errors import BadFrames
from protocol.messages import Get

MAX_GETS = 64
"""Most queued range requests; a server keeps far fewer in flight."""


class UploadState:
    """Whether a job is uploading, and which ranges the server has requested.

    Attributes:
        active: whether a job is uploading.
        withdrawing: whether the server still has to be told that an upload was withdrawn.
        withdrawn: whether an upload was withdrawn, so that the server may still request ranges of it.
        gets: the requested ranges that are not sent yet, with the ids of the requests.
    """

    def __init__(self) -> None:
        self.active = False
        self.withdrawing = False
        self.withdrawn = False
        self.gets: deque[tuple[Get, int]] = deque()

    @property
    def free(self) -> bool:
        """Whether the next upload may begin."""
        return not self.active and not self.withdrawing

    def begin(self) -> None:
        self.active = True
        self.gets.clear()

    def end(self, *, withdraw: bool) -> None:
        """End the upload; with ``withdraw`` the server has not finished it and has to be told."""
        self.active = False
        if withdraw:
            self.withdrawing = self.withdrawn = True

    def add(self, get: Get, id: int) -> None:
        """Queue a request of the server.

        Raises:
            BadFrames: if there are too many.
        """
        self.gets.append((get, id))
        if len(self.gets) > MAX_GETS:
            raise BadFrames(f"The server asked for more than {MAX_GETS} ranges at the same time.")

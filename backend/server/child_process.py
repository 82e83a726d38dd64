"""A process that communicates with the server through pipes: those that answer questions, and the probe.

Its standard input is a pipe that closes when the server ends, its standard output is another, its standard error a log.
:mod:`backend.server.child_pipes` is the other side. Two threads read and write the pipes, because not every system can
wait for a pipe and a socket together.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from backend.server import process_tree
from backend.server.silence import Silence
from backend.server.worker_protocol import clip
from protocol.errors import Unavailable

CREATION_FLAGS = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""On Windows: without a window, and Ctrl-C in the window of the server does not end it."""
_TAIL = 16384
"""Bytes at the end of a log in which its last lines are searched for."""
_READ = 1 << 20
_HELD = 16 << 20
"""Most bytes of unread output; at the limit the process has to wait."""


class ChildProcess:
    """A running child, in a separate process group.

    Args:
        command: the program and its arguments.
        log: the file for its standard error.
        wake: called from a thread when there is something to read.

    Attributes:
        pid: its process id, and that of its group.

    Raises:
        Unavailable: if it cannot be started.
    """

    def __init__(self, command: Sequence[str], log: Path, wake: Callable[[], object] = lambda: None) -> None:
        self._log = log
        self._wake = wake
        self._silence = Silence()
        try:
            with log.open("wb") as stderr:
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    bufsize=0,
                    start_new_session=True,
                    creationflags=CREATION_FLAGS,
                )
        except OSError as error:
            raise Unavailable(f"The program {command[0]} cannot be started: {error.strerror}.") from error
        self.pid = self._process.pid
        self._room = threading.Condition()
        self._said = bytearray()
        self._ended = False
        self._orders: SimpleQueue[bytes | None] = SimpleQueue()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        threading.Thread(target=self._take_output, args=(self._process.stdout,), daemon=True).start()
        threading.Thread(target=self._give_input, args=(self._process.stdin,), daemon=True).start()

    def read(self) -> bytes | None:
        """Return its output since the last call: None if there is none, b"" after the last output."""
        with self._room:
            if not self._said and not self._ended:
                return None
            data = bytes(self._said)
            self._said.clear()
            self._room.notify()
        if data and self._ended:
            self._wake()
        self._silence.broken()
        return data

    def write(self, data: bytes) -> None:
        """Write to its standard input, without waiting until it reads."""
        self._orders.put(data)

    def status(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def frozen(self, expected: bool) -> str | None:
        """Return how it is frozen, as the end of a sentence; None if it may still work, or no output is expected."""
        if not expected:
            self._silence.broken()
            return None
        return self._silence.frozen(self.pid)

    def close(self) -> None:
        """Kill it and its descendants, and wait for its end."""
        if self._process.poll() is None:
            process_tree.kill(self.pid)
        else:
            process_tree.kill_group(self.pid)
        self._process.wait()
        self._orders.put(None)
        with self._room:
            self._ended = True
            self._room.notify()

    def last_words(self) -> str:
        """Return the last line of its log that is not empty, printable; "" if there is none."""
        return "".join(last_lines(self._log, 1))

    def _take_output(self, pipe: BinaryIO) -> None:
        with pipe:
            data = b"-"
            while data:
                try:
                    data = pipe.read(_READ) or b""
                except OSError:
                    data = b""
                with self._room:
                    self._said += data
                    self._ended = self._ended or not data
                    while len(self._said) > _HELD and not self._ended:
                        self._room.wait()
                self._wake()

    def _give_input(self, pipe: BinaryIO) -> None:
        try:
            with pipe:
                while (data := self._orders.get()) is not None:
                    while data:
                        data = data[pipe.write(data) :]
        except OSError:
            return  # it has ended; the reader notices that


def last_lines(log: Path, most: int, begin: int = 0) -> list[str]:
    """Return the last non-empty lines of a log, from byte ``begin`` on, each printable and of limited length."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(begin, size), size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return [clip(line, 300) for line in lines[-most:]]

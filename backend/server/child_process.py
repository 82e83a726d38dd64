"""A process that the server starts: a worker, the one that selects, the one that looks at the machine.

It has a pipe for its standard input, which ends with the server, one for its standard output, which the server reads
without waiting, and a log for the rest. :mod:`backend.server.child_pipes` is the other side.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from backend.server.worker_protocol import clip
from protocol.errors import Unavailable

_TAIL = 4096
"""Bytes at the end of a log in which its last line is searched for."""


class ChildProcess:
    """A running child, in a process group of its own.

    Args:
        command: the program and its arguments.
        log: the file for its standard error.
        title: what an error calls it.
        append: whether to keep what is in the log.
        inherit: descriptors that it gets beside its standard ones.

    Attributes:
        pid: its number, which is also that of its group.

    Raises:
        Unavailable: if it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        title: str = "The program",
        append: bool = False,
        inherit: Sequence[int] = (),
    ) -> None:
        self._log = log
        with log.open("ab" if append else "wb") as stderr:
            try:
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    bufsize=0,
                    start_new_session=True,
                    pass_fds=tuple(inherit),
                )
            except OSError as error:
                raise Unavailable(f"{title} {command[0]} cannot be started: {error.strerror}.") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self.pid = self._process.pid
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)

    def fileno(self) -> int:
        """Where its words can be waited for."""
        return self._stdout.fileno()

    def read(self, most: int) -> bytes | None:
        """Return at most so many bytes of its output: None while there are none, b"" after the last."""
        try:
            return os.read(self._stdout.fileno(), most)
        except BlockingIOError:
            return None

    def write(self, data: bytes) -> bool:
        """Write to its input; say whether all of it was taken: not if it has ended, or does not read."""
        try:
            return self._stdin.write(data) == len(data)
        except BrokenPipeError:
            return False

    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Signal it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Kill it and all that it started, and let go of its pipes."""
        self.signal(signal.SIGKILL)
        self._stdin.close()
        self._stdout.close()

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait()

    def add_to_log(self, line: bytes) -> None:
        with self._log.open("ab") as log:
            log.write(line + b"\n")

    def last_words(self) -> str:
        """The last line of its log that says something, as one printable line; "" where none does."""
        with self._log.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _TAIL))
            text = log.read().decode(errors="replace").strip()
        return clip(text.rpartition("\n")[2].strip(), 300)

"""A server on this machine, run as a child process. Does not import bpy.

The server gets a pipe as standard input and exits when the pipe closes, so it never outlives Blender.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from protocol.errors import BadArgument, Unavailable

State = Literal["stopped", "starting", "running", "stopping"]

_CREATION_FLAGS = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""On Windows: without a separate window."""
PATIENCE = 5.0
"""Seconds that a server has to shut down before it is killed."""


class LocalServer:
    """The server process, which may not be running.

    Args:
        folder: for its log. Created when first needed.
        changed: called after each change of :attr:`state`.

    Attributes:
        state: "starting" until the server prints its address.
        address: of the running server.
        error: why it exited unexpectedly, with its last line of output; else None.
    """

    def __init__(self, folder: Path, changed: Callable[[], object] = lambda: None) -> None:
        self.state: State = "stopped"
        self.address: str | None = None
        self.error: Unavailable | None = None
        self._log = folder / "server.log"
        # A file, as not every system can read a pipe without waiting.
        self._output = folder / "server.out"
        self._changed = changed
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, program: Path, *arguments: str) -> None:
        """Start a server at any free port of this machine. Returns at once.

        Args:
            program: a Python with the backend installed, the folder of its environment, or the program ``backend``.
            arguments: further arguments of ``backend serve``.

        Raises:
            BadArgument: if there is no such program.
            Unavailable: if it cannot be started.
        """
        self.stop(wait=True)
        command = [*_command(program), "serve", "--bind", "tcp://127.0.0.1:*", "--end-with-input", *arguments]
        # Variables that Blender sets for its own Python would break another Python.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("wb") as log, self._output.open("wb") as output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=log,
                    bufsize=0,
                    env=environment,
                    start_new_session=True,
                    creationflags=_CREATION_FLAGS,
                )
        except OSError as error:
            raise Unavailable(
                f"{program} cannot be started: {error.strerror}.", "Choose another program in the preferences."
            ) from error
        self.error = None
        self._show("starting")

    def tick(self) -> None:
        """Read the server's output, and check whether it has exited."""
        if self._process is None:
            return
        if self.state == "starting" and b"\n" in (said := self._said()):
            self.address = said.split(b"\n")[0].split()[-1].decode(errors="replace")
            self._show("running")
        status = self._process.poll()
        if status is not None:
            if self.state != "stopping":
                last = self._last_line() or f"no output, exit status {status}"
                self.error = Unavailable(f"The server on this machine stopped: {last}", f"Its log is {self._log}.")
            self._forget()

    def stop(self, *, wait: bool = False) -> None:
        """Stop the server; with ``wait``, block until it has exited."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        # The end of its input stops it in an orderly way. Windows has no other request to end.
        self._process.stdin.close()
        if sys.platform != "win32":
            self._process.terminate()
        self.address = None
        self._show("stopping")
        if wait:
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._forget()

    def wait(self, seconds: float) -> bool:
        """Wait until the server runs or has exited; return whether it runs. For scripts: it blocks."""
        end = time.monotonic() + seconds
        while self.state == "starting" and time.monotonic() < end:
            self.tick()
            time.sleep(0.02)
        return self.state == "running"

    def wait_for_address(self, seconds: float) -> str:
        """Wait until the server runs and return its address. For scripts: it blocks.

        Raises:
            Unavailable: if it exits first, or does not print its address in time.
        """
        if not self.wait(seconds):
            raise self.error or Unavailable(f"The server did not start within {seconds:g} s.")
        assert self.address is not None
        return self.address

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self.address = None
        self._show("stopped")

    def _said(self) -> bytes:
        """What the server has written to its standard output."""
        try:
            with self._output.open("rb") as file:
                return file.read(65536)
        except OSError:
            return b""

    def _last_line(self) -> str:
        try:
            text = self._log.read_bytes()[-4096:]
        except OSError:
            text = b""
        lines = (self._said() + b"\n" + text).decode(errors="replace").split("\n")
        return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "")

    def _show(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed()


def _command(program: Path) -> list[str]:
    """Return the command that runs the backend's command line.

    Raises:
        BadArgument: if there is no such program.
    """
    if program.is_dir():
        program = program / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not program.is_file():
        raise BadArgument(
            f"The program {program} does not exist.", "Choose the Python in which SplatLift's backend is installed."
        )
    return [str(program), "-m", "backend"] if program.name.startswith("python") else [str(program)]

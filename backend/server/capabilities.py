"""The capabilities of the server's machine and the settings of its methods, found by a short-lived process.

The server itself loads neither torch nor the methods. The process, ``python -m backend.server.probe DEVICE``, writes a
:class:`Found` to its standard output as JSON. It is started at the first request of a client, and again at a later one
if the known values are older than :data:`OLD`; that request is answered with the known values.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from backend.server.child_process import ChildProcess
from protocol.errors import BadArgument, Unavailable
from protocol.field_types import Value
from protocol.messages import Error, Facts, MaskModels
from protocol.settings import Setting

MOST_WAITING = 256
"""Most requests that wait for the process."""
OLD = 60.0
"""Seconds after which a request starts the process again, because the amount of free memory changes."""
_MAX = 16 << 20


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the process found: the machine, the settings of each method, CUDA's names of the GPUs, and models that make
    masks."""

    facts: Facts
    methods: dict[str, list[Setting]]
    gpus: list[str] = []
    masks: MaskModels = MaskModels(False)


Deliver = Callable[[Found | Error], None]

_found = msgspec.json.Decoder(Found, strict=True)


class CapabilityProbe:
    """Runs the process, and keeps what it found.

    Args:
        log: the file for the standard error of the process.
        command: the program and its arguments.
        wake: called from a thread when :meth:`tick` has something to read.

    Attributes:
        known: what was found last, or None.
    """

    def __init__(self, log: Path, command: Sequence[str], wake: Callable[[], object] = lambda: None) -> None:
        self.known: Found | None = None
        self._log = log
        self._command = list(command)
        self._wake = wake
        self._process: ChildProcess | None = None
        self._waiting: list[Deliver] = []
        self._said = bytearray()
        self._looked_at = 0.0

    def ask(self, deliver: Deliver) -> None:
        """Call ``deliver`` with what is known: at once, or from :meth:`tick` once it is known.

        Raises:
            Unavailable: if the process cannot be started, or too many requests wait for it.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("The server still looks for the capabilities of this machine.", "Try again in a moment.")
        if self._process is None and (self.known is None or time.monotonic() - self._looked_at > OLD):
            self._start()
        if self.known is not None:
            deliver(self.known)
        else:
            self._waiting.append(deliver)

    def tick(self) -> None:
        """Read what the process has found."""
        if self._process is None:
            return
        data = self._process.read()
        if data is None:
            if (how := self._process.frozen(expected=True)) is not None:
                self._conclude(self._process, f": it {how}")
            return
        self._said += data
        if not data or len(self._said) > _MAX:
            self._conclude(self._process)

    def close(self) -> None:
        if self._process is not None:
            self._end(self._process)
        self._waiting.clear()

    def _start(self) -> None:
        self._process = ChildProcess(self._command, self._log, self._wake)
        self._looked_at = time.monotonic()

    def _conclude(self, process: ChildProcess, how: str = "") -> None:
        said = bytes(self._said)
        self._end(process)
        try:
            self.known = answer = _found.decode(said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            words = how or f": {process.last_words()}".rstrip(": ")
            quote = words if words.endswith(".") else f"{words}."
            answer = Error(
                Unavailable.code, f"The server cannot read the capabilities of this machine{quote}", f"See {self._log}."
            )
        waiting, self._waiting = self._waiting, []
        for deliver in waiting:
            deliver(answer)

    def _end(self, process: ChildProcess) -> None:
        self._process = None
        self._said.clear()
        process.close()


def check_settings(method: str, given: Mapping[str, Value], declared: Sequence[Setting]) -> None:
    """Refuse settings that the method does not have, or whose value it does not accept.

    Raises:
        BadArgument: if there is one; the sentence names the setting and its valid values.
    """
    known = {setting.name: setting for setting in declared}
    for name, value in given.items():
        if name not in known:
            raise BadArgument(f"The method {method} has no setting {name!r}.", f"Known settings: {', '.join(known)}.")
        if (wanted := _wrong(known[name], value)) is not None:
            raise BadArgument(f"The setting {name} of method {method} cannot be {value!r}.", wanted)


def _wrong(setting: Setting, value: Value) -> str | None:
    """Return which values of the setting are valid, as a sentence; None if this one is."""
    if setting.kind == "bool":
        return None if isinstance(value, bool) else "It must be true or false."
    if setting.kind == "choice":
        return None if value in setting.choices else f"Choose one of {', '.join(setting.choices)}."
    if setting.kind == "text":
        return None if isinstance(value, str) else "It must be text."
    if isinstance(value, bool) or not isinstance(value, int if setting.kind == "int" else int | float):
        return "It must be a whole number." if setting.kind == "int" else "It must be a number."
    if setting.least is not None and value < setting.least:
        return f"It must be at least {setting.least:g}."
    if setting.most is not None and value > setting.most:
        return f"It must be at most {setting.most:g}."
    return None

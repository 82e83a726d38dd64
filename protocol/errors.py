"""Every error that users see: a code for programs, a sentence that says what is wrong, and a remedy.

:class:`protocol.messages.Error` sends the same three fields. The command line prints them and exits with status 2, and
the panel shows them. Any other exception is a bug and may show a traceback.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters except the tab and the newline."""


class Fault(Exception):
    """A problem outside the program, such as a broken file or a wrong argument.

    Attributes:
        code: stable machine-readable name, one per subclass.
        sentence: one sentence; names the file, argument or value that is wrong.
        remedy: one sentence; what the reader can do about it.
    """

    code = "fault"

    def __init__(self, sentence: str, remedy: str = "") -> None:
        self.sentence = readable(sentence)
        self.remedy = readable(remedy)
        super().__init__(f"{self.sentence} {self.remedy}".strip())


def readable(text: str) -> str:
    """Return ``text`` with characters escaped that a terminal obeys or UTF-8 cannot encode; it may be a file's name."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", whole)


class BadScene(Fault):
    """A scene folder that cannot be read: unknown layout, no usable view, broken cameras."""

    code = "bad-scene"


class BadMask(Fault):
    """A mask file that cannot be read or does not fit its photograph."""

    code = "bad-mask"


class BadSplats(Fault):
    """A splat file that cannot be read, or Gaussians that cannot be written or transformed."""

    code = "bad-splats"


class BadArgument(Fault):
    """A command-line argument, setting or request field outside its range."""

    code = "bad-argument"


class BadResult(Fault):
    """A result folder that is incomplete or was not written by this project."""

    code = "bad-result"


class BadFrames(Fault):
    """Frames from the wire that break the protocol or its limits."""

    code = "bad-frames"


class VersionMismatch(Fault):
    """The two sides speak different protocol versions."""

    code = "version-mismatch"


class Unavailable(Fault):
    """A resource is not available: CUDA, a network, a free port, disk space."""

    code = "unavailable"


class NotFound(Fault):
    """An unknown job, file or object."""

    code = "not-found"


class Refused(Fault):
    """A request that the server understands and refuses."""

    code = "refused"


class JobFailed(Fault):
    """A job ended with an error; the sentence comes from the worker."""

    code = "job-failed"


BY_CODE: dict[str, type[Fault]] = {kind.code: kind for kind in (Fault, *Fault.__subclasses__())}


def fault(code: str, sentence: str, remedy: str = "") -> Fault:
    """Return the exception for ``code``; a plain :class:`Fault` if this version does not know the code."""
    return BY_CODE.get(code, Fault)(sentence, remedy)

"""Every error that users see: a code for programs, a sentence that says what is wrong, and a remedy.

The same three fields cross the wire in :class:`protocol.messages.Error`, end a command of the command line with
status 2, and stand in the panel. An exception that is none of these is a bug and may show its traceback.
"""


class Fault(Exception):
    """Something outside the program is wrong.

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
    """Return ``text`` with what UTF-8 cannot hold, such as the odd bytes of a file name, spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


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
    """Something asked for is not there: CUDA, a network, a free port, disk space."""

    code = "unavailable"


class NotFound(Fault):
    """An unknown job, file or object."""

    code = "not-found"


class Refused(Fault):
    """A request the server understands and will not carry out."""

    code = "refused"


class JobFailed(Fault):
    """A job ended with an error; the sentence is the worker's own."""

    code = "job-failed"


BY_CODE: dict[str, type[Fault]] = {kind.code: kind for kind in (Fault, *Fault.__subclasses__())}


def fault(code: str, sentence: str, remedy: str = "") -> Fault:
    """Return the exception that ``code`` names (plain :class:`Fault` where this version does not know the code)."""
    return BY_CODE.get(code, Fault)(sentence, remedy)

"""Names the objects of a result from a list of words, by asking the server that has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from protocol.errors import BadFrames
from protocol.messages import Named, NameObjects, Result
from protocol.result.names import MAX_LABEL

from .cache import Cache
from .connection import Connection
from .coroutines import Steps
from .result_request import Tell, ask_about_result, check_feature
from .version import check_newest, renew_folder

_names = msgspec.json.Decoder(dict[Annotated[int, Meta(ge=1, le=MAX_LABEL)], Annotated[str, Meta(max_length=200)]])


@dataclass(frozen=True)
class Names:
    """New names of objects, which the server keeps.

    Attributes:
        names: by label.
        total: number of objects of the result.
        base: the version of the result whose objects were named.
        version: the new version, with the names.
        size: bytes of the manifest of the new version.
    """

    names: dict[int, str]
    total: int
    base: str
    version: str
    size: int


def ask_names(connection: Connection, wanted: NameObjects, tell: Tell) -> Steps[Names]:
    """Request names.

    Args:
        wanted: with words from :func:`protocol.words.check_words`.
        tell: called with the share of the work that is done, and a note.

    Raises:
        Fault: the server's; Unavailable without a connection, or if the server is too old.
        BadFrames: if the names in the answer are invalid.
        ConnectionLost: if the link is closed.
    """
    check_feature(connection, "names", "names from a list of words")
    answer, arrays = yield from ask_about_result(connection, wanted, Named, tell)
    if any(array.dtype != np.uint8 or array.ndim != 1 for array in arrays):
        raise BadFrames("The server sent names of the wrong type.")
    try:
        names = _names.decode(b"".join(array.tobytes() for array in arrays))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrames(f"The server sent names that cannot be read: {error}.") from error
    if len(names) != answer.named:
        raise BadFrames(f"The server sent {len(names)} names and declared {answer.named}.")
    return Names(names, answer.total, answer.base, answer.version, answer.size)


def name_objects(connection: Connection, cache: Cache, wanted: NameObjects, tell: Tell) -> Steps[dict[int, str]]:
    """As :func:`ask_names`, and return the names by label; the folder of the result in the cache becomes the version
    with them.

    Raises:
        Refused: as :func:`.version.check_newest`; then nothing is changed.
    """
    check_feature(connection, "names", "names from a list of words")
    newest = yield from check_newest(connection, cache, wanted.job)
    found = yield from ask_names(connection, replace(wanted, base=newest.manifest), tell)
    yield from renew_folder(connection, cache, Result(wanted.job, found.version, found.size))
    return found.names

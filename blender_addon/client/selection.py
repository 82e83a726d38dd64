"""Selects the Gaussians of a result that are similar to one, by asking the server that has the result."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadFrames, NotFound, Unavailable
from protocol.messages import Select, Selected

from .connection import Connection
from .coroutines import Steps

_JOB = re.compile(r"[0-9a-f]{32}")


def job_of(result: Path | str) -> str:
    """Return the id of the job of a downloaded result folder; an id is returned as it is.

    Raises:
        NotFound: if the folder was not downloaded from a server, so that no server has the result.
    """
    name = Path(result).name
    if not _JOB.fullmatch(name):
        raise NotFound(
            f"The result {result} was not downloaded from a server.",
            "Choose one from the list of captures in the panel.",
        )
    return name


def select(connection: Connection, wanted: Select) -> Steps[NDArray[np.bool_]]:
    """Request a selection and return (N,) bool, in the order of the result's ``splats.ply``.

    Raises:
        Fault: the server's; Unavailable without a connection, or if the server is too old.
        BadFrames: if the number of bits in the answer is wrong.
        ConnectionLost: if the link is closed.
    """
    if connection.state != "connected" or connection.server is None:
        raise Unavailable("There is no connection to a server.", "Connect to a server first.")
    if "select" not in connection.server.features:
        raise Unavailable(f"{connection.server.server} does not support selections.", "Update the backend.")
    dispatcher = yield from connection.connected()
    answer, arrays = yield from dispatcher.ask_for_arrays(wanted, Selected)
    if any(array.dtype != np.uint8 or array.ndim != 1 for array in arrays):
        raise BadFrames("The server sent a selection of the wrong type.")
    bits = np.concatenate(arrays) if arrays else np.zeros(0, np.uint8)
    if len(bits) != (answer.total + 7) // 8:
        raise BadFrames(f"The server sent {len(bits)} bytes for a selection of {answer.total} Gaussians.")
    chosen = np.unpackbits(bits, count=answer.total).astype(bool)
    if np.count_nonzero(chosen) != answer.count:
        raise BadFrames(f"The server sent a selection that does not have the declared {answer.count} Gaussians.")
    return chosen

"""What the server says of itself: where its files are, its machine, its methods. Asked after each hello."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypeVar

from protocol.messages import Describe, DescribeMethod, Facts, MethodSettings, Setting

from .local_store import find_store

if TYPE_CHECKING:
    from .connection import Connection

T = TypeVar("T")
Steps = Generator[bool, None, T]


def fetch_server_info(connection: Connection) -> Steps[None]:
    """Ask where the files are, what the machine is and which settings each method has; keep it at the connection.

    Raises:
        Fault: the server's.
        ConnectionLost: with the link.
    """
    assert connection.server is not None
    connection.local_store = yield from find_store(connection)
    if "facts" not in connection.server.features:
        return
    connection.facts = yield from connection.ask(Describe(), Facts)
    connection.changed()
    settings: dict[str, list[Setting]] = {}
    for method in connection.server.methods:
        answer = yield from connection.ask(DescribeMethod(method.name), MethodSettings)
        settings[method.name] = answer.settings
    connection.settings = settings
    connection.changed()


def refresh_facts(connection: Connection) -> Steps[None]:
    """Ask again what the machine is, as its free memory changes with each job."""
    if connection.server is not None and "facts" in connection.server.features:
        connection.facts = yield from connection.ask(Describe(), Facts)
        connection.changed()

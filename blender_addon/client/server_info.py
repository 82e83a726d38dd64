"""What the server tells about itself after each handshake: where its store is, its machine, its methods' settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from protocol.address import Address
from protocol.messages import Describe, DescribeMethod, Facts, MethodSettings, Welcome
from protocol.settings import Setting

from .coroutines import Steps
from .dispatcher import Dispatcher
from .local_store import find_store


class ServerInfo:
    """What is known of one server.

    Args:
        changed: called when something new is known.

    Attributes:
        facts: about its machine; None until it has told.
        settings: of each of its methods, as it declares them.
        local_store: the folder of its store while it is connected, if that is on this machine.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self.facts: Facts | None = None
        self.settings: dict[str, list[Setting]] = {}
        self.local_store: Path | None = None
        self._changed = changed

    def fetch(self, dispatcher: Dispatcher, welcome: Welcome, address: Address) -> Steps[None]:
        """Ask for everything.

        Raises:
            Fault: the server's.
            ConnectionLost: with the link.
        """
        self.local_store = yield from find_store(dispatcher, welcome, address)
        if "facts" not in welcome.features:
            return
        yield from self.refresh(dispatcher, welcome)
        settings: dict[str, list[Setting]] = {}
        for method in welcome.methods:
            answer = yield from dispatcher.ask(DescribeMethod(method.name), MethodSettings)
            settings[method.name] = answer.settings
        self.settings = settings
        self._changed()

    def refresh(self, dispatcher: Dispatcher, welcome: Welcome) -> Steps[None]:
        """Ask for the facts again, as the free memory changes with each job. Raises as :meth:`fetch`."""
        if "facts" in welcome.features:
            self.facts = yield from dispatcher.ask(Describe(), Facts)
            self._changed()

"""Information that is requested after each handshake: the server's store, machine and settings of methods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from protocol.address import Address
from protocol.messages import Describe, DescribeMasks, DescribeMethod, Facts, MaskModels, MethodSettings, Welcome
from protocol.settings import Setting

from .coroutines import Steps
from .dispatcher import Dispatcher
from .local_store import find_store


class ServerInfo:
    """Information about one server.

    Args:
        changed: called when new information arrives.

    Attributes:
        facts: about its machine; None until received.
        masks: the models that make masks where a capture has none; None until received, or if the server is older.
        settings: of each of its methods, as the server declares them.
        local_store: the folder of its store while connected, if it is on this machine.
    """

    def __init__(self, changed: Callable[[], object]) -> None:
        self.facts: Facts | None = None
        self.masks: MaskModels | None = None
        self.settings: dict[str, list[Setting]] = {}
        self.local_store: Path | None = None
        self._changed = changed

    def fetch(self, dispatcher: Dispatcher, welcome: Welcome, address: Address) -> Steps[None]:
        """Request all information.

        Raises:
            Fault: the server's.
            ConnectionLost: if the link is closed.
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
        """Request the facts and the models again, because they change with time. Raises as :meth:`fetch`."""
        if "facts" not in welcome.features:
            return
        self.facts = yield from dispatcher.ask(Describe(), Facts)
        self.masks = None
        if "masks" in welcome.features:
            self.masks = yield from dispatcher.ask(DescribeMasks(), MaskModels)
        self._changed()

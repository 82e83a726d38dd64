"""Takes from the project's own modules what only POSIX systems have, in this process and those that it starts.

Python imports this file by itself where its folder is on the path. What the project imports and asks for is answered as
on Windows; the libraries that it uses still have all of the system.
"""

from __future__ import annotations

import builtins
import errno
import os
import socket
import stat
import types
from typing import Any

from posix_only import ATTRIBUTES, MODULES  # pyright: ignore[reportMissingImports]  # beside this file on the path

OURS = ("backend", "protocol", "blender_addon")


class Without(types.ModuleType):
    """A module without some of its attributes."""

    def __init__(self, module: types.ModuleType, hidden: set[str]) -> None:
        super().__init__(module.__name__)
        self.__dict__["_module"] = module
        self.__dict__["_hidden"] = hidden

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__["_hidden"]:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}' on this system")
        return getattr(self.__dict__["_module"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_module"], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__dict__["_module"], name)


_true_import = builtins.__import__
_true_open = builtins.open
_without: dict[str, Without] = {}
_link = os.link


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    importer = (globals or {}).get("__name__") or ""
    module = _true_import(name, globals, locals, fromlist, level)
    if name == "zmq":
        _watch_pollers(module)
    if level or importer.split(".")[0] not in OURS:
        return module
    if name.split(".")[0] in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r} on this system", name=name)
    if name in ATTRIBUTES:
        if name not in _without:
            _without[name] = Without(module, ATTRIBUTES[name])
        return _without[name]
    return module


def _watch_pollers(zmq: Any) -> None:
    """Windows can wait for sockets and for nothing else."""
    poller = getattr(zmq, "Poller", None)
    if poller is None or hasattr(poller, "_true_register"):
        return
    poller._true_register = poller.register

    def register(self: Any, what: Any, flags: int = 3) -> Any:
        number = what if isinstance(what, int) else None if isinstance(what, zmq.Socket) else what.fileno()
        if number is not None and not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(errno.ENOTSOCK, "Windows polls sockets only")
        return poller._true_register(self, what, flags)

    poller.register = register


def _no_link(*_: Any, **__: Any) -> None:
    """A disk without hard links, such as exFAT."""
    raise OSError(errno.ENOTSUP, "Operation not supported")


builtins.__import__ = _import
os.link = _no_link
# Windows takes a pair of sockets from the loopback.
socket.socketpair = getattr(socket, "_fallback_socketpair", socket.socketpair)

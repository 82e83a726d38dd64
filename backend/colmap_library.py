"""pycolmap without its log of every image and every pair, and with the handlers of signals as they were before.

The import of pycolmap installs handlers in C++. That of SIGTERM prints a stack trace, may deadlock on a lock of its own
thread, and hides the handler that Python had. Those of crashes print nothing here, and hide :mod:`faulthandler`, which
prints where in Python a crash happened. Modules take pycolmap from here.
"""

import ctypes
import os
import signal
import threading

SIGNALS = ("SIGSEGV", "SIGILL", "SIGFPE", "SIGABRT", "SIGBUS", "SIGTERM")
"""The signals that pycolmap's logging library handles."""
ROOM = 512
"""Bytes that hold a ``struct sigaction``; it has 152 on Linux and fewer on macOS."""

_numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
_term = signal.getsignal(signal.SIGTERM)
_saved = {number: ctypes.create_string_buffer(ROOM) for number in _numbers}
# Python's signal module can neither read nor restore a handler that was installed in C.
_sigaction = ctypes.CDLL(None).sigaction if os.name == "posix" else None
if _sigaction is not None:
    for number, action in _saved.items():
        _sigaction(number, None, action)

import pycolmap  # noqa: E402

if _sigaction is not None:
    for number, action in _saved.items():
        _sigaction(number, action, None)
# Only the main thread may change a handler.
elif _term is not None and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _term)

pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value

__all__ = ["pycolmap"]

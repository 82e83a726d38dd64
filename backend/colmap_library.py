"""pycolmap without its log of every image and every pair, and with SIGTERM handled as it was before.

The import of pycolmap installs a handler of SIGTERM in C++. That one prints a stack trace, may deadlock on a lock of
its own thread, and hides the handler that Python had. Modules take pycolmap from here.
"""

import signal
import threading

_handler = signal.getsignal(signal.SIGTERM)

import pycolmap  # noqa: E402

# Only the main thread may change a handler.
if _handler is not None and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _handler)

pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value

__all__ = ["pycolmap"]

"""Ports to serve at: nothing else on the machine is given them meanwhile."""

from __future__ import annotations

import os
import random
import socket

_FIRST, _LAST = 12000, 31000
"""Below what Linux, macOS and Windows hand to whoever asks for any port, the far ends of connections among them."""
_order = random.Random(os.getpid())


def free_pair() -> int:
    """A port of 127.0.0.1 that is free, as is the one after it."""
    for _ in range(1000):
        port = 2 * _order.randrange(_FIRST // 2, _LAST // 2)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            continue
    raise AssertionError("no two free ports side by side")

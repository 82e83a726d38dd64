"""Where a server listens: on this machine's loopback, or where others reach it, which takes encryption."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from protocol.errors import BadArgument

_ADDRESS = re.compile(r"tcp://(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:/\[\]]+)):(?P<port>\d{1,5}|\*)")


@dataclass(frozen=True)
class Address:
    """A host and a TCP port; port 0 stands for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{f'[{self.host}]' if self.ipv6 else self.host}:{self.port or '*'}"

    @property
    def ipv6(self) -> bool:
        return ":" in self.host

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def at(self, port: int) -> Address:
        return Address(self.host, port)

    def next(self) -> Address:
        """The address of the bulk socket beside a control socket at this one."""
        return self.at(self.port + 1 if self.port else 0)


def parse(bind: str) -> Address:
    """Read ``tcp://HOST:PORT``; a host of ``*`` means all networks of this machine, a port of 0 or ``*`` any free one.

    Raises:
        BadArgument: if it is no such address, or there is no next port for the bulk socket.
    """
    match = _ADDRESS.fullmatch(bind)
    if match is None:
        raise BadArgument(f"The address {bind!r} is not of the form tcp://HOST:PORT.", "Try tcp://127.0.0.1:5757.")
    port = 0 if match["port"] == "*" else int(match["port"])
    if port > 65534:
        raise BadArgument(f"The port {port} of {bind} leaves no next port for files.", "Choose one from 1 to 65534.")
    host = "127.0.0.1" if match["host"] == "localhost" else match["v6"] or match["host"]
    return Address("0.0.0.0" if host == "*" else host, port)

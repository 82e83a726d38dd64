"""The address that a server binds to and that clients connect to: ``tcp://HOST:PORT``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from protocol.errors import BadArgument

DEFAULT = "tcp://127.0.0.1:5757"

_ADDRESS = re.compile(r"tcp://(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_BIND = re.compile(r"tcp://(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:/\[\]]+)):(?P<port>[0-9]{1,5}|\*)")


@dataclass(frozen=True)
class Address:
    """A host, by name or number, and a TCP port. Port 0 means any free port and is only valid for binding."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{f'[{self.host}]' if self.is_v6 else self.host}:{self.port or '*'}"

    @property
    def is_v6(self) -> bool:
        return ":" in self.host

    @property
    def is_loopback(self) -> bool:
        """Whether the address is a loopback address, which only this machine can reach."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def at(self, port: int) -> Address:
        return Address(self.host, port)

    def next(self) -> Address:
        """The address of the bulk socket of a server whose control socket is at this one."""
        return self.at(self.port + 1 if self.port else 0)


def parse(text: str) -> Address:
    """Parse an address to connect to; "localhost" becomes 127.0.0.1, where the server listens.

    Raises:
        BadArgument: if the text does not have that form.
    """
    text = text.strip()
    match = _ADDRESS.fullmatch(text)
    port = int(match["port"]) if match else 0
    if match is None or not 0 < port < 65536 or not _is_host(match["v6"], match["host"]):
        raise BadArgument(
            f"The address {text[:200]!r} is not of the form tcp://HOST:PORT.",
            f"Copy the address that the server prints when it starts, usually {DEFAULT}.",
        )
    host = match["v6"] or match["host"]
    return Address("127.0.0.1" if host.lower() == "localhost" else host, port)


def parse_bind(text: str) -> Address:
    """Parse an address to bind to; host ``*`` means all networks of this machine, port 0 or ``*`` any free port.

    Raises:
        BadArgument: if the text does not have that form, or there is no next port for the bulk socket.
    """
    match = _BIND.fullmatch(text)
    if match is None:
        raise BadArgument(
            f"The address {text!r} is not of the form tcp://HOST:PORT.", f"The usual address is {DEFAULT}."
        )
    port = 0 if match["port"] == "*" else int(match["port"])
    if port > 65534:
        raise BadArgument(
            f"The port {port} of {text} is too high: the next port is needed for files.",
            "Choose a port from 1 to 65534.",
        )
    host = "127.0.0.1" if match["host"] == "localhost" else match["v6"] or match["host"]
    return Address("0.0.0.0" if host == "*" else host, port)


def _is_host(v6: str | None, host: str | None) -> bool:
    """Whether the host is valid: a bracketed text must be an IPv6 address, and a dotted number an IPv4 address."""
    number = v6 if v6 is not None else host
    assert number is not None
    if v6 is None and not re.fullmatch(r"[0-9.]+", number):
        return True
    try:
        return ipaddress.ip_address(number).version == (4 if v6 is None else 6)
    except ValueError:
        return False

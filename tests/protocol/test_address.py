"""Addresses to listen at and to connect to."""

from __future__ import annotations

import pytest

from protocol import address
from protocol.errors import BadArgument

ADDRESSES = {
    "tcp://127.0.0.1:5757": ("127.0.0.1", 5757),
    "tcp://127.0.0.1:*": ("127.0.0.1", 0),
    "tcp://127.0.0.1:0": ("127.0.0.1", 0),
    "tcp://127.8.9.1:80": ("127.8.9.1", 80),
    "tcp://localhost:5757": ("127.0.0.1", 5757),
    "tcp://[::1]:5757": ("::1", 5757),
}


@pytest.mark.parametrize("bind", ADDRESSES)
def test_where_a_server_listens(bind):
    parsed = address.parse_bind(bind)
    assert (parsed.host, parsed.port) == ADDRESSES[bind]
    assert address.parse_bind(str(parsed)) == parsed
    assert parsed.is_loopback


def test_all_networks_are_no_loopback():
    assert address.parse_bind("tcp://*:5757") == address.Address("0.0.0.0", 5757)
    assert not address.parse_bind("tcp://*:5757").is_loopback


def test_files_go_by_the_next_port():
    assert address.Address("127.0.0.1", 5757).next().port == 5758
    assert address.Address("127.0.0.1", 0).next().port == 0


@pytest.mark.parametrize("text", [" tcp://LocalHost:5757 ", "tcp://127.0.0.1:5757"])
def test_where_a_client_connects(text):
    assert address.parse(text) == address.Address("127.0.0.1", 5757)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "tcp://*:5757", "tcp://127.0.0.1:65536"])
def test_nobody_connects_to_any_port_or_network(text):
    with pytest.raises(BadArgument, match="not of the form"):
        address.parse(text)

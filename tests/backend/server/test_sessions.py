"""Sessions: whose socket is whose, and until when."""

from __future__ import annotations

import pytest

from backend.server.sessions import MAX_SESSIONS, Sessions
from protocol.errors import Refused


def test_a_session_lives_while_it_is_heard_of():
    sessions = Sessions(lifetime=30.0)
    first, second = sessions.open(b"a", 0.0), sessions.open(b"b", 0.0)
    sessions.require(first, 20.0)
    assert sessions.silent(30.0) == []
    assert sessions.silent(31.0) == [second]
    sessions.attach(second.token, b"B", 40.0)
    assert sessions.silent(51.0) == [first]


def test_attaching_again_replaces_the_bulk_socket():
    sessions = Sessions()
    session, other = sessions.open(b"a", 0.0), sessions.open(b"b", 0.0)
    sessions.attach(session.token, b"A", 0.0)
    sessions.attach(session.token, b"A2", 0.0)
    assert sessions.on_bulk(b"A") is None
    assert sessions.on_bulk(b"A2") is session
    sessions.attach(other.token, b"A2", 0.0)
    assert sessions.on_bulk(b"A2") is other
    assert session.bulk is None
    sessions.drop(other)
    assert sessions.on_bulk(b"A2") is None
    sessions.drop(session)
    assert len(sessions) == 0


def test_tokens_are_not_guessed():
    sessions = Sessions()
    tokens = {sessions.open(bytes([n]), 0.0).token for n in range(100)}
    assert len(tokens) == 100
    with pytest.raises(Refused):
        sessions.attach("0" * 32, b"A", 0.0)


def test_the_longest_silence_gives_way_past_the_limit():
    sessions = Sessions()
    for n in range(MAX_SESSIONS):
        sessions.open(n.to_bytes(2, "big"), float(n))
    assert sessions.surplus() is None
    first = sessions.on_control((0).to_bytes(2, "big"))
    sessions.require(first, 1000.0)
    sessions.open(b"one more", 1001.0)
    assert sessions.surplus() is sessions.on_control((1).to_bytes(2, "big"))


def test_followers():
    sessions = Sessions()
    first, second = sessions.open(b"a", 0.0), sessions.open(b"b", 0.0)
    first.following.add("job")
    assert sessions.followers("job") == [first]
    second.following.add("job")
    assert sessions.followers("job") == [first, second]
    sessions.drop(first)
    assert sessions.followers("job") == [second]

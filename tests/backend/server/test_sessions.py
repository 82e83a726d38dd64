"""Sessions: whose socket is whose, until when, and how many a client may have."""

from __future__ import annotations

import pytest

from backend.server.sessions import GIVES_WAY, MAX_SESSIONS, Session, Sessions
from protocol.errors import Refused

ANNA, BEN = ("anna", "key of anna"), ("ben", "key of ben")


def opened(sessions: Sessions, control: bytes, now: float = 0.0, who: tuple[str, str] = ANNA) -> Session:
    """Open a session for a peer whose connection has its name as its number."""
    return sessions.open(*who, control, int.from_bytes(control, "big"), now)


def test_a_session_lives_while_it_is_heard_of():
    sessions = Sessions(lifetime=30.0)
    first, second = opened(sessions, b"a"), opened(sessions, b"b")
    sessions.require(first, 20.0)
    assert sessions.silent(30.0) == []
    assert sessions.silent(31.0) == [second]
    sessions.attach(second.token, second.key, b"B", 7, 40.0)
    assert sessions.silent(51.0) == [first]


def test_attaching_again_replaces_the_bulk_socket():
    sessions = Sessions()
    session, other = opened(sessions, b"a"), opened(sessions, b"b")
    sessions.attach(session.token, session.key, b"A", 3, 0.0)
    sessions.attach(session.token, session.key, b"A2", 4, 0.0)
    assert sessions.on_bulk(b"A") is None
    assert sessions.on_bulk(b"A2") is session
    sessions.attach(other.token, other.key, b"A2", 5, 0.0)
    assert sessions.on_bulk(b"A2") is other
    assert session.bulk is None
    sessions.drop(other)
    assert sessions.on_bulk(b"A2") is None
    sessions.drop(session)
    assert len(sessions) == 0


def test_tokens_are_not_guessed():
    sessions = Sessions()
    tokens = {opened(sessions, bytes([n])).token for n in range(100)}
    assert len(tokens) == 100
    with pytest.raises(Refused):
        sessions.attach("0" * 32, ANNA[1], b"A", 1, 0.0)


def test_a_token_is_of_no_use_with_another_key():
    sessions = Sessions()
    session = opened(sessions, b"a")
    with pytest.raises(Refused, match="unknown or has expired"):
        sessions.attach(session.token, BEN[1], b"B", 1, 0.0)
    assert session.bulk is None


def test_a_routing_id_is_of_no_use_on_another_connection():
    """A peer chooses its routing id, so it may take that of a client that has just hung up."""
    sessions = Sessions()
    session = opened(sessions, b"a")
    sessions.attach(session.token, session.key, b"A", 7, 0.0)
    assert [sessions.on_control(b"a", number) for number in (ord("a"), None, 98, 7, 0)] == [
        session,
        session,
        *[None] * 3,
    ]
    assert [sessions.on_bulk(b"A", number) for number in (7, None, 98, ord("a"), 0)] == [session, session, *[None] * 3]
    sessions.attach(session.token, session.key, b"a", 8, 0.0)
    assert sessions.on_bulk(b"a", 8) is sessions.on_control(b"a", ord("a")) is session
    assert sessions.on_bulk(b"a", ord("a")) is sessions.on_control(b"a", 8) is None
    with pytest.raises(Refused, match="unknown or has expired"):
        sessions.require(sessions.on_control(b"a", 8), 1.0)


def test_a_client_with_too_many_is_refused():
    sessions = Sessions(each=3)
    for n in range(3):
        opened(sessions, bytes([n]), float(n))
    with pytest.raises(Refused, match="The client anna has 3 connections, which is the limit") as caught:
        sessions.in_the_way("anna", 2.0)
    assert "--client-sessions" in caught.value.remedy
    assert sessions.in_the_way("ben", 2.0) is None


def test_its_silent_session_gives_way_to_another_of_the_same_client():
    sessions = Sessions(each=2)
    first, second = opened(sessions, b"a", 0.0), opened(sessions, b"b", 1.0)
    sessions.require(first, 2.0)
    assert sessions.in_the_way("anna", 1.0 + GIVES_WAY) is second


def test_a_session_whose_connection_has_ended_gives_way_first():
    sessions = Sessions(each=2)
    opened(sessions, b"a", 0.0)
    ended = opened(sessions, b"b", 1.0)
    sessions.alive = lambda connection: connection != ended.connection
    assert sessions.in_the_way("anna", 1.0) is ended


def test_past_the_limit_the_client_with_the_most_loses_its_longest_silence():
    sessions = Sessions(each=MAX_SESSIONS)
    quiet = opened(sessions, b"quiet", 0.0, BEN)
    for n in range(MAX_SESSIONS - 1):
        opened(sessions, n.to_bytes(2, "big"), 1.0 + n)
    assert sessions.in_the_way("ben", 1000.0) is sessions.on_control((0).to_bytes(2, "big"))
    sessions.drop(quiet)
    assert sessions.in_the_way("ben", 1000.0) is None


def test_the_sessions_of_a_key():
    sessions = Sessions()
    first, second = opened(sessions, b"a"), opened(sessions, b"b", 0.0, BEN)
    assert sessions.of_keys(frozenset({BEN[1]})) == [second]
    assert sessions.of_keys(frozenset({ANNA[1], "another"})) == [first]


def test_followers():
    sessions = Sessions()
    first, second = opened(sessions, b"a"), opened(sessions, b"b")
    first.following.add("job")
    assert sessions.followers("job") == [first]
    second.following.add("job")
    assert sessions.followers("job") == [first, second]
    sessions.drop(first)
    assert sessions.followers("job") == [second]

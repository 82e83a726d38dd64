"""The dispatcher over scripted sockets: which message goes where."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from numpy.typing import NDArray

from blender_addon.client.dispatcher import ConnectionLost, Dispatcher
from blender_addon.client.sockets import Channel, Received
from blender_addon.client.upload_state import MAX_GETS, UploadState
from protocol.errors import BadFrames, NotFound
from protocol.messages import Error, Facts, Get, Heartbeat, Message, Progress, Sync

JOB = "a" * 32


class Scripted:
    """Sockets that keep what is sent and give what a test puts in."""

    def __init__(self) -> None:
        self.sent: list[tuple[Channel, Message, int]] = []
        self.coming: deque[Received] = deque()
        self.full = False

    def send(self, channel: Channel, message: Message, arrays: Sequence[NDArray] = (), *, id: int = 0) -> bool:
        if not self.full:
            self.sent.append((channel, message, id))
        return not self.full

    def receive(self, channel: Channel) -> Received | None:
        return self.coming.popleft() if channel == "control" and self.coming else None


@pytest.fixture
def sockets() -> Scripted:
    return Scripted()


@pytest.fixture
def told() -> list[Message]:
    return []


@pytest.fixture
def dispatcher(sockets: Any, told: list[Message]) -> Dispatcher:
    return Dispatcher(sockets, {Progress: lambda message, arrays: told.append(message)})


def value(steps: Generator[bool, None, Any]) -> Any:
    """Advance a coroutine that has all it needs, and return its value."""
    with pytest.raises(StopIteration) as end:
        next(steps)
    return end.value.value


def test_answers_reach_the_request_that_waits_in_any_order(dispatcher, sockets):
    first, second = dispatcher.ask(Heartbeat(), Heartbeat), dispatcher.ask(Heartbeat(), Heartbeat)
    assert next(first) is next(second) is False
    ids = [id for _, _, id in sockets.sent]
    assert len(set(ids)) == 2
    sockets.coming.append((Heartbeat(), [], ids[1]))
    assert dispatcher.receive()
    assert next(first) is False
    assert value(second) == Heartbeat()
    sockets.coming.append((Heartbeat(), [], ids[0]))
    assert dispatcher.receive()
    assert value(first) == Heartbeat()


def test_news_goes_to_its_handler_and_as_an_answer_to_the_request_too(dispatcher, sockets, told):
    unasked, asked = Progress(JOB, 1, "running"), Progress(JOB, 2, "running")
    syncing = dispatcher.ask(Sync(JOB), Progress)
    next(syncing)
    sockets.coming += [(unasked, [], 0), (asked, [], sockets.sent[0][2])]
    assert dispatcher.receive()
    assert next(syncing) is False
    assert dispatcher.receive()
    assert told == [unasked, asked]
    assert value(syncing) == asked
    assert not dispatcher.receive()


def test_an_error_and_another_kind_are_raised(dispatcher, sockets):
    for answer, kind in ((Error("not-found", "There is no job."), NotFound), (Heartbeat(), BadFrames)):
        asking = dispatcher.ask(Sync(JOB), Progress)
        next(asking)
        sockets.coming.append((answer, [], sockets.sent[-1][2]))
        dispatcher.receive()
        with pytest.raises(kind):
            next(asking)


def test_a_request_waits_for_a_socket_that_is_full(dispatcher, sockets):
    sockets.full = True
    asking = dispatcher.ask(Heartbeat(), Heartbeat)
    assert next(asking) is False
    assert sockets.sent == []
    sockets.full = False
    assert next(asking) is False
    assert [message for _, message, _ in sockets.sent] == [Heartbeat()]


def test_nothing_can_be_asked_once_the_link_is_gone(dispatcher, sockets):
    waiting = dispatcher.ask(Heartbeat(), Heartbeat)
    next(waiting)
    dispatcher.closed = True
    for steps in (waiting, dispatcher.ask(Heartbeat(), Facts)):
        with pytest.raises(ConnectionLost):
            next(steps)
    assert len(sockets.sent) == 1


def test_the_servers_requests_are_queued_up_to_a_limit(dispatcher, sockets):
    get = Get("e" * 64, 0, 1)
    sockets.coming += [(get, [], n) for n in range(MAX_GETS + 2)]
    while dispatcher.receive():
        pass
    assert isinstance(dispatcher.fault, BadFrames)
    assert list(dispatcher.upload.gets)[:MAX_GETS] == [(get, n) for n in range(MAX_GETS)]
    assert len(sockets.coming) == 1, "nothing more is received after a fault"


def test_an_upload_that_ended_early_is_withdrawn_once(dispatcher, sockets):
    dispatcher.upload.begin()
    dispatcher.upload.end(withdraw=True)
    assert not dispatcher.upload.free
    sockets.full = True
    dispatcher.send_withdrawal()
    assert not dispatcher.upload.free
    sockets.full = False
    dispatcher.send_withdrawal()
    dispatcher.send_withdrawal()
    assert [(channel, type(message)) for channel, message, _ in sockets.sent] == [("bulk", Error)]
    assert dispatcher.upload.free
    assert dispatcher.upload.withdrawn


def test_an_upload_that_the_server_ended_is_not_withdrawn():
    state = UploadState()
    state.gets.append((Get("e" * 64, 0, 1), 1))
    state.begin()
    assert not state.free
    assert not state.gets
    state.end(withdraw=False)
    assert state.free
    assert not state.withdrawn

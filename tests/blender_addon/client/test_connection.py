"""The client's connection against a scripted server: which states are seen, in which order."""

from __future__ import annotations

import socket
import threading
from itertools import pairwise

import pytest
import zmq

from blender_addon.client.connection import CONNECT_TIMEOUT, HEARTBEAT_INTERVAL, SESSION_TIMEOUT, SILENCE_TIMEOUT
from protocol.errors import BadArgument, BadFrames, Refused, Unavailable, VersionMismatch
from protocol.messages import MAJOR, Attach, Bye, Error, Heartbeat, Hello, Sync

from .mock_server import MockServer

ATTEMPT_STEPS = 0.5


def test_the_states_of_a_connection(stage):
    assert stage.connection.state == "disconnected"
    assert not stage.connection.wanted
    stage.connect()
    assert stage.states == ["connecting", "connected"]
    assert stage.connection.server.server == "Mock 1"
    assert stage.server.kinds() == ["Hello", "Challenge", "Attach"]
    stage.connection.close()
    assert stage.states == ["connecting", "connected", "disconnected"]
    assert stage.connection.error is None
    stage.play(lambda: stage.server.kinds()[-1] == "Bye")
    assert [method.name for method in stage.connection.server.methods] == ["quick"], "known facts stay"


def test_heartbeats_go_out_while_connected(stage):
    stage.connect()
    begin = stage.clock.now
    # The clock runs on while messages are on their way, which takes long on a busy machine.
    stage.pass_time_until(lambda: len(stage.server.kinds(Heartbeat)) >= 5, most=10 * HEARTBEAT_INTERVAL)
    assert len(stage.server.kinds(Heartbeat)) == 5
    assert stage.clock.now - begin >= 5 * HEARTBEAT_INTERVAL
    assert stage.connection.state == "connected"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            lambda server, _: Error("version-mismatch", f"You speak {MAJOR}, I speak {MAJOR + 1}.", "Update."),
            id="the server refuses",
        ),
        pytest.param(lambda server, _: server.welcome(protocol=(MAJOR + 1, 3), server="Mock"), id="the client refuses"),
    ],
)
def test_another_version_ends_the_attempts_and_names_both(stage, answer):
    stage.server.answers[Hello] = lambda hello: answer(stage.server, hello)
    stage.connection.connect(stage.server.address)
    stage.play(lambda: stage.connection.state == "error")
    assert isinstance(stage.connection.error, VersionMismatch)
    assert str(MAJOR) in stage.connection.error.sentence
    assert str(MAJOR + 1) in stage.connection.error.sentence
    assert stage.connection.error.remedy
    assert not stage.connection.wanted
    stage.pass_time(60)
    assert stage.states == ["connecting", "error"]
    assert len(stage.server.kinds(Hello)) == 1


RAW = {
    "another version": (b'{"v":%d,"id":1,"message":{"type":"novel"}}' % (MAJOR + 1), VersionMismatch),
    "no JSON": (b"HTTP/1.1 400 Bad Request", BadFrames),
    "an unknown message": (b'{"v":%d,"id":4294967296,"message":{"type":"novel"}}' % MAJOR, BadFrames),
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_server_of_ours_ends_the_attempts(stage, name):
    frame, kind = RAW[name]

    def answer(_):
        stage.server.control.send_multipart([stage.server.peer, frame])

    stage.server.answers[Hello] = answer
    stage.connection.connect(stage.server.address)
    stage.play(lambda: stage.connection.state == "error")
    assert type(stage.connection.error) is kind


def test_an_address_for_files_that_is_none(stage):
    stage.server.answers[Hello] = lambda _: stage.server.welcome(bulk="ipc:///etc/passwd")
    stage.connection.connect(stage.server.address)
    stage.play(lambda: stage.connection.state == "error")
    assert "ipc:///etc/passwd" in stage.connection.error.sentence


def test_nobody_there_is_said_and_tried_again_after_growing_waits(stage):
    port = stage.vanish()
    stage.connection.connect(f"tcp://127.0.0.1:{port}")
    began = []
    state = ""
    for _ in range(140):
        if stage.connection.state != state:
            state = stage.connection.state
            if state == "connecting":
                began.append(stage.clock.now)
        stage.pass_time(ATTEMPT_STEPS)
    assert isinstance(stage.connection.error, Unavailable)
    assert f"tcp://127.0.0.1:{port}" in stage.connection.error.sentence
    waits = [later - earlier - CONNECT_TIMEOUT for earlier, later in pairwise(began)]
    assert len(waits) >= 4
    assert waits == pytest.approx([min(2.0**n, 15.0) for n in range(len(waits))], abs=3 * ATTEMPT_STEPS)
    assert stage.states[:4] == ["connecting", "disconnected", "connecting", "disconnected"]


def test_a_port_where_something_else_listens(stage):
    with socket.create_server(("127.0.0.1", 0)) as other:
        stage.connection.connect(f"tcp://127.0.0.1:{other.getsockname()[1]}")
        stage.pass_time(CONNECT_TIMEOUT + 1)
        assert isinstance(stage.connection.error, Unavailable)
        assert stage.connection.wanted


@pytest.mark.parametrize("silent", [False, True])
def test_a_second_port_that_is_shut_is_named(stage, silent):
    """No server listens, or a firewall drops the packets."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if silent:
            other.listen()
        port = other.getsockname()[1]
        stage.server.answers[Hello] = lambda _: stage.server.welcome(bulk=f"tcp://127.0.0.1:{port}")
        stage.connection.connect(stage.server.address)
        stage.play(lambda: stage.server.kinds(Hello))
        # The answer to the hello, which the time is counted from, may arrive after some of it.
        stage.pass_time_until(lambda: stage.connection.error, 4 * CONNECT_TIMEOUT)
        error = stage.connection.error
        assert isinstance(error, Unavailable)
        first = stage.server.port
        said = (
            f"The server at tcp://127.0.0.1:{first} answers, but its second port, {port}, does not. "
            "It is needed for files."
        )
        assert error.sentence == said
        assert f"ssh -L {first}:127.0.0.1:{first} -L {port}:127.0.0.1:{port} HOST" in error.remedy
        assert stage.connection.wanted
    # Once both are open it is found, and a later silence is told as ever.
    del stage.server.answers[Hello]
    stage.clock.now += 2
    stage.play(lambda: stage.connection.state == "connected")
    vanished = stage.vanish()
    stage.pass_time(30)
    assert f"tcp://127.0.0.1:{vanished}" in stage.connection.error.sentence
    assert "second port" not in stage.connection.error.sentence


def test_a_server_that_starts_late_is_found(stage):
    port = stage.vanish()
    stage.connection.connect(f"tcp://127.0.0.1:{port}")
    stage.pass_time(CONNECT_TIMEOUT + 1)
    stage.server = MockServer(port)
    stage.clock.now += 2
    stage.play(lambda: stage.connection.state == "connected")
    assert stage.connection.error is None


def test_a_server_that_vanishes_is_found_again(stage):
    stage.connect()
    port = stage.vanish()
    stage.play(lambda: stage.connection.state == "disconnected")
    assert "no longer answers" in stage.connection.error.sentence
    assert stage.connection.wanted
    stage.server = MockServer(port, instance="c" * 32)
    stage.clock.now += 2
    stage.play(lambda: stage.connection.state == "connected")
    assert stage.states == ["connecting", "connected", "disconnected", "connecting", "connected"]
    assert stage.connection.server.instance == "c" * 32
    assert stage.server.kinds() == ["Hello", "Challenge", "Attach"]


def test_a_server_that_freezes_is_noticed(stage):
    stage.connect()
    stage.server.answers[Heartbeat] = lambda _: None
    stage.pass_time(SILENCE_TIMEOUT + 1)
    assert "disconnected" in stage.states
    assert stage.states[:3] == ["connecting", "connected", "disconnected"]


def test_our_own_sleep_is_not_the_servers_silence(stage):
    stage.connect()
    stage.clock.now += SESSION_TIMEOUT - 1
    stage.pass_time(3)
    assert stage.states == ["connecting", "connected"]


def test_after_a_long_sleep_the_client_says_hello_again_at_once(stage):
    stage.connect()
    stage.clock.now += SESSION_TIMEOUT + 1
    stage.play(lambda: len(stage.states) == 5 and stage.connection.state == "connected")
    assert stage.states[2:] == ["disconnected", "connecting", "connected"]
    assert stage.connection.error is None
    assert sorted(stage.server.kinds(Hello, Bye)) == ["Bye", "Hello", "Hello"]


def test_a_session_that_the_server_has_forgotten_is_opened_again(stage):
    stage.connect()
    stage.server.answers[Heartbeat] = lambda _: Error("refused", "The connection is unknown or has expired.")
    stage.clock.now += HEARTBEAT_INTERVAL
    stage.play(lambda: stage.connection.state == "disconnected")
    del stage.server.answers[Heartbeat]
    stage.clock.now += 2
    stage.play(lambda: stage.connection.state == "connected")
    assert len(stage.server.kinds(Hello)) == 2


def test_the_bulk_socket_is_attached_with_the_session(stage):
    stage.connect()
    assert [m.session for m in stage.server.heard if isinstance(m, Attach)] == ["b" * 32]


def test_an_unknown_answer_is_let_fall(stage):
    stage.connect()
    stage.server.send(Sync("d" * 32))
    stage.server.send(Error("refused", "Not asked for."))
    stage.pass_time(2 * HEARTBEAT_INTERVAL)
    assert stage.connection.state == "connected"


BAD_ADDRESSES = {
    "empty": "",
    "no scheme": "127.0.0.1:5757",
    "another scheme": "http://127.0.0.1:5757",
    "a file": "ipc:///tmp/x",
    "no port": "tcp://127.0.0.1",
    "empty port": "tcp://127.0.0.1:",
    "port 0": "tcp://127.0.0.1:0",
    "any port": "tcp://127.0.0.1:*",
    "port too large": "tcp://127.0.0.1:65536",
    "negative port": "tcp://127.0.0.1:-1",
    "port with letters": "tcp://127.0.0.1:57a",
    "all interfaces by star": "tcp://*:5757",
    "no host": "tcp://:5757",
    "IPv6 without brackets": "tcp://::1:5757",
    "no IPv6 in brackets": "tcp://[:::]:5757",
    "IPv4 in brackets": "tcp://[127.0.0.1]:5757",
    "too large a number": "tcp://256.0.0.1:5757",
    "too short a number": "tcp://127.1:5757",
    "a path": "tcp://127.0.0.1:5757/x",
    "a source address": "tcp://eth0;127.0.0.1:5757",
    "a line break": "tcp://127.0.0.1:5757\ntcp://x:1",
    "a user": "tcp://me@127.0.0.1:5757",
    "not ASCII digits": "tcp://127.0.0.1:\uff15\uff17\uff15\uff17",
}


@pytest.mark.parametrize("name", BAD_ADDRESSES)
def test_what_is_no_address_is_refused(stage, name):
    with pytest.raises(BadArgument) as refused:
        stage.connection.connect(BAD_ADDRESSES[name])
    assert repr(BAD_ADDRESSES[name]) in refused.value.sentence
    assert "tcp://" in refused.value.remedy
    assert (stage.connection.state, stage.states) == ("disconnected", [])


@pytest.mark.parametrize(
    "address", ["tcp://192.168.1.7:5757", "tcp://gpu-box:5757", "tcp://0.0.0.0:5757", "tcp://[::]:1"]
)
def test_another_machine_is_refused_while_the_wire_is_in_the_clear(stage, address):
    with pytest.raises(Refused, match="encrypted") as refused:
        stage.connection.connect(address)
    assert "SSH tunnel" in refused.value.remedy
    assert not stage.connection.wanted


@pytest.mark.parametrize("host", ["localhost", " 127.0.0.1", "LOCALHOST"])
def test_this_machine_by_other_names(stage, host):
    stage.connection.connect(f"tcp://{host.strip()}:{stage.server.port} ")
    stage.play(lambda: stage.connection.state == "connected")


def test_it_starts_no_threads_and_lets_go_of_everything(stage, capture):
    before = threading.active_count()
    stage.connect()
    job = stage.job_list.submit(capture())
    stage.play(lambda: job.state == "queued")
    assert threading.active_count() == before
    context = stage.connection._context
    stage.connection.destroy()
    assert context.closed
    assert isinstance(context, zmq.Context)
    assert job.state == "cancelled"

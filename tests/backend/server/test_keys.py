"""The keys of a server: where they lie, who may read them, and who is let in with them."""

from __future__ import annotations

import signal
import stat
import sys

import pytest
import zmq

from backend.cli import main
from backend.server import keys
from backend.server.server import Server
from protocol import pairing
from protocol.errors import Unavailable
from protocol.messages import MAJOR, MINOR, Hello, Welcome
from protocol.wire import decode, encode
from tests.backend.server.conftest import Serving


def test_they_are_made_once_and_for_their_owner_alone(tmp_path):
    made, anew = keys.load_or_make(tmp_path / "data")
    assert anew
    assert keys.load_or_make(tmp_path / "data") == (made, False)
    path = tmp_path / "data" / keys.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [keys.FILE]
    assert made.server not in repr(made)
    assert made.client not in repr(made)


def test_renewing_changes_both(tmp_path):
    first = keys.load_or_make(tmp_path)[0]
    second = keys.renew(tmp_path)
    assert keys.load(tmp_path) == second
    assert {first.server, first.client}.isdisjoint({second.server, second.client})
    assert stat.S_IMODE((tmp_path / keys.FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_keys_that_others_can_read_are_not_used(tmp_path, mode):
    keys.renew(tmp_path)
    (tmp_path / keys.FILE).chmod(mode)
    with pytest.raises(Unavailable, match="other users"):
        Server("tcp://127.0.0.1:*", tmp_path, encrypted=True)
    keys.renew(tmp_path)
    assert keys.load(tmp_path) is not None


@pytest.mark.parametrize(
    "content", [b"", b"x\n", b"\xff" * 2000, b"0" * 40 + b"\n", b"#" * 40 + b"\n" + b"0" * 40 + b"\n"]
)
def test_a_file_that_holds_no_keys(tmp_path, content):
    keys.renew(tmp_path)
    (tmp_path / keys.FILE).write_bytes(content)
    with pytest.raises(Unavailable, match="does not contain") as caught:
        keys.load(tmp_path)
    assert "--renew" in caught.value.remedy


def test_the_command_prints_the_string_and_renews_it(tmp_path, monkeypatch, capsys):
    def told(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["backend", "pairing", "--data", str(tmp_path), *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        return capsys.readouterr().out

    first = told()
    assert pairing.parse(first) == keys.load_or_make(tmp_path)[0].pairing
    assert told() == first
    assert told("--renew") != first


def test_the_string_is_printed_at_the_first_start_and_not_again(start):
    first = start(encrypted=True)
    assert first.process.stdout is not None
    line = first.process.stdout.readline()
    string = line.split()[-1]
    pairing.parse(string)
    assert first.end(signal.SIGTERM) == 0
    second = start(encrypted=True)
    assert second.end(signal.SIGTERM) == 0
    assert second.process.stdout is not None
    said = second.process.stdout.read()
    assert "backend pairing" in said
    assert string[4:] not in said


@pytest.fixture
def encrypting(tmp_path):
    """A server that encrypts."""
    served = Serving(tmp_path / "data", encrypted=True)
    yield served.server
    served.stop()


@pytest.mark.parametrize("who", ["paired", "another client", "nobody"])
@pytest.mark.parametrize("box", ["control_socket", "bulk_socket"])
def test_only_the_paired_key_gets_an_answer(encrypting, who, box):
    secret = encrypting.keys.client.encode() if who == "paired" else zmq.curve_keypair()[1]
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        if who != "nobody":
            socket.curve_serverkey = encrypting.keys.pairing.server.encode()
            socket.curve_secretkey = secret
            socket.curve_publickey = zmq.curve_public(secret)
        socket.connect(str(getattr(encrypting, box).address))
        socket.send_multipart(encode(Hello((MAJOR, MINOR), "raw"), id=7))
        if who == "paired":
            assert socket.poll(5000)
            message = decode(socket.recv_multipart())[0]
            assert isinstance(message, Welcome) == (box == "control_socket")
        else:
            assert not socket.poll(700)
            assert not list(encrypting.sessions)

"""Who is let in where nothing is encrypted: programs of the user who started the server."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from backend.server.local_gate import MAX_PENDING, LocalGate, load_or_make_token
from backend.server.server import Server
from backend.server.status import of_folder, of_server
from blender_addon import api
from protocol.address import parse
from protocol.errors import Refused, Unavailable
from protocol.local_token import SERVER_PROOF, prove, server_proves, token_file
from protocol.messages import MAJOR, MINOR, Challenge, Heartbeat, Hello, Jobs, Message, Proof, Status, Welcome
from protocol.wire import decode, encode
from tests.backend.server.client import Client
from tests.backend.server.conftest import HERE

WHERE = parse("tcp://127.0.0.1:5757")
TOKEN = "1" * 64
OTHER = "3" * 32
HELLO = Hello((MAJOR, MINOR), "a client", ["proof"])


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """The folder of another user."""
    folder = tmp_path / "another"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


# The gate


def test_who_knows_the_token_is_admitted():
    gate = LocalGate((TOKEN, OTHER), WHERE)
    nonce = gate.challenge(HELLO, 1).nonce
    assert gate.admitted(Proof(prove(TOKEN, nonce, WHERE)), 1) == (HELLO, TOKEN)
    nonce = gate.challenge(HELLO, 2).nonce
    assert gate.admitted(Proof(prove(OTHER, nonce, WHERE)), 2) == (HELLO, OTHER)


@pytest.mark.parametrize("wrong", ["token", "nonce", "address", "connection"])
def test_who_does_not_is_refused(wrong):
    gate = LocalGate((TOKEN, OTHER), WHERE)
    nonce = gate.challenge(HELLO, 1).nonce
    mac = {
        "token": prove("2" * 64, nonce, WHERE),
        "nonce": prove(TOKEN, "0" * 32, WHERE),
        "address": prove(TOKEN, nonce, WHERE.next()),
        "connection": prove(TOKEN, nonce, WHERE),
    }[wrong]
    with pytest.raises(Refused, match="Only programs of the user who started this server") as caught:
        gate.admitted(Proof(mac), 2 if wrong == "connection" else 1)
    assert "--encrypt" in caught.value.remedy


def test_an_answer_counts_once():
    gate = LocalGate((TOKEN, OTHER), WHERE)
    proof = Proof(prove(TOKEN, gate.challenge(HELLO, 1).nonce, WHERE))
    gate.admitted(proof, 1)
    with pytest.raises(Refused):
        gate.admitted(proof, 1)
    gate.challenge(HELLO, 1)
    with pytest.raises(Refused):
        gate.admitted(proof, 1)


def test_a_wrong_answer_ends_the_challenge():
    gate = LocalGate((TOKEN, OTHER), WHERE)
    nonce = gate.challenge(HELLO, 1).nonce
    with pytest.raises(Refused):
        gate.admitted(Proof("0" * 64), 1)
    with pytest.raises(Refused):
        gate.admitted(Proof(prove(TOKEN, nonce, WHERE)), 1)


def test_challenges_that_nobody_answers_are_bounded():
    gate = LocalGate((TOKEN, OTHER), WHERE)
    nonces = [gate.challenge(HELLO, number).nonce for number in range(MAX_PENDING + 1)]
    assert len(set(nonces)) == len(nonces)
    with pytest.raises(Refused):
        gate.admitted(Proof(prove(TOKEN, nonces[0], WHERE)), 0)
    assert gate.admitted(Proof(prove(TOKEN, nonces[1], WHERE)), 1) == (HELLO, TOKEN)


def test_a_client_that_cannot_answer_is_told_to_update():
    with pytest.raises(Refused, match=r"add-on 1 cannot prove .* it is too old") as caught:
        LocalGate((TOKEN, OTHER), WHERE).challenge(Hello((MAJOR, MINOR), "add-on 1"), 1)
    assert "Update" in caught.value.remedy


def test_the_server_shows_the_same_and_cannot_be_given_back_an_answer():
    gate = LocalGate((TOKEN, OTHER), WHERE)
    proof = gate.proof(Challenge("5" * 32), TOKEN)
    assert server_proves(proof.mac, TOKEN, "5" * 32, WHERE)
    assert not server_proves(proof.mac, OTHER, "5" * 32, WHERE)
    assert not server_proves(proof.mac, TOKEN, "5" * 32, WHERE.next())
    # What a client answers to the same number is something else.
    assert not server_proves(prove(TOKEN, "5" * 32, WHERE), TOKEN, "5" * 32, WHERE)


# Its token


def test_the_token_is_made_once_for_this_user_alone(home):
    made = load_or_make_token()
    assert load_or_make_token() == made
    assert stat.S_IMODE(token_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file().parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("spoilt", ["readable", "nonsense"])
def test_a_token_that_is_no_secret_is_replaced(home, spoilt):
    made = load_or_make_token()
    if spoilt == "readable":
        token_file().chmod(0o644)
    else:
        token_file().write_text("nonsense")
    assert load_or_make_token() != made
    assert stat.S_IMODE(token_file().stat().st_mode) == 0o600


def test_a_user_folder_that_cannot_hold_it_is_said(home, tmp_path):
    (home / ".splatlift").write_text("a file")
    with pytest.raises(Unavailable, match=r"cannot be stored in ~/\.splatlift/local\.token") as caught:
        Server("tcp://127.0.0.1:*", tmp_path / "data")
    assert "--encrypt" in caught.value.remedy
    with Server("tcp://127.0.0.1:*", tmp_path / "data", encrypted=True):
        pass


# A server


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server started by ``backend serve``, as the user who runs the tests."""
    command = [sys.executable, "-m", "backend", "serve", "--bind", "tcp://127.0.0.1:0", "--device", "cpu"]
    server = subprocess.Popen(
        [*command, "--data", str(tmp_path / "data")], cwd=HERE.parents[2], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    yield server.stdout.readline().split()[-1]
    server.terminate()
    server.communicate(timeout=20)


def test_the_same_user_needs_nothing_and_another_gets_a_sentence(address, tmp_path, monkeypatch):
    with api.connect(address, cache=tmp_path / "cache") as client:
        assert client.methods
    with Client(address) as raw:
        raw.ask(Status(), Jobs)
    (tmp_path / "another").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    for _ in range(2):  # without a token, and with one of its own
        with pytest.raises(Refused, match="Only programs of the user who started the server") as caught:
            api.connect(address, cache=tmp_path / "cache")
        assert "backend serve --encrypt" in caught.value.remedy
        load_or_make_token()
    with pytest.raises(Refused, match="Only programs of the user who started this server"):
        Client(address)
    with Client(address, hello=False) as stranger:
        for message in (Status(), Heartbeat(), Proof("0" * 64)):
            with pytest.raises(Refused):
                stranger.ask(message, Message)
        with pytest.raises(Refused, match="too old"):
            stranger.ask(Hello((MAJOR, MINOR), "add-on 0"), Message)
        # What another server of that user was told does not help here.
        challenge = stranger.ask(HELLO, Challenge)
        monkeypatch.undo()
        told = load_or_make_token()
        elsewhere = prove(told, challenge.nonce, parse(address).next())
        with pytest.raises(Refused):
            stranger.ask(Proof(elsewhere), Message)
        challenge = stranger.ask(HELLO, Challenge)
        assert stranger.ask(Proof(prove(told, challenge.nonce, parse(address))), Welcome)


def test_who_can_read_the_data_folder_sees_its_status(address, tmp_path, home):
    """Such as the administrator of the machine."""
    assert of_folder(tmp_path / "data")["running_server"]
    with pytest.raises(Refused, match="Only programs of the user who started this server"):
        of_server(address, None)


def test_a_server_that_encrypts_asks_for_keys_and_nothing_else(tmp_path):
    with Server("tcp://127.0.0.1:*", tmp_path, encrypted=True) as server:
        assert server.control.gate is None


class Impostor(threading.Thread):
    """A program of another user that took a server's port: it lets everyone in, and knows no token.

    Args:
        features: what it says that it can.

    Attributes:
        heard: the kinds of the messages that it got.
    """

    def __init__(self, *features: str) -> None:
        super().__init__(daemon=True)
        self.features = list(features)
        self.heard: list[str] = []
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            if not self.socket.poll(20):
                continue
            peer, *frames = self.socket.recv_multipart()
            message, _, id = decode(frames)
            self.heard.append(type(message).__name__)
            for answer in self._answer(message):
                self.socket.send_multipart([peer, *encode(answer, id=id)])
        self.context.destroy(linger=0)

    def _answer(self, message: Message) -> list[Message]:
        match message:
            case Hello():
                bulk = self.address.replace("127.0.0.1", "0.0.0.0")
                return [Welcome((MAJOR, MINOR), "a", "1" * 32, "2" * 32, self.features, [], "cpu", bulk)]
            case Challenge(nonce):
                return [Proof(prove(TOKEN, nonce, parse(self.address)))]
        return []


@pytest.mark.parametrize("features", [(), (SERVER_PROOF,)])
def test_a_program_that_took_the_port_is_sent_nothing(tmp_path, features):
    load_or_make_token()
    impostor = Impostor(*features)
    impostor.start()
    try:
        with pytest.raises(Refused, match="does not prove that this user started it"):
            api.connect(impostor.address, cache=tmp_path / "cache")
        with pytest.raises(Refused, match="does not prove that this user started it"):
            of_server(impostor.address, None)
    finally:
        impostor.ending.set()
        impostor.join()
    assert set(impostor.heard) <= {"Hello", "Challenge", "Bye"}

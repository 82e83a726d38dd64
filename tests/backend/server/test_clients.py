"""The keys of clients: who is in the file, who may read it, and what becomes of a key that is revoked."""

from __future__ import annotations

import contextlib
import json
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cli import main
from backend.server import clients, keys, pairing_strings
from backend.server.clients import DEFAULT_CLIENT
from backend.server.known_keys import KnownKeys
from blender_addon.client.connection import Connection
from protocol import pairing
from protocol.errors import BadArgument, NotFound, Refused, Unavailable
from protocol.messages import MAJOR, MINOR, Hello, Jobs, Status
from protocol.wire import encode
from tests.backend.server.client import Client
from tests.backend.server.conftest import serve_at_free_port
from tests.backend.server.test_ownership import Shop, missing

SOON = 5.0


@pytest.fixture(autouse=True)
def _hasty(monkeypatch) -> None:
    """Commands need not wait for a server where none runs."""
    monkeypatch.setattr(pairing_strings, "SETTLE", 0.0)


def told(monkeypatch, capsys, data: Path, *arguments: str, status: int = 0) -> str:
    """What the command says: its output, or its complaint."""
    monkeypatch.setattr(sys, "argv", ["backend", "pairing", "--data", str(data), *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == status
    said = capsys.readouterr()
    return said.err if status else said.out


def test_a_client_gets_a_string_of_its_own_which_is_not_kept(tmp_path, monkeypatch, capsys):
    shared = pairing.parse(told(monkeypatch, capsys, tmp_path))
    anna = pairing.parse(told(monkeypatch, capsys, tmp_path, "--for", "anna"))
    ben = pairing.parse(told(monkeypatch, capsys, tmp_path, "--for", "ben-2.x"))
    assert len({shared.client, anna.client, ben.client}) == 3
    assert shared.server == anna.server == ben.server
    assert clients.keys_of(tmp_path) == {
        keys.public(shared.client): DEFAULT_CLIENT,
        keys.public(anna.client): "anna",
        keys.public(ben.client): "ben-2.x",
    }
    assert not [path for path in tmp_path.iterdir() if anna.client in path.read_text()]
    assert stat.S_IMODE((tmp_path / clients.FILE).stat().st_mode) == 0o600
    listed = told(monkeypatch, capsys, tmp_path, "--list")
    assert [line.split()[0] for line in listed.splitlines()] == ["default", "anna", "ben-2.x"]
    assert "The client anna exists already" in told(monkeypatch, capsys, tmp_path, "--for", "anna", status=2)


def test_renewing_and_revoking(tmp_path, monkeypatch, capsys):
    shared = pairing.parse(told(monkeypatch, capsys, tmp_path))
    first = pairing.parse(told(monkeypatch, capsys, tmp_path, "--for", "anna"))
    second = pairing.parse(told(monkeypatch, capsys, tmp_path, "--for", "anna", "--renew"))
    assert keys.public(first.client) not in clients.keys_of(tmp_path)
    assert clients.keys_of(tmp_path)[keys.public(second.client)] == "anna"
    assert "anna is invalid now" in told(monkeypatch, capsys, tmp_path, "--revoke", "anna")
    assert list(clients.keys_of(tmp_path).values()) == [DEFAULT_CLIENT]
    assert "no client 'anna'" in told(monkeypatch, capsys, tmp_path, "--revoke", "anna", status=2)
    assert "no client 'anna'" in told(monkeypatch, capsys, tmp_path, "--for", "anna", "--renew", status=2)
    told(monkeypatch, capsys, tmp_path, "--revoke", DEFAULT_CLIENT)
    now = pairing.parse(told(monkeypatch, capsys, tmp_path))
    assert (now.server, now.client != shared.client) == (shared.server, True)
    assert pairing.parse(told(monkeypatch, capsys, tmp_path, "--for", DEFAULT_CLIENT)) == now
    assert pairing.parse(told(monkeypatch, capsys, tmp_path, "--for", DEFAULT_CLIENT, "--renew")).client != now.client


def test_new_keys_of_the_server_end_all_strings(tmp_path, monkeypatch, capsys):
    told(monkeypatch, capsys, tmp_path, "--for", "anna")
    new = pairing.parse(told(monkeypatch, capsys, tmp_path, "--renew"))
    assert clients.keys_of(tmp_path) == {keys.public(new.client): DEFAULT_CLIENT}


@pytest.mark.parametrize(
    "arguments", ["--for a --list", "--for a --revoke a", "--revoke a --list", "--renew --list", "--renew --revoke a"]
)
def test_what_excludes_itself(tmp_path, monkeypatch, capsys, arguments):
    said = told(monkeypatch, capsys, tmp_path, *arguments.split(), status=2)
    assert "exclude each other" in said or "has no effect" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "Anna", "../x", "a/b", "a b", ".hidden", "-x", "ä", "a" * 41, "a\n", "nul\0"])
def test_what_cannot_be_a_name(tmp_path, name):
    with pytest.raises(BadArgument, match="cannot be called"):
        clients.add(tmp_path, name)
    assert not (tmp_path / clients.FILE).exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_clients_that_others_can_change_are_not_used(tmp_path, mode):
    clients.add(tmp_path, "anna")
    (tmp_path / clients.FILE).chmod(mode)
    with pytest.raises(Unavailable, match="other users"):
        clients.named(tmp_path)


def _written(folder: Path, content: bytes) -> Path:
    path = folder / clients.FILE
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(content)
    return folder


KEY = keys.public(zmq.curve_keypair()[1].decode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 10_000,
        b'{"anna": 1}',
        json.dumps({"anna": {"key": "short", "made": 0}}).encode(),
        json.dumps({"Anna": {"key": KEY, "made": 0}}).encode(),
        json.dumps({"../x": {"key": KEY, "made": 0}}).encode(),
        json.dumps({"default": {"key": KEY, "made": 0}}).encode(),
        json.dumps({"anna": {"key": KEY, "made": 0, "admin": True}}).encode(),
        json.dumps({"anna": {"key": KEY}}).encode(),
    ],
)
def test_a_file_that_holds_no_clients(tmp_path, content):
    with pytest.raises(Unavailable, match="does not contain a server's clients"):
        clients.named(_written(tmp_path, content))


@settings(deadline=None, max_examples=200)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_no_content_of_the_file_lets_anybody_in_by_accident(tmp_path_factory, content):
    folder = _written(tmp_path_factory.getbasetemp(), content)
    found: dict[str, clients.Client] = {}
    with contextlib.suppress(Unavailable):
        found = clients.named(folder)
    assert found == {}


names = st.sampled_from("abc") | st.from_regex(r"[a-z0-9][a-z0-9._-]{0,5}", fullmatch=True)


@settings(deadline=None, max_examples=25)
@given(acts=st.lists(st.tuples(st.sampled_from(["add", "renew", "revoke"]), names), max_size=6))
def test_no_order_of_changes_loses_or_mixes_up_a_client(tmp_path_factory, acts):
    folder = tmp_path_factory.mktemp("clients")
    known: dict[str, str] = {}
    for act, name in acts:
        try:
            if act == "revoke":
                clients.revoke(folder, name)
                del known[name]
            else:
                made = clients.add(folder, name, renew=act == "renew")
                assert (name in known) == (act == "renew")
                known[name] = keys.public(made.client)
        except Refused:
            assert act == "add"
            assert name in known
        except NotFound:
            assert name not in known
        assert {name: client.key for name, client in clients.named(folder).items()} == known


def test_two_programs_at_once_lose_no_client(tmp_path):
    def add(number: int) -> None:
        while True:
            try:
                clients.add(tmp_path, f"client{number}")
                return
            except Refused:  # the other program changes it
                continue

    keys.load_or_make(tmp_path)
    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(clients.named(tmp_path)) == [f"client{number}" for number in range(4)]


def test_a_key_is_known_soon_and_no_longer_than_it_is_listed(tmp_path, capsys):
    gone: list[frozenset[str]] = []
    keys.load_or_make(tmp_path)
    known = KnownKeys(tmp_path, gone.append)
    known.start()
    try:
        first = keys.public(clients.add(tmp_path, "anna").client)
        _until(lambda: known.name(first) == "anna")
        second = keys.public(clients.add(tmp_path, "anna", renew=True).client)
        _until(lambda: known.name(second) == "anna")
        assert known.name(first) is None
        assert gone == [frozenset({first})]
        (tmp_path / clients.FILE).write_bytes(b"nonsense")
        _until(lambda: known.name(second) is None)
        assert "No client may connect" in capsys.readouterr().err
    finally:
        known.close()


def _until(reached) -> None:
    end = time.monotonic() + SOON
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


# On a server that runs


@contextlib.contextmanager
def closing(*sockets: zmq.Socket | None) -> Iterator[None]:
    """Check that the server closes the connections of these sockets in or soon after the block."""
    known = [each for each in sockets if each is not None]
    assert len(known) == len(sockets)
    monitors = [each.get_monitor_socket(zmq.EVENT_DISCONNECTED) for each in known]
    yield
    end = time.monotonic() + SOON
    ended = [bool(each.poll(max(0, round((end - time.monotonic()) * 1000)))) for each in monitors]
    for socket, monitor in zip(known, monitors, strict=True):
        socket.disable_monitor()
        monitor.close(0)
    assert all(ended)


def test_a_client_that_is_revoked_loses_its_connections_at_once(tmp_path, scene):
    shop = Shop(tmp_path / "data")
    try:
        anna, ben = shop.client("anna"), shop.client("ben")
        idle = shop.client("anna")
        folder = scene("step lift 0.5", "until-cancelled", a=30_000_000)
        manifest, _ = anna.offer(folder)
        job = anna.submit(manifest).job
        anna.until(job, "running", stage="lift")
        other = scene("done", b=30_000_000)
        anna.offer(other, stop_after=5_000_000)
        with closing(anna.control, anna.bulk, idle.control, idle.bulk):
            clients.revoke(tmp_path / "data", "anna")
        assert {session.client for session in shop.served.server.sessions} == {"ben"}
        _until(lambda: shop.served.server.files.uploads.uploads == [])
        # libzmq connects again, and is not let in.
        for client in (anna, idle):
            with contextlib.suppress(zmq.Again):
                client.control.send_multipart(encode(Status()), zmq.NOBLOCK)
            with pytest.raises(TimeoutError):
                client.receive(patience=0.7)
        assert ben.ask(Status(), Jobs).jobs == []
        # The job goes on, and is the client's again with a new key.
        assert shop.served.server.jobs.get(job).state == "running"
        shop.add("anna")
        again = shop.client("anna")
        assert again.sync(job).state == "running"
        assert missing(again, folder) == 0
    finally:
        shop.close()


def test_the_shared_string_is_revoked_at_once_too(tmp_path):
    shop = Shop(tmp_path / "data")
    try:
        owner, anna = shop.client(DEFAULT_CLIENT), shop.client("anna")
        with closing(owner.control, owner.bulk):
            renewed = keys.renew_client(tmp_path / "data").pairing
        shop.wait_for(renewed, DEFAULT_CLIENT)
        anna.ask(Status(), Jobs)
        shop.pairings[DEFAULT_CLIENT] = renewed
        shop.client(DEFAULT_CLIENT).ask(Status(), Jobs)
    finally:
        shop.close()


def test_what_a_revoked_client_sends_over_an_open_connection_is_not_heard(tmp_path):
    """Even before its connection is closed, and where it has said nothing yet."""
    shop = Shop(tmp_path / "data")
    try:
        silent = Client(shop.served.address, pairing=shop.pairings["anna"], hello=False)
        monitor = silent.control.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert monitor.poll(5000)
        silent.control.disable_monitor()
        key = keys.public(shop.pairings["anna"].client)
        clients.revoke(tmp_path / "data", "anna")
        _until(lambda: key not in clients.keys_of(tmp_path / "data"))
        time.sleep(0.5)
        with closing(silent.control):
            silent.send(Hello((MAJOR, MINOR), "revoked"))
        assert list(shop.served.server.sessions) == []
        silent.close()
    finally:
        shop.close()


def test_the_add_on_says_that_its_string_is_no_longer_accepted(tmp_path):
    clients_string = clients.add(tmp_path / "data", "anna").text()
    served = serve_at_free_port(tmp_path / "data", encrypted=True)
    connection = Connection()
    try:
        connection.connect(served.address, clients_string)
        assert connection.run(lambda: connection.state == "connected", SOON)
        clients.revoke(tmp_path / "data", "anna")
        assert connection.run(lambda: connection.state == "error", SOON)
        assert "does not accept this pairing string" in str(connection.error)
    finally:
        connection.destroy()
        served.process.terminate()
        served.process.wait(10)

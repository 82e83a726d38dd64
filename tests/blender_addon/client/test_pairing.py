"""Encrypted connections to a real server in a separate process: accepted clients, and the errors for the others."""

from __future__ import annotations

import itertools
import logging
import time

import pytest
import zmq

from backend.server import keys
from blender_addon import api
from blender_addon.client import scene_files
from blender_addon.client.connection import Connection
from protocol.errors import BadArgument, Fault, Refused, Unavailable
from protocol.pairing import Pairing
from tests.backend.server.conftest import ServingProcess, serve_at_free_port

SOON = 5.0
"""Seconds within which a person is told."""


@pytest.fixture
def encrypting(tmp_path):
    # A test restarts it at the same address, so the port must not be an ephemeral one.
    served = serve_at_free_port(tmp_path / "data", encrypted=True)
    yield served
    served.process.terminate()
    served.process.wait(10)


@pytest.fixture
def pairing(encrypting, tmp_path) -> Pairing:
    known = keys.load(tmp_path / "data")
    assert known is not None
    return known.pairing


def refusal(address: str, pairing: str | None) -> Fault:
    """Return the error, and check that it arrives soon and is final."""
    connection = Connection()
    try:
        began = time.monotonic()
        connection.connect(address, pairing)
        assert connection.run(lambda: connection.state == "error", SOON), connection.error
        assert time.monotonic() - began < SOON
        assert not connection.wanted
        assert connection.error is not None
        return connection.error
    finally:
        connection.destroy()


def test_there_and_back_encrypted(encrypting, pairing, capture, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(scene_files, "ENDINGS", scene_files.ENDINGS | {""})
    caplog.set_level(logging.DEBUG)
    folder = capture(a=20_000_000)
    (folder / "script").write_text("write splats.ply 5000000\nwrite empty 0\ndone")
    with api.connect(encrypting.address, pairing.text(), cache=tmp_path / "cache") as client:
        result = api.segment(client, folder).result(timeout=30)
        entries = client.job_list.record()
    assert (result / "splats.ply").read_bytes() == b"splats.ply" * 500_000
    assert (result / "empty").read_bytes() == b""
    secrets = [pairing.client, (tmp_path / "data" / keys.FILE).read_text().split()[0]]
    assert not [secret for secret in secrets if secret in repr(entries) or secret in caplog.text]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in (keys.FILE, "a.png")]
    assert any(path.name == "jobs.sqlite" for path in written)
    for path, secret in itertools.product(written, secrets):
        assert secret.encode() not in path.read_bytes(), path


def test_another_servers_string(encrypting, tmp_path):
    """Its server key is another one, so the server ends the handshake without a word."""
    other = keys.renew(tmp_path / "other").pairing
    told = refusal(encrypting.address, other.text())
    assert isinstance(told, Refused)
    assert "does not accept this pairing string" in told.sentence
    assert "backend pairing" in told.remedy
    assert other.client not in str(told)


def test_a_key_that_is_not_the_paired_one(encrypting, pairing, tmp_path):
    stranger = Pairing(pairing.server, zmq.curve_keypair()[1].decode())
    told = refusal(encrypting.address, stranger.text())
    assert "does not accept this pairing string" in told.sentence
    assert stranger.client not in str(told)


@pytest.mark.parametrize("pairing", [None, "", "  "])
def test_no_string_for_a_server_that_encrypts(encrypting, tmp_path, pairing):
    told = refusal(encrypting.address, pairing)
    assert isinstance(told, Refused)
    assert "only accepts encrypted connections" in told.sentence
    assert "backend pairing" in told.remedy


def test_a_string_for_a_server_that_does_not_encrypt(tmp_path):
    served = ServingProcess(tmp_path / "data")
    try:
        string = keys.renew(tmp_path / "other").pairing.text()
        told = refusal(served.address, string)
    finally:
        served.process.terminate()
        served.process.wait(10)
    assert "does not use encryption" in told.sentence


def test_no_server_there_is_told_apart(tmp_path):
    string = keys.renew(tmp_path).pairing.text()
    with pytest.raises(Unavailable, match="No SplatLift server answers"):
        api.connect("tcp://127.0.0.1:1", string, cache=tmp_path, timeout=6)


def test_the_api_raises_the_sentence(encrypting, tmp_path):
    began = time.monotonic()
    with pytest.raises(Refused, match="only accepts encrypted connections"):
        api.connect(encrypting.address, cache=tmp_path / "cache")
    with pytest.raises(Refused, match="does not accept"):
        api.connect(encrypting.address, keys.renew(tmp_path / "other").pairing.text(), cache=tmp_path / "cache")
    assert time.monotonic() - began < 2 * SOON


def test_a_mistyped_string_is_told_before_anything_is_sent(tmp_path):
    string = keys.renew(tmp_path).pairing.text()
    connection = Connection()
    with pytest.raises(BadArgument, match="checksum"):
        connection.connect("tcp://192.0.2.1:5757", string[:-9] + ("a" if string[-9] != "a" else "b") + string[-8:])
    assert connection.state == "disconnected"
    connection.connect("tcp://192.0.2.1:5757", string)
    assert connection.state == "connecting", "another machine may be called with a pairing string"
    connection.destroy()


def test_a_renewed_string_ends_the_attempts_of_the_old(encrypting, pairing, tmp_path):
    connection = Connection()
    try:
        connection.connect(encrypting.address, pairing.text())
        assert connection.run(lambda: connection.state == "connected", SOON)
        encrypting.process.terminate()
        encrypting.process.wait(10)
        keys.renew(tmp_path / "data")
        again = ServingProcess(tmp_path / "data", encrypting.address, encrypted=True)
        try:
            assert connection.run(lambda: connection.state == "error", 15)
        finally:
            again.process.terminate()
            again.process.wait(10)
        assert "does not accept" in str(connection.error)
    finally:
        connection.destroy()

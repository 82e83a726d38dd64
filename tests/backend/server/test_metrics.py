"""Metrics and health by HTTP."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.server import metrics, server
from backend.server.metrics import parse_metrics_address
from backend.server.server import Server
from protocol.errors import BadArgument, NotFound, Unavailable
from tests.backend.server.conftest import Serving


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Serving]:
    served = Serving(tmp_path / "data", metrics="0")
    yield served
    served.stop()


def get(served: Serving, path: str) -> tuple[int, str]:
    assert served.server.metrics_server is not None
    address = served.server.metrics_server.address
    assert address.host == "127.0.0.1"
    try:
        with urllib.request.urlopen(f"http://{address.host}:{address.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def values(served: Serving) -> dict[str, float]:
    status, text = get(served, "/metrics")
    assert status == 200
    return {
        sample.name + "".join(f"_{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_jobs_clients_and_bytes(watched, connect, scene):
    before = values(watched)
    assert before["splatlift_jobs_ended_total_done"] == 0
    client = connect(watched)
    manifest, _ = client.offer(scene("write out 50", "done", a=5000))
    client.until(client.submit(manifest).job)
    running = client.submit(client.offer(scene("until-cancelled"))[0]).job
    client.submit(manifest)
    client.until(running, "running")
    with pytest.raises(NotFound):
        client.sync("9" * 32)
    after = values(watched)
    assert after["splatlift_jobs_running"] == 1
    assert after["splatlift_jobs_waiting"] == 1
    assert after["splatlift_jobs_ended_total_done"] == 1
    assert after["splatlift_jobs_ended_total_failed"] == 0
    assert after["splatlift_worker_starts_total"] == 2
    assert after["splatlift_sessions"] == 1
    assert after["splatlift_refusals_total"] == 1
    assert after["splatlift_received_bytes_total"] == client.sent_bytes
    assert 0 < after["splatlift_disk_free_bytes"] < after["splatlift_disk_bytes"]
    assert 0 < time.time() - after["splatlift_start_time_seconds"] < 60
    client.cancel(running)


def test_health_says_up_and_nothing_else(watched):
    assert get(watched, "/health") == (200, "up\n")
    assert get(watched, "/jobs")[0] == 404


def test_metrics_name_neither_jobs_nor_clients(watched, connect, scene):
    client = connect(watched)
    job = client.submit(client.offer(scene("until-cancelled"))[0], title="kitchen").job
    client.until(job, "running")
    _, text = get(watched, "/metrics")
    assert "splatlift_jobs" in text
    assert not any(secret in text for secret in ("kitchen", "test client", job, str(watched.data)))
    client.cancel(job)


def test_a_loop_that_stands_still_is_down(watched, monkeypatch):
    monkeypatch.setattr(server, "STUCK_AFTER", 0.2)
    monkeypatch.setattr(metrics, "LOOK_PATIENCE", 0.3)
    watched.server._post(lambda: time.sleep(2))
    time.sleep(0.5)
    assert get(watched, "/health") == (503, "down\n")
    assert get(watched, "/metrics") == (503, "down\n")


def test_connections_that_say_nothing_are_bounded_and_end(watched, monkeypatch):
    monkeypatch.setattr(metrics, "PATIENCE", 2.0)
    address = watched.server.metrics_server.address
    silent = [socket.create_connection((address.host, address.port)) for _ in range(metrics.MOST_AT_ONCE + 4)]
    closed_at_once = 0
    for each in silent[:4]:  # the oldest give way
        each.settimeout(1.5)
        closed_at_once += each.recv(1) == b""
    assert closed_at_once == 4
    for each in silent[4:]:
        each.settimeout(10)
        assert each.recv(1) == b""
    assert get(watched, "/health") == (200, "up\n")
    for each in silent:
        each.close()


def test_a_client_that_sends_a_byte_now_and_then_is_hung_up_on(watched, monkeypatch):
    monkeypatch.setattr(metrics, "PATIENCE", 0.5)
    address = watched.server.metrics_server.address
    with socket.create_connection((address.host, address.port)) as slow:
        begin = time.monotonic()
        slow.settimeout(0.1)
        data = b"-"
        while data:
            with contextlib.suppress(TimeoutError):
                slow.sendall(b"G")
                data = slow.recv(1)
    assert time.monotonic() - begin < 4


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("9464", "127.0.0.1", 9464), ("0.0.0.0:9464", "0.0.0.0", 9464), ("[::1]:9464", "::1", 9464)],
)
def test_addresses(text, host, port):
    address = parse_metrics_address(text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize("text", ["", "port", "99999", "host:", "9464:host"])
def test_what_is_no_address(text):
    with pytest.raises(BadArgument, match="not of the form"):
        parse_metrics_address(text)


def test_a_port_in_use_is_said(watched, tmp_path):
    port = watched.server.metrics_server.address.port
    with pytest.raises(Unavailable, match=f"Metrics cannot be served at 127.0.0.1:{port}"):
        Server("tcp://127.0.0.1:*", tmp_path / "other", metrics=str(port))


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(Unavailable, match="prometheus-client is not installed") as caught:
        Server("tcp://127.0.0.1:*", tmp_path / "data", metrics="0")
    assert "splatlift[metrics]" in caught.value.remedy


def test_connections_that_say_nothing_give_way(watched):
    address = watched.server.metrics_server.address
    held = [socket.create_connection((address.host, address.port)) for _ in range(2 * metrics.MOST_AT_ONCE)]
    for _ in range(3):
        assert get(watched, "/health") == (200, "up\n")
    for one in held:
        one.close()

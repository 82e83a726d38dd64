"""Attacks on the metrics and on the server's own processes."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
import urllib.request
from pathlib import Path

import psutil

from bench.attacks.serving import (
    Commanded,
    answers,
    attached,
    attack,
    done_job,
    plain,
    served,
)
from bench.chaos import Attacked
from protocol.messages import (
    Error,
    Select,
)
from tests.ports import free_pair


@attack
def health_while_16_connections_say_nothing(place: Path) -> str:
    port = free_pair()
    with served(Commanded(place / "data", "--metrics", str(port))):
        held = [socket.create_connection(("127.0.0.1", port), 2) for _ in range(40)]
        time.sleep(0.5)
        for _ in range(5):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                assert answer.read() == b"up\n"
        for one in held:
            one.close()
        return "up, five times"


@attack
def requests_that_are_no_http(place: Path) -> str:
    port = free_pair()
    with served(Commanded(place / "data", "--metrics", str(port))):
        for data in (
            b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
            b"GET /health\r\n",
            b"\x00" * 5000,
            b"GET /metrics HTTP/9.9\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nAccept: " + b"x" * 60_000 + b"\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as peer:
                peer.sendall(data)
                peer.settimeout(0.5)
                answer = peer.recv(65536)
                assert b"root:" not in answer
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"splatlift_jobs" in answer.read()
        return "metrics are still given"


@attack
def two_thousand_requests_for_metrics(place: Path) -> str:
    port = free_pair()
    with served(Commanded(place / "data", "--metrics", str(port))) as server:
        for _ in range(2000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as peer:
                peer.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        time.sleep(1.0)
        threads = psutil.Process(server.process.pid).num_threads()
        assert threads < 60, f"{threads} threads"
        return f"{threads} threads"


@attack
def kill_the_selector_while_it_is_asked(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        job = done_job(client, place)
        for _ in range(3):
            client.send(Select(job, gaussian=0))
            time.sleep(0.3)
            for child in psutil.Process(server.process.pid).children():
                if "selection_worker" in " ".join(child.cmdline()):
                    child.kill()
            got = answers(client, 3.0)
            assert any(isinstance(each, Error) for each in got), got
        return "an error each time"


@attack
def freeze_and_continue_the_server(place: Path) -> str:
    with served(Attacked(place / "data")) as server, attached(server) as client:
        job = done_job(client, place, "step lift 0.5", "sleep 3", "write out 1000", "done")
        for _ in range(5):
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            server.process.send_signal(signal.SIGCONT)
            time.sleep(0.2)
        return client.until(job, patience=20.0).state

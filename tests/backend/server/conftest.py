"""Servers to test: in a thread of the tests, or as a process that can be killed. Workers are scripted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from backend import lock
from backend.server.server import Server
from tests.backend.server.client import PATIENCE, Client
from tests.ports import free_pair

HERE = Path(__file__).parent
WORKER = [sys.executable, "-I", str(HERE / "scripted_worker.py")]


class Serving:
    """A server that runs in a thread, and its data folder."""

    def __init__(self, data: Path, **settings) -> None:
        self.data = data
        self._settings = {"worker_command": WORKER, **settings}
        self._pool = ThreadPoolExecutor(1)
        ready: Future[Server] = Future()
        self._ended = self._pool.submit(self._run, ready)
        self.server = ready.result(PATIENCE)
        self.address = self.server.address

    def _run(self, ready: Future[Server]) -> None:
        with Server("tcp://127.0.0.1:*", self.data, **self._settings) as server:
            ready.set_result(server)
            server.run()

    def stop(self) -> None:
        """Stop the server; what went wrong in it is raised here."""
        if not self._ended.done():
            self.server.stop()
        self._ended.result(PATIENCE)
        self._pool.shutdown()

    def log(self, job: str) -> str:
        return (self.data / "jobs" / job / "worker.log").read_text()


def until_tidy(folder: Path) -> None:
    """Wait until a job that has ended has left only its log and lock in its folder."""
    end = time.monotonic() + PATIENCE
    while sorted(path.name for path in folder.iterdir()) != ["worker.lock", "worker.log"]:
        assert time.monotonic() < end, list(folder.iterdir())
        time.sleep(0.01)


class NotServingError(Exception):
    """The server process ended before it served."""


class ServingProcess:
    """A server process on ``data``, for tests that kill it."""

    def __init__(
        self, data: Path, bind: str = "tcp://127.0.0.1:*", *, encrypted: bool = False, simulated_words: bool = False
    ) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.backend.server.run_server"),
                *(["--encrypt"] if encrypted else ["--simulated-words"] if simulated_words else []),
                *(bind, str(data), *WORKER),
            ],
            stdout=subprocess.PIPE,
            cwd=HERE.parents[2],
            text=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        if not self.line:
            raise NotServingError(f"the server ended with status {self.process.wait(PATIENCE)}")
        self.address = self.line.split()[-1]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def serve_at_free_port(data: Path, *, encrypted: bool = False, attempts: int = 5) -> ServingProcess:
    """Start a server process at a port that stays free for it after its end; another if some program was faster."""
    for _ in range(attempts):
        with contextlib.suppress(NotServingError):
            return ServingProcess(data, f"tcp://127.0.0.1:{free_pair()}", encrypted=encrypted)
    raise AssertionError(f"no server could be started at {attempts} ports")


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A fresh server."""
    served = Serving(tmp_path / "data")
    yield served
    served.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ServingProcess]]:
    """Start a server process on one data folder of the test, again and again if need be."""
    with starting(tmp_path / "data") as start:
        yield start


@contextlib.contextmanager
def starting(data: Path) -> Iterator[Callable[..., ServingProcess]]:
    """Give a function that starts a server process on ``data``; those that run at the end are stopped."""
    started: list[ServingProcess] = []

    def start(*arguments, **settings) -> ServingProcess:
        started.append(ServingProcess(data, *arguments, **settings))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.end(signal.SIGTERM)


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Connect a client, said hello and attached, to a server."""
    clients: list[Client] = []

    def connect(served: Serving | ServingProcess, *, attach: bool = True, **settings) -> Client:
        client = Client(served.address, **settings)
        clients.append(client)
        if attach:
            client.attach()
        return client

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Path]:
    """Make a scene folder: a script for the worker, and files of given sizes with fixed content."""

    def make(*script: str, **files: int) -> Path:
        folder = tmp_path / f"scene{len(list(tmp_path.glob('scene*')))}"
        (folder / "images").mkdir(parents=True)
        (folder / "script").write_text("\n".join(script))
        for name, size in files.items():
            (folder / "images" / name).write_bytes((name.encode() + os.fsencode(folder.name)) * (size // 8) + b"x")
        return folder

    return make


def worker_of(folder: Path) -> int:
    """The process number of the worker that holds a job's folder."""
    signature = lock.signature(folder / "worker.lock")
    assert signature is not None
    return int(signature.split()[0])

"""Servers that are attacked, the clients that attack them, and what a server must withstand."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from backend.server import clients
from bench.chaos import Attacked, Honest, write_scene
from protocol.messages import (
    Heartbeat,
    Message,
)
from protocol.pairing import Pairing
from tests.backend.server.client import Client
from tests.ports import free_pair

GROWTH = 100.0
"""MiB by which an attack may make the server grow."""
WAIT = 2.0
"""Seconds that an honest client may wait for an answer during an attack, on a machine that others use as well."""

Attack = Callable[[Path], str]
"""Runs in an empty folder; returns what happened. Raises AssertionError if the server did not withstand it."""
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    ATTACKS[function.__name__.removeprefix("_")] = function
    return function


class Commanded(Attacked):
    """A server started by ``backend serve`` with options, at a free port, with the true worker."""

    def __init__(self, data: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        self.log = data.with_name("server.log")
        command = [sys.executable, "-m", "backend.cli", "serve", "--bind", f"tcp://127.0.0.1:{free_pair()}"]
        self.process = subprocess.Popen(
            [*command, "--data", str(data), *options],
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            env={**os.environ, **(env or {})},
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]


class Measured(NamedTuple):
    """What an attack did to the server: the longest time in s that an honest client waited, and the growth in MiB."""

    waited: float
    grown: float


MEASURED: list[Measured] = []
"""Of the servers of the current attack."""


@contextlib.contextmanager
def served(server: Attacked, pairing: Pairing | None = None) -> Iterator[Attacked]:
    """Check that the server is up after the attack, has not grown, and answered an honest client all the time."""
    try:
        before = server.memory()
        with Honest(server.address, pairing=pairing) as honest:
            yield server
        assert server.process.poll() is None, server.state()
        measured = Measured(honest.longest, server.memory("VmHWM") - before)
        MEASURED.append(measured)
        assert measured.grown < GROWTH, f"the server grew by {measured.grown:.0f} MiB"
        assert not honest.failures, f"{honest.failures} requests of an honest client failed"
        assert measured.waited < WAIT, f"an honest client waited {measured.waited:.1f} s"
    finally:
        server.end()


def plain(place: Path) -> contextlib.AbstractContextManager[Attacked]:
    return served(Attacked(place / "data"))


@contextlib.contextmanager
def paired(place: Path, *names: str, options: tuple[str, ...] = ()) -> Iterator[tuple[Attacked, list[Pairing]]]:
    """An encrypted server with clients of these names; the last one is asked for the check."""
    keys = [clients.add(place / "data", name) for name in names]
    server = Commanded(place / "data", "--encrypt", *options) if options else Attacked(place / "data", encrypted=True)
    with served(server, keys[-1]):
        yield server, keys


@contextlib.contextmanager
def attached(server: Attacked, pairing: Pairing | None = None) -> Iterator[Client]:
    with Client(server.address, pairing=pairing) as client:
        client.attach()
        yield client


def answers(client: Client, seconds: float, *, bulk: bool = False) -> list[Message]:
    """Return all that arrives within some time."""
    end, got = time.monotonic() + seconds, []
    with contextlib.suppress(TimeoutError):
        while (left := end - time.monotonic()) > 0:
            got.append(client.receive(client.bulk if bulk else None, left)[0])
    return got


def done_job(client: Client, place: Path, *script: str) -> str:
    scene = write_scene(place / uuid.uuid4().hex, *(script or ("write out 1000", "done")))
    job = client.submit(client.offer(scene)[0]).job
    if not script:
        client.until(job, "done")
    return job


def alive(client: Client) -> None:
    client.ask(Heartbeat(), Heartbeat)

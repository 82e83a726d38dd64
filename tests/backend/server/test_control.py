"""Progress to followers that are slow, and a disk that is full."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from backend.server.capabilities import CapabilityProbe
from backend.server.control import Control
from backend.server.file_loop import FileLoop
from backend.server.jobs import Jobs
from backend.server.local_executor import LocalExecutor
from backend.server.owners import Owners
from backend.server.result_questions import ResultQuestions
from backend.server.router_socket import RouterSocket
from backend.server.server import Server
from backend.server.sessions import Sessions
from backend.server.workers import Workers
from protocol.errors import Unavailable
from protocol.messages import Heartbeat, Message, Progress, Submit
from protocol.store import Store
from tests.backend.server.client import PATIENCE, Client
from tests.backend.server.conftest import WORKER

JOB = "1" * 32


class Narrow:
    """A socket whose peers take a message only while ``open``."""

    def __init__(self) -> None:
        self.open = False
        self.sent: list[tuple[bytes, Message]] = []

    def offer(self, peer: bytes, message: Message, arrays: Any = ()) -> bool:
        if self.open:
            self.sent.append((peer, message))
        return self.open


def test_a_slow_follower_gets_the_newest_progress_and_none_of_the_old(tmp_path):
    sessions, store = Sessions(), Store(tmp_path / "store")
    jobs = Jobs(tmp_path / "jobs.sqlite")
    questions = ResultQuestions(store, tmp_path, [], [], [])
    capabilities = CapabilityProbe(tmp_path / "log", [])
    workers = Workers(jobs, store, tmp_path, LocalExecutor(WORKER, capabilities), "auto")
    owners = Owners(tmp_path / "files.sqlite")
    files = FileLoop(sessions, store, owners, 0, None, list, lambda act: act(), lambda: None)
    control = Control(sessions, jobs, workers, files, store, questions, capabilities, sessions.drop, "a server", [])
    jobs.changed = control.publish
    narrow = Narrow()
    socket = cast(RouterSocket, narrow)
    follower, _ = (sessions.open("anna", "", peer, n, 0.0) for n, peer in enumerate((b"follower", b"other")))
    follower.following.add(JOB)

    jobs.submit(Submit(JOB, "", "a" * 64))
    jobs.flush()
    jobs.run(JOB)
    for step in range(1, 6):
        jobs.step(JOB, "lift", step / 10, "")
        jobs.flush()
        control.push(socket)
    assert control.unsent
    narrow.open = True
    control.push(socket)
    control.push(socket)
    assert narrow.sent == [(b"follower", Progress(JOB, 6, "running", "lift", 0.5))]
    assert not control.unsent


def fill(client: Client, manifest: str) -> None:
    for _ in range(200):
        client.submit(manifest, title="x" * 200)


def test_a_full_disk_is_told_to_who_submits_and_the_server_serves_on(tmp_path, scene):
    folder = scene("until-cancelled")
    with Server("tcp://127.0.0.1:*", tmp_path / "data", worker_command=WORKER) as server, ThreadPoolExecutor(1) as pool:
        pages = server.jobs._file._connection.execute("PRAGMA page_count").fetchone()[0]
        server.jobs._file._connection.execute(f"PRAGMA max_page_count = {pages}")

        def ask() -> str:
            try:
                with Client(server.address) as client:
                    client.attach()
                    manifest, _ = client.offer(folder)
                    with pytest.raises(Unavailable) as caught:
                        fill(client, manifest)
                    assert client.ask(Heartbeat(), Heartbeat) == Heartbeat()
                    return caught.value.sentence
            finally:
                server.stop()

        asked = pool.submit(ask)
        server.run()
        assert asked.result(PATIENCE) == "The server cannot write to its data folder: database or disk is full."
        server.jobs._file._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")

"""How fast results come down and captures go up over loopback, beside what raw pyzmq moves, and how long a tick takes.

    python -m bench.transfer                  # 1 GB down, 2 GB up; both in files of 64 MB
    python -m bench.transfer --down 4 --up 4

The server is the true one in a process of its own, the client the add-on's. Raw pyzmq is one DEALER and one ROUTER in
two processes that exchange messages of the same size with the same credit, and do nothing else: no disk, no hashes.
What a tick takes is measured as Blender's timer does it: :data:`BUDGET` seconds of work, then a pause.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
import zmq
from rich.console import Console
from rich.table import Table

from blender_addon import api
from blender_addon.job import Job
from protocol.blobs import CHUNK, WINDOW

BUDGET, PERIOD = 0.015, 0.005
"""As :mod:`blender_addon.pump` has them, which only Blender can import."""
FILE = 64 << 20
GIB = 1 << 30


PEER = """
import os, sys, zmq
dealer = zmq.Context().socket(zmq.DEALER)
dealer.connect(sys.argv[1])
dealer.send(b"here")
data = os.urandom(int(sys.argv[2]))
while dealer.recv() != b"end":
    dealer.send_multipart([b"head", data])
"""


def raw(total: int) -> float:
    """Return the bytes a second that raw pyzmq moves in chunks, as many under way as a download has."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    other = subprocess.Popen([sys.executable, "-c", PEER, f"tcp://127.0.0.1:{port}", str(CHUNK)])
    peer, _ = router.recv_multipart()
    count = total // CHUNK
    begin = time.perf_counter()
    for _ in range(WINDOW):
        router.send_multipart([peer, b"get"])
    for done in range(count):
        router.recv_multipart()
        if done + WINDOW < count:
            router.send_multipart([peer, b"get"])
    seconds = time.perf_counter() - begin
    router.send_multipart([peer, b"end"])
    other.wait()
    context.destroy(0)
    return count * CHUNK / seconds


class Server:
    """The true server, with workers that hand back the files of their scene."""

    def __init__(self, data: Path) -> None:
        worker = Path(__file__).parents[1] / "tests" / "backend" / "server" / "scripted_worker.py"
        command = [sys.executable, "-m", "tests.backend.server.run_server", "tcp://127.0.0.1:*", str(data)]
        self.process = subprocess.Popen([*command, sys.executable, str(worker)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def scene(folder: Path, total: int, script: str) -> Path:
    """Make a scene folder of that many bytes, no two files alike, with a script for the worker."""
    folder.mkdir(parents=True)
    (folder / "script.txt").write_text("")
    for number in range(max(1, total // FILE)):
        (folder / f"{number:04d}.npy").write_bytes(os.urandom(min(FILE, max(total, 1))))
    (folder / "script").write_text(script)
    return folder


class Ticks:
    """Ticks as Blender makes them, and what each took."""

    def __init__(self, client: api.Client, pause: float) -> None:
        self.client = client
        self.pause = pause
        self.longest = 0.0

    def until(self, job: Job, *states: str) -> float:
        """Tick until a job is in one of these states; return the seconds that took."""
        begin = time.perf_counter()
        while job.state not in states:
            if job.error is not None:
                raise job.error
            at = time.perf_counter()
            self.client.connection.step(BUDGET)
            self.longest = max(self.longest, time.perf_counter() - at)
            if self.pause:
                time.sleep(self.pause)
            elif not self.client.connection.busy:
                self.client.connection._rest(0.01)
        return time.perf_counter() - begin


def measure(root: Path, down: int, up: int, pause: float) -> tuple[float, float, float, float, float]:
    """Return bytes a second hashed, up and down, and the longest ticks of up and of down in seconds."""
    from blender_addon import scene_files

    scene_files.ENDINGS = scene_files.ENDINGS | {""}
    server = Server(root / "data")
    try:
        with api.connect(server.address, cache=root / "cache") as client:
            result = scene(root / "result", down, "")
            ticks = Ticks(client, pause)
            job = api.segment(client, scene(root / "scene", up, f"copy {result}\ndone")).job
            hashed = up / ticks.until(job, "uploading")
            sent = up / ticks.until(job, "queued", "running", "downloading")
            upward = ticks.longest
            ticks.until(job, "downloading")
            ticks.longest = 0.0
            fetched = down / ticks.until(job, "finished")
            return hashed, sent, fetched, upward, ticks.longest
    finally:
        server.stop()


def main(
    down: Annotated[float, typer.Option(help="GB to fetch.")] = 1.0,
    up: Annotated[float, typer.Option(help="GB to send.")] = 2.0,
    at: Annotated[Path | None, typer.Option(help="Where files are put; a disk, or a folder in memory.")] = None,
    ticking: Annotated[bool, typer.Option(help="Pause between ticks as Blender's timer does.")] = False,
) -> None:
    """Measure, and print a table."""
    down_bytes, up_bytes = round(down * GIB) // FILE * FILE, round(up * GIB) // FILE * FILE
    plain = raw(2 * GIB)
    root = Path(tempfile.mkdtemp(dir=at))
    try:
        hashed, sent, fetched, upward, downward = measure(root, down_bytes, up_bytes, PERIOD if ticking else 0.0)
    finally:
        shutil.rmtree(root)
    table = Table("", "MB/s", "of raw pyzmq", "longest tick")
    table.add_row("raw pyzmq", f"{plain / 1e6:.0f}", "", "")
    table.add_row(
        f"download, {down:g} GB", f"{fetched / 1e6:.0f}", f"{fetched / plain:.0%}", f"{1e3 * downward:.0f} ms"
    )
    table.add_row(f"upload, {up:g} GB", f"{sent / 1e6:.0f}", f"{sent / plain:.0%}", f"{1e3 * upward:.0f} ms")
    table.add_row("hashing before the upload", f"{hashed / 1e6:.0f}", "", "")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

"""The speed of downloads and uploads over loopback, compared with raw pyzmq, and the duration of a tick.

    python -m bench.transfer                  # 1 GB down, 2 GB up; both in files of 64 MB
    python -m bench.transfer --down 4 --up 4 --rounds 3
    python -m bench.transfer --encrypted      # with a pairing string, as between machines

The real server runs in a separate process; the client is the add-on's. Both use one disk, so a download is linked and
hashed (``client/local_store.py``); "over the wire" is without that, as between machines. Raw pyzmq is one ROUTER that
requests and one DEALER that answers, in two processes over TCP on loopback, with messages of the same size and as many
in flight as in a download. It copies nothing in Python, the sender sends the same bytes repeatedly, and the receiver
drops them: no disk, no hashes, no checks. "Raw, written" is the same with each message appended to a file in the folder
of downloads, which every download needs. A tick is measured as in Blender's timer: :data:`BUDGET` seconds of work, then
a pause.

The load of the machine varies between measurements, so with several rounds each figure is the best one, for raw pyzmq
too; the duration of a tick is the longest of all.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
import zmq
from rich.console import Console
from rich.table import Table

from blender_addon import api
from blender_addon.client import scene_files
from blender_addon.client.job import Job
from protocol.pull import CHUNK, WINDOW

BUDGET, PERIOD = 0.015, 0.005
"""As :mod:`blender_addon.timer` has them, which only Blender can import."""
FILE = 64 << 20
GIB = 1 << 30


PEER = """
import os, sys, zmq
dealer = zmq.Context().socket(zmq.DEALER)
dealer.connect(sys.argv[1])
dealer.send(b"here")
data = os.urandom(int(sys.argv[2]))
while dealer.recv() != b"end":
    dealer.send_multipart([b"head", data], copy=False)
"""


def raw(total: int, folder: Path | None = None) -> float:
    """Return the bytes a second that raw pyzmq moves, and writes to a file in ``folder`` where one is given."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    other = subprocess.Popen([sys.executable, "-c", PEER, f"tcp://127.0.0.1:{port}", str(CHUNK)])
    peer, _ = router.recv_multipart()
    count = total // CHUNK
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begin = time.perf_counter()
        for _ in range(WINDOW):
            router.send_multipart([peer, b"get"])
        for done in range(count):
            *_, data = router.recv_multipart(copy=False)
            if folder is not None:
                file.write(data.buffer)
            if done + WINDOW < count:
                router.send_multipart([peer, b"get"])
        seconds = time.perf_counter() - begin
    router.send_multipart([peer, b"end"])
    other.wait()
    context.destroy(0)
    return count * CHUNK / seconds


SERVER = """
import sys
from pathlib import Path
from backend.server.server import serve
serve("tcp://127.0.0.1:*", Path(sys.argv[1]), encrypted=sys.argv[2] == "encrypted", worker_command=sys.argv[3:])
"""


class Server:
    """The true server, with workers that hand back the files of their scene.

    Attributes:
        address: where it listens.
        pairing: the pairing string that it wants, None where it does not encrypt.
    """

    def __init__(self, data: Path, encrypted: bool = False) -> None:
        worker = Path(__file__).parents[1] / "tests" / "backend" / "server" / "scripted_worker.py"
        how = "encrypted" if encrypted else "in the clear"
        command = [sys.executable, "-c", SERVER, str(data), how, sys.executable, str(worker)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]
        self.pairing = self.process.stdout.readline().split()[-1] if encrypted else None

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def scene(folder: Path, total: int, script: str) -> Path:
    """Make a scene folder of that many bytes, of different files, with a script for the worker."""
    folder.mkdir(parents=True)
    (folder / "script.txt").write_text("")
    for number in range(max(1, total // FILE)):
        (folder / f"{number:04d}.npy").write_bytes(os.urandom(min(FILE, max(total, 1))))
    (folder / "script").write_text(script)
    return folder


def warm(folder: Path, total: int) -> None:
    """Write that many bytes and remove them, so that what is written next finds memory that is there.

    The host of a virtual machine brings fresh memory at a fraction of the speed of all else, once, to whoever is first.
    """
    block = bytes(CHUNK)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(total // CHUNK):
            file.write(block)


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
                self.client.connection.wait(0.01)
        return time.perf_counter() - begin


class Speeds(NamedTuple):
    """Bytes a second raw, raw and written, down, linked, up and hashed; seconds of the longest ticks of the three."""

    raw: float
    written: float
    down: float
    linked: float
    up: float
    hashed: float
    tick_down: float
    tick_linked: float
    tick_up: float


def measure(root: Path, down: int, up: int, pause: float, encrypted: bool) -> Speeds:
    """Move ``down`` and ``up`` bytes once each way, beside raw pyzmq."""
    scene_files.ENDINGS = scene_files.ENDINGS | {""}
    plain = raw(2 * GIB)
    warm(root, down)
    written = raw(down, root)
    server = Server(root / "data", encrypted)
    try:
        result = scene(root / "result", down, "")
        capture = scene(root / "scene", up, f"copy {result}\ndone")
        with api.connect(server.address, server.pairing, cache=root / "cache") as client:
            ticks = Ticks(client, pause)
            warm(root, up)
            job = api.segment(client, capture).job
            hashed = up / ticks.until(job, "uploading")
            sent = up / ticks.until(job, "queued", "running", "downloading")
            upward = ticks.longest
            client.connection.info.local_store = None
            fetched, tick_down = fetch(client, job, root, down, pause)
        with api.connect(server.address, server.pairing, cache=root / "other") as client:
            linked, tick_linked = fetch(client, api.segment(client, capture).job, root, down, pause)
            return Speeds(plain, written, fetched, linked, sent, hashed, tick_down, tick_linked, upward)
    finally:
        server.stop()


def fetch(client: api.Client, job: Job, root: Path, size: int, pause: float) -> tuple[float, float]:
    """Return the bytes a second at which the result of a job comes down, and the seconds of the longest tick."""
    Ticks(client, pause).until(job, "downloading")
    warm(root, size)
    ticks = Ticks(client, pause)
    return size / ticks.until(job, "finished"), ticks.longest


def main(
    down: Annotated[float, typer.Option(help="GB to fetch.")] = 1.0,
    up: Annotated[float, typer.Option(help="GB to send.")] = 2.0,
    at: Annotated[Path | None, typer.Option(help="Where files are put; a disk, or a folder in memory.")] = None,
    ticking: Annotated[bool, typer.Option(help="Pause between ticks as Blender's timer does.")] = False,
    encrypted: Annotated[bool, typer.Option(help="Encrypt ours, as between machines; raw pyzmq never is.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="How often to measure; the best counts.")] = 1,
) -> None:
    """Measure, and print a table."""
    down_bytes, up_bytes = round(down * GIB) // FILE * FILE, round(up * GIB) // FILE * FILE
    measured = []
    for _ in range(rounds):
        root = Path(tempfile.mkdtemp(dir=at))
        try:
            measured.append(measure(root, down_bytes, up_bytes, PERIOD if ticking else 0.0, encrypted))
        finally:
            shutil.rmtree(root)
    best = Speeds(*map(max, zip(*measured, strict=True)))
    table = Table("", "MB/s", "of raw pyzmq", "of raw, written", "longest tick")
    for name, speed, tick in (
        ("raw pyzmq", best.raw, None),
        ("raw pyzmq, written", best.written, None),
        (f"download, {down:g} GB, linked", best.linked, best.tick_linked),
        (f"download, {down:g} GB, over the wire", best.down, best.tick_down),
        (f"upload, {up:g} GB", best.up, best.tick_up),
        ("hashing before the upload", best.hashed, None),
    ):
        shares = (f"{speed / best.raw:.0%}", f"{speed / best.written:.0%}") if tick else ("", "")
        table.add_row(name, f"{speed / 1e6:.0f}", *shares, f"{1e3 * tick:.0f} ms" if tick else "")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)

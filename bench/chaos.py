"""Attacks a server and reports how it reacts: one command per attack, each with a separate process and folder.

    python -m bench.chaos flood --encrypted   # bare TCP connections while a job ends
    python -m bench.chaos multipart           # a message without an end, in large frames and in small ones
    python -m bench.chaos reply               # the same by a server, to the add-on's client
    python -m bench.chaos manifest            # a manifest of deep paths
    python -m bench.chaos lock                # another program holds the write lock of the database
    python -m bench.chaos disk                # the disk is full while a job runs, and at a start
    python -m bench.chaos sessions            # the largest allowed number of silent sessions
    python -m bench.chaos reader              # files are requested and not read
    python -m bench.chaos queue               # thousands of jobs wait
    python -m bench.chaos ended               # tens of thousands of jobs have ended
    python -m bench.chaos snoop               # one client requests jobs and files of another
    python -m bench.chaos crowd               # 31 honest clients, and one that attacks all the time

The server runs jobs with the scripted worker of the tests, so a script sets how long a job takes. "Memory" is the
resident memory of the server's own process, read from /proc, so this runs on Linux only. "Status" is the time from a
status request of an honest client to its answer. docs/reliability.md has the figures.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import typer
import zmq
from rich.console import Console
from rich.table import Table

import tests.backend.server
from backend.server import clients
from protocol.address import parse
from protocol.errors import Fault
from protocol.job_request import JobRequest
from protocol.local_token import prove, read_token, token_file
from protocol.manifest import digest_of, pack_manifest
from protocol.messages import (
    MAJOR,
    MINOR,
    Challenge,
    Error,
    FileEntry,
    Get,
    Hello,
    Jobs,
    Offer,
    Proof,
    Select,
    Selected,
    Status,
    Wanted,
)
from protocol.pairing import Pairing
from protocol.wire import decode, encode
from tests.backend.server.client import Client
from tests.backend.server.conftest import WORKER

MIB = 1 << 20
HERE = Path(tests.backend.server.__file__).parent
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
"""What a peer of ZMTP 3.1 sends before its first message: https://rfc.zeromq.org/spec/37."""
PATIENCE = 60.0
WRITES = [f"write out{number} 1000000" for number in range(30)]

app = typer.Typer(add_completion=False, help=__doc__)


def memory_of(pid: int, field: str) -> float:
    """Resident memory of a process in MiB; "VmHWM" is the most so far. 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


class Attacked:
    """A server process with scripted workers and a separate data folder.

    Args:
        data: its data folder.
        files: how many files it may have open, both limits.
        encrypted: whether it encrypts.
    """

    def __init__(self, data: Path, *, files: int | None = None, encrypted: bool = False) -> None:
        def limit() -> None:
            if files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        self.data = data
        self.log = data.with_name("server.log")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.backend.server.run_server"),
                *(["--encrypt"] if encrypted else []),
                *("tcp://127.0.0.1:*", str(data), *WORKER),
            ],
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            cwd=HERE.parents[2],
            text=True,
            preexec_fn=limit,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def memory(self, field: str = "VmRSS") -> float:
        """As :func:`memory_of`."""
        return memory_of(self.process.pid, field)

    def open_files(self) -> int:
        """Descriptors that the process holds; 0 where it has ended."""
        try:
            return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
        except OSError:
            return 0

    def seconds_used(self) -> float:
        """Processor time of the process so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def state(self) -> str:
        """Whether it runs, or the last line of its log."""
        if self.process.poll() is None:
            return "up"
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"ended: {lines[-1][:80] if lines else self.process.returncode}"

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def attacked(**settings) -> Iterator[Attacked]:
    """A fresh server, ended and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as place:
        server = Attacked(Path(place, "data"), **settings)
        try:
            yield server
        finally:
            server.end()


class Honest:
    """A client that asks for the status again and again from a thread, and keeps how long each answer took."""

    def __init__(self, address: str, pause: float = 0.02, pairing: Pairing | None = None) -> None:
        self.seconds: list[float] = []
        self.failures = 0
        self._address, self._pause, self._pairing = address, pause, pairing
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Honest:
        self._thread.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)

    def _ask(self) -> None:
        with Client(self._address, pairing=self._pairing) as client:
            while not self._stop.is_set():
                begin = time.perf_counter()
                try:
                    client.ask(Status(), Jobs)
                    self.seconds.append(time.perf_counter() - begin)
                except (Fault, TimeoutError):
                    self.failures += 1
                    self.seconds.append(time.perf_counter() - begin)
                self._stop.wait(self._pause)

    @property
    def longest(self) -> float:
        return max(self.seconds, default=float("inf"))

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.seconds, share)) if self.seconds else float("inf")


def write_scene(folder: Path, *script: str, **files: int) -> Path:
    """Write a scene of a script for the worker and of files of given sizes."""
    (folder / "images").mkdir(parents=True)
    (folder / "script").write_text("\n".join(script))
    for name, size in files.items():
        (folder / "images" / name).write_bytes(np.random.default_rng(size).bytes(size))
    return folder


def submitted(server: Attacked, *script: str) -> str:
    """Send a scene and submit a job on it; return the job."""
    with Client(server.address) as client:
        client.attach()
        return submitted_by(client, server.data.parent, *script)


def submitted_by(client: Client, place: Path, *script: str) -> str:
    """As :func:`submitted`, by an attached client; the scene is written into a new folder in ``place``."""
    scene = write_scene(Path(tempfile.mkdtemp(dir=place)) / "scene", *script)
    return client.submit(client.offer(scene)[0]).job


def outcome(server: Attacked, job: str, patience: float = 20.0) -> str:
    """The last state of a job, as a client learns it, or why it learns nothing."""
    end = time.monotonic() + patience
    said = "no answer"
    while time.monotonic() < end and server.process.poll() is None:
        try:
            with Client(server.address) as client:
                progress = client.sync(job)
        except (Fault, TimeoutError) as error:
            said = type(error).__name__
            continue
        said = progress.state if progress.error is None else f"failed: {progress.error.sentence[:60]}"
        if progress.state in ("done", "failed", "cancelled"):
            return said
        time.sleep(0.2)
    return said


def report(title: str, rows: list[tuple[str, str]]) -> None:
    table = Table("measure", "value", title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=140).print(table)


@app.command()
def flood(connections: int = 1300, files: int = 1024, encrypted: bool = False, rounds: int = 3, seed: int = 0) -> None:
    """Open bare TCP connections while a job ends, with few files allowed to the server."""
    order = random.Random(seed)
    rows = []
    for number in range(rounds):
        with attacked(files=files, encrypted=encrypted) as server:
            job = None
            if not encrypted:
                job = submitted(server, "step lift 0.5", "until-there go", *WRITES, "done")
                time.sleep(0.2 + 0.5 * order.random())
            with _flooding(server.port, connections):
                begin = time.monotonic()
                while server.open_files() < files - 4 and time.monotonic() - begin < 4.0:
                    time.sleep(0.02)
                most = server.open_files()
                if job is not None:
                    (server.data / "jobs" / job / "go").touch()
                time.sleep(3.0)
            time.sleep(0.5)
            rows.append((f"round {number + 1}: files open", str(most)))
            rows.append((f"round {number + 1}: server", server.state()))
            rows.append((f"round {number + 1}: memory, MiB", f"{server.memory('VmHWM'):.0f}"))
            if job is not None:
                rows.append((f"round {number + 1}: job", outcome(server, job)))
    report(f"{connections} bare connections, {files} files", rows)


def _bare(port: int) -> socket.socket:
    """A connection that says nothing, made or, where nobody accepts it at once, still being made."""
    one = socket.socket()
    one.settimeout(0.01)
    with contextlib.suppress(OSError):
        one.connect(("127.0.0.1", port))
    one.setblocking(False)
    return one


@contextlib.contextmanager
def _flooding(port: int, count: int) -> Iterator[None]:
    """Keep so many bare connections open or being opened; those that are closed are made again."""
    held = [_bare(port) for _ in range(count)]
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(0.1):
            for number, one in enumerate(held):
                with contextlib.suppress(OSError):
                    if one.recv(64) == b"":
                        one.close()
                        held[number] = _bare(port)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for one in held:
            one.close()


def _greeted(port: int) -> socket.socket:
    """A connection past the handshake, with READY said."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=5)
    peer.sendall(GREETING)
    got = b""
    while len(got) < 64:
        got += peer.recv(4096)
    peer.sendall(READY)
    return peer


def _silent_session(address: str) -> socket.socket:
    """A connection with a session that says nothing more, not even to a heartbeat."""
    peer = _greeted(parse(address).port)
    _send_frame(peer, bytes(encode(Hello((MAJOR, MINOR), "silent", ["proof"]), id=1)[0]))
    got = b""
    while True:
        if not (more := peer.recv(4096)):
            raise ConnectionError("the server has closed the connection")
        got += more
        at = got.find(b'{"v"')
        if at >= 0 and got.endswith(b"}"):
            break
    challenge = decode([got[at:]])[0]
    token = read_token(token_file())
    assert isinstance(challenge, Challenge)
    assert token is not None
    _send_frame(peer, bytes(encode(Proof(prove(token, challenge.nonce, parse(address))), id=2)[0]))
    return peer


def _send_frame(peer: socket.socket, frame: bytes) -> None:
    assert len(frame) < 256
    peer.sendall(b"\x00" + bytes([len(frame)]) + frame)


def endless(port: int, frame: int, total: int, seconds: float) -> int:
    """Send frames with MORE until so many bytes are sent, it is cut off or time is up; return the bytes sent."""
    try:
        with _greeted(port) as peer:
            return _send_endless(peer, frame, total, seconds)
    except OSError:
        return 0


def _send_endless(peer: socket.socket, frame: int, total: int, seconds: float) -> int:
    sent = 0
    head = b"\x03" + struct.pack(">Q", frame) if frame > 255 else b"\x01" + bytes([frame])
    one = head + bytes(frame)
    block = one * max(1, MIB // len(one))
    end = time.monotonic() + seconds
    peer.settimeout(1.0)
    with contextlib.suppress(OSError):
        while sent < total and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                sent += peer.send(block[: total - sent] if sent % len(one) == 0 else block[sent % len(one) :])
    return sent


@app.command()
def multipart(total: int = 1500, small: int = 20, seconds: float = 20.0) -> None:
    """Send a message without an end: ``total`` MiB in frames of 1 MiB, then ``small`` MiB in frames of one byte."""
    rows = []
    for name, frame, size in (("frames of 1 MiB", MIB, total * MIB), ("frames of 1 byte", 1, small * MIB)):
        with attacked() as server, Honest(server.address) as honest:
            before = server.memory("VmHWM")
            begin = time.monotonic()
            sent = endless(server.port, frame, size, seconds)
            took = time.monotonic() - begin
            time.sleep(1.0)
            rows += [
                (f"{name}: sent", f"{sent / MIB:.0f} MiB in {took:.1f} s"),
                (f"{name}: memory", f"{before:.0f} -> {server.memory('VmHWM'):.0f} MiB"),
                (f"{name}: status, longest", f"{honest.longest * 1000:.0f} ms"),
                (f"{name}: server", server.state()),
            ]
    report("A message without an end", rows)


CONNECTED = """
import sys, time
from blender_addon.client.connection import Connection
connection = Connection()
connection.connect(sys.argv[1])
connection.run(lambda: False, float(sys.argv[2]))
"""


@app.command()
def reply(total: int = 1500, small: int = 20, seconds: float = 10.0) -> None:
    """As ``multipart``, sent by a server to the add-on's client."""
    rows = []
    for name, frame, size in (("frames of 1 MiB", MIB, total * MIB), ("frames of 1 byte", 1, small * MIB)):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
            client = subprocess.Popen([sys.executable, "-c", CONNECTED, address, str(seconds)])
            peer, _ = listener.accept()
            with peer:
                before = memory_of(client.pid, "VmHWM")
                peer.sendall(GREETING + READY.replace(b"DEALER", b"ROUTER"))
                while b"DEALER" not in peer.recv(1024):
                    pass
                begin = time.monotonic()
                sent = _send_endless(peer, frame, size, seconds / 2)
                took = time.monotonic() - begin
                time.sleep(0.5)
                most = memory_of(client.pid, "VmHWM")
            client.kill()
            client.wait()
        rows += [
            (f"{name}: sent", f"{sent / MIB:.0f} MiB in {took:.1f} s"),
            (f"{name}: memory of the client", f"{before:.0f} -> {most:.0f} MiB"),
        ]
    report("A message without an end from a server", rows)


@app.command()
def manifest(paths: int = 4400, depth: int = 500) -> None:
    """Offer a manifest of ``paths`` paths, each ``depth`` folders deep."""
    bomb = pack_manifest(
        [FileEntry("/".join([f"{number:06d}", *"a" * (depth - 1)]), 0, digest_of(b"")) for number in range(paths)]
    )
    with attacked() as server, Honest(server.address) as honest, Client(server.address) as client:
        before = server.memory("VmHWM")
        client.attach()
        assert client.bulk is not None
        client.send(Offer(digest_of(bomb), len(bomb)), client.bulk)
        answer = "none"
        begin = time.monotonic()
        while time.monotonic() - begin < PATIENCE:
            message, _, id = client.receive(client.bulk, PATIENCE)
            if isinstance(message, Error):
                answer = message.sentence
                break
            if type(message).__name__ != "Get":
                answer = type(message).__name__
                break
            data = bomb[message.offset : message.offset + message.length]  # pyright: ignore[reportAttributeAccessIssue]
            client.send_chunk(digest_of(bomb), message.offset, data, id)  # pyright: ignore[reportAttributeAccessIssue]
        took = time.monotonic() - begin
        time.sleep(0.5)
        rows = [
            ("manifest", f"{len(bomb) / 1e6:.1f} MB"),
            ("answer", f"{answer[:70]} after {took:.1f} s"),
            ("memory", f"{before:.0f} -> {server.memory('VmHWM'):.0f} MiB"),
            ("status, longest", f"{honest.longest * 1000:.0f} ms"),
            ("server", server.state()),
        ]
    report(f"{paths} paths, {depth} folders deep", rows)


@app.command()
def lock(seconds: float = 12.0) -> None:
    """Hold the write lock of the database while a job ends."""
    with attacked() as server, Honest(server.address) as honest:
        job = submitted(server, "step lift 0.1", "sleep 1", "write out 100000", "done")
        time.sleep(0.5)
        other = sqlite3.connect(server.data / "jobs.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
        other.close()
        time.sleep(1.0)
        rows = [
            ("status, longest", f"{honest.longest * 1000:.0f} ms"),
            ("status, failed", str(honest.failures)),
            ("server", server.state()),
            ("job", outcome(server, job)),
        ]
    report(f"The write lock held for {seconds:.0f} s", rows)


@app.command()
def disk(size: int = 320) -> None:
    """Fill the disk while a job runs, free it, and start a server on the full disk; mounts a tmpfs, so as root."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as place, _small_disk(Path(place, "disk"), size) as root:
        server = Attacked(root / "data")
        try:
            with Honest(server.address) as honest:
                job = submitted(server, "step lift 0.5", "write out 100000", "sleep 4", "done")
                time.sleep(1.5)
                fill(root / "ballast")
                with Client(server.address) as client:
                    client.attach()
                    scene = write_scene(Path(place, "another"), "done", photo=3 * MIB)
                    try:
                        client.offer(scene)
                        said = "taken"
                    except (Fault, TimeoutError) as error:
                        said = str(error).splitlines()[0]
                time.sleep(6.0)
                state = server.state()
                fill(root / "more")
                second = started_anyway(root / "other")
                (root / "ballast").unlink()
                (root / "more").unlink()
                rows = [
                    ("server, disk full", state),
                    ("upload, disk full", said[:100]),
                    ("another server started there", second),
                    ("status, longest", f"{honest.longest * 1000:.0f} ms"),
                    ("job, once there is room", outcome(server, job)),
                ]
        finally:
            server.end()
    report(f"A disk of {size} MiB is full", rows)


@contextlib.contextmanager
def _small_disk(root: Path, size: int) -> Iterator[Path]:
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", str(root)], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def started_anyway(data: Path) -> str:
    """The last line that a server says that is started on a folder, or that it serves."""
    command = [sys.executable, "-m", "backend", "serve", "--bind", "tcp://127.0.0.1:*", "--data", str(data)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = server.communicate(timeout=20)[0].strip()
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()
        return "serves"
    return " ".join(said.split())[-160:]


@app.command()
def sessions(count: int = 256) -> None:
    """Open more sessions than a client may have, keep silent, and connect one more client of the same user."""
    with attacked() as server:
        peers = [_silent_session(server.address) for _ in range(count)]
        time.sleep(1.0)
        begin = time.monotonic()
        said = ""
        while not said and time.monotonic() - begin < PATIENCE:
            try:
                with Client(server.address) as client:
                    client.attach()
                    said = f"let in after {(time.monotonic() - begin) * 1000:.0f} ms"
            except (Fault, TimeoutError):
                time.sleep(0.2)
        for peer in peers:
            peer.close()
        report(f"{count} silent sessions", [("one more client", said or "refused"), ("server", server.state())])


def _got(ask: Callable[[], object]) -> str:
    """What became of asking: an answer, or the sentence of the refusal."""
    try:
        return f"answered: {ask()}"[:60]
    except (Fault, TimeoutError) as refusal:
        return f"refused: {str(refusal)[:70]}"


@app.command()
def snoop() -> None:
    """Let one client of an encrypted server ask for the jobs and photographs of another, and for the latter by hash."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as place:
        data = Path(place, "data")
        anna, ben = (clients.add(data, name) for name in ("anna", "ben"))
        server = Attacked(data, encrypted=True)
        try:
            with (
                Client(server.address, pairing=anna) as owner,
                Client(server.address, pairing=ben) as other,
                Client(server.address, pairing=ben) as revoked,
            ):
                for client in (owner, other, revoked):
                    client.attach()
                scene = write_scene(Path(place, "scene"), "write out 1000", "done", photo=MIB)
                manifest, _ = owner.offer(scene)
                done = owner.submit(manifest).job
                owner.until(done)
                running = owner.submit(owner.offer(write_scene(Path(place, "second"), "sleep 60"))[0]).job
                owner.until(running, "running")
                photo = digest_of((scene / "images" / "photo").read_bytes())
                rows = [
                    ("jobs listed", str(len(other.ask(Status(), Jobs).jobs))),
                    ("job followed", _got(lambda: other.sync(running).state)),
                    ("result", _got(lambda: other.result(done).job)),
                    ("selection", _got(lambda: other.ask(Select(done, gaussian=0), Selected))),
                    ("photograph by its hash", _got(lambda: len(other.fetch(photo, MIB)))),
                    ("job on the other's scene", _got(lambda: other.submit(manifest).state)),
                    ("job cancelled", _got(lambda: other.cancel(running).state)),
                    ("files of a known manifest that count as there", _probed(other, scene)),
                ]
                begin = time.monotonic()
                clients.revoke(data, "ben")
                ended = _ended(revoked, begin)
                rows += [
                    ("open connection of a revoked key", f"closed after {ended * 1000:.0f} ms"),
                    ("the owner's job", owner.sync(running).state),
                    ("server", server.state()),
                ]
        finally:
            server.end()
    report("A client asks for what another has", rows)


def _probed(client: Client, scene: Path) -> str:
    wanted = client.offer(scene)[1]
    assert isinstance(wanted, Wanted)
    return f"{wanted.total_files - wanted.files} of {wanted.total_files}"


def _ended(client: Client, begin: float) -> float:
    """Seconds from ``begin`` until a client's messages are no longer answered."""
    client.control.sndtimeo = 500
    while time.monotonic() - begin < PATIENCE:
        asked = time.monotonic() - begin
        try:
            client.send(Status())
            client.receive(patience=0.5)
        except (TimeoutError, zmq.Again):
            return asked
        time.sleep(0.01)
    return float("inf")


@app.command()
def reader(ranges: int = 256) -> None:
    """Ask for so many ranges of 1 MiB and read none of them."""
    with attacked() as server, Honest(server.address) as honest, Client(server.address, receive_high_water=1) as client:
        client.attach()
        scene = write_scene(server.data.with_name("scene"), "done", photo=MIB)
        client.offer(scene)
        digest = digest_of((scene / "images" / "photo").read_bytes())
        before = server.memory()
        most = before
        for _ in range(ranges):
            client.send(Get(digest, 0, MIB), client.bulk)
            most = max(most, server.memory())
        end = time.monotonic() + 3.0
        while time.monotonic() < end:
            most = max(most, server.memory())
            time.sleep(0.01)
        rows = [
            ("memory", f"{before:.0f} -> {most:.0f} MiB"),
            ("status, longest", f"{honest.longest * 1000:.0f} ms"),
            ("server", server.state()),
        ]
    report(f"{ranges} ranges asked for and not read", rows)


def _fill_table(server_data: Path, state: str, count: int, scene: str) -> None:
    """Write rows of jobs into a database, of a server that does not run."""
    with sqlite3.connect(server_data / "jobs.sqlite") as db:
        request = msgspec.json.encode(JobRequest()).decode()
        manifest, size = ("b" * 64, 10) if state == "done" else (None, None)
        db.executemany(
            "INSERT INTO jobs (id, title, scene, request, state, created, manifest, size) "
            "VALUES (?, '', ?, ?, ?, ?, ?, ?)",
            [(f"{number:032x}", scene, request, state, 0.0, manifest, size) for number in range(count)],
        )
    db.close()


@contextlib.contextmanager
def _with_rows(state: str, count: int, *script: str) -> Iterator[tuple[Attacked, str]]:
    """A server with so many rows, and the manifest of a scene that it has."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as place:
        server = Attacked(Path(place, "data"))
        with Client(server.address) as client:
            client.attach()
            manifest, _ = client.offer(write_scene(Path(place, "scene"), *script))
        server.end()
        _fill_table(server.data, state, count, manifest)
        server = Attacked(server.data)
        try:
            yield server, manifest
        finally:
            server.end()


@app.command()
def queue(count: int = 4000, seconds: float = 10.0) -> None:
    """Measure what a server uses while one job runs and so many wait."""
    with _with_rows("queued", count, "step lift 0.5", "sleep 60") as (server, _):
        time.sleep(5.0)
        before = server.seconds_used()
        time.sleep(seconds)
        share = (server.seconds_used() - before) / seconds
        report(
            f"{count} queued jobs", [("processor", f"{share:.1%} of a core"), ("memory", f"{server.memory():.0f} MiB")]
        )


@app.command()
def ended(count: int = 55_000, jobs: int = 5) -> None:
    """End jobs while so many others have ended, and measure how long that holds up the others."""
    with _with_rows("done", count, "write out 1000", "done") as (server, manifest):
        time.sleep(10.0)
        with Honest(server.address, pause=0.005) as honest, Client(server.address) as client:
            for _ in range(jobs):
                client.until(client.submit(manifest).job, patience=PATIENCE)
            time.sleep(1.0)
        rows = [
            ("status, longest", f"{honest.longest * 1000:.0f} ms"),
            ("status, median", f"{honest.percentile(50) * 1000:.1f} ms"),
            ("memory", f"{server.memory():.0f} MiB"),
        ]
    report(f"{jobs} jobs end, {count} have ended", rows)


CLIENTS_EACH = 8
"""Honest clients of one process, which asks them one after the other."""
ASK_EVERY = 0.5
SUBMIT_EVERY = 5.0


@app.command(hidden=True)
def honest(address: str, clients: int, seconds: float, manifest: str) -> None:
    """Ask for the status by several clients in turn, submit jobs by the first, and print what was measured as JSON."""
    with contextlib.ExitStack() as opened:
        crowd = [opened.enter_context(Client(address)) for _ in range(clients)]
        took: list[float] = []
        jobs: list[str] = []
        failures = 0
        end = time.monotonic() + seconds
        submit_at = 0.0
        while (begin := time.monotonic()) < end:
            for client in crowd:
                asked = time.perf_counter()
                try:
                    client.ask(Status(limit=20), Jobs)
                except (Fault, TimeoutError):
                    failures += 1
                    with contextlib.suppress(Fault, TimeoutError):
                        client.hello()
                took.append(time.perf_counter() - asked)
            if begin >= submit_at:
                submit_at = begin + SUBMIT_EVERY
                with contextlib.suppress(Fault, TimeoutError):
                    jobs.append(crowd[0].submit(manifest).job)
            time.sleep(max(0.0, begin + ASK_EVERY - time.monotonic()))
        patience = time.monotonic() + PATIENCE
        states = [""]
        while time.monotonic() < patience and set(states) - {"done"}:
            states = [crowd[1].sync(job).state for job in jobs]
            time.sleep(0.2)
    lost = sum(state != "done" for state in states)
    print(json.dumps({"took": took, "failures": failures, "jobs": len(jobs), "lost": lost}))


def _attack_flood(server: Attacked, stop: threading.Event) -> None:
    with _flooding(server.port, 1300):
        stop.wait()


def _attack_multipart(server: Attacked, stop: threading.Event) -> None:
    frames = [MIB, 1]
    while not stop.is_set():
        endless(server.port, frames[0], 100 * MIB, 7.0)
        frames.reverse()


def _attack_manifest(server: Attacked, stop: threading.Event) -> None:
    """Manifests that are at every limit, one after the other: they are as slow to check as any that are accepted."""
    paths = [f"{number % 19_000:05d}/{number:06d}" for number in range(99_999)]
    bomb = pack_manifest([FileEntry(path, 0, digest_of(b"")) for path in [*paths, "00000/000000x".upper()]])
    while not stop.is_set():
        with contextlib.suppress(Fault, TimeoutError), Client(server.address) as client:
            client.attach()
            assert client.bulk is not None
            client.send(Offer(digest_of(bomb), len(bomb)), client.bulk)
            while not stop.is_set():
                message, _, id = client.receive(client.bulk, PATIENCE)
                if isinstance(message, Get) and message.digest == digest_of(bomb):
                    data = bomb[message.offset : message.offset + message.length]
                    client.send_chunk(message.digest, message.offset, data, id)
                elif isinstance(message, Get):
                    client.send_chunk(message.digest, message.offset, b"", id)
                else:
                    break


def _attack_reader(server: Attacked, stop: threading.Event) -> None:
    """Clients that come, ask for files and read nothing, and sessions that come and stay silent."""
    scene = write_scene(server.data.with_name("another"), "done", photo=MIB)
    digest = digest_of((scene / "images" / "photo").read_bytes())
    with Client(server.address) as client:
        client.attach()
        client.offer(scene)
    peers: list[socket.socket] = []
    while not stop.wait(0.2):
        with contextlib.suppress(Fault, TimeoutError), Client(server.address, receive_high_water=1) as client:
            client.attach()
            for _ in range(256):
                client.send(Get(digest, 0, MIB), client.bulk)
            stop.wait(2.0)
        for _ in range(30):
            with contextlib.suppress(OSError):
                peers.append(_silent_session(server.address))
        for peer in peers[:-280]:
            peer.close()
        del peers[:-280]
    for peer in peers:
        peer.close()


ATTACKS: dict[str, Callable[[Attacked, threading.Event], None]] = {
    "none": lambda _, stop: (stop.wait(), None)[1],
    "flood": _attack_flood,
    "multipart": _attack_multipart,
    "manifest": _attack_manifest,
    "reader": _attack_reader,
}


@app.command()
def crowd(seconds: float = 120.0, clients: int = 31, attacks: str = ",".join(ATTACKS)) -> None:
    """Let many honest clients ask for the status and submit jobs while one hostile client attacks all the time."""
    rows = []
    for name in attacks.split(","):
        with attacked() as server:
            with Client(server.address) as client:
                client.attach()
                manifest, _ = client.offer(write_scene(server.data.with_name("scene"), "write out 1000", "done"))
            counts = [min(CLIENTS_EACH, clients - begin) for begin in range(0, clients, CLIENTS_EACH)]
            asking = [
                subprocess.Popen(
                    [sys.executable, "-m", "bench.chaos", "honest", server.address, str(count), str(seconds), manifest],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for count in counts
            ]
            stop = threading.Event()
            attacker = threading.Thread(target=ATTACKS[name], args=(server, stop))
            attacker.start()
            time.sleep(min(10.0, seconds / 4))
            early = server.memory()
            time.sleep(max(0.0, seconds / 2 - 10.0))
            middle = server.memory()
            found = [json.loads(each.communicate()[0].splitlines()[-1]) for each in asking]
            late, most = server.memory(), server.memory("VmHWM")
            stop.set()
            attacker.join()
            took = [each for one in found for each in one["took"]]
            p50, p99 = np.percentile(took, [50, 99]) * 1000
            jobs, lost, failures = (sum(one[key] for one in found) for key in ("jobs", "lost", "failures"))
            rows += [
                (f"{name}: status, median, p99, longest", f"{p50:.1f}, {p99:.0f}, {max(took) * 1000:.0f} ms"),
                (f"{name}: asked, failed", f"{len(took)}, {failures}"),
                (f"{name}: jobs accepted, lost", f"{jobs}, {lost}"),
                (f"{name}: memory, begin, middle, end, most", f"{early:.0f}, {middle:.0f}, {late:.0f}, {most:.0f} MiB"),
                (f"{name}: server", server.state()),
            ]
    report(f"{clients} honest clients and a hostile one, {seconds:.0f} s", rows)


if __name__ == "__main__":
    app()

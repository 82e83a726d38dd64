"""Many small attacks on a server, each with a verdict: what the attacker did, and whether the server withstood it.

    python -m bench.attacks wire              # by a client, or by any program that can connect
    python -m bench.attacks wire --only health
    python -m bench.attacks wire --list

:mod:`bench.chaos` measures the attacks that need minutes; :mod:`bench.faults` makes the machine fail. Each attack runs
against a fresh server process. An attack fails if the server ends, if its memory grows by more than :data:`GROWTH`, if
an honest client waits longer than :data:`WAIT` for a status, or if the check of the attack itself says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import typer
import zmq

from backend.server import clients
from bench.chaos import GREETING, READY, Attacked, Honest, write_scene
from protocol.errors import Fault
from protocol.job_request import JobRequest
from protocol.manifest import digest_of
from protocol.messages import (
    Attach,
    Bye,
    Cancel,
    Constraint,
    Correct,
    Describe,
    Error,
    Get,
    GetResult,
    Heartbeat,
    Hello,
    Jobs,
    Message,
    Offer,
    Select,
    Status,
    Stored,
    Submit,
    Survey,
    Sync,
    Target,
    Wanted,
    Withdraw,
)
from protocol.pairing import Pairing
from protocol.wire import encode
from tests.backend.server.client import Client
from tests.ports import free_pair

GROWTH = 100.0
"""MiB by which an attack may make the server grow."""
WAIT = 2.0
"""Seconds that an honest client may wait for an answer during an attack, on a machine that others use as well."""

Attack = Callable[[Path], str]
"""Runs in an empty folder; returns what happened. Raises AssertionError if the server did not withstand it."""
ATTACKS: dict[str, Attack] = {}

app = typer.Typer(add_completion=False, help=__doc__)


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


@contextlib.contextmanager
def served(server: Attacked, pairing: Pairing | None = None) -> Iterator[Attacked]:
    """Check that the server is up after the attack, has not grown, and answered all the time."""
    try:
        before = server.memory()
        if pairing is None:
            with Honest(server.address) as honest:
                yield server
            waited, refused = honest.longest, honest.failures
        else:
            yield server
            begin = time.monotonic()
            with Client(server.address, pairing=pairing) as client:
                client.ask(Status(), Jobs)
            waited, refused = time.monotonic() - begin, 0
        assert server.process.poll() is None, server.state()
        grown = server.memory("VmHWM") - before
        assert grown < GROWTH, f"the server grew by {grown:.0f} MiB"
        assert not refused, f"{refused} requests of an honest client failed"
        assert waited < WAIT, f"an honest client waited {waited:.1f} s"
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


# Numbers and texts


def _submitted(place: Path, settings: str, title: str = '"t"') -> str:
    """Submit a job on a stored scene with settings and a title as JSON."""
    with plain(place) as server, attached(server) as client:
        manifest, _ = client.offer(write_scene(place / "scene", "write out 1000", "done"))
        text = (
            f'{{"v":2,"id":9,"message":{{"type":"submit","job":"{uuid.uuid4().hex}","title":{title},"scene":'
            f'"{manifest}","request":{{"settings":{settings}}}}}}}'
        )
        client.control.send(text.encode())
        got = client.receive()[0]
        return type(got).__name__ + (f": {got.sentence[:60]}" if isinstance(got, Error) else "")


@attack
def number_of_40_digits_as_a_setting(place: Path) -> str:
    return _submitted(place, '{"a": %s}' % ("9" * 40))


@attack
def negative_number_of_40_digits_as_a_setting(place: Path) -> str:
    return _submitted(place, '{"a": -%s}' % ("9" * 40))


@attack
def least_number_of_64_bits_as_a_setting(place: Path) -> str:
    return _submitted(place, f'{{"a": {-(2**63)}, "b": {2**64 - 1}}}')


@attack
def zero_byte_and_direction_marks_in_a_title(place: Path) -> str:
    return _submitted(place, "{}", '"\\u0000\\u202e\\ufeff\\ud83d\\ude00\\u001b[31m"')


@attack
def title_of_200_emoji(place: Path) -> str:
    return _submitted(place, "{}", json.dumps("\U0001f9ff" * 200))


@attack
def half_a_surrogate_in_a_title(place: Path) -> str:
    return _submitted(place, "{}", '"\\ud800"')


@attack
def two_hundred_settings_with_long_names(place: Path) -> str:
    return _submitted(place, json.dumps({f"{n:03d}" + "x" * 150: 1e308 for n in range(200)}))


# Memory that requests hold


@attack
def offers_of_30000_manifests(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        assert client.bulk is not None
        before = server.memory()
        for number in range(0, 30_000, 50):
            for each in range(50):
                client.bulk.send_multipart(encode(Offer(f"{number + each:064x}", 1 << 20), id=1))
            for _ in range(50):
                client.receive(client.bulk)
            client.bulk.send_multipart(encode(Error("gone", "x")))
            for _ in range(4):
                client.receive(client.bulk)
            alive(client)
        grown = server.memory() - before
        assert grown < 5, f"30,000 offers hold {grown:.1f} MiB for an hour"
        return f"{grown:.1f} MiB"


@attack
def questions_about_the_machine_while_it_is_probed(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        before = server.memory("VmHWM")
        for number in range(20_000):
            client.control.send_multipart(encode(Describe(), id=number + 1))
        answers(client, 2.0)
        grown = server.memory("VmHWM") - before
        assert grown < 20, f"grew by {grown:.0f} MiB"
        return f"{grown:.0f} MiB"


@attack
def withdrawals_of_100000_unknown_requests(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        for number in range(100_000):
            client.control.send_multipart(encode(Withdraw(number)))
        alive(client)
        return "ignored"


@attack
def questions_about_all_jobs_with_one_number(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        job = done_job(client, place)
        for _ in range(2_000):
            client.control.send_multipart(encode(Select(job, gaussian=0), id=7))
        got = answers(client, 5.0)
        alive(client)
        return f"{len(got)} answers"


@attack
def corrections_with_3_mib_of_arrays(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        job = done_job(client, place)
        bits = [np.zeros(1 << 20, np.uint8) for _ in range(3)]
        wanted = Correct(job, [Constraint("background", [Target(gaussians=0)])])
        for number in range(60):
            client.control.send_multipart(encode(wanted, bits, id=number + 1))
        answers(client, 6.0)
        alive(client)
        return "answered"


# Places that are kept busy


@attack
def uploads_that_are_never_sent(place: Path) -> str:
    """Three clients offer folders and send nothing; a fourth uploads."""
    with paired(place, "a", "b", "c", "honest") as (server, keys), contextlib.ExitStack() as stack:
        for key in keys[:3]:
            for _ in range(4):
                idle = stack.enter_context(attached(server, key))
                assert idle.bulk is not None
                for _ in range(4):
                    idle.send(Offer(uuid.uuid4().hex * 2, 1 << 20), idle.bulk)
                threading.Thread(target=_beat, args=(idle.control,), daemon=True).start()
        time.sleep(1.0)
        with attached(server, keys[3]) as honest:
            return _offer_within(honest, write_scene(place / "mine", "done"), 75.0)


def _beat(control: zmq.Socket) -> None:
    with contextlib.suppress(zmq.ZMQError):
        while True:
            control.send_multipart(encode(Heartbeat(), id=1))
            while control.poll(0):
                control.recv_multipart()
            time.sleep(1.0)


def _offer_within(client: Client, scene: Path, seconds: float) -> str:
    begin = time.monotonic()
    while True:
        try:
            client.offer(scene)
            return f"accepted after {time.monotonic() - begin:.0f} s"
        except Fault as fault:
            if time.monotonic() - begin > seconds:
                raise AssertionError(f"refused for {seconds:.0f} s: {fault.sentence}") from fault
            alive(client)
            time.sleep(1.0)


@attack
def flood_of_surveys(place: Path) -> str:
    """One client keeps the queue of the store's thread full; another submits."""
    with paired(place, "hostile", "honest") as (server, keys), contextlib.ExitStack() as stack:
        stop = threading.Event()

        def flood() -> None:
            with Client(server.address, pairing=keys[0]) as client:
                number = 0
                while not stop.is_set():
                    for _ in range(200):
                        number += 1
                        with contextlib.suppress(zmq.Again):
                            client.control.send_multipart(encode(Survey(), id=number), zmq.NOBLOCK)
                    while client.control.poll(0):
                        client.control.recv_multipart()

        threads = [threading.Thread(target=flood, daemon=True) for _ in range(6)]
        honest = stack.enter_context(attached(server, keys[1]))
        manifest, _ = honest.offer(write_scene(place / "mine", "done"))
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        refused, slowest = 0, 0.0
        for _ in range(30):
            begin = time.monotonic()
            try:
                honest.submit(manifest)
            except Fault:
                refused += 1
            slowest = max(slowest, time.monotonic() - begin)
        stop.set()
        for thread in threads:
            thread.join()
        assert not refused, f"{refused} of 30 jobs were refused"
        return f"30 jobs accepted, slowest {slowest:.2f} s"


@attack
def all_places_of_the_selector(place: Path) -> str:
    """One client asks 32 questions of a frozen selector; another asks one."""
    with paired(place, "hostile", "honest") as (server, keys), contextlib.ExitStack() as stack:
        hostile, honest = (stack.enter_context(attached(server, key)) for key in keys)
        theirs, mine = done_job(hostile, place), done_job(honest, place)
        hostile.send(Select(theirs, gaussian=0))
        answers(hostile, 5.0)
        for child in psutil.Process(server.process.pid).children():
            if "selection_worker" in " ".join(child.cmdline()):
                child.suspend()
        for _ in range(60):
            hostile.send(Select(theirs, gaussian=0))
        answers(hostile, 1.0)
        honest.send(Select(mine, gaussian=0))
        got = [each for each in answers(honest, 1.5) if isinstance(each, Error)]
        assert not got, got[0].sentence
        return "the question of the other client waits for its answer"


# Limits


@attack
def half_sent_uploads_past_the_limit_of_a_client(place: Path) -> str:
    limit = 20_000_000
    with (
        paired(place, "hostile", "honest", options=("--client-keep", str(limit / 1e9))) as (server, keys),
        attached(server, keys[0]) as client,
    ):
        for number in range(4):
            scene = write_scene(place / f"big{number}", f"{number}", photo=18_000_000 + number)
            client.sent_bytes = 0
            with contextlib.suppress(Fault):
                client.offer(scene, stop_after=16_000_000)
            assert client.bulk is not None
            client.bulk.close()
            client.attach()
            time.sleep(0.3)
        held = sum(path.stat().st_size for path in (server.data / "store").rglob("*") if path.is_file())
        assert held < 2 * limit, f"{held / 1e6:.0f} MB held, and the limit is {limit / 1e6:.0f} MB"
        return f"{held / 1e6:.0f} MB held"


@attack
def jobs_past_the_limit_of_a_client(place: Path) -> str:
    with (
        paired(place, "hostile", "honest", options=("--client-jobs", "5")) as (server, keys),
        attached(server, keys[0]) as client,
    ):
        manifest, _ = client.offer(write_scene(place / "scene", "done"))
        for number in range(100):
            submit = Submit(uuid.uuid4().hex, "t", manifest, JobRequest())
            client.control.send_multipart(encode(submit, id=number + 1))
        got = answers(client, 3.0)
        accepted = sum(type(each).__name__ == "Accepted" for each in got)
        assert accepted <= 5, f"{accepted} accepted, and the limit is 5"
        return f"{accepted} of 100 accepted"


# Connections


def _from_address(host: str, port: int) -> socket.socket:
    peer = socket.socket()
    peer.settimeout(2)
    peer.bind((host, 0))
    peer.connect(("127.0.0.1", port))
    peer.sendall(GREETING)
    return peer


@attack
def greetings_from_600_addresses(place: Path) -> str:
    with plain(place) as server, Client(server.address) as honest:
        alive(honest)
        held = []
        with contextlib.suppress(OSError):
            for number in range(600):
                held.append(_from_address(f"127.0.{1 + number // 200}.{1 + number % 200}", server.port))
        ended = False
        try:
            alive(honest)
        except TimeoutError:
            ended = True
        for one in held:
            one.close()
        assert not ended, "the connection of an honest client was closed"
        return f"{len(held)} connections, the honest client kept its own"


@attack
def kinds_of_sockets(place: Path) -> str:
    with plain(place) as server:
        context = zmq.Context()
        for kind in (zmq.REQ, zmq.SUB, zmq.XSUB, zmq.PUB, zmq.XPUB, zmq.PUSH, zmq.PULL, zmq.PAIR, zmq.ROUTER, zmq.REP):
            one = context.socket(kind)
            one.linger = 0
            if kind == zmq.SUB:
                one.setsockopt(zmq.SUBSCRIBE, b"x" * 200)
            one.connect(server.address)
            with contextlib.suppress(zmq.ZMQError):
                for _ in range(50):
                    one.send(b"x", zmq.NOBLOCK)
        time.sleep(1.0)
        context.destroy(linger=0)
        return "10 kinds"


@attack
def greetings_of_other_protocols(place: Path) -> str:
    signature = b"\xff" + bytes(8) + b"\x7f"
    variants = [
        signature + b"\x00" + b"\x05",
        signature + b"\x01" + b"\x05",
        signature + b"\x02",
        signature + b"\xff\xff" + bytes(52),
        signature + b"\x03\x01" + b"PLAIN".ljust(20, b"\0") + b"\1" + bytes(31),
        signature + b"\x03\x01" + b"GSSAPI".ljust(20, b"\0") + bytes(32),
        signature + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\1" + bytes(31),
        signature + b"\x03\x01" + b"\xff" * 20 + bytes(32),
        signature + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(64),
        b"SSH-2.0-x\r\n",
        b"\x01\x00",
        os.urandom(64),
        GREETING + READY + b"\x04\xff" * 40,
        GREETING + b"\x06" + struct.pack(">Q", 2**63) + b"x",
        GREETING + b"\x02" + struct.pack(">Q", 2**64 - 1),
        GREETING + READY * 200,
        GREETING + READY + b"\x04\x06\x05ERROR" * 10,
        GREETING + READY + b"\x04\x0c\x09SUBSCRIBEx" * 200,
        GREETING + b"\x04\x0a\x05READY\xff\xff\xff\xff",
        GREETING + b"\x04\x29\x05READY\x0bSocket-Type\x7f\xff\xff\xff" + b"A" * 20,
        GREETING + b"\x00\x05hello",
        READY,
    ]
    with plain(place) as server:
        for one in variants:
            for _ in range(3):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 2) as peer:
                    peer.sendall(one)
                    peer.settimeout(0.05)
                    peer.recv(4096)
        return f"{len(variants)} greetings"


@attack
def one_byte_a_second(place: Path) -> str:
    """Stop at each part of a connection: its greeting, READY, a frame's length, its content."""
    whole = GREETING + READY + b"\x02" + struct.pack(">Q", 1000) + b'{"v":2,'
    stops = (1, 9, 10, 12, 63, 64, 66, 70, len(GREETING + READY), len(GREETING + READY) + 4, len(whole))
    with plain(place) as server:
        peers = []
        for stop in stops:
            peer = socket.create_connection(("127.0.0.1", server.port), 2)
            peer.sendall(whole[:stop])
            peers.append(peer)
        begin, ends = time.monotonic(), {}
        while time.monotonic() - begin < 16 and len(ends) < len(peers):
            for number, peer in enumerate(peers):
                peer.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    if number not in ends and _ended(peer):
                        ends[number] = time.monotonic() - begin
        left = [stops[number] for number in range(len(peers)) if number not in ends]
        assert not left, f"connections that stopped after {left} bytes are open after 16 s"
        return f"all closed after {max(ends.values()):.0f} s"


def _ended(peer: socket.socket) -> bool:
    try:
        return not peer.recv(4096)
    except ConnectionError:
        return True


@attack
def three_thousand_resets(place: Path) -> str:
    with plain(place) as server:
        for number in range(3000):
            with contextlib.suppress(OSError):
                peer = socket.create_connection(("127.0.0.1", server.port), 1)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if number % 3:
                    peer.sendall((GREETING + READY)[: number % 100])
                peer.close()
        time.sleep(0.5)
        assert server.open_files() < 120, f"{server.open_files()} files open"
        return f"{server.open_files()} files open"


@attack
def half_closed_connections(place: Path) -> str:
    with plain(place) as server:
        held = []
        for number in range(200):
            peer = socket.create_connection(("127.0.0.1", server.port), 1)
            peer.sendall((GREETING + READY)[: 8 + number % 90])
            peer.shutdown(socket.SHUT_WR)
            held.append(peer)
        time.sleep(7.0)
        assert server.open_files() < 120, f"{server.open_files()} files open"
        return f"{server.open_files()} files open"


@attack
def flood_of_pings(place: Path) -> str:
    ping = b"\x04\x17\x04PING\x00\x0a" + b"c" * 16
    with plain(place) as server:
        peer = socket.create_connection(("127.0.0.1", server.port), 2)
        peer.sendall(GREETING + READY)
        peer.settimeout(0.1)
        end, sent = time.monotonic() + 5, 0
        with contextlib.suppress(OSError):
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    sent += peer.send(ping * 2000)
        return f"{sent / 1e6:.0f} MB sent"


@attack
def routing_ids(place: Path) -> str:
    """The id of a connected peer, ids that libzmq gives itself, and the longest one."""
    with plain(place) as server, Client(server.address, routing_id=b"victim") as victim:
        alive(victim)
        for id in (b"victim", b"\x00\x00\x00\x00\x01", b"\x00" * 255, b"x" * 255, b"\xff"):
            for _ in range(5):
                ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity" + struct.pack(">I", len(id)) + id
                head = b"\x04" + bytes([len(ready)]) if len(ready) < 256 else b"\x06" + struct.pack(">Q", len(ready))
                hello = bytes(encode(Hello((2, 2), "thief", ["proof"]), id=1)[0])
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 2) as peer:
                    peer.sendall(GREETING + head + ready + b"\x00" + bytes([len(hello)]) + hello)
                    peer.settimeout(0.2)
                    peer.recv(4096)
        alive(victim)
        return "the client kept its session"


# Order of messages


@attack
def hello_2000_times(place: Path) -> str:
    with plain(place) as server, Client(server.address, hello=False) as client:
        for _ in range(2000):
            client.control.send_multipart(encode(Hello((2, 2), "x" * 200, ["proof"] * 100), id=1))
        answers(client, 2.0)
        client.hello()
        return "the last one was answered"


@attack
def attach_again_and_with_unknown_sessions(place: Path) -> str:
    with plain(place) as server, attached(server) as one, attached(server) as other:
        assert one.bulk is not None
        for _ in range(200):
            one.bulk.send_multipart(encode(Attach("0" * 32), id=1))
            one.bulk.send_multipart(encode(Attach(one.welcome.session), id=2))
            one.bulk.send_multipart(encode(Attach(other.welcome.session), id=3))
        answers(one, 2.0, bulk=True)
        other.attach()
        other.offer(write_scene(place / "scene", "done"))
        return "the other client uploads"


@attack
def cancel_while_a_job_ends(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        ends = []
        for number in range(8):
            job = done_job(client, place, "step lift 0.5", "write out 300000", "done")
            time.sleep(0.05 * number)
            for _ in range(100):
                client.control.send_multipart(encode(Cancel(job), id=1))
                client.control.send_multipart(encode(Sync(job), id=2))
                while client.control.poll(1):
                    client.control.recv_multipart()
            while (state := client.sync(job).state) in ("queued", "running", "cancelling"):
                time.sleep(0.1)
            ends.append(state)
        assert set(ends) <= {"done", "cancelled"}, ends
        return f"{ends.count('done')} done, {ends.count('cancelled')} cancelled"


@attack
def submit_and_cancel_at_once(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        manifest, _ = client.offer(write_scene(place / "scene", "write out 1000", "done"))
        for _ in range(200):
            job = uuid.uuid4().hex
            client.control.send_multipart(encode(Cancel(job), id=1))
            client.control.send_multipart(encode(Submit(job, "t", manifest), id=2))
            client.control.send_multipart(encode(Cancel(job), id=3))
            client.control.send_multipart(encode(Submit(job, "t", manifest), id=4))
            client.control.send_multipart(encode(GetResult(job), id=5))
            answers(client, 0.01)  # a client that does not read them is disconnected
        answers(client, 3.0)
        alive(client)
        return "200 jobs"


@attack
def bye_and_then_everything(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        job = done_job(client, place)
        client.send(Bye())
        for message in (Status(), Sync(job), Cancel(job), GetResult(job), Select(job, gaussian=1), Survey(), Bye()):
            client.send(message)
        got = answers(client, 1.5)
        assert all(isinstance(each, Error) for each in got), got
        return f"{len(got)} errors"


@attack
def chunks_out_of_order(place: Path) -> str:
    """Twice, past the end, of another upload, empty, and in the wrong order."""
    with plain(place) as server, attached(server) as client:
        scene = write_scene(place / "scene", "done", photo=5 << 20)
        client.offer(scene, stop_after=1)
        assert client.bulk is not None
        photo = digest_of((scene / "images" / "photo").read_bytes())
        for offset, size in ((4 << 20, 1 << 20), (0, 0), (0, 1), (2**53, 1), (1 << 20, 1 << 20), (0, 1 << 20)):
            for digest in (photo, "a" * 64):
                client.send_chunk(digest, offset, bytes(size), 1)
        answers(client, 1.0, bulk=True)
        client.attach()
        client.offer(scene)
        job = client.submit(client.offer(scene)[0]).job
        assert client.until(job).state in ("failed", "done")
        return "the folder arrives afterwards"


@attack
def ranges_past_the_end(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        job = done_job(client, place)
        result = client.result(job)
        assert client.bulk is not None
        for offset, length in ((0, 1 << 20), (2**53, 1), (result.size, 1), (result.size - 1, 2), (2**53, 1 << 20)):
            client.send(Get(result.manifest, offset, length), client.bulk)
        got = answers(client, 1.0, bulk=True)
        assert all(isinstance(each, Error) for each in got), got
        return f"{len(got)} errors"


@attack
def offers_of_what_is_no_manifest(place: Path) -> str:
    """A stored photograph, a result's file, a wrong size, an empty file, and the same folder 50 times."""
    with plain(place) as server, attached(server) as client:
        scene = write_scene(place / "scene", "write out 1000", "done", photo=3 << 20)
        manifest, _ = client.offer(scene)
        photo = digest_of((scene / "images" / "photo").read_bytes())
        assert client.bulk is not None
        empty = digest_of(b"")
        for offer in (Offer(photo, 3 << 20), Offer(photo, 1), Offer(manifest, 1), Offer(empty, 0), Offer(empty, 5)):
            client.send(offer, client.bulk)
        for _ in range(50):
            client.send(Offer(manifest, 10), client.bulk)
        answers(client, 1.5, bulk=True)
        client.attach()
        client.offer(scene)
        return "the folder is still stored"


@attack
def many_tiny_files(place: Path) -> str:
    """20,000 files of a few bytes in 20 folders."""
    with plain(place) as server, attached(server) as client:
        scene = place / "scene"
        write_scene(scene, "done")
        for number in range(20_000):
            folder = scene / f"{number % 20}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}").write_text(f"{number}")
        begin = time.monotonic()
        client.offer(scene)
        return f"stored after {time.monotonic() - begin:.0f} s"


@attack
def names_of_windows(place: Path) -> str:
    """Names that some system reads as another file, or as a device."""
    names = (
        *("con", "CON.txt", "nul .png", "aux.tar.gz", "com1", "COM\u00b9", "lpt\u00b2.txt", "conin$", "CONOUT$"),
        *("a:b", "a.", "a ", "..", "../a", "/a", "\\a", "C:\\a", "a\x00b", "a\nb", "a\u202eb", "a//b", "", ".", "./a"),
        *("a/../b", "~/a/..", "\ud800", "a|b", "a*", "a" * 300, "a/" * 40 + "b"),
    )
    taken = []
    with plain(place) as server, attached(server) as client:
        for name in names:
            data = b'{"files":[{"path":%s,"size":1,"digest":"%s"}]}' % (json.dumps(name).encode(), b"a" * 64)
            if _manifest_verdict(client, data) is None:
                taken.append(name)
        assert not taken, f"accepted: {taken}"
        return f"{len(names)} names refused"


@attack
def names_that_are_one_elsewhere(place: Path) -> str:
    """Paths that are the same file on a system that ignores case or the normal form of letters."""
    pairs = (
        *(("A.png", "a.png"), ("\u00e9", "e\u0301"), ("stra\u00dfe", "STRASSE"), ("\u0130", "i\u0307")),
        *(("a", "a/b"), ("A", "a/b"), ("\u212a", "k")),
    )
    taken = []
    with plain(place) as server, attached(server) as client:
        for pair in pairs:
            entries = [{"path": name, "size": 1, "digest": "a" * 64} for name in pair]
            if _manifest_verdict(client, json.dumps({"files": entries}).encode()) is None:
                taken.append(pair)
        assert not taken, f"accepted: {taken}"
        return f"{len(pairs)} pairs refused"


def _manifest_verdict(client: Client, data: bytes) -> str | None:
    """Offer a manifest; return the sentence of its refusal, None if its files are requested."""
    assert client.bulk is not None
    id = client.send(Offer(digest_of(data), len(data)), client.bulk)
    while True:
        message, _, of = client.receive(client.bulk)
        if isinstance(message, Get) and message.digest == digest_of(data):
            client.send_chunk(message.digest, message.offset, data[message.offset :][: message.length], of)
        elif isinstance(message, Error):
            return message.sentence
        elif isinstance(message, Wanted | Stored) and of == id:
            client.send(Error("gone", "x"), client.bulk)
            answers(client, 0.2, bulk=True)
            return None


# Other clients


@attack
def a_job_id_of_another_client(place: Path) -> str:
    with paired(place, "anna", "ben", "honest") as (server, keys), contextlib.ExitStack() as stack:
        anna, ben = (stack.enter_context(attached(server, key)) for key in keys[:2])
        scene = write_scene(place / "scene", "write out 1000", "done")
        manifest, _ = anna.offer(scene)
        job = anna.submit(manifest).job
        anna.until(job, "done")
        ben.offer(scene)
        said = []
        for message in (
            Submit(job, "a job", manifest),
            Cancel(job),
            Sync(job),
            GetResult(job),
            Select(job, gaussian=0),
        ):
            ben.send(message)
            said += answers(ben, 0.4)
        assert all(isinstance(each, Error) for each in said), said
        assert anna.sync(job).state == "done"
        return f"{len(said)} errors"


@attack
def revoked_during_an_upload(place: Path) -> str:
    with paired(place, "anna", "honest") as (server, keys), attached(server, keys[0]) as anna:
        anna.offer(write_scene(place / "scene", "done", photo=20 << 20), stop_after=1 << 20)
        clients.revoke(server.data, "anna")
        time.sleep(1.5)
        assert anna.bulk is not None
        for _ in range(20):
            with contextlib.suppress(zmq.Again):
                anna.bulk.send_multipart(encode(Offer("a" * 64, 10), id=1), zmq.NOBLOCK)
                anna.control.send_multipart(encode(Status(), id=1), zmq.NOBLOCK)
        got = answers(anna, 1.5)
        assert not [each for each in got if isinstance(each, Jobs)], got
        return "not heard"


@attack
def token_of_the_folder_guessed(place: Path) -> str:
    with plain(place) as server, attached(server) as client:
        for number in range(2000):
            client.control.send_multipart(encode(Survey(f"{number:032x}"), id=1))
        got = [each for each in answers(client, 3.0) if getattr(each, "clients", None)]
        assert not got, got
        return "no names of clients"


# Metrics


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


# The parts of the server


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


def _run(name: str) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory(prefix="attack-") as place:
        try:
            return True, ATTACKS[name](Path(place))
        except AssertionError as error:
            return False, str(error) or "an assertion failed"
        except (Fault, OSError, TimeoutError, zmq.ZMQError) as error:
            log = Path(place, "server.log")
            last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
            return False, f"{type(error).__name__}: {error}"[:150] + "".join(f" | log: {line[:150]}" for line in last)


@app.command()
def wire(only: str = "", list_names: bool = typer.Option(False, "--list")) -> None:
    """Run the attacks whose names contain a text, and print a line for each."""
    failed = 0
    for name in ATTACKS:
        if only in name:
            if list_names:
                print(name.replace("_", " "))
                continue
            begin = time.monotonic()
            withstood, said = _run(name)
            failed += not withstood
            took = time.monotonic() - begin
            print(
                f"{'withstood' if withstood else 'FAILED':9s} {name.replace('_', ' ')} ({took:.0f} s): {said}",
                flush=True,
            )
    if not list_names:
        print(f"{failed} failed")


@app.callback()
def _main() -> None:
    """Commands."""


if __name__ == "__main__":
    app()

"""Attacks by messages: values, memory that requests hold, places that are kept busy, limits of a client."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import zmq

from bench.attacks.serving import (
    alive,
    answers,
    attached,
    attack,
    done_job,
    paired,
    plain,
)
from bench.chaos import MIB, Attacked, write_scene
from protocol.errors import Fault
from protocol.job_request import JobRequest
from protocol.manifest import digest_of
from protocol.messages import (
    Constraint,
    Correct,
    Describe,
    Error,
    Get,
    Heartbeat,
    Jobs,
    Offer,
    Select,
    Status,
    Submit,
    Survey,
    Target,
    Withdraw,
)
from protocol.wire import encode
from tests.backend.server.client import Client


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


# Answers that are not read


@attack
def files_that_nobody_reads(place: Path) -> str:
    """56 sessions ask for 64 ranges of 1 MiB each and read none; another client downloads the same file."""
    with plain(place) as server, attached(server) as honest, contextlib.ExitStack() as stack:
        scene = write_scene(place / "scene", "done", photo=8 * MIB)
        honest.offer(scene)
        photo = digest_of((scene / "images" / "photo").read_bytes())
        deaf = [stack.enter_context(_deaf(server)) for _ in range(56)]
        for number in range(64):
            for client in deaf:
                assert client.bulk is not None
                with contextlib.suppress(zmq.Again):
                    client.bulk.send_multipart(encode(Get(photo, number % 8 * MIB, MIB), id=1), zmq.NOBLOCK)
        begin = time.monotonic()
        honest.fetch(photo, 8 * MIB)
        took = time.monotonic() - begin
        answers(honest, 3.0)
        return f"the other client had its 8 MiB after {took:.1f} s"


@attack
def lists_that_nobody_reads(place: Path) -> str:
    """32 sessions ask 500 times for a list of jobs of 64 kB and read none."""
    with plain(place) as server, attached(server) as client, contextlib.ExitStack() as stack:
        manifest, _ = client.offer(write_scene(place / "scene", "sleep 100"))
        for _ in range(100):
            client.submit(manifest, title="\U0001f9ff" * 200)
        deaf = [stack.enter_context(_deaf(server)) for _ in range(32)]
        for _ in range(500):
            for each in deaf:
                with contextlib.suppress(zmq.Again):
                    each.control.send_multipart(encode(Status(limit=100), id=1), zmq.NOBLOCK)
        answers(client, 15.0)
        client.ask(Status(), Jobs)
        return "the other client is answered"


@contextlib.contextmanager
def _deaf(server: Attacked) -> Iterator[Client]:
    """A client that does not read, with as little as possible in the system's buffers."""
    with Client(server.address, receive_high_water=1, receive_buffer=4096) as client:
        client.attach()
        yield client

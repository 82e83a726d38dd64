"""Attacks by valid messages in a wrong order."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from pathlib import Path

import numpy as np
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
from bench.chaos import write_scene
from protocol.manifest import digest_of
from protocol.messages import (
    Attach,
    Bye,
    Cancel,
    Challenge,
    Chunk,
    Constraint,
    Correct,
    Describe,
    DescribeMasks,
    DescribeMethod,
    Error,
    Get,
    GetResult,
    Heartbeat,
    Hello,
    Locate,
    Message,
    NameObjects,
    Offer,
    Select,
    SelectText,
    Status,
    Stored,
    Submit,
    Survey,
    Sync,
    Target,
    Wanted,
    Withdraw,
)
from protocol.wire import encode
from tests.backend.server.client import Client


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
def any_messages_in_any_order(place: Path) -> str:
    """Four sessions send 8,000 valid messages on both sockets, about the jobs and files of both clients."""
    with paired(place, "hostile", "honest") as (server, keys), attached(server, keys[1]) as honest:
        theirs = done_job(honest, place)
        result = honest.result(theirs)
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(attached(server, keys[0])) for _ in range(4)]
            scene = write_scene(place / "scene", "write out 1000", "done", photo=3 << 20)
            manifest, _ = sessions[0].offer(scene)
            own = sessions[0].submit(manifest).job
            photo = digest_of((scene / "images" / "photo").read_bytes())
            choose = _Choice(random.Random(0), [own, theirs, "0" * 32], [manifest, photo, result.manifest, "f" * 64])
            tokens = [each.welcome.session for each in sessions]
            for number in range(8000):
                client = sessions[number % 4]
                assert client.bulk is not None
                socket = client.bulk if choose.order.random() < 0.5 else client.control
                message, arrays = choose.message(tokens)
                with contextlib.suppress(zmq.Again):
                    socket.send_multipart(encode(message, arrays, id=number), zmq.NOBLOCK)
                for each in (client.control, client.bulk):
                    while each.poll(0):
                        each.recv_multipart()
        assert honest.sync(theirs).state == "done"
        assert honest.result(theirs) == result
        with attached(server, keys[0]) as client:
            done_job(client, place)
        return "the job of the other client is as before, and new jobs are done"


class _Choice:
    """Chooses messages at random, about given jobs and files."""

    def __init__(self, order: random.Random, jobs: list[str], digests: list[str]) -> None:
        self.order, self.jobs, self.digests = order, jobs, digests

    def message(self, tokens: list[str]) -> tuple[Message, list[np.ndarray]]:
        job, digest = self.order.choice(self.jobs), self.order.choice(self.digests)
        offset = self.order.choice([0, 1, 1 << 20, 3 << 20, 2**53])
        label = Target(label=1 + self.order.randrange(3))
        messages: list[Message] = [
            *(Heartbeat(), Status(), Survey(), Locate(), Describe(), DescribeMasks(), DescribeMethod("consensus")),
            *(Sync(job), Cancel(job), GetResult(job), Withdraw(self.order.randrange(8000)), Challenge("0" * 32)),
            *(Submit(job, "t", digest), Submit(self.order.randbytes(16).hex(), "t", digest)),
            *(Select(job, gaussian=offset), Select(job, view="../../jobs.sqlite"), SelectText(job, "cup")),
            *(Correct(job, [Constraint("background", [label])], base=digest), Correct(job, undo=True, take=True)),
            *(NameObjects(job, ["cup"], base=digest), Offer(digest, offset), Get(digest, offset, 1 << 20)),
            *(Attach(self.order.choice(tokens)), Stored(digest), Wanted(digest, 1, 1, 1, 1), Error("gone", "x")),
        ]
        if self.order.random() < 0.3:
            return Chunk(digest, offset), [np.zeros(self.order.choice([0, 1, 1 << 20]), np.uint8)]
        return self.order.choice(messages), []


@attack
def storm_of_jobs_that_are_cancelled(place: Path) -> str:
    """A client submits and cancels as many jobs as it can for 15 s; another one asks for its result."""
    with paired(place, "hostile", "honest") as (server, keys), attached(server, keys[1]) as honest:
        kept = done_job(honest, place)
        with attached(server, keys[0]) as client:
            manifest, _ = client.offer(write_scene(place / "scene", "write out 1000", "done"))
            end, count = time.monotonic() + 15.0, 0
            while time.monotonic() < end:
                jobs = [uuid.uuid4().hex for _ in range(20)]
                for message in ([Submit(job, "t", manifest) for job in jobs], [Cancel(job) for job in jobs]):
                    for number, each in enumerate(message, 1):
                        client.control.send_multipart(encode(each, id=number))
                    left = len(jobs)
                    while left:
                        left -= client.receive()[2] > 0
                count += len(jobs)
        honest.result(kept)
        return f"{count} jobs, the other client's result is kept"

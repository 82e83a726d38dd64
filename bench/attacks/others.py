"""Attacks by one client on another one."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import zmq

from backend.server import clients
from bench.attacks.serving import (
    answers,
    attached,
    attack,
    done_job,
    paired,
    plain,
)
from bench.chaos import write_scene
from protocol.messages import (
    Cancel,
    Chunk,
    Constraint,
    Correct,
    Error,
    Get,
    GetResult,
    Jobs,
    Locate,
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


@attack
def every_request_about_the_job_of_another(place: Path) -> str:
    """All requests that name a job or a file, by a client that knows their names."""
    with paired(place, "ben", "anna") as (server, keys), contextlib.ExitStack() as stack:
        ben, anna = (stack.enter_context(attached(server, key)) for key in keys)
        theirs = anna.submit(anna.offer(write_scene(place / "scene", "write out 2000", "done"))[0]).job
        anna.until(theirs, "done")
        own = done_job(ben, place)
        version = anna.result(theirs)
        target = [Constraint("background", [Target(label=1)])]
        on_control = (
            *(Sync(theirs), Cancel(theirs), GetResult(theirs), Locate(), Withdraw(1)),
            *(Select(theirs, gaussian=0), SelectText(theirs, "cup"), NameObjects(theirs, ["cup"])),
            *(Correct(theirs, target), Correct(theirs, undo=True, take=True)),
            *(Correct(own, target, base=version.manifest), NameObjects(own, ["cup"], base=version.manifest)),
            Submit("1" * 32, "t", version.manifest),
        )
        for message in on_control:
            ben.send(message)
            said = answers(ben, 0.5)
            assert all(isinstance(each, Error) for each in said), (message, said)
        for message in (Get(version.manifest, 0, 10), Offer(version.manifest, version.size + 1)):
            ben.send(message, ben.bulk)
            got = answers(ben, 0.5, bulk=True)
            assert not any(isinstance(each, Chunk | Stored | Wanted) for each in got), (message, got)
        assert anna.sync(theirs).state == "done"
        assert anna.result(theirs) == version
        return f"{len(on_control) + 2} requests refused"

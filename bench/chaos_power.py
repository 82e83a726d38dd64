"""Cuts the power at random moments of recorded work of a server, and opens what is left with a new server.

    python -m bench.chaos_power cut --points 500 --seed 0

A server, its true workers (:mod:`bench.power_worker`) and a client work for a while under strace, which notes each
operation on the data folder and each answer: uploads, one of them interrupted and resumed, jobs that write checkpoints,
end, fail, are cancelled, outlive their server or are put back by it, poses that are kept, results that are fetched and
corrected (:mod:`bench.power_corrector`), eviction, records that are removed, and keys of clients. At each point
:mod:`bench.disk_model` gives what the disk may hold then. A server opens that, with the real workers, and must

- open;
- have each file under a hash with that content;
- know each job that a client was told of, in the state that was told, if that was a final one, and carry the others to
  the end that they had when nothing was cut, with the same result, whatever is left of their checkpoints;
- have the version of a result that a client was told of, or a later one;
- start no worker for a job whose end was told, also if it is submitted again;
- count each file as sent that a client was told is stored, unless the server had removed it;
- have the keys of clients that were told, and not the revoked ones.

Needs strace, so this runs on Linux only.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.table import Table

from backend.server import clients, keys
from backend.server import server as server_module
from backend.server.check import check
from backend.server.local_executor import LocalExecutor
from bench.disk_model import KINDS, Disk, Kind, Operation, Told
from bench.disk_trace import operations, record
from protocol.errors import Fault, NotFound, Refused
from protocol.manifest import digest_of
from protocol.messages import FINAL_STATES, Constraint, Correct, Corrected, Target, Working
from protocol.store import Store, read_manifest
from tests.backend.server.client import Client
from tests.backend.server.conftest import Serving

WORKER = (sys.executable, "-c", "from bench.power_worker import main; main()")
CORRECTOR = (sys.executable, "-c", "from bench.power_corrector import main; main()")
PATIENCE = 240.0
KEPT_JOBS = 5
"""Ended jobs whose records the recorded servers keep."""
SMALL = 500_000
"""Bytes that the store of the last recorded server may hold."""
LEARNT = {"accepted", "progress", "stored", "result", "corrected", "paired", "revoked"}
"""Messages by which a client learns something that has to stay true."""

app = typer.Typer(add_completion=False, help=__doc__)


@app.command(hidden=True)
def serve(data: Path, keep: int) -> None:
    """A server that keeps few records."""
    server_module.KEPT_JOBS = KEPT_JOBS
    commands = {"worker_command": WORKER, "corrector_command": CORRECTOR}
    with server_module.Server("tcp://127.0.0.1:*", data, "cpu", keep=keep, **commands) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        print(server.address, flush=True)
        server.run()


class Recorded:
    """A server process of the recording."""

    def __init__(self, data: Path, keep: int = server_module.KEEP) -> None:
        self.data = data
        command = [sys.executable, "-m", "bench.chaos_power", "serve", str(data), str(keep)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE)


def _write_scenes(folder: Path) -> None:
    """Write scenes that share some photographs."""
    pictures = [np.random.default_rng(number).bytes(20_000 + 7_001 * number) for number in range(9)]
    for name, (script, chosen) in {
        "first": ("3", (0, 1, 2)),
        "second": ("4", (1, 2, 3, 4)),
        "bad": ("fail", (0, 5)),
        "slow": ("30", (4, 5, 6)),
        "last": ("3", (7, 8)),
    }.items():
        (folder / name / "images").mkdir(parents=True)
        (folder / name / "script").write_text(script)
        for number in chosen:
            (folder / name / "images" / f"{number}.jpg").write_bytes(pictures[number])


class Story:
    """The work that is recorded, and what has to stay true of it.

    Attributes:
        known: the manifests of jobs, scenes and results, and the ends of jobs.
    """

    def __init__(self, data: Path, scenes: Path) -> None:
        self.known: dict[str, dict] = {"jobs": {}, "scenes": {}, "results": {}, "ends": {}}
        self._data = data
        self._scenes = scenes
        self._ours, self._theirs = socket.socketpair()

    def say(self, kind: str, **what: str) -> None:
        """Tell something as a server's answer would be told."""
        self._ours.send(json.dumps({"v": 0, "id": 0, "message": {"type": kind, **what}}).encode())
        self._theirs.recv(4096)

    def pair(self, name: str) -> None:
        pairing = clients.add(self._data, name)
        self.say("paired", name=name, key=keys.public(pairing.client), server=pairing.server)

    def revoke(self, name: str) -> None:
        clients.revoke(self._data, name)
        self.say("revoked", name=name)

    def offer(self, client: Client, name: str) -> str:
        manifest, _ = client.offer(self._scenes / name)
        self.known["scenes"][name] = manifest
        return manifest

    def begin_offer(self, client: Client, name: str) -> None:
        """Send a part of a scene."""
        client.offer(self._scenes / name, stop_after=60_000)

    def submit(self, client: Client, job: str, manifest: str) -> str:
        self.known["jobs"][job := digest_of(job.encode())[:32]] = manifest
        client.submit(manifest, job=job)
        return job

    def end_of(self, client: Client, job: str) -> None:
        state = client.until(job, patience=PATIENCE).state
        self.known["ends"][job] = state
        if state == "done":
            self.known["results"][job] = [client.result(job).manifest]

    def download(self, client: Client, job: str) -> None:
        client.download(job, Store(self._scenes / "downloaded"))

    def correct(self, client: Client, job: str) -> None:
        wanted = Correct(job, [Constraint("background", [Target(label=1)])], take=True)
        id = client.send(wanted)
        while True:
            message, _, of = client.receive(patience=PATIENCE)
            if of == id and not isinstance(message, Working):
                break
        assert isinstance(message, Corrected), message
        assert client.result(job).manifest == message.version
        self.known["results"][job].append(message.version)


def _jobs_and_corrections(story: Story, client: Client) -> tuple[str, str]:
    """Run jobs, interrupt an upload, and correct results; return the manifests of two scenes."""
    first = story.offer(client, "first")
    first_job = story.submit(client, "plain", first)
    second = story.offer(client, "second")
    story.end_of(client, first_job)
    story.download(client, first_job)
    more = [story.submit(client, name, scene) for name, scene in (("second", second), ("again", first))]
    story.begin_offer(client, "slow")
    for job in more:
        story.end_of(client, job)
    for corrected in (first_job, first_job, more[0]):
        story.correct(client, corrected)
    return first, second


def _failed_and_cancelled(story: Story, client: Client, first: str, second: str) -> tuple[str, str, str]:
    """Resume the upload, fail and cancel jobs; return the slow scene, a job that runs and one that waits."""
    slow = story.offer(client, "slow")
    bad = story.submit(client, "bad", story.offer(client, "bad"))
    story.end_of(client, bad)
    job = story.submit(client, "cancelled while it runs", slow)
    waits = story.submit(client, "cancelled while it waits", first)
    client.cancel(waits)
    story.end_of(client, waits)
    client.until(job, "running", stage="reconstruct", patience=PATIENCE)
    client.cancel(job)
    story.end_of(client, job)
    stopped = story.submit(client, "stopped", slow)
    queued = story.submit(client, "queued meanwhile", second)
    client.until(stopped, "running", stage="reconstruct", patience=PATIENCE)
    return slow, stopped, queued


def _until_killed(story: Story, client: Client, jobs: Sequence[str], slow: str) -> str:
    """Wait for jobs that another server began, and begin one that this server does not end; return it."""
    for job in jobs:
        client.sync(job)
    for job in jobs:
        story.end_of(client, job)
    killed = story.submit(client, "server killed", slow)
    client.until(killed, "running", stage="reconstruct", patience=PATIENCE)
    return killed


@app.command(hidden=True)
def act(data: Path, scenes: Path, notes: Path) -> None:
    """Do the work that is recorded, and note which jobs there were, and which scenes."""
    story = Story(data, scenes)
    server = Recorded(data)
    with Client(server.address) as client:
        client.attach()
        first, second = _jobs_and_corrections(story, client)
    story.pair("anna")
    with Client(server.address) as client:
        client.attach()
        slow, stopped, queued = _failed_and_cancelled(story, client, first, second)
    story.pair("ben")
    story.revoke("anna")
    server.end(signal.SIGTERM)
    server = Recorded(data)
    with Client(server.address) as client:
        killed = _until_killed(story, client, (stopped, queued), slow)
    server.end(signal.SIGKILL)
    server = Recorded(data)
    with Client(server.address) as client:
        client.sync(killed)
        story.end_of(client, killed)
    server.end(signal.SIGTERM)
    server = Recorded(data, SMALL)
    with Client(server.address) as client:
        client.attach()
        job = story.submit(client, "after eviction", story.offer(client, "last"))
        story.end_of(client, job)
        story.download(client, job)
        time.sleep(1.0)
    server.end(signal.SIGTERM)
    notes.write_text(json.dumps(story.known))


_json = json.JSONDecoder()


def learnt(sent: bytes) -> list[dict]:
    """Return the messages in what was sent by which a client learns something that has to stay true."""
    found: list[dict] = []
    at = -1
    while (at := sent.find(b'{"v":', at + 1)) >= 0:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            message = _json.raw_decode(sent[at:].decode("latin-1"))[0]["message"]
            if message["type"] in LEARNT:
                found.append(message)
    return found


@dataclass
class Work:
    """What was recorded."""

    operations: list[Operation]
    scenes: dict[str, str]
    jobs: dict[str, str]
    results: dict[str, list[str]]
    """Per job, the manifests of all versions of its result, in order."""
    ends: dict[str, str]
    contents: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Per manifest, the hashes and sizes of itself and the files in it."""


@dataclass
class Knowledge:
    """What clients had been told before a cut."""

    states: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """Per corrected job, the last version of its result."""
    stored: set[str] = field(default_factory=set)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Per client, its key and that of the server."""
    revoked: set[str] = field(default_factory=set)

    def learn(self, what: dict) -> None:
        match what["type"]:
            case "accepted" | "progress" if self.states.get(what["job"]) not in FINAL_STATES:
                self.states[what["job"]] = what["state"]
            case "corrected":
                self.versions[what["job"]] = what["version"]
            case "stored":
                self.stored.add(what["manifest"])
            case "paired":
                self.keys[what["name"]] = what["key"], what["server"]
            case "revoked":
                self.keys.pop(what["name"])
                self.revoked.add(what["name"])


def recorded(place: Path) -> Work:
    """Do the work under strace and return it.

    Raises:
        SystemExit: if the work failed, or what was recorded is not all that was done.
    """
    followed, scenes, log, notes = place / "followed", place / "scenes", place / "strace.log", place / "notes.json"
    followed.mkdir()
    _write_scenes(scenes)
    os.environ["BENCH_PAUSE"] = "0.05"
    command = [sys.executable, "-m", "bench.chaos_power", "act", str(followed / "data"), str(scenes), str(notes)]
    if record(command, log) != 0:
        raise SystemExit("the recorded work failed")
    os.environ["BENCH_PAUSE"] = "0"
    with log.open("rb") as lines:
        work = Work(list(operations(list(lines), str(followed), learnt)), **json.loads(notes.read_text()))
    disk = Disk()
    known = Knowledge()
    for operation in work.operations:
        disk.apply(operation)
        if isinstance(operation, Told):
            known.learn(operation.what)
    disk.whole(place / "replayed")
    _compare(followed, place / "replayed")
    told = {job: state for job, state in known.states.items() if job in work.ends}
    if told != work.ends or not set(work.scenes.values()) <= known.stored:
        raise SystemExit("some answers were not recorded")
    if not all(known.versions.get(job) == versions[-1] for job, versions in work.results.items() if len(versions) > 1):
        raise SystemExit("some corrections were not recorded")
    for manifest in {*work.scenes.values(), *(each for versions in work.results.values() for each in versions)}:
        work.contents[manifest] = _content(place, manifest, work.operations)
    return work


def _compare(real: Path, replayed: Path) -> None:
    """End the program where the replayed operations do not give the folder that was left."""

    def contents(root: Path) -> dict[str, str | None]:
        paths = [path for path in root.rglob("*") if not path.name.endswith("-shm")]
        return {str(path.relative_to(root)): digest_of(path.read_bytes()) if path.is_file() else None for path in paths}

    before, after = contents(real), contents(replayed)
    different = sorted(name for name in before.keys() | after.keys() if before.get(name, "") != after.get(name, ""))
    if different:
        raise SystemExit(f"what was recorded is not what was done: {different[:5]} differ")


def _content(place: Path, manifest: str, done: list[Operation]) -> list[tuple[str, int]]:
    """Return the files of a manifest, which was at some time in the store."""
    store = Store(place / "downloaded-all")
    if not store.has(manifest):
        disk = Disk()
        name = f"data/store/{manifest[:2]}/{manifest}"
        for operation in done:
            disk.apply(operation)
            if disk.exists(name):
                file = disk.find(name)
                data = bytes(getattr(file, "live", b""))
                if digest_of(data) == manifest:
                    store.put(data)
                    break
    size = store.path(manifest).stat().st_size
    return [(manifest, size), *((entry.digest, entry.size) for entry in read_manifest(store, manifest))]


@contextlib.contextmanager
def _started_workers() -> Iterator[Counter[str]]:
    """Count the workers that are started for each job."""
    started: Counter[str] = Counter()
    start = LocalExecutor.start

    def counted(self: LocalExecutor, job: str, folder: Path, gpus) -> object:
        started[job] += 1
        return start(self, job, folder, gpus)

    LocalExecutor.start = counted  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield started
    finally:
        LocalExecutor.start = start


def examine(data: Path, work: Work, disk: Disk, known: Knowledge) -> list[str]:
    """Open what a cut left with a new server; return what is wrong with it.

    Args:
        data: the data folder after the cut.
        disk: as programs saw it at the cut.
        known: what clients had been told.
    """
    found = _damaged_names(data / "store")
    found += _wrong_keys(data, disk, known)
    live = {path.rpartition("/")[2] for path in _paths_in_store(disk)}
    try:
        with _started_workers() as started:
            serving = Serving(data, worker_command=WORKER, device="cpu")
            try:
                with Client(serving.address) as client:
                    client.attach()
                    for job, told in known.states.items():
                        found += _wrong_job(client, job, told, known.versions.get(job), work, live)
                    for manifest in known.stored:
                        if all(digest in live for digest, _ in work.contents[manifest]):
                            found += _wrong_scene(client, manifest, work, data.parent.parent / "scenes")
            finally:
                serving.stop()
    except (Fault, OSError, RuntimeError, TimeoutError) as error:
        return [*found, f"no service: {type(error).__name__}: {error}"]
    for job, count in started.items():
        if count > 1 or known.states.get(job) in FINAL_STATES:
            found.append(f"run twice: a job that was told {known.states.get(job)}, {count} new workers")
    return found + _damaged_names(data / "store") + _said_by_check(data)


def _paths_in_store(disk: Disk) -> list[str]:
    if not disk.exists("data/store"):
        return []
    folders = getattr(disk.find("data/store"), "live", {})
    return [name for folder in folders.values() for name in (folder.live if isinstance(folder.live, dict) else ())]


def _damaged_names(root: Path) -> list[str]:
    files = [path for path in root.glob("??/*") if Store.is_hash(path.name)]
    bad = sum(digest_of(path.read_bytes()) != path.name for path in files)
    return [f"damaged: {bad} files of the store are not what their names say"] if bad else []


def _wrong_keys(data: Path, disk: Disk, known: Knowledge) -> list[str]:
    try:
        there = {name: client.key for name, client in clients.named(data).items()}
        server = keys.load(data)
    except Fault as fault:
        return [f"keys: {fault.sentence}"]
    found = [f"keys: the revoked key of {name} is back" for name in known.revoked & there.keys()]
    for name, (key, of_server) in known.keys.items():
        if server is None or keys.public(server.server) != of_server:
            found.append("keys: the server has lost its own")
        # A revocation that was under way may be done.
        if there.get(name) != key and key in bytes(getattr(disk.find("data/clients.json"), "live", b"")).decode():
            found.append(f"keys: that of {name} is lost")
    return found


def _wrong_job(client: Client, job: str, told: str, version: str | None, work: Work, live: set[str]) -> list[str]:
    end = work.ends[job]
    try:
        state = client.sync(job).state
    except NotFound:
        state = None
    try:
        again = client.submit(work.jobs[job], job=job).state
    except Refused as refusal:
        return [] if "ended long ago" in refusal.sentence and told in FINAL_STATES else [f"job: {refusal.sentence}"]
    except Fault as fault:
        return [f"job: told {told}, then: {fault.sentence}"]
    if state is None:
        return [f"job lost: told {told}, then not known; it was submitted again as {again}"]
    if told in FINAL_STATES and state != told:
        return [f"job taken back: told {told}, then {state}"]
    if told not in FINAL_STATES:
        state = client.sync(job).state
        state = state if state in FINAL_STATES else client.until(job, patience=PATIENCE).state
        if state != end and (end != "cancelled" or state != "done"):
            return [f"job: {end} without a cut, {state} after one, when told {told}"]
    if state == "done" and job in work.results:
        versions = work.results[job]
        # A correction that was under way may be done.
        allowed = versions[versions.index(version) if version is not None else 0 :]
        kept = told not in FINAL_STATES or all(digest in live for digest, _ in work.contents[allowed[0]])
        try:
            if client.result(job).manifest not in allowed:
                return [f"job: another result, when told {told} and {len(versions) - len(allowed)} corrections"]
            with tempfile.TemporaryDirectory() as place:
                client.download(job, Store(Path(place)))
        except AssertionError:
            return [f"result damaged, when told {told}: a file that was sent is not what its hash says"]
        except Fault as fault:
            return [f"result lost, when told {told}: {fault.sentence}"] if kept else []
    return []


def _wrong_scene(client: Client, manifest: str, work: Work, scenes: Path) -> list[str]:
    name = next(name for name, each in work.scenes.items() if each == manifest)
    _, wanted = client.offer(scenes / name)
    if wanted is None:
        return ["upload lost: the manifest of a stored folder"]
    return [f"upload lost: {wanted.files} files of a stored folder"] if wanted.files else []


def _said_by_check(data: Path) -> list[str]:
    said: list[str] = []
    return [f"check: {sentence}" for sentence in said[:-1]] if check(data, said.append) else []


def _age(folder: Path, at: float) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (at, at))


@app.command()
def cut(points: int = 500, seed: int = 0, first: int = 0) -> None:
    """Record once, cut at so many points, and print what was found.

    Points before the one numbered FIRST are skipped, so that a run can be continued.
    """
    findings: Counter[str] = Counter()
    opened: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="power-") as name:
        place = Path(name)
        work = recorded(place)
        rng = random.Random(seed)
        cuts: list[tuple[int, Kind, int]] = [
            (rng.randrange(len(work.operations) + 1), rng.choice(KINDS), number) for number in range(points)
        ]
        print(f"{len(work.operations)} operations recorded, {len(work.jobs)} jobs", flush=True)
        disk, known = Disk(), Knowledge()
        for at, kind, number in sorted(cuts):
            while disk.count < at:
                operation = work.operations[disk.count]
                disk.apply(operation)
                if isinstance(operation, Told):
                    known.learn(operation.what)
            if number < first:
                continue
            folder = place / "cut"
            disk.cut(folder, kind, random.Random(f"{seed}/{number}"))
            restart = time.time()
            _age(folder, restart - 3600)
            boot_time = psutil.boot_time
            psutil.boot_time = lambda at=restart: at
            try:
                found = examine(folder / "data", work, disk, known)
            finally:
                psutil.boot_time = boot_time
            opened[kind] += 1
            if opened.total() % 50 == 0:
                print(f"{opened.total()} points opened", flush=True)
            for what in found:
                findings[f"{kind}: {what}"] += 1
                print(f"point {number}, operation {at}, {kind}: {what}", flush=True)
            shutil.rmtree(folder)
    table = Table("what", "points", title=f"seed {seed}, {len(work.operations)} operations")
    for kind in KINDS:
        table.add_row(f"{kind}: opened", str(opened[kind]))
    for what, count in findings.most_common():
        table.add_row(what, str(count))
    Console(width=160).print(table)
    raise typer.Exit(int(bool(findings)))


if __name__ == "__main__":
    app()

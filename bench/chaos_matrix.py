"""Kills and freezes a server, its worker or its client in each part of a job, and reports what became of the jobs.

    python -m bench.chaos_matrix matrix --minutes 15 --seed 0

Each round is one job of the true worker on a tiny scene, with one victim, one act and one part of the job, all in a
shuffled order that the seed fixes. The server is started again at once where it was killed, and goes on where it was
frozen; a frozen worker is left to the server. The client is a process that does the same again, with the same job id,
until it has the result. A server here takes a silent idle worker for frozen after :data:`IDLE_AFTER` seconds, not 60.

Reported are jobs that were lost, ran twice at a time, or have other Gaussians or labels than an undisturbed job. The
longest recovery is the time from the restart of the server, the end of its freeze, or the act, to the client's next
word from the server, or to a new worker.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import typer

from backend import lock
from protocol.errors import Fault
from protocol.manifest import digest_of
from protocol.messages import FINAL_STATES
from protocol.result.names import SPLATS
from protocol.store import Store
from tests.backend.server.client import Client
from tests.ports import free_pair

IDLE_AFTER = 8.0
FROZEN = 3.0
"""Seconds that a server or client stays frozen."""
PATIENCE = 900.0
"""Seconds after which a job counts as lost, or as slow if the server still works on it."""
BALLAST = 24 << 20
"""Bytes beside the scene, so that its upload takes a moment."""
DOWNLOAD = 1.0
"""Seconds for which the result is downloaded, again and again, because it is small."""
PARTS = ("upload", "queue", "training", "writing", "download")
PLANS = [
    (victim, act, part)
    for victim, act, part in itertools.product(("server", "worker", "client"), ("kill", "freeze"), PARTS)
    if victim != "worker" or part in ("training", "writing")
]
REQUEST = {"steps": 150, "meshes": False, "gallery": False, "device": "cpu", "long_side": 64, "max_gaussians": 2000}
TRAINING = ("reconstruct",)
WRITING = ("objects", "write")

SERVE = """
import sys
from pathlib import Path
from backend.server import silence
from backend.server.server import serve
silence.IDLE_AFTER = float(sys.argv[3])
serve(sys.argv[1], Path(sys.argv[2]), "cpu")
"""

app = typer.Typer(add_completion=False, help=__doc__)


class Served:
    """A server process that can be killed and started again at the same address."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.bind = f"tcp://127.0.0.1:{free_pair()}"
        self.start()

    def start(self) -> None:
        log = self.data.with_name("server.log").open("ab")
        command = [sys.executable, "-c", SERVE, self.bind, str(self.data), str(IDLE_AFTER)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise SystemExit("the server did not start: see server.log")

    def worker(self, job: str) -> psutil.Process | None:
        """Return the worker that holds a job's folder."""
        words = (lock.signature(self.data / "jobs" / job / "worker.lock") or "").split()
        with contextlib.suppress(psutil.Error, IndexError, ValueError):
            process = psutil.Process(int(words[0]))
            return process if job in " ".join(process.cmdline()) else None
        return None


class Twice(threading.Thread):
    """Notes jobs that two workers have at one time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.jobs: set[str] = set()

    def run(self) -> None:
        while True:
            seen: dict[str, int] = {}
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    words = process.cmdline()
                    if "backend.server.worker" in words and len(words) > 4 and process.status() != psutil.STATUS_ZOMBIE:
                        job = Path(words[4]).name
                        seen[job] = seen.get(job, 0) + 1
            # A second one that finds the folder held ends at once, so only those count that are seen again.
            doubled = {job for job, count in seen.items() if count > 1}
            self.jobs |= doubled & getattr(self, "_before", set())
            self._before = doubled
            time.sleep(0.5)


@dataclass
class Tally:
    rounds: int = 0
    struck: int = 0
    lost: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    recovery: dict[tuple[str, str, str], float] = field(default_factory=dict)


@app.command()
def client(address: str, scene: Path, job: str, out: Path) -> None:
    """Upload, submit, wait and download; to be started again until it ends with status 0."""

    def tell(part: str) -> None:
        print(part, flush=True)

    with Client(address) as me:
        me.attach()
        tell("upload")
        manifest, _ = me.offer(scene)
        me.submit(manifest, job=job, **REQUEST)
        tell("queue")
        seen = me.sync(job)
        while seen.state not in FINAL_STATES:
            tell(f"{seen.state} {seen.stage}")
            me.progress.clear()
            with contextlib.suppress(TimeoutError):
                me.receive(patience=2.0)
            seen = me.sync(job)
        tell("download")
        began = time.monotonic()
        files = me.download(job, Store(out / "store-0"))
        for number in itertools.count(1):
            if time.monotonic() - began > DOWNLOAD:
                break
            files = me.download(job, Store(out / f"store-{number}"))
        (out / "hashes.json").write_text(json.dumps({name: digest_of(data) for name, data in files.items()}))
        (out / SPLATS).write_bytes(files[SPLATS])


def _part(line: str) -> str:
    stage = line.partition(" ")[2]
    if line.startswith("running"):
        return "training" if stage in TRAINING else "writing" if stage in WRITING else "other"
    return {"queued": "queue"}.get(line.split(" ")[0], line)


class Attempt:
    """A client process, and what it said last."""

    def __init__(self, served: Served, scene: Path, job: str, out: Path) -> None:
        command = [sys.executable, "-m", "bench.chaos_matrix", "client", served.bind, str(scene), job, str(out)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines: list[tuple[float, str]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.strip()))


class Strike:
    """One act on one victim in one part of a job, and whether the job has recovered from it.

    Args:
        served: the server.
        plan: the victim, the act and the part.
        job: its id.
        delay: seconds from the beginning of the part to the act.
        tally: counts the acts and the times of recovery.
    """

    def __init__(self, served: Served, plan: tuple[str, str, str], job: str, delay: float, tally: Tally) -> None:
        self._served, self._plan, self._job, self._delay, self._tally = served, plan, job, delay, tally
        self._due: float | None = None
        self._struck: float | None = None
        self._target: psutil.Process | None = None
        self._thaw_at: float | None = None
        self._recovered = False

    def step(self, attempt: Attempt) -> None:
        """Act when it is time, let a frozen victim continue, and notice a recovery."""
        now = time.monotonic()
        if self._due is None and attempt.lines and _part(attempt.lines[-1][1]) == self._plan[2]:
            self._due = now + self._delay
        if self._struck is None and self._due is not None and now >= self._due:
            self._act(attempt, now)
        if self._thaw_at is not None and now >= self._thaw_at:
            self._thaw()
            self._struck = now
        if self._struck is not None and self._thaw_at is None and not self._recovered and self._has_recovered(attempt):
            self._recovered = True
            self._tally.recovery[self._plan] = max(self._tally.recovery.get(self._plan, 0.0), now - self._struck)

    def end(self) -> None:
        """Wait until a victim that is still frozen may continue: the client had all that it needed already."""
        if self._thaw_at is not None:
            time.sleep(max(0.0, self._thaw_at - time.monotonic()))
            self._thaw()

    def _act(self, attempt: Attempt, now: float) -> None:
        victim, act, _ = self._plan
        self._struck = now
        self._target = _victim(victim, self._served, attempt, self._job)
        if self._target is None:
            return
        self._tally.struck += 1
        with contextlib.suppress(psutil.Error):
            self._target.kill() if act == "kill" else self._target.suspend()
        if act == "kill" and victim == "server":
            self._served.process.wait()
            self._served.start()
            self._struck = time.monotonic()
        if act == "freeze" and victim != "worker":
            self._thaw_at = now + FROZEN

    def _thaw(self) -> None:
        assert self._target is not None
        with contextlib.suppress(psutil.Error):
            self._target.resume()
        self._thaw_at = None

    def _has_recovered(self, attempt: Attempt) -> bool:
        """Whether the job has another worker, or the client has heard of it again."""
        if self._plan[0] == "worker":
            return self._served.worker(self._job) not in (None, self._target)
        assert self._struck is not None
        return any(at > self._struck for at, _ in attempt.lines)


DELAYS = {"upload": 0.4, "queue": 1.0, "training": 1.5, "writing": 0.3, "download": 0.5}
"""Longest time in seconds from the beginning of a part of a job to the act."""


def _round(served: Served, plan: tuple[str, str, str], folder: Path, rng: random.Random, tally: Tally) -> dict | None:
    """Do one job with one act; return the hashes of its files, None where it was lost."""
    part = plan[2]
    job = uuid.UUID(int=rng.getrandbits(128)).hex
    scene, out = folder / "scene", folder / job
    out.mkdir()
    (scene / "ballast.bin").write_bytes(rng.randbytes(BALLAST))
    blocker = None
    if part == "queue":
        blocker = Attempt(served, scene, uuid.UUID(int=rng.getrandbits(128)).hex, _made(folder / f"{job}-first"))
        _until(lambda: any(_part(line) in ("training", "other") for _, line in blocker.lines), 60)
    began = time.monotonic()
    attempt = Attempt(served, scene, job, out)
    strike = Strike(served, plan, job, rng.uniform(0.0, DELAYS[part]), tally)
    while time.monotonic() - began < PATIENCE:
        strike.step(attempt)
        if attempt.process.poll() not in (None, 0):
            before = attempt
            attempt = Attempt(served, scene, job, out)
            attempt.lines = before.lines
        if attempt.process.poll() == 0:
            break
        time.sleep(0.02)
    strike.end()
    if attempt.process.poll() != 0:
        attempt.process.kill()
        state = _state(served, job)
        (tally.slow if state in ("queued", "running") else tally.lost).append(f"{job} {plan}: {state}")
        return None
    if blocker is not None:
        _until(lambda: blocker.process.poll() is not None, 60)
        blocker.process.kill()
    return json.loads((out / "hashes.json").read_text())


def _state(served: Served, job: str) -> str:
    """Return the state of a job, or why the server does not tell it."""
    try:
        with Client(served.bind) as asker:
            return asker.sync(job).state
    except (Fault, TimeoutError) as error:
        return str(error)


def _victim(victim: str, served: Served, attempt: Attempt, job: str) -> psutil.Process | None:
    if victim == "worker":
        return served.worker(job)
    process = {"server": served.process, "client": attempt.process}.get(victim)
    return None if process is None else psutil.Process(process.pid)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _until(what, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)


@app.command()
def matrix(minutes: float = 15.0, seed: int = 0, rounds: int = 300) -> None:
    """Run as many rounds as fit."""
    # Clients, which are processes of this module, would wait for it as well.
    from backend.demo.scene import write_scene

    rng = random.Random(seed)
    plans = [plan for _ in range(-(-rounds // len(PLANS))) for plan in rng.sample(PLANS, len(PLANS))][:rounds]
    tally, twice = Tally(), Twice()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "scene", objects=2, views=6, size=48, seed=1)
        served = Served(folder / "data")
        twice.start()
        end = time.monotonic() + 60 * minutes
        try:
            # The first job is undisturbed: all others are compared with it.
            reference = _round(served, ("nobody", "", "upload"), folder, rng, tally)
            if reference is None:
                raise SystemExit("the undisturbed job did not end, so nothing can be compared with it")
            for plan in plans:
                if time.monotonic() > end:
                    break
                begin = time.monotonic()
                hashes = _round(served, plan, folder, rng, tally)
                if hashes is not None and hashes[SPLATS] != reference[SPLATS]:
                    tally.differing.append(f"{plan}")
                tally.rounds += 1
                faults = f"lost {len(tally.lost)}, slow {len(tally.slow)}, twice {len(twice.jobs)}"
                faults += f", differing {len(tally.differing)}"
                took = time.monotonic() - begin
                print(f"{tally.rounds:3d} {' '.join(plan):28s} {took:6.1f} s, so far {faults}", flush=True)
        finally:
            served.process.terminate()
            served.process.wait()
    print(f"\n{tally.rounds} rounds, {tally.struck} acts, seed {seed}")
    print(f"lost {len(tally.lost)}, slow {len(tally.slow)}, twice {len(twice.jobs)}, differing {len(tally.differing)}")
    for what in (*tally.lost, *tally.slow, *sorted(twice.jobs), *tally.differing):
        print("  ", what)
    for plan, seconds in sorted(tally.recovery.items()):
        print(f"{' '.join(plan):28s} worst recovery {seconds:5.1f} s")
    print(f"worst recovery {max(tally.recovery.values(), default=np.nan):.1f} s")


if __name__ == "__main__":
    app()

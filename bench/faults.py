"""Makes the machine fail under a server: each fault in a fresh folder, with a verdict.

    python -m bench.faults calls              # each call on files fails with each error while jobs run
    python -m bench.faults machine            # everything else: clocks, folders, locks, locales
    python -m bench.faults machine --only lock

A small library, built by cc, is loaded before the server (bench/fault_shim.c), so this runs on Linux only. The server
runs jobs by the scripted worker of the tests. A fault is withstood if the server answers during it or has ended with a
sentence, and if all accepted jobs have ended afterwards, by it or by the next server: with their results, or with a
sentence if the fault does not pass, such as a folder that may not be written.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import psutil
import typer
import zmq

from bench.attacks.serving import answers, attached
from bench.chaos import HERE, Attacked
from bench.chaos import submitted_by as submitted
from protocol.errors import Fault
from protocol.messages import Error, Heartbeat, Jobs, Select, SelectText, Status
from tests.backend.server.client import Client
from tests.backend.server.conftest import WORKER
from tests.ports import free_pair

CALLS = {"open": 1, "write": 2, "sync": 4, "rename": 8, "mkdir": 16, "link": 32, "unlink": 64, "read": 128}
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES", "EMFILE", "EINTR", "ENOMEM")
LASTS = 2.5
"""Seconds that a fault lasts."""
PATIENCE = 30.0

app = typer.Typer(add_completion=False, help=__doc__)


class Failing(Attacked):
    """A server whose calls fail as told, at an address that the next one can use again.

    Args:
        place: an empty folder.
        shim: the library; None for a server without it.
        env: variables to set; None as a value removes one.
    """

    def __init__(self, place: Path, shim: Path | None, env: dict[str, str | None] | None = None) -> None:
        self.data = place / "data"
        self.log = place / "server.log"
        self.bind = f"tcp://127.0.0.1:{free_pair()}"
        self.env: dict[str, str] = {**os.environ}
        if shim is not None:
            self.control = place / "control"
            self.control.write_bytes(bytes(24))
            self.env |= {"LD_PRELOAD": str(shim), "SHIM_CONTROL": str(self.control), "SHIM_ROOT": str(self.data)}
        for name, value in (env or {}).items():
            self.env.pop(name, None)
            if value is not None:
                self.env[name] = value
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.backend.server.run_server", self.bind, str(self.data), *WORKER],
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            cwd=HERE.parents[2],
            text=True,
            env=self.env,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the server did not start: {self.last_line()}"
        self.address = line.split()[-1]

    def set(self, calls: int = 0, error: int = 0, clock: int = 0) -> None:
        with self.control.open("r+b") as file, mmap.mmap(file.fileno(), 24) as shared:
            shared[:] = struct.pack("qqq", calls, error, clock)

    def last_line(self) -> str:
        return next(reversed(self.log.read_text(errors="replace").strip().splitlines()), "")

    def check(self) -> str:
        """Check that it is up and answers, or has ended with a sentence; start it again in the second case."""
        if self.process.poll() is None:
            with contextlib.suppress(TimeoutError), Client(self.address) as client:
                client.ask(Status(), Jobs)
                return "up"
            if self.process.poll() is None:
                raise AssertionError("it does not answer")
        text = self.log.read_text(errors="replace")
        last = self.last_line()
        fault = "protocol.errors." in last
        assert fault, f"ended by {last[:150]}" + (" after a traceback" if "Traceback" in text else "")
        self.start()
        return f"ended with a sentence: {last.partition(': ')[2][:90]}"

    def settle(self, jobs: list[str]) -> str:
        """Wait for the ends of jobs; return their states."""
        end = time.monotonic() + PATIENCE
        states: dict[str, str] = {}
        while time.monotonic() < end and len(states) < len(jobs):
            with contextlib.suppress(TimeoutError, Fault), Client(self.address) as client:
                for job in jobs:
                    if job not in states and (now := client.sync(job)).state in ("done", "failed", "cancelled"):
                        states[job] = now.state if now.error is None else f"failed: {now.error.sentence[:80]}"
            time.sleep(0.2)
        missing = [job for job in jobs if job not in states]
        assert not missing, f"{len(missing)} of {len(jobs)} jobs did not end"
        return ", ".join(sorted(set(states.values())))


def build(place: Path) -> Path:
    shim = place / "shim.so"
    source = Path(__file__).with_name("fault_shim.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl"], check=True)
    return shim


@contextlib.contextmanager
def failing(place: Path, shim: Path | None, env: dict[str, str | None] | None = None) -> Iterator[Failing]:
    server = Failing(place, shim, env)
    try:
        yield server
    finally:
        if shim is not None:
            server.set()
        server.end()


SCRIPT = ("step lift 0.1", "sleep 0.4", "step lift 0.5", "write out 200000", "sleep 0.4", "done")


def _calls_fail(place: Path, shim: Path, call: str, error: str) -> str:
    """Let a call fail while a job runs, two wait, one is submitted, a folder is sent and a result is requested."""
    with failing(place, shim) as server:
        with attached(server) as client:
            first = submitted(client, place, "write out 1000", "done")
            client.until(first, "done")
            jobs = [first, *(submitted(client, place, *SCRIPT) for _ in range(3))]
            server.set(CALLS[call], getattr(errno, error))
            begin = time.monotonic()
            extra = []
            while time.monotonic() - begin < LASTS and server.process.poll() is None:
                with contextlib.suppress(Fault, TimeoutError):
                    extra.append(submitted(client, place, "write out 1000", "done"))
                with contextlib.suppress(Fault, TimeoutError, AssertionError):
                    client.send(SelectText(first, "chair"))
                    client.send(Select(first, gaussian=0))
                    client.result(first)
                time.sleep(0.3)
        said = server.check() if server.process.poll() is None else ""
        server.set()
        said = said or server.check()
        states = server.settle([*jobs, *extra])
        return f"{said}; {len(extra)} accepted meanwhile; jobs {states}"


Machine = Callable[[Path, Path], str]
MACHINE: dict[str, Machine] = {}


def machine_fault(function: Machine) -> Machine:
    MACHINE[function.__name__.removeprefix("_")] = function
    return function


def _clock(place: Path, shim: Path, *jumps: int) -> str:
    with failing(place, shim) as server, attached(server) as client:
        jobs = [submitted(client, place, *SCRIPT) for _ in range(3)]
        for jump in jumps:
            time.sleep(0.3)
            server.set(clock=jump)
            client.ask(Heartbeat(), Heartbeat)
        jobs.append(submitted(client, place, "write out 1000", "done"))
        return f"{server.settle(jobs)}; {server.check()}"


@machine_fault
def clock_a_year_forward_and_back(place: Path, shim: Path) -> str:
    return _clock(place, shim, 31_536_000, 0)


@machine_fault
def clock_to_1970_and_to_2106(place: Path, shim: Path) -> str:
    return _clock(place, shim, -int(time.time()) + 5, 80 * 31_536_000, 0)


@machine_fault
def clock_forward_while_a_result_is_stored(place: Path, shim: Path) -> str:
    """With a store past its limit, files without a manifest are removed once they are a day old."""
    with failing(place, shim) as server, attached(server) as client:
        writes = [f"write out{number} 300000" for number in range(60)]
        job = submitted(client, place, "step lift 0.5", *writes, "done")
        server.set(clock=3 * 86_400)
        state = server.settle([job])
        client.download(job, _store(place / "mine"))
        return state


def _store(folder: Path):
    from protocol.store import Store

    return Store(folder)


@machine_fault
def log_of_the_probe_is_a_folder(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        (server.data / "facts.log").mkdir()
        jobs = [submitted(client, place, "step lift 0.1", "sleep 3", "write out 10", "done") for _ in range(2)]
        jobs.append(submitted(client, place, "write out 10", "done"))
        time.sleep(4)
        return f"{server.check()}; {server.settle(jobs)}"


@machine_fault
def folders_of_the_questions_are_files(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        job = submitted(client, place, "write out 1000", "done")
        client.until(job, "done")
        for name in ("select", "words", "correct"):
            shutil.rmtree(server.data / name, ignore_errors=True)
            (server.data / name).write_text("x")
        for message in (Select(job, gaussian=0), SelectText(job, "chair")):
            client.send(message)
        got = [each for each in answers(client, 2.0) if isinstance(each, Error)]
        return f"{server.check()}; {got[0].sentence[:80] if got else 'no answer'}"


def _removed(place: Path, shim: Path, *names: str, remake: bool = False) -> str:
    with failing(place, shim) as server, attached(server) as client:
        jobs = [submitted(client, place, "step lift 0.1", "sleep 2", "write out 10", "done")]
        client.until(jobs[0], "running", stage="lift")
        for name in names:
            path = server.data / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            if remake:
                path.mkdir()
        time.sleep(2.5)
        with contextlib.suppress(Fault, TimeoutError, AssertionError):
            submitted(client, place, "write out 10", "done")
        said = server.check()
        with contextlib.suppress(Fault):
            return f"{said}; {server.settle(jobs)}"
        return f"{said}; the job is not known"


@machine_fault
def store_removed(place: Path, shim: Path) -> str:
    return _removed(place, shim, "store")


@machine_fault
def store_emptied(place: Path, shim: Path) -> str:
    return _removed(place, shim, "store", remake=True)


@machine_fault
def folder_of_the_jobs_removed(place: Path, shim: Path) -> str:
    return _removed(place, shim, "jobs")


@machine_fault
def table_of_owners_removed(place: Path, shim: Path) -> str:
    return _removed(place, shim, "files.sqlite", "files.sqlite-wal", "files.sqlite-shm")


@machine_fault
def journal_of_the_database_removed(place: Path, shim: Path) -> str:
    """The write-ahead log holds what is not in the database itself yet."""
    with failing(place, shim) as server, attached(server) as client:
        jobs = [submitted(client, place, "write out 10", "done") for _ in range(3)]
        server.settle(jobs)
        (server.data / "jobs.sqlite-wal").unlink()
        time.sleep(1.5)
        with contextlib.suppress(Fault, TimeoutError):
            jobs.append(submitted(client, place, "write out 10", "done"))
        said = server.check()
        server.process.kill()
        server.process.wait()
        server.start()
        return f"{said}; {server.settle(jobs)}"


@machine_fault
def database_replaced_by_an_older_copy(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        job = submitted(client, place, "write out 10", "done")
        client.until(job, "done")
        shutil.copy(server.data / "jobs.sqlite", place / "copy")
        os.replace(place / "copy", server.data / "jobs.sqlite")
        time.sleep(2.5)
        return server.check()


@machine_fault
def database_overwritten_in_place(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        client.until(submitted(client, place, "write out 10", "done"), "done")
        with (server.data / "jobs.sqlite").open("r+b") as file:
            file.write(b"\0" * 4096)
        with contextlib.suppress(Fault, TimeoutError, AssertionError):
            submitted(client, place, "write out 10", "done")
        time.sleep(1.0)
        if server.process.poll() is None:
            return "up"
        last = server.last_line()
        assert "protocol.errors." in last, last[:200]
        return last[:150]


@machine_fault
def data_folder_renamed(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        job = submitted(client, place, "step lift 0.1", "sleep 1", "write out 10", "done")
        client.until(job, "running", stage="lift")
        server.data.rename(place / "moved")
        try:
            server.process.wait(25)
        except subprocess.TimeoutExpired as error:
            raise AssertionError("the server accepts jobs into a folder that is not there") from error
        last = server.last_line()
        assert "protocol.errors." in last, last[:200]
        shutil.rmtree(server.data, ignore_errors=True)  # the worker may have written there
        (place / "moved").rename(server.data)
        server.start()
        return f"{last.partition(': ')[2][:80]}; {server.settle([job])}"


@machine_fault
def lock_removed_and_a_second_server(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        job = submitted(client, place, "step lift 0.1", "sleep 6", "write out 10", "done")
        client.until(job, "running", stage="lift")
        for name in ("lock", "lock.pid"):
            (server.data / name).unlink(missing_ok=True)
        second = subprocess.Popen(
            [sys.executable, "-m", "tests.backend.server.run_server", "tcp://127.0.0.1:*", str(server.data), *WORKER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=HERE.parents[2],
        )
        time.sleep(5.0)
        both = second.poll() is None and server.process.poll() is None
        second.terminate()
        second.wait()
        assert not both, "two servers use one data folder"
        if server.process.poll() is not None:
            server.start()
        return server.settle([job])


@machine_fault
def two_servers_by_a_link(place: Path, shim: Path) -> str:
    with failing(place, shim) as server:
        (place / "link").symlink_to(server.data)
        second = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.backend.server.run_server",
                "tcp://127.0.0.1:*",
                str(place / "link"),
                *WORKER,
            ],
            capture_output=True,
            cwd=HERE.parents[2],
            text=True,
            timeout=120,
        )
        assert second.returncode, "two servers use one data folder"
        return second.stderr.strip().splitlines()[-1][:120]


def _with(place: Path, shim: Path, **env: str | None) -> str:
    with failing(place, shim, env) as server, attached(server) as client:
        return server.settle([submitted(client, place, *SCRIPT)])


@machine_fault
def locale_c(place: Path, shim: Path) -> str:
    return _with(place, shim, LC_ALL="C", LANG="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")


@machine_fault
def output_that_takes_ascii_only(place: Path, shim: Path) -> str:
    """With a data folder whose name is not ASCII."""
    named = place / "donn\u00e9es \U0001f9ff"
    named.mkdir()
    return _with(named, shim, PYTHONIOENCODING="ascii")


@machine_fault
def data_folder_with_bytes_that_are_no_text(place: Path, shim: Path) -> str:
    named = Path(os.fsdecode(os.fsencode(place) + b"/d\xff\xfe"))
    named.mkdir()
    try:
        with failing(named, None) as server, attached(server) as client:
            said = server.settle([submitted(client, named, *SCRIPT)])
            return f"{said}; {server.check()}"
    except AssertionError as error:
        # A refusal at the start is as good.
        if "did not start: protocol.errors." not in str(error):
            raise
        return str(error)[:150]


@machine_fault
def folder_for_temporary_files_missing(place: Path, shim: Path) -> str:
    return _with(place, shim, TMPDIR=str(place / "nothing"), TMP=str(place / "nothing"))


@machine_fault
def home_missing(place: Path, shim: Path) -> str:
    server = subprocess.run(
        [sys.executable, "-m", "backend.cli", "serve", "--bind", "tcp://127.0.0.1:*", "--data", str(place / "data")],
        env={**os.environ, "HOME": "/proc/nothing"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert server.returncode == 2, server.stderr[-200:]
    assert "Traceback" not in server.stderr
    return server.stderr.strip().splitlines()[0][:120]


def _cli(
    place: Path, *options: str, stdout: int | IO[str] = subprocess.PIPE, seconds: float = 90.0
) -> tuple[int | None, str]:
    """Run ``backend serve`` for some time; return its exit status, None if it still ran, and its errors."""
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "serve", "--data", str(place / "data"), *options],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        _, said = process.communicate()
        return None, said
    return process.returncode, said


@machine_fault
def addresses_that_cannot_be_used(place: Path, shim: Path) -> str:
    said = []
    for bind in (
        *("ipc://" + "x" * 300, "tcp://127.0.0.1:99999", "tcp://[::1", "tcp://256.1.1.1:5757", "tcp://1.2.3.4:5757"),
        *("tcp://nowhere.invalid:5757", "tcp://:5757", "tcp://127.0.0.1:-1", "inproc://x", "tcp://[fe80::1%eth9]:5757"),
    ):
        code, text = _cli(place, "--bind", bind)
        assert code is not None, f"{bind} is served"
        assert "Traceback" not in text, f"{bind}: {text.strip().splitlines()[-1][:150]}"
        said.append(code)
    return f"{len(said)} sentences"


@machine_fault
def output_is_full_or_closed(place: Path, shim: Path) -> str:
    bind = f"tcp://127.0.0.1:{free_pair()}"
    with Path("/dev/full").open("w") as full:
        code, text = _cli(place, "--bind", bind, stdout=full, seconds=15.0)
    assert "Traceback" not in text, text.strip().splitlines()[-1][:150]
    assert "data folder" not in text.lower() or code is None, text.strip()[:150]
    return "serves" if code is None else text.strip().splitlines()[0][:120]


@machine_fault
def log_pipe_without_a_reader(place: Path, shim: Path) -> str:
    with failing(place, shim) as server:
        server.end()
        read, write = os.pipe()
        server.log = place / "other.log"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.backend.server.run_server", server.bind, str(server.data), *WORKER],
            stdout=subprocess.PIPE,
            stderr=write,
            cwd=HERE.parents[2],
            text=True,
        )
        os.close(write)
        os.close(read)
        server.process = process
        assert process.stdout is not None
        server.address = process.stdout.readline().split()[-1]
        with attached(server) as client:
            return server.settle([submitted(client, place, *SCRIPT)])


@machine_fault
def no_hard_links(place: Path, shim: Path) -> str:
    return _lacking(place, shim, "link", errno.EPERM)


@machine_fault
def hard_links_not_supported(place: Path, shim: Path) -> str:
    return _lacking(place, shim, "link", errno.EOPNOTSUPP)


@machine_fault
def no_sync(place: Path, shim: Path) -> str:
    """A file system that answers every sync with EINVAL: uploads are refused with a sentence."""
    with failing(place, shim) as server, attached(server) as client:
        server.set(CALLS["sync"], errno.EINVAL)
        try:
            submitted(client, place, *SCRIPT)
        except Fault as fault:
            return f"{server.check()}; {fault.sentence}"
        raise AssertionError("an upload is reported as stored that was not synced")


def _lacking(place: Path, shim: Path, call: str, error: int) -> str:
    with failing(place, shim) as server:
        server.set(CALLS[call], error)
        with attached(server) as client:
            job = submitted(client, place, *SCRIPT)
            state = server.settle([job])
            assert state == "done", state
            client.download(job, _store(place / "mine"))
        server.end()
        server.start()
        return f"{state}; the next server starts"


@machine_fault
def worker_that_writes_without_end(place: Path, shim: Path) -> str:
    """Its standard output goes to the job's log."""
    with failing(place, shim) as server, attached(server) as client:
        script = ["step lift 0.1", "spam 300", "write out 10", "done"]
        job = submitted(client, place, *script)
        most, end = 0, time.monotonic() + 25
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                most = max(most, (server.data / "jobs" / job / "worker.log").stat().st_size)
            if client.sync(job).state in ("done", "failed"):
                break
            time.sleep(0.05)
        state = server.settle([job])
        assert most < 200 << 20, f"the log has {most >> 20} MiB"
        return f"{state}; the log had at most {most >> 20} MiB"


@machine_fault
def worker_with_children_of_their_own_group(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        job = submitted(client, place, "step lift 0.1", "daemon", "write out 10", "done")
        state = server.settle([job])
        time.sleep(0.5)
        again = server.settle([submitted(client, place, *SCRIPT)])
        left = [each for each in psutil.process_iter(["cmdline"]) if job in " ".join(each.info["cmdline"] or [])]
        for each in left:
            each.kill()
        zombies = [each for each in psutil.Process(server.process.pid).children() if each.status() == "zombie"]
        assert not zombies, f"{len(zombies)} zombies"
        return f"{state}, then {again}; {len(left)} processes left behind"


@machine_fault
def freeze_each_process_for_a_while(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        job = submitted(client, place, "step lift 0.1", "sleep 4", "write out 10", "done")
        client.until(job, "running", stage="lift")
        client.send(Select(job, gaussian=0))
        for _ in range(2):
            for each in psutil.Process(server.process.pid).children(recursive=True):
                each.suspend()
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(0.7)
            for each in psutil.Process(server.process.pid).children(recursive=True):
                each.resume()
            server.process.send_signal(signal.SIGCONT)
            time.sleep(0.5)
        return f"{server.settle([job])}; {server.check()}"


@machine_fault
def files_of_clients_and_contact_spoilt(place: Path, shim: Path) -> str:
    with failing(place, shim) as server, attached(server) as client:
        for name in ("server.json", "clients.json", "lock.pid"):
            (server.data / name).write_bytes(os.urandom(100))
        status = subprocess.run(
            [sys.executable, "-m", "backend.cli", "status", "--data", str(server.data)], capture_output=True, text=True
        )
        assert "Traceback" not in status.stderr, status.stderr[-200:]
        return f"{server.settle([submitted(client, place, *SCRIPT)])}; {server.check()}"


def _verdict(name: str, run: Callable[[Path, Path], str]) -> bool:
    with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as folder:
        place = Path(folder).resolve()
        (place / "run").mkdir()
        begin = time.monotonic()
        withstood = False
        try:
            said = run(place / "run", build(place))
            withstood = True
        except AssertionError as error:
            said = str(error) or "an assertion failed"
        except (Fault, OSError, TimeoutError, zmq.ZMQError, UnicodeError, subprocess.SubprocessError) as error:
            said = f"{type(error).__name__}: {error}"[:200]
        took = time.monotonic() - begin
        print(f"{'withstood' if withstood else 'FAILED':9s} {name} ({took:.0f} s): {said}", flush=True)
        return withstood


@app.command()
def calls(only: str = "") -> None:
    """Let each call fail with each error."""
    failed = 0
    for call in CALLS:
        for error in ERRORS:
            name = f"{call} {error}"
            if only in name:
                failed += not _verdict(name, lambda place, shim, c=call, e=error: _calls_fail(place, shim, c, e))
    print(f"{failed} failed")


@app.command()
def machine(only: str = "") -> None:
    """Run the other faults whose names contain a text."""
    failed = 0
    for name, run in MACHINE.items():
        if only in name:
            failed += not _verdict(name.replace("_", " "), run)
    print(f"{failed} failed")


if __name__ == "__main__":
    app()

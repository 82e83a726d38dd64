"""Feeds changed inputs to every reader of untrusted data, and reports those that end without a result or a sentence.

    python -m bench.fuzz --minutes 15 --seed 0              # all targets, each for an equal share of the time
    python -m bench.fuzz frames npz --inputs 100000         # two of them, with this number of inputs each
    python -m bench.fuzz frames --coverage --minutes 5      # guided by coverage: needs atheris

Inputs are valid samples with random changes (:mod:`bench.fuzz_mutate`); the same seed gives the same inputs. With
``--coverage`` atheris makes them. A finding is an exception other than :class:`protocol.errors.Fault`, the use of more
than :data:`MEMORY` bytes or :data:`SECONDS` of processor time for one input, or a reading process that ends or hangs.
Each finding is written to ``--out`` once per target and kind: the input, and a description. Each target is read in a
separate process, which reports each input before it reads it.
"""

from __future__ import annotations

import mmap
import multiprocessing
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

MEMORY = 256 << 20
"""Bytes by which one input, of a megabyte at most, may raise the peak of the process."""
SECONDS = 1.0
"""Of processor time."""
STANDSTILL = 30.0
"""Seconds after which a process that is still at the same input is ended."""
ADDRESSES = 16 << 30
"""Bytes of address space of a process that reads; beyond it, memory is refused."""
_HEAD = struct.Struct("<QI")
_BOARD = 2 << 20


class Board:
    """Shared memory: how many inputs a process has begun, and the input that it is reading."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), _BOARD)

    def write(self, count: int, data: bytes) -> None:
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._memory, 0, count, len(data))

    def read(self) -> tuple[int, bytes]:
        count, length = _HEAD.unpack_from(self._memory, 0)
        return count, self._memory[_HEAD.size : _HEAD.size + length]


def main(
    targets: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    minutes: Annotated[float, typer.Option(help="For all targets together.")] = 15.0,
    inputs: Annotated[int, typer.Option(help="Most inputs of a target.")] = 10**9,
    seed: int = 0,
    coverage: Annotated[bool, typer.Option("--coverage", help="Have atheris make the inputs.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for findings.")] = Path("fuzz-findings"),
) -> None:
    """Fuzz, and print how many inputs each target has read and what was found."""
    from bench.fuzz_targets import TARGETS

    names = targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        raise typer.BadParameter(f"unknown targets {sorted(unknown)}; there are {', '.join(TARGETS)}")
    out.mkdir(parents=True, exist_ok=True)
    table = Table("target", "inputs", "findings", title=f"seed {seed}{', by coverage' if coverage else ''}")
    total = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        for name in names:
            count = _fuzz(name, Path(scratch), minutes * 60 / len(names), inputs, seed, coverage, out)
            total += count
            found = sorted(file.stem.removeprefix(f"{name}--") for file in out.glob(f"{name}--*.txt"))
            table.add_row(name, f"{count:,}", ", ".join(found))
            print(f"{name}: {count:,} inputs, findings: {found}", flush=True)
    table.add_row("together", f"{total:,}", "")
    Console(width=120).print(table)


def _fuzz(name: str, scratch: Path, seconds: float, inputs: int, seed: int, coverage: bool, out: Path) -> int:
    """Fuzz one target in processes, a new one after each that ends too early; return how many inputs were begun."""
    board_file = scratch / "board"
    board_file.write_bytes(bytes(_BOARD))
    board = Board(board_file)
    begun, left = 0, seconds
    while begun < inputs and left > 0:
        work = _by_coverage if coverage else _by_changes
        arguments = (name, scratch / name, board_file, begun, inputs, left, seed, out)
        process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
        process.start()
        count, since, reads_since = begun, time.monotonic(), None
        while process.is_alive():
            process.join(0.5)
            now, _ = board.read()
            if now != count:
                count, since = now, time.monotonic()
                reads_since = reads_since or since
            elif count > begun and time.monotonic() - since > STANDSTILL:
                process.kill()
                process.join()
                _keep(out, name, "standstill", board.read()[1], f"no end within {STANDSTILL:g} s")
        count, data = board.read()
        if process.exitcode not in (0, None) and time.monotonic() - since <= STANDSTILL and count > begun:
            _keep(out, name, f"exit {process.exitcode}", data, f"the process ended with {process.exitcode}")
        if count == begun:
            raise RuntimeError(f"the process of {name} ended with {process.exitcode} before it had read anything")
        begun = count
        left -= time.monotonic() - (reads_since or since)
    return begun


def _by_changes(
    name: str, folder: Path, board_file: Path, begun: int, inputs: int, seconds: float, seed: int, out: Path
) -> None:
    from bench.fuzz_mutate import mutate
    from bench.fuzz_targets import prepare

    samples = prepare(name, folder)
    one = _reader(name, folder, Board(board_file), begun, out)
    until = time.monotonic() + seconds
    for number in range(begun, inputs):
        if time.monotonic() >= until:
            return
        one(mutate(samples, random.Random(f"{seed}/{name}/{number}")))


def _by_coverage(
    name: str, folder: Path, board_file: Path, begun: int, inputs: int, seconds: float, seed: int, out: Path
) -> None:
    import atheris  # pyright: ignore[reportMissingImports]  # not a dependency: it exists for few Pythons

    with atheris.instrument_imports(  # pyright: ignore[reportAttributeAccessIssue]  # not known without the package
        include=["protocol", "backend.scene", "backend.server"]
    ):
        from bench.fuzz_targets import prepare

    corpus = folder.with_name(f"{name}-corpus")
    corpus.mkdir(exist_ok=True)
    for number, sample in enumerate(prepare(name, folder)):
        (corpus / f"sample{number}").write_bytes(sample)
    one = _reader(name, folder, Board(board_file), begun, out)
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-runs={min(inputs - begun, 2**31 - 1)}",
        f"-seed={seed + begun + 1}",
        "-max_len=65536",
        "-rss_limit_mb=0",
        f"-timeout={round(STANDSTILL)}",  # of wall time, which on a busy machine is no measure
        "-verbosity=0",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def _reader(name: str, folder: Path, board: Board, begun: int, out: Path) -> Callable[[bytes], None]:
    """Return what reads an input and notes what is wrong with how it ended."""
    from bench.fuzz_targets import TARGETS
    from protocol.errors import Fault

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    target = TARGETS[name]
    count = begun

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        board.write(count, data)
        peak, began = _peak(), time.process_time()
        try:
            target.read(data, folder)
        except Fault:
            pass
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(last.filename).stem}-{last.lineno}"
            _keep(out, name, f"{type(error).__name__}-{place}", data, traceback.format_exc())
        took = time.process_time() - began
        grown = _peak() - peak
        # The first inputs load libraries.
        if count > begun + 20 and took > SECONDS:
            _keep(out, name, "slow", data, f"{took:.1f} s of processor time")
        if count > begun + 20 and grown > MEMORY:
            _keep(out, name, "memory", data, f"{grown / 2**20:.0f} MiB more")

    return one


def _peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _keep(out: Path, name: str, kind: str, data: bytes, text: str) -> None:
    """Write a finding, the first of its kind."""
    said = out / f"{name}--{kind}.txt"
    if not said.exists():
        said.write_text(text)
        said.with_suffix(".input").write_bytes(data)


if __name__ == "__main__":
    typer.run(main)

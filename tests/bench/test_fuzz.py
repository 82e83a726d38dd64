"""The fuzzer: its samples are valid, its inputs repeat, and it finds what is wrong."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench import fuzz, fuzz_targets
from bench.fuzz import Board
from bench.fuzz_mutate import LONGEST, mutate
from bench.fuzz_targets import TARGETS, Target, prepare
from protocol.errors import BadFrames, Fault


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_samples_are_valid_and_changed_ones_end_in_sentences(tmp_path, name):
    samples = prepare(name, tmp_path / name)
    for sample in samples:
        TARGETS[name].read(sample, tmp_path / name)
    for number in range(20):
        with contextlib.suppress(Fault):
            TARGETS[name].read(mutate(samples, random.Random(number)), tmp_path / name)


def test_inputs_repeat_and_are_bounded():
    samples = [b"x" * 100, b'{"a": 12}']
    first, second = ([mutate(samples, random.Random(number)) for number in range(300)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 250
    assert max(map(len, (mutate([b"y" * LONGEST], random.Random(number)) for number in range(50)))) <= LONGEST


def test_what_is_wrong_is_found_and_nothing_else(tmp_path, monkeypatch):
    peak = 0

    def wrong(data: bytes, folder: Path) -> None:
        nonlocal peak
        if data == b"crash":
            raise KeyError("means")
        if data == b"slow":
            sum(range(3_000_000))
        if data == b"memory":
            peak += 300 << 20
        raise BadFrames("It is wrong.")

    monkeypatch.setattr(fuzz, "SECONDS", 0.005)
    # The true peak does not grow in a process that once needed more.
    monkeypatch.setattr(fuzz, "_peak", lambda: peak)
    monkeypatch.setattr(fuzz.resource, "setrlimit", lambda *_: None)
    monkeypatch.setitem(fuzz_targets.TARGETS, "wrong", Target(lambda _: [b"a"], wrong))
    (tmp_path / "board").write_bytes(bytes(fuzz._BOARD))
    (tmp_path / "out").mkdir()
    board = Board(tmp_path / "board")
    one = fuzz._reader("wrong", tmp_path, board, 0, tmp_path / "out")
    for data in [b"a"] * 30 + [b"crash", b"crash", b"slow", b"memory", b"a"]:
        one(data)
    assert board.read() == (35, b"a")
    found = {file.stem.removeprefix("wrong--"): file.read_bytes() for file in (tmp_path / "out").glob("*.input")}
    (crash,) = [kind for kind in found if kind.startswith("KeyError-test_fuzz-")]
    assert found.pop(crash) == b"crash"
    assert found["slow"] == b"slow"
    assert found["memory"] == b"memory"
    assert set(found) == {"slow", "memory"}


def test_the_peak_is_in_bytes():
    held = np.ones(8 << 20, np.uint8)
    assert held.nbytes < fuzz._peak() < psutil.virtual_memory().total


def test_the_end_of_a_process_is_a_finding(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()

    class Dead:
        exitcode = 9

        def __init__(self, target: object, args: tuple) -> None:
            self.args = args

        def start(self) -> None:
            Board(self.args[2]).write(self.args[3] + 1, b"deadly")

        def is_alive(self) -> bool:
            return False

    monkeypatch.setattr(fuzz.multiprocessing, "get_context", lambda _: type("Context", (), {"Process": Dead}))
    assert fuzz._fuzz("frames", tmp_path, 60.0, 3, 0, False, tmp_path / "out") == 3
    assert (tmp_path / "out" / "frames--exit 9.input").read_bytes() == b"deadly"

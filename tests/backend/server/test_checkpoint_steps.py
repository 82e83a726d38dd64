"""The steps in a checkpoint, read without torch."""

from __future__ import annotations

import numpy as np
import pytest

from backend.reconstruct import checkpoint as checkpoints
from backend.server.checkpoint_steps import STEPS, completed_steps


def test_the_steps_of_a_checkpoint_are_read(tmp_path):
    checkpoints.save(tmp_path / "checkpoint", {STEPS: np.array([1234, 1200])}, "mark")
    assert completed_steps(tmp_path / "checkpoint") == 1234


SHAPE = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }"
BROKEN = {
    "no archive": b"half",
    "an empty file": b"",
    "an archive without an end": b"PK\x03\x04" + bytes(40),
    "a plain array": b"\x93NUMPY\x01\x00v\x00" + SHAPE.ljust(118),
}


@pytest.mark.parametrize("content", BROKEN)
def test_an_unreadable_checkpoint_has_no_steps(tmp_path, content):
    (tmp_path / "checkpoint").write_bytes(BROKEN[content])
    assert completed_steps(tmp_path / "checkpoint") == 0


def test_a_missing_checkpoint_or_one_of_another_kind_has_no_steps(tmp_path):
    assert completed_steps(tmp_path / "nothing") == 0
    checkpoints.save(tmp_path / "checkpoint", {STEPS: np.array([], np.int64)}, "mark")
    assert completed_steps(tmp_path / "checkpoint") == 0
    checkpoints.save(tmp_path / "checkpoint", {"other": np.array([1])}, "mark")
    assert completed_steps(tmp_path / "checkpoint") == 0

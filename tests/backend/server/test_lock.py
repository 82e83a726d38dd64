"""Locks: held by one, released by the end of a process, signed."""

from __future__ import annotations

import subprocess
import sys

from backend.server import lock
from tests.backend.server.conftest import HERE

HOLDS = """
import sys, time
from pathlib import Path
from backend.server import lock
held = lock.hold(Path(sys.argv[1]))
print(held is not None, flush=True)
time.sleep(60)
"""


def test_one_holds_it_at_a_time(tmp_path):
    path = tmp_path / "a.lock"
    first = lock.hold(path)
    assert first is not None
    assert lock.hold(path) is None
    first.close()
    second = lock.hold(path)
    assert second is not None
    with second:
        assert lock.hold(path) is None
    assert lock.hold(path) is not None


def test_the_end_of_a_process_releases_it(tmp_path):
    path = tmp_path / "a.lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE, text=True, cwd=HERE.parents[2]
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    assert lock.hold(path) is None
    other.kill()
    other.communicate()
    assert lock.hold(path) is not None


def test_a_signature_is_read_while_the_lock_is_held(tmp_path):
    path = tmp_path / "a.lock"
    assert lock.signature(path) is None
    held = lock.hold(path)
    lock.sign(path, "123 words")
    assert lock.signature(path) == "123 words"
    assert held is not None
    held.close()
    assert lock.signature(path) == "123 words"

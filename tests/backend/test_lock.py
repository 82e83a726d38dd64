"""Locks: held by one, released by the end of a process, signed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backend import lock
from protocol.errors import BadArgument
from tests.backend.server.conftest import HERE

HOLDS = """
import sys, time
from pathlib import Path
from backend import lock
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


USES = """
import sys, time
from pathlib import Path
from backend.lock import in_use
with in_use(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_run_uses_an_output_at_a_time(tmp_path):
    out = tmp_path / "new" / "result"
    other = subprocess.Popen(
        [sys.executable, "-c", USES, str(out)], stdout=subprocess.PIPE, text=True, cwd=HERE.parents[2]
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(BadArgument, match="Another process is writing the output") as refused, lock.in_use(out):
        pass
    assert str(out) in refused.value.sentence
    with lock.in_use(out.with_name("another")):
        pass
    other.kill()
    other.communicate()
    with lock.in_use(out), pytest.raises(BadArgument), lock.in_use(out):
        pass
    assert list(out.parent.iterdir()) == []


def test_a_lock_file_that_its_holder_removed_is_made_again(tmp_path, monkeypatch):
    out, file = tmp_path / "result", tmp_path / ".result.lock"
    hold, removed = lock.hold, []

    def remove_first(path):
        held = hold(path)
        if not removed:
            removed.append(path)
            path.unlink()
        return held

    monkeypatch.setattr(lock, "hold", remove_first)
    with lock.in_use(out):
        assert removed == [file]
        assert hold(file) is None


def test_an_output_without_a_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match="cannot be written"), lock.in_use(tmp_path / "file" / "result"):
        pass

"""Processes of the server: their pipes and log, and that none of them outlives what it belongs to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.server import silence
from backend.server.child_process import ChildProcess
from protocol.errors import Unavailable
from tests.backend.server.conftest import HERE

PATIENCE = 20.0


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def words_of(child: ChildProcess) -> bytes:
    """Wait until the child says something, or for its end; return what it said."""
    end = time.monotonic() + PATIENCE
    while (data := child.read()) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return data


def line_of(child: ChildProcess) -> bytes:
    line = b""
    while not line.endswith(b"\n") and (data := words_of(child)):
        line += data
    return line


def gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has waited for it yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


ECHO = "import sys\nfor line in sys.stdin.buffer:\n    print(line.decode().strip().upper(), flush=True)"


def test_what_is_written_and_said(tmp_path):
    child = ChildProcess(python(ECHO), tmp_path / "log")
    assert child.status() is None
    assert child.read() is None, "it has said nothing yet, and nobody waits"
    child.write(b"hello\n")
    assert line_of(child) == b"HELLO\n"
    child.close()
    assert child.status() == -signal.SIGKILL


def test_the_log_has_what_it_says_beside(tmp_path):
    log = tmp_path / "log"
    script = "import sys; print('words'); print('what was wrong', file=sys.stderr); sys.exit(3)"
    child = ChildProcess(python(script), log)
    assert line_of(child) == b"words\n"
    assert words_of(child) == b""
    until(lambda: child.status() == 3)
    assert child.last_words() == "what was wrong"
    child.write(b"nobody reads it any more")
    child.close()
    silent = ChildProcess(python("pass"), log)
    assert words_of(silent) == b""
    assert silent.last_words() == ""
    silent.close()


def test_one_that_does_not_read_does_not_hold_the_server(tmp_path):
    child = ChildProcess(python("import time; time.sleep(60)"), tmp_path / "log")
    begin = time.monotonic()
    child.write(b"x" * (1 << 20))
    assert time.monotonic() - begin < 1.0
    child.close()


def test_one_that_says_much_waits_until_it_is_read(tmp_path):
    lot = 40 << 20
    woken: list[None] = []
    script = f"import os\nfor _ in range(40):\n    os.write(1, bytes({lot // 40}))"
    child = ChildProcess(python(script), tmp_path / "log", lambda: woken.append(None))
    until(lambda: len(woken) > 10)
    time.sleep(0.3)
    assert len(child._said) < lot, "the rest is not taken before"
    got = 0
    while data := words_of(child):
        got += len(data)
    assert got == lot
    child.close()


@pytest.mark.parametrize("wanted", [True, False], ids=["an answer is expected", "nothing is expected"])
def test_one_that_is_stopped_is_frozen_where_it_owes_an_answer(tmp_path, monkeypatch, wanted):
    monkeypatch.setattr(silence, "IDLE_AFTER", 0.3)
    child = ChildProcess(python(ECHO), tmp_path / "log")
    os.kill(child.pid, signal.SIGSTOP)
    end = time.monotonic() + (PATIENCE if wanted else 1.0)
    while (how := child.frozen(wanted)) is None and time.monotonic() < end:
        time.sleep(0.05)
    assert (how is not None) == wanted
    child.close()
    assert gone(child.pid)


def test_a_program_that_is_not_there(tmp_path):
    with pytest.raises(Unavailable, match="/no/such/program cannot be started"):
        ChildProcess(["/no/such/program"], tmp_path / "log")


PARENT_OF_ONE = """
import subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(other.pid, flush=True)
time.sleep(60)
"""


def test_closing_ends_all_that_it_started(tmp_path):
    child = ChildProcess(python(PARENT_OF_ONE), tmp_path / "log")
    other = int(line_of(child))
    assert not gone(other)
    child.close()
    until(lambda: gone(other))


LISTENS = "from backend.server.child_pipes import listen; import time; listen(); time.sleep(60)"
SERVER = f"""
import sys, time
from pathlib import Path
from backend.server.child_process import ChildProcess
child = ChildProcess([sys.executable, "-c", {LISTENS!r}], Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(60)
"""


def test_it_ends_with_the_server_even_if_that_is_killed(tmp_path):
    server = subprocess.Popen(
        [*python(SERVER), str(tmp_path / "log")], cwd=HERE.parents[2], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    child = int(server.stdout.readline())
    assert not gone(child)
    os.kill(server.pid, signal.SIGKILL)
    server.communicate(timeout=PATIENCE)
    until(lambda: gone(child))


LINES = r"""
import sys
from backend.server.child_pipes import listen, take_stdout
channel = take_stdout()
print("a library that prints")
listen(lambda line: channel.write(line.upper() + b"\n"))
import time; time.sleep(60)
"""


def test_its_side_of_the_pipes(tmp_path, monkeypatch):
    monkeypatch.chdir(HERE.parents[2])
    child = ChildProcess(python(LINES), tmp_path / "log")
    child.write(b"one\ntwo\n")
    said = b""
    while said != b"ONE\nTWO\n":
        said += words_of(child)
    child.close()


def test_a_log_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(Unavailable, match="cannot be started"):
        ChildProcess([sys.executable, "-c", ""], tmp_path / "log")

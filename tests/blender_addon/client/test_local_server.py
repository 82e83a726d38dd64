"""A server of this machine as a child: it says where it is, why it ended, and never stays behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon import api
from blender_addon.client.local_server import LocalServer
from protocol.errors import BadArgument, Unavailable

HERE = Path(__file__).parents[3]


def program(folder: Path, *lines: str) -> Path:
    """Make a program that does this in place of the backend."""
    path = folder / "backend"
    script = folder / "backend.py"
    script.write_text("\n".join(("import sys, time", *lines)))
    # A shebang line cannot name this Python where its path is long or has a space.
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n')
    path.chmod(0o755)
    return path


def until(local: LocalServer, state: str) -> None:
    end = time.monotonic() + 20
    while local.state != state:
        assert time.monotonic() < end, local.state
        local.tick()
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_true_server_is_started_used_and_stopped(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the backend is not installed in this environment")
    monkeypatch.chdir(HERE)
    states: list[str] = []
    local = LocalServer(tmp_path / "logs", lambda: states.append(local.state))
    local.start(Path(sys.executable), "--data", str(tmp_path / "data"))
    assert local.wait(60)
    assert local.address is not None
    with api.connect(local.address, cache=tmp_path / "cache") as client:
        assert client.methods
    local.stop()
    until(local, "stopped")
    assert local.error is None
    assert states == ["starting", "running", "stopping", "stopped"]
    # Another one on the same folder is refused in the server's own words.
    first, second = LocalServer(tmp_path / "a"), LocalServer(tmp_path / "b")
    first.start(Path(sys.executable), "--data", str(tmp_path / "data"))
    assert first.wait(60)
    second.start(Path(sys.executable), "--data", str(tmp_path / "data"))
    assert not second.wait(60)
    assert second.error is not None
    assert "in use by another server" in second.error.sentence
    first.stop(wait=True)
    assert first.state == "stopped"


def test_a_script_has_a_server_for_as_long_as_it_wants(tmp_path):
    pid = tmp_path / "pid"
    lines = ("import os", f"open({str(pid)!r}, 'w').write(str(os.getpid()))")
    serving = program(tmp_path, *lines, "print('SplatLift serves at tcp://127.0.0.1:9', flush=True)", "time.sleep(60)")
    with api.server_here(serving, cache=tmp_path / "cache") as address:
        assert address == "tcp://127.0.0.1:9"
        assert alive(int(pid.read_text()))
    assert not alive(int(pid.read_text()))
    dying = program(tmp_path, "sys.exit('No module named torch')")
    with pytest.raises(Unavailable, match="No module named torch"), api.server_here(dying, cache=tmp_path / "cache"):
        pass
    with (
        pytest.raises(BadArgument, match=r"program .* does not exist"),
        api.server_here(tmp_path / "none", cache=tmp_path),
    ):
        pass


def test_one_that_dies_leaves_its_last_line(tmp_path):
    local = LocalServer(tmp_path)
    local.start(program(tmp_path, "print('one', file=sys.stderr)", "sys.exit('No module named torch')"))
    until(local, "stopped")
    assert isinstance(local.error, Unavailable)
    assert local.error.sentence.endswith("stopped: No module named torch")
    local.start(program(tmp_path, "print('SplatLift serves at tcp://127.0.0.1:9', flush=True)", "time.sleep(60)"))
    assert local.error is None
    assert local.wait(10)
    assert local.address == "tcp://127.0.0.1:9"
    assert local._process is not None
    local._process.send_signal(signal.SIGKILL)
    until(local, "stopped")
    assert local.error is not None
    assert local.address is None


def test_one_that_does_not_want_to_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("blender_addon.client.local_server.PATIENCE", 0.3)
    local = LocalServer(tmp_path)
    lines = (
        "import signal",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "print('at tcp://127.0.0.1:9', flush=True)",
    )
    local.start(program(tmp_path, *lines, "time.sleep(60)"))
    assert local.wait(10)
    assert local._process is not None
    pid = local._process.pid
    local.stop(wait=True)
    assert not alive(pid)
    local.stop()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes as Linux shows them")
def test_it_ends_with_a_blender_that_is_killed(tmp_path):
    pytest.importorskip("torch", reason="the backend is not installed in this environment")
    script = (
        "import sys, time; from pathlib import Path; from blender_addon.client.local_server import LocalServer\n"
        "local = LocalServer(Path(sys.argv[1]))\n"
        "local.start(Path(sys.executable), '--data', sys.argv[1])\n"
        "local.wait(60); print(local._process.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, cwd=HERE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_cannot_be_started(tmp_path):
    local = LocalServer(tmp_path)
    with pytest.raises(BadArgument, match=r"program .* does not exist"):
        local.start(tmp_path / "nowhere")
    with pytest.raises(BadArgument, match="bin/python"):
        local.start(tmp_path)
    (tmp_path / "text").write_text("no program")
    with pytest.raises(Unavailable, match="cannot be started"):
        local.start(tmp_path / "text")
    assert local.state == "stopped"

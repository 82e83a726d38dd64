"""The batch of the manual: run by a Blender with the add-on installed, by the bpy module, by a real Blender if any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.ply import read_ply
from tests.blender.addon import answering, files_of
from tests.blender.bare import run_in_bare_blender
from tests.blender.example import NAMES, write_example
from tests.blender.splats.test_cameras import write_cameras
from tests.blender_addon.client.mock_server import MockServer

pytest.importorskip("bpy")

ROOT = Path(__file__).parents[2]
BATCH = ROOT / "docs" / "batch.py"
RUN = """
import runpy

batch, *rest = arguments if "arguments" in globals() else sys.argv[1:]
sys.argv = ["blender", "-b", "--python", batch, "--", *rest]
try:
    runpy.run_path(batch, run_name="__main__")
except SystemExit as end:
    print("status", end.code)
"""


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    for name in ("hall", "kitchen"):
        (tmp_path / "captures" / name / "images").mkdir(parents=True)
        (tmp_path / "captures" / name / "images" / "0001.png").write_bytes(name.encode())
    return tmp_path / "captures"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    write_example(tmp_path / "made")
    write_cameras(tmp_path / "made")
    server = MockServer()
    with answering(server, files_of(tmp_path / "made")):
        yield server.address
    server.close()


def check(out: Path) -> None:
    for name in ("hall", "kitchen"):
        assert (out / f"{name}.blend").is_file()
        parts = [len(read_ply(out / name / f"{label:04d}.ply")) for label in range(1, len(NAMES) + 1)]
        assert len(read_ply(out / f"{name}.ply")) == sum(parts) > 0


def test_in_a_blender_with_the_add_on_installed(extension: Path, captures: Path, address: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    printed = run_in_bare_blender(RUN, extension, tmp_path, BATCH, address, captures, out)
    assert "hall: 3 objects" in printed
    assert "status 0" in printed
    check(out)


def test_in_the_source_tree_going_on_where_it_was(captures: Path, address: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "hall.blend").touch()
    (captures / "kitchen" / "images" / "0001.png").unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    command = [sys.executable, "-c", f"import sys, bpy{RUN}", str(BATCH), address, str(captures), str(out)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "hall: there already" in done.stdout
    assert "kitchen: The folder" in done.stderr
    assert "status 1" in done.stdout


def test_in_a_real_blender(extension: Path, captures: Path, address: str, tmp_path: Path) -> None:
    blender = os.environ.get("SPLATLIFT_BLENDER") or shutil.which("blender")
    if not blender:
        pytest.skip("there is no Blender here (set SPLATLIFT_BLENDER to one)")
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user")}
    install = ["--command", "extension", "install-file", "-r", "user_default", "--enable", str(extension)]
    out = tmp_path / "out"
    run = ["-b", "--python-exit-code", "9", "--python", str(BATCH), "--", address, str(captures), str(out)]
    for arguments in (install, run):
        done = subprocess.run([blender, *arguments], env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "kitchen: 3 objects" in done.stdout
    check(out)

"""Server and client without what only POSIX systems have: no such module, call or file, and no pipe in a poller.

It is not a run on Windows: signals, locks and file systems are those of this system.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.no_posix.posix_only import ATTRIBUTES, MODULES

HERE = Path(__file__).parents[1]
SUITES = (
    "tests/backend/test_lock.py",
    "tests/backend/server/test_keys.py",
    "tests/backend/server/test_clients.py",
    "tests/backend/server/test_local_gate.py",
    "tests/backend/server/test_round.py",
    "tests/backend/server/test_worker.py",
    "tests/backend/server/test_child_process.py",
    "tests/protocol/test_store.py",
    "tests/blender_addon/client/test_local_server.py",
)
"""Those that start processes, hold locks, and write files. The whole of tests/backend/server passes too."""
GUARDED = {
    ("backend/server/process_tree.py", "os.killpg"): "where the system has process groups",
    ("backend/memory.py", "resource"): "where there is such a module",
    ("backend/server/file_limit.py", "resource"): "where there is such a module",
    ("backend/reconstruct/photo_cache.py", "os.posix_fadvise"): "where there is such a call",
}
"""Uses that the code itself asks for first."""


def test_the_suites_pass_without_posix():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE / "tests" / "no_posix"), str(HERE)))}
    # A test that hangs ends the run with the stacks of all threads.
    limit = ["-o", "faulthandler_timeout=200", "-o", "faulthandler_exit_on_timeout=true"]
    command = [sys.executable, "-m", "pytest", "-v", "-x", "-p", "no:cacheprovider", *limit, *SUITES]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]


def test_what_is_taken_away_is_really_away():
    script = """
import types
module = types.ModuleType("backend.made")
exec('''
import os, signal
try:
    import fcntl
except ModuleNotFoundError:
    fcntl = None
found = [name for name in ("killpg", "sysconf", "fork") if hasattr(os, name)], hasattr(signal, "SIGKILL"), fcntl
''', module.__dict__)
print(module.found)
"""
    environment = os.environ | {"PYTHONPATH": str(HERE / "tests" / "no_posix")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "([], False, None)\n"


@pytest.mark.parametrize("package", ["backend", "protocol", "blender_addon"])
def test_nothing_else_of_posix_is_used(package):
    found = {(path.relative_to(HERE).as_posix(), use) for path in (HERE / package).rglob("*.py") for use in _uses(path)}
    assert found - GUARDED.keys() == set()


def _uses(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                if module in MODULES:
                    yield module
                yield from (f"{module}.{name.name}" for name in names if name.name in ATTRIBUTES.get(module, ()))
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in ATTRIBUTES.get(module, ()):
                yield f"{module}.{name}"

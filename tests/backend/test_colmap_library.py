"""A process that imported pycolmap ends on SIGTERM, and reports a crash, as it did before."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM between processes")

SEND = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(5)\n"


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_a_process_without_a_handler_ends_in_silence():
    done = run("import backend.scene\n" + SEND)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_a_handler_that_was_there_before_is_called():
    handler = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    done = run(handler + "import backend.scene.colmap\n" + SEND)
    assert (done.returncode, done.stderr) == (7, "")


def test_a_crash_still_says_where_in_python_it_happened():
    script = "import faulthandler, os, signal\nfaulthandler.enable()\nimport backend.colmap_library\n"
    done = run(script + "def crash():\n    os.kill(os.getpid(), signal.SIGSEGV)\ncrash()\n")
    assert done.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in done.stderr
    assert "in crash" in done.stderr


def test_a_first_import_in_a_thread_is_possible():
    done = run(
        "import threading\n"
        "thread = threading.Thread(target=__import__, args=('backend.colmap_library',))\n"
        "thread.start()\nthread.join()\n"
        "import backend.colmap_library\nprint(backend.colmap_library.pycolmap.__name__)\n"
    )
    assert (done.returncode, done.stdout) == (0, "pycolmap\n"), done.stderr

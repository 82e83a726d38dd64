"""What all tests share: the scenes to run on, and an orderly end where Blender is loaded."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.syncs import Syncs

# Idle OpenMP threads that spin cost more processor time than the work between two barriers.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# The width and colours that a user's terminal asks for change the text that tests read.
for name in ("COLUMNS", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(name, None)
# No test finds models of this machine, and none asks a network for one.
os.environ["HF_HUB_CACHE"] = os.path.join(os.path.dirname(__file__), "no-models")
os.environ["HF_HUB_OFFLINE"] = "1"
# A shell starts commands in the background with interrupts ignored, and what tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(os.environ.get("SPLATLIFT_DATA", Path(__file__).parents[2] / "shared" / "data"))

_status = 0


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of captured scenes; tests that need it are skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"the captured scenes are not at {DATA} (set SPLATLIFT_DATA to their folder)")
    return DATA


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    """What this process syncs to the disk."""
    made = Syncs()
    monkeypatch.setattr(os, "fsync", made)
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if any(item.get_closest_marker("cuda") for item in items):
        import torch

        if not torch.cuda.is_available():
            for item in items:
                if item.get_closest_marker("cuda"):
                    item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # bpy 4.2 and 4.5 crash or hang at interpreter exit while any class or timer is registered.
    if "bpy" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status)

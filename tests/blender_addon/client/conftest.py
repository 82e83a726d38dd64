"""What the tests of the client share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.blender_addon.client.mock_server import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A client that is not connected, and a server that is there."""
    stage = Stage(tmp_path / "cache")
    yield stage
    stage.close()


@pytest.fixture
def capture(tmp_path: Path) -> Callable[..., Path]:
    """Make a scene folder of files with the given sizes and a content of their own."""

    def make(name: str = "kitchen", **sizes: int) -> Path:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        (folder / "transforms.json").write_text("{}")
        for stem, size in (sizes or {"a": 2_500_000, "b": 17}).items():
            (folder / "images" / f"{stem}.png").write_bytes((f"{name}/{stem}".encode() * (size // 4 + 1))[:size])
        return folder

    return make

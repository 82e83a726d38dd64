"""Tiny models, each saved once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backend.segmenter import tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model by its name."""
    folder = tmp_path_factory.mktemp("models")

    def build(name: str) -> Path:
        return folder / name if (folder / name).is_dir() else tiny.build(name, folder / name)

    return build


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let more masks of random weights pass."""
    monkeypatch.setattr("backend.segmenter.points.LEAST_STABILITY", 0.5)
    monkeypatch.setattr("backend.segmenter.points.BOX_OVERLAP", 0.95)
    monkeypatch.setattr("backend.segmenter.queries.LEAST_SHARE", 0.05)

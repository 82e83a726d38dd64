"""Workspaces in the store, by the photographs and the seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.server.kept_poses import KeptPoses
from protocol.store import Store

SOURCE = "a" * 64


@pytest.fixture
def kept(tmp_path: Path) -> KeptPoses:
    return KeptPoses(Store(tmp_path / "data" / "store"))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for name in ("images/a.jpg", "sparse/0/images.bin", "poses.json"):
        path = tmp_path / "workspace" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    return tmp_path / "workspace"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_kept_is_laid_out_again_after_the_workspace_is_gone(kept, workspace, tmp_path):
    kept.keep(SOURCE, 3, workspace)
    before = contents(workspace)
    for path in sorted(workspace.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    KeptPoses(kept.store).restore(SOURCE, 3, tmp_path / "again")
    assert contents(tmp_path / "again") == before


@pytest.mark.parametrize(("source", "seed"), [(SOURCE, 4), ("b" * 64, 3)])
def test_of_other_photographs_or_another_seed_nothing_is_laid_out(kept, workspace, tmp_path, source, seed):
    kept.keep(SOURCE, 3, workspace)
    kept.restore(source, seed, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_photographs_that_are_stored_take_no_room_again(kept, workspace):
    photograph = workspace / "images" / "a.jpg"
    stored = kept.store.path(kept.store.put(photograph.read_bytes()))
    kept.keep(SOURCE, 0, workspace)
    assert stored.stat().st_ino != photograph.stat().st_ino
    assert len(list(kept.store.files())) == 4, "three files and their manifest"


def test_what_the_store_has_evicted_is_forgotten(kept, workspace, tmp_path):
    kept.keep(SOURCE, 0, workspace)
    for path in kept.store.files():
        if path.read_bytes() == (workspace / "poses.json").read_bytes():
            path.unlink()
    kept.restore(SOURCE, 0, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert list(kept.folder.iterdir()) == []

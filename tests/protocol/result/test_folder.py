"""A folder is replaced as a whole, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import BadArgument
from protocol.result.folder import check_out, whole_folder
from protocol.result.names import TABLE


def write(out: Path, content: str) -> None:
    with whole_folder(out) as folder:
        assert not list(folder.iterdir())
        assert folder.parent == out.parent
        (folder / TABLE).write_text(content)


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with whole_folder(out) as folder:
        (folder / TABLE).write_text("{}")
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert (out / TABLE).read_text() == "{}"
    assert out.stat().st_mode & 0o777 == 0o755


def test_a_new_folder_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    write(tmp_path / "out", "old")
    (tmp_path / "out" / "left over").touch()
    write(tmp_path / "out", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [TABLE]
    assert (tmp_path / "out" / TABLE).read_text() == "new"


def test_a_failure_in_the_block_leaves_what_was_there(tmp_path: Path) -> None:
    def half_way() -> None:
        with whole_folder(tmp_path / "out") as folder:
            (folder / TABLE).write_text("new")
            raise RuntimeError("half way")

    write(tmp_path / "out", "old")
    with pytest.raises(RuntimeError, match="half way"):
        half_way()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / TABLE).read_text() == "old"


@pytest.mark.parametrize("which", [1, 2])
def test_a_rename_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    write(tmp_path / "out", "old")
    rename, renamed = Path.rename, []

    def fails(self: Path, target: Any) -> Path:
        renamed.append(self)
        if len(renamed) == which:
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Permission denied"):
        write(tmp_path / "out", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / TABLE).read_text() == "old"


def test_an_old_folder_that_stays_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "out", "old")
    remove = shutil.rmtree

    def fails(path: Path, ignore_errors: bool = False) -> None:
        if Path(path).suffix == ".old":
            raise OSError(16, "Device or resource busy")
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", fails)
    with pytest.warns(UserWarning, match=r"\.old cannot be removed: Device or resource busy"):
        write(tmp_path / "out", "new")
    assert (tmp_path / "out" / TABLE).read_text() == "new"


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    check_out(tmp_path / "nowhere")
    check_out(tmp_path)
    (tmp_path / "holiday.jpg").write_text("x")
    with pytest.raises(BadArgument, match="not written by a segmentation"):
        check_out(tmp_path)
    with pytest.raises(BadArgument, match="is a file"):
        check_out(tmp_path / "holiday.jpg")
    (tmp_path / TABLE).touch()
    check_out(tmp_path)

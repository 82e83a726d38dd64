"""Photographs, videos and splat files without cameras that are refused, before poses are computed, and the sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.scene.inspect import inspect_scene
from protocol.ply import write_ply
from tests.backend.mapping.test_frames import moving, write_video
from tests.backend.scene import writing
from tests.protocol.strategies import random_splats

ONE = np.ones((30, 40), np.uint8)


def photographs(root: Path, count: int = 6) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        writing.photograph(number).save(root / f"{number}.jpg")


def broken(root: Path) -> None:
    photographs(root)
    for number in range(3):
        (root / f"{number}.jpg").write_bytes(b"none")


def in_two_folders(root: Path) -> None:
    for name in ("left", "right"):
        photographs(root / name)


def masks(*names: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        photographs(root / "images")
        for name in names:
            writing.write_mask(root / name, ONE)

    return write


def videos(*names: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        for name in names:
            write_video(root / name, moving(6))
        writing.write_mask(root / "ids" / "0.png", ONE)

    return write


def splats(root: Path) -> None:
    for name in ("a.ply", "b.ply"):
        write_ply(random_splats(2), root / name)


BAD_PHOTOGRAPHS: dict[str, tuple[Callable[[Path], object], str | None, str]] = {
    "four photographs": (lambda root: photographs(root, 4), None, "holds 4 photographs; poses need at least 5"),
    "half of the photographs cannot be read": (broken, None, r"holds 3 photographs that are readable \(0.jpg, 1.jpg"),
    "photographs in two folders": (in_two_folders, None, "in several folders: left, right"),
    "two files may be a mask": (masks("masks/0.png", "masks/0_mask.png"), None, "match one photograph as its mask"),
    "a folder of other masks": (
        masks("ids/other.png"),
        "ids",
        r"ids contains no mask with the name of a photograph of",
    ),
    "two videos": (videos("a.mp4", "b.mp4"), None, r"holds 2 videos \(first: a.mp4\)"),
    "masks of no frame": (
        videos("a.mp4"),
        "ids",
        "no mask with the name of a frame of .*a.mp4, such as frame_000000.jpg",
    ),
    "a video file without video": (lambda root: (root / "a.mp4").write_bytes(b"none"), None, "a.mp4 cannot be read"),
    "two splat files": (splats, None, r"holds 2 splat files without photographs \(first: a.ply, b.ply\)"),
}
"""By name: what writes the folder, the folder that is given as that of the masks, and a pattern of the sentence."""


def look(root: Path, masks: str | None) -> None:
    """Raise the fault that prevents a segmentation."""
    fault = inspect_scene(root, None if masks is None else root / masks)[1]
    if fault is not None:
        raise fault


@pytest.mark.parametrize("name", BAD_PHOTOGRAPHS)
def test_it_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    write, folder, pattern = BAD_PHOTOGRAPHS[name]
    write(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    _, fault = inspect_scene(tmp_path, None if folder is None else tmp_path / folder)
    assert fault is not None
    with pytest.raises(type(fault), match=pattern):
        look(tmp_path, folder)
    assert fault.remedy
    assert sorted(tmp_path.rglob("*")) == before

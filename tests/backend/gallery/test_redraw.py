"""Images of labels drawn again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.cli import main
from backend.corrections import outdated_meshes
from backend.gallery.redraw import redraw
from backend.gallery.turntable import LEAST_FRAMES
from backend.objects import result
from backend.scene.types import Camera
from protocol.errors import BadArgument
from protocol.ply import write_ply
from protocol.result.gaussians import read_splats
from protocol.result.names import BACKUP, GALLERY, LABEL, OVERVIEW, SPLATS, TURNTABLE, label_map_path
from tests.backend.corrections.making import EACH, evidence_of, write_result
from tests.backend.objects.mesh.making import ring

FRAGMENTS = evidence_of([1, 2, 3, 4, 5], {(0, 1): 0.5, (2, 3): 0.55})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five objects in a row, seen by eight cameras, of which two have a label map."""
    out = tmp_path / "out"
    out.mkdir()
    write_result(out, FRAGMENTS)
    splats = read_splats(out)
    splats.scales[:], splats.opacities[:] = np.log(0.15), 6
    write_ply(splats, out / SPLATS)
    cameras = {f"{number}": camera for number, camera in enumerate(ring(8, radius=9.0))}
    result.write_cameras(out, {name: shifted(camera) for name, camera in cameras.items()})
    for name in ("2", "6"):
        label_map_path(out, name).write_bytes(b"old")
    (out / OVERVIEW).write_bytes(b"old")
    return out


def shifted(camera: Camera) -> Camera:
    """The same camera about the middle of the five objects."""
    return camera.moved(np.array([2.0, 0, 0]))


def map_of(folder: Path, view: str) -> np.ndarray:
    return np.asarray(Image.open(label_map_path(folder, view)))


def test_views_that_had_a_map_get_one_of_the_current_labels(folder: Path) -> None:
    assert redraw(folder, device="cpu") == (2, False)
    assert sorted(path.name for path in (folder / "labels").iterdir()) == ["2.png", "6.png"]
    first = map_of(folder, "2")
    assert set(np.unique(first)) == {0, 1, 2, 3, 4, 5}
    splats = read_splats(folder)
    splats.extra[LABEL][splats.extra[LABEL] == 5] = 1
    write_ply(splats, folder / SPLATS)
    redraw(folder, device="cpu")
    again = map_of(folder, "2")
    assert np.all(again[first == 5] == 1)
    assert np.all(again[first != 5] == first[first != 5])
    assert not (folder / GALLERY).exists()


def test_linked_files_of_other_results_stay_as_they_are(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["backend.gallery.turntable"], "MOST_FRAMES", LEAST_FRAMES)
    (folder / GALLERY).mkdir()
    for name in (OVERVIEW, f"{GALLERY}/{TURNTABLE}"):
        (folder / name).write_bytes(b"old")
        os.link(folder / name, tmp_path / Path(name).name)
    assert redraw(folder, device="cpu") == (2, True)
    assert (tmp_path / OVERVIEW).read_bytes() == (tmp_path / TURNTABLE).read_bytes() == b"old"
    with Image.open(folder / GALLERY / TURNTABLE) as turn:
        assert getattr(turn, "n_frames", 1) == LEAST_FRAMES
    assert Image.open(folder / OVERVIEW).size[0] > 300


def test_a_correction_on_the_command_line_draws_them_again(folder: Path, monkeypatch, capsys) -> None:
    redraw(folder, device="cpu")
    before = map_of(folder, "2")

    def backend(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["backend", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        return capsys.readouterr().out

    said = backend("correct", str(folder), "one", "1", "2", "--apply", "--device", "cpu")
    assert f"2 label maps and the overview were drawn again: {folder}" in said
    assert f"To make them again: backend mesh {folder} 1 3\n" in said
    after = map_of(folder, "2")
    assert np.all(after[before == 2] == 1)
    assert np.all(after[before == 4] == 3)
    assert outdated_meshes(folder) == [1, 3]
    assert "drawn again" not in backend("correct", str(folder), "--undo", "--apply"), "all is as it was"
    assert not (folder / BACKUP).exists()
    np.testing.assert_array_equal(map_of(folder, "2"), before)
    assert read_splats(folder).extra[LABEL][::EACH].tolist() == [1, 2, 3, 4, 5]


def test_a_scene_of_other_photographs_is_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene"
    for part in ("images", "sparse/0"):
        (scene / part).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(scene / "images" / "a.png")
    (scene / "sparse/0/cameras.txt").write_text("1 PINHOLE 8 8 9 9 4 4\n")
    (scene / "sparse/0/images.txt").write_text("1 1 0 0 0 0 0 3 1 a.png\n\n")
    (scene / "sparse/0/points3D.txt").write_text("1 0 0 0 90 120 60 0.5\n")
    with pytest.raises(BadArgument, match="belongs to a view of"):
        redraw(folder, scene=scene, device="cpu")
    assert (folder / OVERVIEW).read_bytes() == b"old"

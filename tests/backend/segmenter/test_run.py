"""From a scene's photographs to a folder of masks: what is kept, what is done again, and what goes wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.progress import Cancelled
from backend.scene import load_scene, read_mask
from backend.scene.rle import read_rle
from backend.segmenter import make_masks
from backend.segmenter.folder import NOTE, continue_in, read_note
from backend.segmenter.mask_records import ScoredMask
from backend.segmenter.run import maker_of
from backend.segmenter.weights import Weights, find_weights
from protocol.errors import BadArgument, BadScene, Unavailable
from tests.backend.scene.writing import HEIGHT, STEMS, WIDTH, write_transforms

WEIGHTS = Weights("owner/tiny", Path("nowhere"), 1000, "mit")


class Bright:
    """Replaces a model: one mask, of all pixels with much red. Records its inputs."""

    def __init__(self) -> None:
        self.batches: list[list[np.ndarray]] = []

    def __call__(self, photographs, size, tell: Callable[[float], None]) -> list[list[ScoredMask]]:
        self.batches.append(list(photographs))
        tell(0.5)
        found = []
        for pixels in photographs:
            small = np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.NEAREST))
            mask = small[..., 0] > 128
            found.append([ScoredMask(mask, predicted_iou=0.9, stability_score=0.97)] if mask.any() else [])
        return found


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> Bright:
    model = Bright()
    monkeypatch.setattr("backend.segmenter.run.load_segmenter", lambda *args: (model, ()))
    return model


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A scene whose photographs are red on the left half."""
    root = tmp_path / "scene"
    write_transforms(root)
    for stem in STEMS:
        paint(root / "images" / f"{stem}.png")
    return root


def paint(file: Path, **saved: Any) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2, 0] = 255
    Image.fromarray(pixels).save(file, **saved)


def run(scene: Path, out: Path, **how):
    return make_masks(load_scene(scene).views, out, WEIGHTS, **how)


def test_masks_lie_where_the_reader_of_scenes_finds_them(scene, bright):
    made = run(scene, scene / "masks")
    assert (made.photographs, made.kept, made.masks, made.warnings) == (3, 0, 3, ())
    loaded = load_scene(scene)
    assert loaded.masks_from == scene / "masks"
    assert not [warning for warning in loaded.warnings if "mask" in warning]
    for view in loaded.views:
        ids = read_mask(view)
        assert ids is not None
        assert (ids[:, : WIDTH // 2] == 1).all()
        assert (ids[:, WIDTH // 2 :] == 0).all()


def test_scores_are_kept_with_the_masks(scene, bright):
    run(scene, scene / "masks")
    (mask,) = json.loads((scene / "masks" / "v_1.json").read_text())
    assert (mask["predicted_iou"], mask["stability_score"], mask["area"]) == (0.9, 0.97, HEIGHT * WIDTH // 2)
    assert mask["segmentation"]["size"] == [HEIGHT, WIDTH]


def test_a_second_run_keeps_what_is_there(scene, bright, monkeypatch):
    run(scene, scene / "masks")
    monkeypatch.setattr("backend.segmenter.run.load_segmenter", lambda *args: pytest.fail("the model was loaded"))
    assert run(scene, scene / "masks").kept == 3


def test_only_a_photograph_that_changed_or_a_mask_that_is_damaged_is_done_again(scene, bright):
    run(scene, scene / "masks")
    (scene / "masks" / "v_2.json").write_text("[{")
    paint(scene / "images" / "v_10.png", compress_level=1)
    before = (scene / "masks" / "v_1.json").stat().st_mtime_ns
    bright.batches.clear()
    made = make_masks(load_scene(scene, shutil.copytree(scene / "images", scene.parent / "m")).views, scene / "masks",
                      WEIGHTS)  # fmt: skip
    assert (made.photographs, made.kept, len(bright.batches)) == (3, 1, 2)
    assert (scene / "masks" / "v_1.json").stat().st_mtime_ns == before
    assert len(read_rle(scene / "masks" / "v_2.json")) == 1


def test_a_run_that_was_cancelled_goes_on_where_it_stopped(scene, bright):
    calls = 0

    def cancelling(stage: str, fraction: float, note: str = "") -> None:
        nonlocal calls
        calls += note.startswith("photograph")
        if calls == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(scene, scene / "masks", progress=cancelling)
    assert sorted(path.name for path in (scene / "masks").iterdir()) == [NOTE, "v_1.json", "v_2.json"]
    bright.batches.clear()
    made = run(scene, scene / "masks")
    assert (made.photographs, made.kept, len(bright.batches)) == (3, 2, 1)


def test_progress_goes_from_nothing_to_all_and_says_which_photograph(scene, bright):
    told: list[tuple[str, float, str]] = []
    run(scene, scene / "masks", progress=lambda *step: told.append(step))
    assert {stage for stage, *_ in told} == {"masks"}
    fractions = [fraction for _, fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert "photograph 2 of 3" in [note for *_, note in told]


def test_photographs_of_one_size_go_together_where_the_device_takes_several(scene, bright, monkeypatch):
    monkeypatch.setitem(__import__("backend.segmenter.run").segmenter.run.PHOTOGRAPHS_AT_ONCE, "cpu", 2)
    run(scene, scene / "masks")
    assert [len(batch) for batch in bright.batches] == [2, 1]


def test_an_unreadable_photograph_is_left_out_and_the_others_are_done(scene, bright):
    file = scene / "images" / "v_2.png"
    views = load_scene(scene).views
    file.write_bytes(file.read_bytes()[:60])
    made = make_masks(views, scene / "masks", WEIGHTS)
    assert made.photographs == 2
    (said,) = made.warnings
    assert said.startswith(f"1 of 3 photographs got no masks because they cannot be read. First: The photograph {file}")
    assert sorted(path.name for path in (scene / "masks").iterdir()) == [NOTE, "v_1.json", "v_10.json"]


def test_where_no_photograph_can_be_read_it_is_an_error_and_nothing_is_written(scene, bright):
    views = load_scene(scene).views
    for stem in STEMS:
        (scene / "images" / f"{stem}.png").unlink()
    with pytest.raises(BadScene, match="cannot be read"):
        make_masks(views, scene / "masks", WEIGHTS)
    assert not (scene / "masks").exists()


def test_a_photograph_without_masks_is_written_and_told(scene, bright):
    Image.new("RGB", (WIDTH, HEIGHT)).save(scene / "images" / "v_2.png")
    made = run(scene, scene / "masks")
    assert made.warnings == ("owner/tiny found no masks in 1 of 3 photographs: v_2.",)
    assert json.loads((scene / "masks" / "v_2.json").read_text()) == []
    assert run(scene, scene / "masks").kept == 3


def test_a_model_sees_a_photograph_upright_and_the_mask_is_of_the_stored_one(scene, bright):
    exif = Image.Exif()
    exif[0x0112] = 6
    paint(scene / "images" / "v_1.png", exif=exif)
    run(scene, scene / "masks")
    (shown,) = bright.batches[0]
    assert shown.shape == (WIDTH, HEIGHT, 3)
    assert (shown[: WIDTH // 2, :, 0] == 255).all(), "left is up after a turn to the right"
    loaded = load_scene(scene)
    ids = read_mask(loaded.views[0])
    assert ids is not None
    assert (ids[:, : WIDTH // 2] == 1).all()
    assert (ids[:, WIDTH // 2 :] == 0).all()


def test_large_photographs_get_smaller_masks(scene, bright, monkeypatch):
    monkeypatch.setattr("backend.segmenter.run.LONG_SIDE", 20)
    run(scene, scene / "masks")
    assert json.loads((scene / "masks" / "v_1.json").read_text())[0]["segmentation"]["size"] == [15, 20]
    assert load_scene(scene).views[0].mask_path is not None


def test_a_full_disk_is_one_sentence_and_what_was_written_is_kept(scene, bright, monkeypatch):
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "v_10.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(Unavailable, match="no space is left on the disk") as caught:
        run(scene, scene / "masks")
    assert "kept" in str(caught.value)
    assert sorted(path.name for path in (scene / "masks").iterdir()) == [NOTE, "v_1.json", "v_2.json"]
    monkeypatch.undo()
    note = read_note(scene / "masks")
    assert note is not None
    assert sorted(note.digests) == ["v_1", "v_2"]


def test_masks_of_others_are_not_touched(scene, bright):
    (scene / "other").mkdir()
    (scene / "other" / "mine.png").write_bytes(b"")
    with pytest.raises(BadArgument, match="not written by backend masks"):
        run(scene, scene / "other")
    with pytest.raises(BadArgument, match="is a file"):
        run(scene, scene / "other" / "mine.png")
    run(scene, scene / "masks")
    with pytest.raises(BadArgument, match="made by owner/tiny with 32 points"):
        run(scene, scene / "masks", per_side=8)


def test_a_working_folder_goes_on_from_the_earlier_result_or_from_nothing(scene, bright, tmp_path):
    run(scene, tmp_path / "earlier")
    working, maker = tmp_path / "working", maker_of(WEIGHTS)
    continue_in(working, tmp_path / "earlier", maker)
    assert run(scene, working).kept == 3
    continue_in(working, tmp_path / "nowhere", maker)
    assert run(scene, working).kept == 3, "what is there stays"
    continue_in(working, tmp_path / "earlier", maker_of(WEIGHTS, 8))
    assert not working.exists(), "another maker's masks are of no use"


def test_a_real_model_goes_the_whole_way_and_its_masks_are_read(scene, model, lenient, tmp_path):
    weights = find_weights(str(model("sam2")))
    assert weights is not None
    made = make_masks(load_scene(scene).views, tmp_path / "masks", weights, per_side=2)
    assert made.photographs == 3
    assert made.masks == sum(len(read_rle(tmp_path / "masks" / f"{stem}.json")) for stem in STEMS)
    assert made.masks > 0
    assert all(view.mask_path is not None for view in load_scene(scene, tmp_path / "masks").views)

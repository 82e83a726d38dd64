"""What `segment` makes of a request as a whole; its parts have tests of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from backend.corrections import correct, undo
from backend.demo.scene import write_scene
from backend.pipeline import BY_GEOMETRY, reconstruct_to_file, segment
from backend.reconstruct import reconstruct
from backend.scene import load_scene, read_mask
from backend.scene.images import read_stored
from backend.segmenter import find_weights
from backend.segmenter.mask_records import ScoredMask
from protocol.errors import BadArgument, BadMask, Unavailable
from protocol.job_request import JobRequest
from protocol.ply import read_ply, write_ply
from protocol.result.corrections import read_corrections
from protocol.result.gaussians import read_splats
from protocol.result.names import LABEL, PART
from protocol.result.parts import read_parts

SMALL = JobRequest(device="cpu", steps=30, meshes=False, gallery=False)


@pytest.fixture(scope="module")
def small_room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_scene(folder / "room", objects=3, views=6, size=64, seed=1)
    return folder / "room"


def test_warnings_of_the_folder_and_of_the_splat_file_are_in_the_report(small_room: Path, tmp_path: Path):
    room = tmp_path / "room"
    shutil.copytree(small_room, room)
    (room / "masks" / "0001.png").rename(room / "masks" / "other.png")
    scene = load_scene(room)
    splats = reconstruct(scene, scene.views, steps=300, settings={"cap": 800})
    splats.quats[0] = 0
    write_ply(splats, room / "given.ply")
    request = replace(SMALL, steps=None, splats="given.ply", background_ids=[1, 2])
    report = segment(room, tmp_path / "out", request)
    assert report["gaussians"] == len(splats) - 1
    *of_scene, of_file = report["warnings"]
    assert of_scene[-2:] == [
        "1 files in masks do not match any photograph and were ignored (first: other.png).",
        "1 of 6 photographs have no mask (first: images/0001.png).",
    ]
    assert of_file == "given.ply has 1 Gaussians with a zero quaternion; they were dropped."


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_several_gpus_are_refused_where_there_is_none(small_room: Path, tmp_path: Path, device, monkeypatch):
    monkeypatch.setattr("backend.pipeline.device_of", lambda wanted: "cpu")
    with pytest.raises(BadArgument, match="GPU"):
        segment(small_room, tmp_path / "out", replace(SMALL, device=device, gpus=2))
    with pytest.raises(BadArgument, match="GPU"):
        reconstruct_to_file(small_room, tmp_path / "a.ply", JobRequest(steps=1, device=device, gpus=2))


def test_masks_steer_what_grows_unless_they_are_told_not_to(small_room: Path, tmp_path: Path):
    plain = tmp_path / "plain"
    shutil.copytree(small_room, plain)
    shutil.rmtree(plain / "masks")

    def means(scene: Path, steer: bool):
        reconstruct_to_file(scene, tmp_path / "a.ply", JobRequest(steps=100, device="cpu", steer=steer))
        return read_ply(tmp_path / "a.ply").means

    unsteered = means(plain, True)
    assert np.array_equal(means(small_room, False), unsteered)
    assert not np.array_equal(means(small_room, True), unsteered)


def test_a_scene_without_masks_is_segmented_by_geometry_alone(tmp_path: Path):
    room = tmp_path / "room"
    write_scene(room, objects=3, views=12, size=96, seed=1)
    asked = replace(SMALL, steps=300, test_views="last:0.2")
    masked = segment(room, tmp_path / "masked", replace(asked, masks_from="geometry"))
    shutil.rmtree(room / "masks")
    report = segment(room, tmp_path / "out", asked)
    assert report["method"] == masked["method"] == "geometry"
    assert report["warnings"].count(BY_GEOMETRY) == 1
    assert not report["refined"]
    assert not report["steered"]
    assert report["objects"] == masked["objects"] > 0
    splats = read_ply(tmp_path / "out" / "splats.ply")
    assert splats.extra["label"].max() == report["objects"]
    with pytest.raises(BadMask, match="has an instance mask"):
        segment(room, tmp_path / "no", replace(asked, method="consensus"))
    with pytest.raises(BadArgument, match="does not use masks"):
        segment(room, tmp_path / "no", replace(asked, method="consensus", masks_from="geometry"))


def test_options_reach_the_reconstruction_and_the_report(small_room: Path, tmp_path: Path):
    request = replace(SMALL, steps=60, max_gaussians=400, long_side=32, refine=False, masks="masks")
    report = segment(small_room, tmp_path / "out", request)
    assert report["gaussians"] <= 400
    assert not report["refined"]
    assert report["options"] == {
        "device": "cpu",
        "steps": 60,
        "meshes": False,
        "gallery": False,
        "max_gaussians": 400,
        "long_side": 32,
        "refine": False,
        "masks": "masks",
    }
    assert not (tmp_path / "out" / "gallery").exists()


def test_what_excludes_itself_is_refused_before_anything_is_read(tmp_path: Path):
    with pytest.raises(BadArgument, match="steps would have no effect"):
        segment(tmp_path / "nowhere", tmp_path / "out", JobRequest(splats="a.ply", steps=10))
    with pytest.raises(BadArgument, match="quality"):
        reconstruct_to_file(tmp_path / "nowhere", tmp_path / "a.ply", JobRequest(quality="best"))  # pyright: ignore[reportArgumentType]


class KnownMasks:
    """Replaces a model: returns the masks of a scene by photograph."""

    def __init__(self, scene: Path) -> None:
        self.ids = {read_stored(view).tobytes(): read_mask(view) for view in load_scene(scene).views}
        self.shown = 0

    def __call__(self, photographs, size, tell) -> list[list[ScoredMask]]:
        self.shown += len(photographs)
        found = []
        for pixels in photographs:
            ids = self.ids[pixels.tobytes()]
            assert ids is not None
            assert ids.shape == size
            found.append([ScoredMask(ids == i, predicted_iou=0.9) for i in np.unique(ids) if i > 0])
        return found


@pytest.fixture
def by_model(small_room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, JobRequest, KnownMasks]:
    """A scene without masks, a request, and a replacement for a model that makes masks."""
    room = tmp_path / "room"
    shutil.copytree(small_room, room)
    model = KnownMasks(room)
    shutil.rmtree(room / "masks")
    for name, content in (("config.json", "{}"), ("model.safetensors", "12345")):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_text(content)
    monkeypatch.setattr("backend.segmenter.run.load_segmenter", lambda *args: (model, ()))
    asked = replace(SMALL, steps=300, test_views="last:0.2", masks_model=str(tmp_path / "model"))
    return room, asked, model


def test_a_model_makes_masks_of_the_training_views_beside_the_result(by_model, tmp_path: Path):
    room, asked, model = by_model
    before = sorted(path.name for path in room.rglob("*"))
    report = segment(room, tmp_path / "out", asked)
    assert report["method"] == "consensus"
    assert report["objects"] > 0
    assert report["masks"] == {"model": str(tmp_path / "model"), "licence": "not stated", "bytes": 5}
    assert model.shown == 5
    assert any("Masks of 5 of 6 photographs were made by the model" in said for said in report["warnings"])
    assert not any("have no mask" in said for said in report["warnings"])
    assert len(list((tmp_path / "out" / "masks").glob("*.json"))) == 6, "five photographs and a hidden note"
    assert sorted(path.name for path in room.rglob("*")) == before, "the user's folder is as it was"
    assert not (tmp_path / ".out.masks").exists()
    assert segment(room, tmp_path / "out", asked)["objects"] == report["objects"]
    assert model.shown == 5, "masks of the earlier result are used again"


def test_masks_that_were_made_are_kept_where_a_later_step_fails(by_model, tmp_path: Path, monkeypatch):
    room, asked, model = by_model

    def fails(*args, **named):
        raise BadArgument("no")

    with monkeypatch.context() as patch:
        patch.setattr("backend.pipeline.lift", fails)
        with pytest.raises(BadArgument, match="no"):
            segment(room, tmp_path / "out", asked)
    assert not (tmp_path / "out").exists()
    segment(room, tmp_path / "out", asked)
    assert model.shown == 5


def test_a_known_model_of_this_machine_is_used_by_itself_and_not_where_geometry_is_asked_for(
    by_model, tmp_path, monkeypatch
):
    room, asked, model = by_model
    weights = find_weights(asked.masks_model)
    monkeypatch.setattr("backend.pipeline.find_known", lambda: weights)
    assert segment(room, tmp_path / "out", replace(asked, masks_model=None, masks_from="geometry"))["masks"] is None
    assert model.shown == 0
    assert segment(room, tmp_path / "out", replace(asked, masks_model=None))["method"] == "consensus"
    assert model.shown == 5


def test_a_model_that_cannot_be_used_is_told_before_anything_is_computed(by_model, small_room: Path, tmp_path: Path):
    room, asked, _ = by_model
    with pytest.raises(Unavailable, match="owner/none is not on this machine"):
        segment(room, tmp_path / "out", replace(asked, masks_model="owner/none"))
    with pytest.raises(BadArgument, match="mask folder were both given"):
        segment(room, tmp_path / "out", replace(asked, masks_from="geometry"))
    with pytest.raises(BadArgument, match="mask folder were both given"):
        segment(room, tmp_path / "out", replace(asked, masks=str(tmp_path)))
    with pytest.raises(BadArgument, match="already has masks in"):
        segment(small_room, tmp_path / "out", asked)


def test_masks_that_lie_on_one_another_give_objects_and_what_belongs_to_them(small_room: Path, tmp_path: Path):
    room = tmp_path / "room"
    shutil.copytree(small_room, room)
    for file in (room / "masks").iterdir():
        ids = np.array(Image.open(file))
        slices = [ids >= 0, ids == 0, *(ids == i for i in np.unique(ids[ids > 0]))]
        np.savez(file.with_suffix(".npz"), masks=np.stack(slices), scores=np.linspace(0.5, 1, len(slices)))
        file.unlink()
    report = segment(room, tmp_path / "out", replace(SMALL, refine=False))
    assert report["levels"]["level"] == "whole"
    assert report["levels"]["masks"] > 12
    assert report["levels"]["background_masks"] > 0
    assert any("were treated as background" in sentence for sentence in report["warnings"])
    table = read_parts(tmp_path / "out")
    assert table is not None
    assert table.level == "whole"
    labels, parts = (read_splats(tmp_path / "out").extra[name] for name in (LABEL, PART))
    for row in table.parts:
        assert (labels[parts == row.id] == row.whole).all()
        assert np.count_nonzero(parts == row.id) == row.count


def test_masks_without_parts_have_no_part_level(small_room: Path, tmp_path: Path):
    with pytest.raises(BadArgument, match="do not overlap"):
        segment(small_room, tmp_path / "out", replace(SMALL, level="part"))
    with pytest.raises(BadArgument, match="level"):
        segment(small_room, tmp_path / "out", JobRequest(level="half"))  # pyright: ignore[reportArgumentType]
    assert not (tmp_path / "out").exists()


def test_corrections_are_applied_again_when_a_scene_is_segmented_again(small_room: Path, tmp_path: Path):
    out = tmp_path / "out"
    request = replace(SMALL, steps=300, refine=False)
    segment(small_room, out, request)
    before = read_splats(out).extra[LABEL]
    assert before.max() >= 2
    change = correct(out, "background", ["1"], here=True, apply=True)
    np.testing.assert_array_equal(change.labels, np.where(before == 1, 0, before))
    report = segment(small_room, out, request)
    np.testing.assert_array_equal(read_splats(out).extra[LABEL], change.labels)
    assert read_corrections(out) == change.corrections
    assert not any("It was removed" in warning for warning in report["warnings"])
    undo(out, apply=True)
    np.testing.assert_array_equal(read_splats(out).extra[LABEL], before)

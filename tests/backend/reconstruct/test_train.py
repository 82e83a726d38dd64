"""The whole loop on a scene of coloured Gaussians, photographed by the engine itself."""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.progress import Cancelled, Stopped
from backend.reconstruct import held_out, optimiser, reconstruct, train
from backend.reconstruct.frame import training_origin
from backend.reconstruct.held_out import qualities
from backend.reconstruct.memory_estimate import DISK
from backend.reconstruct.schedule import RATES
from backend.render import Renderer, cuda, engine
from backend.scene.types import Scene, View
from protocol.errors import BadArgument, BadScene, Unavailable
from protocol.splats import Splats
from tests.backend.reconstruct.cameras import ring
from tests.backend.render import gsplat_stand_ins

NO_COLOURS = np.zeros((0, 3), np.uint8)


def truth(count: int = 300) -> Splats:
    rng = np.random.default_rng(1)
    return Splats(
        means=rng.uniform(-1, 1, (count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=np.log(rng.uniform(0.05, 0.2, (count, 3))).astype(np.float32),
        opacities=rng.uniform(0, 3, count).astype(np.float32),
        sh=rng.normal(0, 1, (count, 1, 3)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("scene")
    renderer = Renderer(truth(), "cpu")
    views = []
    for number, camera in enumerate(ring(8, (48, 48), 50.0)):
        pixels = (255 * np.clip(np.asarray(renderer.image(camera)), 0, 1)).astype(np.uint8)
        image, mask = root / f"{number}.png", root / f"mask{number}.png"
        Image.fromarray(pixels).save(image)
        Image.fromarray((pixels.max(2) > 120).astype(np.uint8)).save(mask)
        views.append(View(str(number), camera, image, mask))
    rng = np.random.default_rng(2)
    points = truth().means + rng.normal(0, 0.1, (300, 3)).astype(np.float32)
    return Scene(root, "made", tuple(views), points, np.full((300, 3), 128, np.uint8))


def test_training_raises_the_held_out_quality(scene):
    train_views, test_views = [*scene.views[:3], *scene.views[4:]], [scene.views[3]]
    start = np.mean(held_out(reconstruct(scene, train_views, steps=1), test_views))
    splats = reconstruct(scene, train_views, steps=120, settings={"cap": 600})
    end = np.mean(held_out(splats, test_views))
    assert end > start + 4
    assert 100 < len(splats) <= 600
    assert 0.3 < qualities(splats, test_views)[0].ssim <= 1


def test_without_sparse_points(scene):
    bare = dataclasses.replace(scene, points=scene.points[:0], colours=NO_COLOURS)
    before = np.mean(held_out(reconstruct(bare, scene.views, steps=1, settings={"cap": 800}), scene.views))
    after = np.mean(held_out(reconstruct(bare, scene.views, steps=100, settings={"cap": 800}), scene.views))
    assert after > before + 3


class StopAt:
    """A progress that cancels at a fraction, and counts its calls."""

    def __init__(self, fraction: float) -> None:
        self.fraction = fraction
        self.notes: list[str] = []

    def __call__(self, stage: str, fraction: float, note: str = "") -> None:
        assert stage == "reconstruct"
        assert 0 <= fraction <= 1
        self.notes.append(note)
        if fraction >= self.fraction:
            raise Cancelled


def same(a: Splats, b: Splats) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("means", "scales", "opacities", "sh"))


def test_a_stopped_run_resumes_and_ends_as_if_undisturbed(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    settings = {"cap": 500}
    undisturbed = reconstruct(scene, scene.views, steps=60, settings=settings)
    path = tmp_path / "training.npz"
    stop = StopAt(0.55)
    with pytest.raises(Cancelled):
        reconstruct(scene, scene.views, steps=60, settings=settings, checkpoint=path, progress=stop)
    assert "Gaussians" in stop.notes[-1]
    assert "dB" in stop.notes[-1]
    seen = StopAt(2.0)
    resumed = reconstruct(scene, scene.views, steps=60, settings=settings, checkpoint=path, progress=seen)
    assert len([note for note in seen.notes if "dB" in note]) < 35
    a, b = np.mean(held_out(resumed, scene.views)), np.mean(held_out(undisturbed, scene.views))
    assert a == pytest.approx(b, abs=0.1)
    assert same(resumed, undisturbed)
    assert same(reconstruct(scene, scene.views, steps=60, settings=settings, checkpoint=path), undisturbed)


def test_a_full_disk_ends_no_training(scene, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    undisturbed = reconstruct(scene, scene.views, steps=20)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setattr(train.checkpoints, "save", full)
        got = reconstruct(scene, scene.views, steps=20, checkpoint=tmp_path / "training.npz")
        assert same(got, undisturbed)
        broken.setattr(train, "REPORT_EVERY", 0.0)
        with pytest.raises(Stopped):
            reconstruct(scene, scene.views, steps=20, checkpoint=tmp_path / "training.npz", progress=stop_halfway)
    assert [record.getMessage().count("cannot be written") for record in caplog.records] == [1, 1]


def test_photographs_on_disk_change_no_bit_resumed_or_not(scene, tmp_path, monkeypatch, caplog):
    settings, steps = {"cap": 500, "long_side": 144}, 40
    large = photographed(scene, list(scene.views), tmp_path, lambda image: image.resize((144, 144)))
    undisturbed = reconstruct(scene, large, steps=steps, settings=settings)
    monkeypatch.setattr(train, "place_photographs", lambda *_, **__: DISK)
    monkeypatch.setattr(train, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    with caplog.at_level(logging.WARNING):
        assert same(reconstruct(scene, large, steps=steps, settings=settings), undisturbed)
    assert "The photographs do not fit in memory" in caplog.text
    path = tmp_path / "training" / "training.npz"
    with pytest.raises(Cancelled):
        reconstruct(scene, large, steps=steps, settings=settings, checkpoint=path, progress=StopAt(0.5))
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert same(reconstruct(scene, large, steps=steps, settings=settings, checkpoint=path), undisturbed)


def stop_halfway(stage: str, fraction: float, note: str = "") -> None:
    if "dB" in note and fraction >= 0.5:
        raise Stopped


def test_work_that_is_to_be_continued_later_saves_itself_first(scene, tmp_path, monkeypatch):
    undisturbed = reconstruct(scene, scene.views, steps=30)
    monkeypatch.setattr(train, "REPORT_EVERY", 0.0)
    path = tmp_path / "training.npz"
    with pytest.raises(Stopped):
        reconstruct(scene, scene.views, steps=30, checkpoint=path, progress=stop_halfway)
    with np.load(path) as saved:
        assert saved["steps"][0] == 15
    assert same(reconstruct(scene, scene.views, steps=30, checkpoint=path), undisturbed)


def test_a_checkpoint_of_other_settings_is_passed_over(scene, tmp_path, caplog):
    path = tmp_path / "training.npz"
    reconstruct(scene, scene.views, steps=5, checkpoint=path)
    with caplog.at_level(logging.WARNING):
        splats = reconstruct(scene, scene.views, steps=5, checkpoint=path, seed=1)
    assert "another scene or other settings" in caplog.text
    assert same(splats, reconstruct(scene, scene.views, steps=5, seed=1))


def test_spherical_harmonics_are_trained_degree_by_degree(scene):
    splats = reconstruct(scene, scene.views, steps=40, settings={"sh_degree": 2})
    assert splats.sh.shape[1:] == (9, 3)
    assert np.abs(splats.sh[:, 1:]).max() > 0


def photographed(scene: Scene, views: list[View], folder: Path, change) -> list[View]:
    found = []
    for view in views:
        image = change(Image.open(view.image_path))
        path = folder / f"changed{view.name}.png"
        image.save(path)
        camera = view.camera.resized(*image.size)
        mask = view.mask_path if image.width == image.height else None
        found.append(dataclasses.replace(view, image_path=path, camera=camera, mask_path=mask))
    return found


def test_black_photographs_end_in_a_finite_result(scene, tmp_path):
    black = photographed(scene, list(scene.views[:3]), tmp_path, lambda image: image.point(lambda value: 0))
    splats = reconstruct(scene, black, steps=60)
    assert len(splats) > 0
    assert all(np.isfinite(getattr(splats, name)).all() for name in ("means", "quats", "scales", "opacities", "sh"))
    bare = dataclasses.replace(scene, points=scene.points[:0], colours=NO_COLOURS)
    assert len(reconstruct(bare, black, steps=5)) > 0


def test_one_view_without_a_mask_or_points(scene):
    view = dataclasses.replace(scene.views[0], mask_path=None)
    bare = dataclasses.replace(scene, points=scene.points[:0], colours=NO_COLOURS)
    splats = reconstruct(bare, [view], steps=60)
    assert held_out(splats, [view])[0] > 15


def test_views_of_different_sizes_and_smaller_than_a_tile(scene, tmp_path):
    small = photographed(scene, list(scene.views[:2]), tmp_path, lambda image: image.resize((12, 6)))
    views = [*small, *scene.views[2:]]
    splats = reconstruct(scene, views, steps=40)
    assert np.mean(held_out(splats, list(scene.views))) > 14


def test_large_photographs_are_reduced(scene, tmp_path):
    large = photographed(scene, list(scene.views[:2]), tmp_path, lambda image: image.resize((288, 288)))
    photos = train.load_photographs(large, long_side=144, device="cpu")
    assert [photo.image.shape for photo in photos.full] == [(144, 144, 3)] * 2
    assert [photo.image.shape for photo in photos.half] == [(72, 72, 3)] * 2
    assert photos.half[0].camera.K[0, 0] == pytest.approx(photos.full[0].camera.K[0, 0] / 2)
    for photo in (*photos.full, *photos.half):
        assert photo.on_object is not None
        assert photo.on_object.shape == photo.image.shape[:2]
        # The mask is aligned with the image that it was made from: the bright pixels.
        bright = photo.image.amax(2) > 120
        assert (bright == photo.on_object).float().mean() > 0.8


def test_what_cannot_be_done_is_refused(scene):
    with pytest.raises(BadScene):
        reconstruct(scene, [])
    with pytest.raises(BadArgument):
        reconstruct(scene, scene.views, device="tpu")
    with pytest.raises(BadArgument):
        reconstruct(scene, scene.views, settings={"long_side": 0})
    if not torch.cuda.is_available():
        with pytest.raises(Unavailable):
            reconstruct(scene, scene.views, device="cuda")


# Runs that grow part where two candidates are nearly as strong.
@pytest.mark.parametrize(("grow_from", "absgrad", "apart"), [(31, False, 0.03), (10, False, 0.5), (10, True, 0.5)])
def test_the_loop_with_gsplats_kernels_played_by_torch(scene, grow_from, absgrad, apart, monkeypatch):
    # The stand-ins draw; they do not list the contributions that tell floaters.
    settings = {"cap": 450, "absgrad": absgrad, "grow_from": grow_from, "floater_checks": 0}
    ours = reconstruct(scene, scene.views, steps=30, settings=settings)
    gsplat_stand_ins.install(monkeypatch)
    monkeypatch.setattr(engine, "cpu", cuda)
    monkeypatch.setattr(optimiser, "_step_numba", optimiser._step_gsplat)
    theirs = reconstruct(scene, scene.views, steps=30, settings=settings)
    monkeypatch.undo()
    assert len(ours) == len(theirs)
    assert (len(ours) > 200) == (grow_from == 10)
    one, other = np.mean(held_out(ours, scene.views)), np.mean(held_out(theirs, scene.views))
    assert one == pytest.approx(other, abs=apart)


@pytest.mark.cuda
def test_the_same_loop_trains_on_cuda(scene):
    # Those of the CPU, which are for short runs, on both.
    rates = {f"rate_{name}": rate for name, rate in RATES["cpu"].items()} | {"rate_means": 2e-3}
    settings = {"cap": 600, "sh_degree": 3, "absgrad": True, **rates}
    splats = reconstruct(scene, scene.views, device="cuda", steps=120, settings=settings)
    cpu = reconstruct(scene, scene.views, device="cpu", steps=120, settings=settings)
    assert np.mean(held_out(splats, scene.views, "cuda")) > np.mean(held_out(cpu, scene.views)) - 1.5


def placed(capture: Scene, scale: float = 1.0, shift: tuple[float, float, float] = (0, 0, 0)) -> Scene:
    """The same capture with every coordinate times ``scale``, and then moved."""
    views = []
    for view in capture.views:
        viewmat = view.camera.viewmat.copy()
        viewmat[:3, 3] *= scale
        camera = dataclasses.replace(view.camera, viewmat=viewmat).moved(np.array(shift, float))
        views.append(dataclasses.replace(view, camera=camera))
    points = (capture.points * scale + np.array(shift)).astype(np.float32)
    return dataclasses.replace(capture, views=tuple(views), points=points)


def test_units_and_place_of_a_capture_cost_no_quality(scene):
    settings = {"cap": 600}

    def quality(capture: Scene) -> float:
        splats = reconstruct(capture, capture.views, steps=120, settings=settings)
        return float(np.mean(held_out(splats, capture.views)))

    usual = quality(scene)
    for other in (placed(scene, 1e-3), placed(scene, 1e3), placed(scene, 1.0, (1000, -2000, 500))):
        # Rounding alone leads runs of so few Gaussians a decibel apart.
        assert quality(other) > usual - 1.5


def test_gaussians_come_back_in_the_frame_of_the_capture(scene):
    shift = (1024.0, -2048.0, 512.0)
    far = placed(scene, 1.0, shift)
    origin = training_origin(far.views)
    centres = np.array([view.camera.centre for view in far.views])
    np.testing.assert_allclose(origin, centres.mean(0))
    assert not training_origin(scene.views).any()
    splats = reconstruct(far, far.views, steps=2)
    assert np.abs(np.median(splats.means, axis=0) - shift).max() < 1


def test_a_capture_too_far_for_float32_is_refused(scene):
    far = placed(scene, 1.0, (4.5e5, 5.2e6, 300))
    with pytest.raises(BadScene, match=r"5,219,4\d\d units from the origin.*pixels"):
        reconstruct(far, far.views, steps=2)

"""A joint run on three plain solids: the embedding learns, and the choice of what grows does not know of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from backend.demo.scene import write_scene
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.progress import Cancelled
from backend.reconstruct import reconstruct, train
from backend.reconstruct.initial import gaussians_at, initial_points, viewing_distance
from backend.reconstruct.optimiser import Adam
from backend.reconstruct.photographs import load_photographs
from backend.reconstruct.schedule import Schedule
from backend.reconstruct.train import Training
from backend.render import Renderer
from backend.scene.types import Scene, View
from bench.experiments import joint
from bench.experiments.joint import (
    EMBEDDING,
    UNREAD,
    EmbeddingTraining,
    JointTraining,
    checked_settings,
    lift_embedding,
    reconstruct_jointly,
)
from bench.scenes import make_scene
from protocol.errors import BadArgument
from protocol.ply import read_ply

CAP: dict[str, Any] = {"cap": 1200}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("joint")
    made = make_scene(objects=3, gaussians=1200, views=8, test_views=1, size=64, noise="clean", seed=5)
    renderer = Renderer(made.splats, "cpu")
    views = []
    for number, seen in enumerate(made.train):
        image, mask = root / f"{number}.png", root / f"mask{number}.png"
        pixels = np.clip(np.asarray(renderer.image(seen.camera)), 0, 1)
        Image.fromarray((255 * pixels).astype(np.uint8)).save(image)
        Image.fromarray(seen.mask.astype(np.uint16)).save(mask)
        views.append(View(str(number), seen.camera, image, mask))
    return Scene(root, "made", tuple(views), made.splats.means, np.full((1200, 3), 128, np.uint8))


def plain_training(scene: Scene, steps: int = 60) -> Training:
    photos = load_photographs(scene.views, long_side=64, device="cpu")
    points = initial_points(scene.points, scene.colours, photos.half, 300, 0)
    distance = viewing_distance(points[0], [photo.camera for photo in photos.full])
    schedule = Schedule.for_scene(distance, photos.pixels, len(points[0]), engine="cpu", steps=steps, **CAP)
    return Training(Adam(gaussians_at(points, distance, schedule.sh_degree, "cpu")), photos, schedule, 0)


def joint_training(scene: Scene, *, geometry: bool = True, steps: int = 60) -> JointTraining:
    plain = plain_training(scene, steps)
    labels = EmbeddingTraining(UnicLiftSettings(), plain.photos, scene.views, plain.schedule, 0, "cpu", geometry)
    return JointTraining(plain, labels, 0)


def test_label_gradients_move_gaussians_but_not_the_statistics_of_growth(scene):
    plain, jointly = plain_training(scene), joint_training(scene)
    plain.advance()
    jointly.advance()
    assert torch.equal(plain.growth.score, jointly.growth.score)
    assert torch.equal(plain.growth.seen, jointly.growth.seen)
    assert float(plain.growth.score.max()) > 0
    assert not torch.equal(plain.adam.columns["means"], jointly.adam.columns["means"])
    assert jointly.adam.columns[EMBEDDING].grad is None
    assert not torch.equal(jointly.adam.columns[EMBEDDING], jointly.labels.start(len(jointly.adam)))


def test_with_geometry_left_alone_the_gaussians_are_those_of_a_plain_run(scene):
    plain = reconstruct(scene, scene.views, steps=60, settings=CAP)
    beside, embedding = reconstruct_jointly(
        scene, scene.views, UnicLiftSettings(), steps=60, settings=CAP, geometry=False
    )
    assert len(plain) > 300
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert np.array_equal(getattr(plain, name), getattr(beside, name))
    assert embedding.shape == (len(plain), 12)


def mean_loss(training: JointTraining) -> float:
    """The label loss over all photographs, eqs. (5) and (6) left out."""
    labels, columns = training.labels, training.adam.columns
    losses = [labels.loss(columns, columns[EMBEDDING], photo, i, 0) for i, photo in enumerate(training.photos.full)]
    return float(np.mean([float(loss.detach()) for loss in losses if loss is not None]))


def test_the_embedding_learns_and_is_decoded(scene):
    jointly = joint_training(scene, steps=150, geometry=False)
    before = mean_loss(jointly)
    for _ in range(150):
        jointly.advance()
    assert mean_loss(jointly) < 0.6 * before
    for decode in ("evidence", "bits"):
        settings = UnicLiftSettings(decode=decode)
        found = lift_embedding(jointly.splats(), jointly.embedding(), scene.views, settings, "cpu")
        assert found.embedding is not None
        assert np.array_equal(found.embedding, jointly.embedding())
        assert found.labels.max() >= 2


def test_a_joint_run_resumes(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    path = tmp_path / "joint.npz"
    whole, embedding = reconstruct_jointly(scene, scene.views, UnicLiftSettings(), steps=60, settings=CAP)

    def stop(stage: str, fraction: float, note: str = "") -> None:
        if fraction > 0.5 and "dB" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        reconstruct_jointly(
            scene, scene.views, UnicLiftSettings(), steps=60, settings=CAP, checkpoint=path, progress=stop
        )
    notes: list[str] = []
    resumed, again = reconstruct_jointly(
        scene, scene.views, UnicLiftSettings(), steps=60, settings=CAP, checkpoint=path,
        progress=lambda stage, fraction, note="": notes.append(note),
    )  # fmt: skip
    assert len([note for note in notes if "dB" in note]) < 32
    # Stopped before eq. (6) has looked for neighbours, it ends as the undisturbed run does.
    assert np.array_equal(resumed.means, whole.means)
    assert np.array_equal(again, embedding)


def test_the_command_leaves_labels_and_the_embedding(tmp_path):
    write_scene(tmp_path / "room", objects=3, views=6, size=64, seed=1)
    joint.main(
        tmp_path / "room", tmp_path / "out", "last:0.2", "cpu", steps=30, setting=["decode=bits", "lambda_3d=0.0"]
    )
    splats = read_ply(tmp_path / "out" / "splats.ply")
    embedding = np.load(tmp_path / "out" / "embedding.npy")
    assert embedding.shape == (len(splats), 12)
    assert np.isfinite(embedding).all()
    assert embedding.std() > 0
    assert splats.extra["label"].max() > 0
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 1


@pytest.mark.parametrize("name", UNREAD)
def test_settings_that_it_would_not_read_are_refused(name):
    with pytest.raises(BadArgument, match=name):
        checked_settings({name: 1})

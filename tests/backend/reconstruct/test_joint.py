"""A joint run on three plain solids: the embedding learns, and the choice of what grows does not know of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from backend.lift import lift
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.progress import Cancelled
from backend.reconstruct import reconstruct, reconstruct_jointly, train
from backend.reconstruct.initial import gaussians_at, initial_points, viewing_distance
from backend.reconstruct.joint import Joint
from backend.reconstruct.optimiser import Adam
from backend.reconstruct.photographs import load_photographs
from backend.reconstruct.schedule import Schedule
from backend.reconstruct.train import EMBEDDING, Training
from backend.render import Renderer
from backend.scene.types import Scene, View
from bench.scenes import make_scene
from protocol.errors import BadArgument

CAP = {"cap": 1200}


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


def training(scene: Scene, *, joint: bool, geometry: bool = True, steps: int = 60) -> Training:
    photos = load_photographs(scene.views, long_side=64, device="cpu")
    points = initial_points(scene.points, scene.colours, photos.half, 300, 0)
    distance = viewing_distance(points[0], [photo.camera for photo in photos.full])
    schedule = Schedule.for_scene(distance, photos.pixels, len(points[0]), engine="cpu", steps=steps, **CAP)
    columns = gaussians_at(points, distance, schedule.sh_degree, "cpu")
    if not joint:
        return Training(Adam(columns), photos, schedule, 0)
    beside = Joint(UnicLiftSettings(), photos, scene.views, schedule, 0, "cpu", geometry)
    columns[EMBEDDING] = beside.start(len(points[0]))
    return Training(Adam(columns), photos, schedule, 0, beside)


def test_label_gradients_move_gaussians_but_not_the_statistics_of_growth(scene):
    plain, joint = training(scene, joint=False), training(scene, joint=True)
    plain.advance()
    joint.advance()
    assert torch.equal(plain.growth.score, joint.growth.score)
    assert torch.equal(plain.growth.seen, joint.growth.seen)
    assert float(plain.growth.score.max()) > 0
    assert not torch.equal(plain.adam.columns["means"], joint.adam.columns["means"])
    assert joint.adam.columns[EMBEDDING].grad is None
    assert not torch.equal(joint.adam.columns[EMBEDDING], joint.joint.start(len(joint.adam)))  # type: ignore[union-attr]


def test_with_geometry_left_alone_the_gaussians_are_those_of_a_plain_run(scene):
    plain = reconstruct(scene, scene.views, steps=60, settings=CAP)
    beside, embedding = reconstruct_jointly(
        scene, scene.views, UnicLiftSettings(), steps=60, settings=CAP, geometry=False
    )
    assert len(plain) > 300
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert np.array_equal(getattr(plain, name), getattr(beside, name))
    assert embedding.shape == (len(plain), 12)


def mean_loss(training: Training) -> float:
    """The label loss over all photographs, eqs. (5) and (6) left out."""
    joint, columns = training.joint, training.adam.columns
    assert joint is not None
    losses = [joint.loss(columns, columns[EMBEDDING], photo, 0) for photo in training.photos.full]
    return float(np.mean([float(loss.detach()) for loss in losses if loss is not None]))


def test_the_embedding_learns_and_is_decoded(scene):
    joint = training(scene, joint=True, steps=150, geometry=False)
    before = mean_loss(joint)
    for _ in range(150):
        joint.advance()
    assert mean_loss(joint) < 0.6 * before
    for decode in ("evidence", "bits"):
        found = lift(
            joint.splats(), scene.views, method="unic-lift", embedding=joint.embedding(), settings={"decode": decode}
        )
        assert found.embedding is not None
        assert np.array_equal(found.embedding, joint.embedding())
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


def test_only_unic_lift_decodes_an_embedding(scene):
    splats, embedding = reconstruct_jointly(scene, scene.views, UnicLiftSettings(), steps=2, settings=CAP)
    with pytest.raises(BadArgument, match="unic-lift"):
        lift(splats, scene.views, method="consensus", embedding=embedding)

"""Whole lifts on a small scene, and input of every unpleasant kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import backend.lift
from backend.demo.noise import Noise
from backend.evaluate.panoptic import panoptic_quality
from backend.lift import METHODS, Lift, MaskedView, label_map, lift
from backend.lift.evidence.background import background_share
from backend.lift.evidence.gather import gather_evidence
from backend.lift.evidence.views import masked_views
from backend.progress import Cancelled
from backend.render import Renderer
from backend.scene.types import View
from bench.scenes import MadeScene, make_scene
from protocol.errors import BadArgument, BadMask, BadSplats, Fault

FEW_STEPS = {
    "consensus": {},
    "unic-lift": {"steps": 150},
    # A few thousand Gaussians in views of 64 x 64: fewer anchors, or eq. (4) would outweigh eq. (3), and small masks.
    "contrastive": {"iterations": 5_000, "smallest_mask": 10, "anchors": 10},
    "hdbscan": {"steps": 100},
}
ENOUGH_STEPS = {
    **FEW_STEPS,
    "contrastive": {"smallest_mask": 10, "anchors": 10, "smallest_cluster": 30},
    "hdbscan": {"steps": 400},
}
BY_EVIDENCE = ("consensus", "unic-lift")
"""The methods that stand noisy masks in so few and small views; HDBSCAN finds too little to go by in them."""


def quality(made: MadeScene, found: Lift) -> float:
    engine = Renderer(made.splats, "cpu")
    maps = [label_map(engine, found.labels, view.camera) for view in made.test]
    return panoptic_quality(maps, [view.mask for view in made.test]).pq_things


def check(found: Lift, n: int) -> None:
    """What every Lift must be."""
    count = np.bincount(found.labels)
    assert found.labels.shape == found.confidence.shape == (n,)
    assert (found.labels.dtype, found.confidence.dtype, found.views.dtype) == (np.int32, np.float32, np.int32)
    assert (count[1:] > 0).all()
    assert (np.diff(count[1:]) <= 0).all()
    assert len(found.views) == found.labels.max() + 1
    assert np.isfinite(found.confidence).all()
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1


def test_what_is_missed_is_no_background_where_it_is_void() -> None:
    how = {"objects": 5, "gaussians": 4000, "views": 24, "test_views": 3, "size": 64, "seed": 3}
    merged, void = (make_scene(**how, noise=Noise(drop=0.7), void=void) for void in (False, True))
    shares = []
    for scene in (merged, void):
        evidence = gather_evidence(Renderer(scene.splats, "cpu"), masked_views(scene.train), len(scene.splats))
        shares.append(np.median(background_share(evidence)[(scene.labels > 0) & evidence.seen]))
        assert quality(scene, lift(scene.splats, scene.train, method="consensus")) > 95
    assert shares[0] > 0.6
    assert shares[1] < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_finds_the_objects(made: MadeScene, method: str) -> None:
    exact = [replace(v, mask=e) for v, e in zip(made.train, made.exact, strict=True)]
    views = made.train if method in BY_EVIDENCE else exact
    found = lift(made.splats, views, method=method, settings=ENOUGH_STEPS[method])
    check(found, len(made.splats))
    assert quality(made, found) > 80
    assert found.method == method
    assert found.settings.items() >= ENOUGH_STEPS[method].items()
    assert (found.embedding is None) == (method == "consensus")
    on_objects = found.labels > 0
    assert 0.5 < found.confidence[on_objects].mean() < 1
    has_masks = found.views[1 : made.labels.max() + 1] > 0
    # HDBSCAN leaves fragments that own no mask.
    assert has_masks.all() if method in BY_EVIDENCE else has_masks.sum() >= 4


def test_bits_are_reported_as_they_are(made: MadeScene) -> None:
    found = lift(made.splats, made.train, method="unic-lift", settings={"decode": "bits", "steps": 60, "rare_codes": 0})
    check(found, len(made.splats))
    assert found.embedding is not None
    assert found.embedding.shape == (len(made.splats), 12)
    assert found.labels.max() > made.labels.max()


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_labels(made: MadeScene, method: str) -> None:
    first, second = (lift(made.splats, made.train[:6], method=method, settings=FEW_STEPS[method]) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)


def test_names_of_ids_mean_nothing(made: MadeScene) -> None:
    rng = np.random.default_rng(0)

    def rename(mask: np.ndarray) -> np.ndarray:
        table = np.concatenate([[0], rng.choice(2**31 - 2, int(mask.max()), replace=False) + 1])
        return np.sort(table).astype(np.int32)[mask]

    renamed = [replace(view, mask=rename(view.mask)) for view in made.train]
    np.testing.assert_array_equal(lift(made.splats, made.train).labels, lift(made.splats, renamed).labels)


def test_masks_of_half_the_size(made: MadeScene) -> None:
    small = [MaskedView(v.name, v.camera, np.ascontiguousarray(v.mask[::2, ::2])) for v in made.train]
    assert quality(made, lift(made.splats, small)) > 55


@pytest.mark.parametrize("method", METHODS)
def test_half_of_the_masks(made: MadeScene, method: str) -> None:
    gone = View("gone", made.train[0].camera, image_path=backend.lift.__file__)  # pyright: ignore[reportArgumentType]
    half = [view if number % 2 else gone for number, view in enumerate(made.train)]
    found = lift(made.splats, half, method=method, settings=FEW_STEPS[method])
    check(found, len(made.splats))
    assert found.views.max() <= 6
    assert found.labels.max() >= (3 if method in BY_EVIDENCE else 1)


@pytest.mark.parametrize("method", METHODS)
def test_one_view(made: MadeScene, method: str) -> None:
    found = lift(made.splats, made.train[2:3], method=method, settings=FEW_STEPS[method])
    check(found, len(made.splats))
    assert found.labels.max() >= 1


@pytest.mark.parametrize("method", METHODS)
def test_one_object(made: MadeScene, method: str) -> None:
    exact = [replace(v, mask=(e == 1).astype(np.int32)) for v, e in zip(made.train, made.exact, strict=True)]
    found = lift(made.splats, exact, method=method, settings=FEW_STEPS[method])
    check(found, len(made.splats))
    assert found.labels.max() == 1
    alone = replace(made, test=[replace(view, mask=(view.mask == 1).astype(np.int32)) for view in made.test])
    assert quality(alone, found) > 85


@pytest.mark.parametrize("method", METHODS)
def test_masks_that_show_nothing(made: MadeScene, method: str) -> None:
    empty = [replace(view, mask=np.zeros_like(view.mask)) for view in made.train[:3]]
    found = lift(made.splats, empty, method=method)
    check(found, len(made.splats))
    assert found.labels.max() == 0


@pytest.mark.parametrize("method", METHODS)
def test_masks_that_cover_everything(made: MadeScene, method: str) -> None:
    full = [replace(view, mask=np.full_like(view.mask, 77_777)) for view in made.train[:3]]
    found = lift(made.splats, full, method=method, settings=FEW_STEPS[method])
    check(found, len(made.splats))
    assert found.labels.max() == 1


@pytest.mark.parametrize("method", METHODS)
def test_gaussians_that_are_not_numbers(made: MadeScene, method: str) -> None:
    means, scales = made.splats.means.copy(), made.splats.scales.copy()
    means[10], scales[20, 1] = np.nan, np.inf
    broken = replace(made.splats, means=means, scales=scales)
    found = lift(broken, made.train, method=method, settings=FEW_STEPS[method])
    check(found, len(broken))
    assert found.labels[[10, 20]].tolist() == [0, 0]
    assert found.confidence[[10, 20]].tolist() == [0, 0]
    assert found.labels.max() >= (made.labels.max() - 1 if method in BY_EVIDENCE else 1)


@pytest.mark.parametrize("method", METHODS)
def test_one_gaussian(made: MadeScene, method: str) -> None:
    check(lift(made.splats.pick(np.array([5])), made.train, method=method, settings=FEW_STEPS[method]), 1)


def test_nothing_in_sight(made: MadeScene) -> None:
    away = [replace(v, camera=replace(v.camera, viewmat=np.diag([1.0, 1, 1, 1]) + _shift(1e4))) for v in made.train]
    for method in METHODS:
        found = lift(made.splats, away, method=method, settings=FEW_STEPS[method])
        check(found, len(made.splats))
        assert found.labels.max() == 0


def _shift(z: float) -> np.ndarray:
    out = np.zeros((4, 4))
    out[2, 3] = -z
    return out


def test_refusals(made: MadeScene) -> None:
    none = made.splats.pick(np.zeros(0, np.int64))
    bare = [replace(view, mask=view.mask[:, :0]) for view in made.train[:1]]
    floats = [replace(view, mask=view.mask.astype(np.float32)) for view in made.train[:1]]
    cases: list[tuple[type[Fault], str, dict]] = [
        (BadArgument, "consensus", {"method": "magic"}),
        (BadArgument, "tau", {"settings": {"tua": 0.5}}),
        (BadArgument, "tau", {"settings": {"tau": 1.5}}),
        (BadArgument, "tau", {"settings": {"tau": float("nan")}}),
        (BadArgument, "smallest", {"settings": {"smallest": "many"}}),
        (BadArgument, "evidence, bits", {"method": "unic-lift", "settings": {"decode": "bytes"}}),
        (BadArgument, "dimensions", {"method": "unic-lift", "settings": {"dimensions": 1000}}),
        (BadSplats, "0 Gaussians", {"splats": none}),
        (BadMask, "None of the 0 views", {"views": []}),
        (BadMask, "shape", {"views": bare}),
        (BadMask, "float32", {"views": floats}),
    ]
    for kind, word, change in cases:
        arguments = {"splats": made.splats, "views": made.train[:2], **change}
        with pytest.raises(kind, match=word):
            lift(arguments.pop("splats"), arguments.pop("views"), **arguments)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stage", ["contributions", "lift"])
def test_can_be_stopped(made: MadeScene, method: str, stage: str) -> None:
    now = stage

    def stop(stage: str, fraction: float, note: str = "") -> None:
        assert 0 <= fraction <= 1
        if now == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        lift(made.splats, made.train[:3], method=method, progress=stop)


def test_progress_tells_the_truth(made: MadeScene) -> None:
    told: list[tuple[str, float]] = []

    def note_down(stage: str, fraction: float, note: str = "") -> None:
        told.append((stage, fraction))

    lift(made.splats, made.train, method="unic-lift", settings={"steps": 60}, progress=note_down)
    stages = [stage for stage, _ in told]
    assert stages == sorted(stages), "contributions come before lift"
    for stage in ("contributions", "lift"):
        fractions = [f for s, f in told if s == stage]
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0
        assert len(fractions) > 5

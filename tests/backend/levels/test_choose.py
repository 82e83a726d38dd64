"""Segment-everything masks in a generated room: whole objects, their parts, and no floor."""

from __future__ import annotations

import numpy as np
import pytest

from backend.evaluate.panoptic import panoptic_quality
from backend.levels import choose, is_layered
from backend.lift import MaskedView, label_map, lift
from backend.lift.evidence.views import LayeredView
from backend.render import Renderer
from bench.everything import Case, made_case
from protocol.errors import BadArgument, BadSplats


@pytest.fixture(scope="module")
def case() -> Case:
    """Four objects in halves, 20 training views of 160 x 160."""
    return made_case(4, "halves", 2, views=20, size=160)


def score(case: Case, labels: np.ndarray) -> float:
    renderer = Renderer(case.splats, "cpu")
    maps = [label_map(renderer, labels, view.camera) for view in case.test]
    return panoptic_quality(maps, [view.mask for view in case.test]).pq_things


def test_objects_are_whole_and_the_floor_is_background(case: Case):
    choice = choose(case.splats, case.train)
    labels = lift(case.splats, choice.views).labels
    quality, flat = score(case, labels), score(case, lift(case.splats, case.train).labels)
    assert quality > 85
    assert quality > flat + 5
    assert 0 < choice.background < choice.masks
    assert choice.planes > 0
    assert choice.sentence.startswith(f"{choice.background:,} of {choice.masks:,} masks show parts of floor")
    assert labels.max() == 4
    parts = choice.parts(case.splats, labels)
    assert np.bincount(parts.whole[1:]).tolist() == [0, 2, 2, 2, 2]
    assert ((parts.part == 0) | (parts.whole[parts.part] == labels)).all()


def test_parts_are_finer_and_know_their_whole(case: Case):
    choice = choose(case.splats, case.train, level="part")
    labels = lift(case.splats, choice.views).labels
    assert labels.max() == 8
    parts = choice.parts(case.splats, labels)
    assert np.bincount(parts.whole[1:]).tolist() == [0, 2, 2, 2, 2]
    assert score(case, parts.whole[labels]) > 85


def test_the_same_masks_give_the_same_choice_and_gaussians_that_are_not_finite_have_none(case: Case):
    spoilt = case.splats.pick(np.arange(len(case.splats)))
    spoilt.means[7] = np.nan
    first, again = (choose(spoilt, case.train[:6]) for _ in range(2))
    assert first.whole[7] == first.part[7] == -1
    assert all(np.array_equal(a.numbers, b.numbers) for a, b in zip(first.views, again.views, strict=True))
    spoilt.means[:] = np.nan
    with pytest.raises(BadSplats):
        choose(spoilt, case.train[:2])


def test_plain_masks_are_left_to_the_method(case: Case):
    view = case.test[0]
    assert not is_layered([view, LayeredView(view.name, view.camera, view.mask[None])])
    assert is_layered([view, case.train[0]])
    with pytest.raises(BadArgument, match="level 'half' does not exist"):
        choose(case.splats, [view], level="half")


def test_masks_of_nothing_give_nothing(case: Case):
    camera = case.test[0].camera
    empty = LayeredView("a", camera, np.zeros((1, camera.height, camera.width), np.int32), np.zeros(0, np.float32))
    choice = choose(case.splats, [empty, MaskedView("b", camera, empty.layers[0])])
    assert choice.masks == choice.background == 0
    assert not lift(case.splats, choice.views).labels.any()

"""Labels of pixels against the image of one channel per label."""

from __future__ import annotations

import numpy as np
import pytest

from backend.render import Renderer
from backend.render.label_image import label_image_of
from tests.backend.render import scenes


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("background", [1.0, 0.8])
def test_is_the_label_with_the_most_light(seed, background):
    splats, camera, _ = scenes.scene(seed)
    renderer = Renderer(splats, "cpu")
    labels = np.random.default_rng(seed).integers(0, 5, len(splats))
    light = renderer.image(camera, (labels[:, None] == np.arange(5)).astype(np.float32)).astype(np.float64)
    light[..., 0] = background * (1 - light[..., 1:].sum(2))
    top = np.sort(light, axis=2)
    clear = top[..., -1] - top[..., -2] > 1e-5
    drawn = renderer.labels(camera, labels, background)
    assert drawn.dtype == np.int32
    np.testing.assert_array_equal(drawn[clear], light.argmax(2)[clear])
    # Few Gaussians, so the listed ones are all of them.
    listed = label_image_of(renderer.contributions(camera, None, len(splats)), labels, camera, background)
    np.testing.assert_array_equal(listed[clear], drawn[clear])


def test_an_opaque_gaussian_and_none():
    _, camera, _ = scenes.scene(8)
    one = scenes.gaussians(8, 1, camera)
    one.means[:] = camera.centre + 2 * camera.viewmat[2, :3]
    one.opacities[:] = 8
    for label in (3, 7):
        assert set(np.unique(Renderer(one, "cpu").labels(camera, np.array([label])))) == {0, label}
    empty = scenes.gaussians(0, 0, camera)
    assert not Renderer(empty, "cpu").labels(camera, np.zeros(0, int)).any()


def test_labels_that_do_not_fit_are_refused():
    splats, camera, _ = scenes.scene(8)
    renderer = Renderer(splats, "cpu")
    for wrong in (np.zeros(len(splats) + 1, int), np.full(len(splats), -1)):
        with pytest.raises(ValueError, match="expected"):
            renderer.labels(camera, wrong)

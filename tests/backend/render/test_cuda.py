"""The CUDA engine: against the CPU engine where a GPU is, and with gsplat's kernels played by torch where none is."""

from __future__ import annotations

import gsplat
import gsplat.cuda._wrapper as wrapper
import numpy as np
import pytest
import torch

from backend.render import Renderer, cuda, rasterize
from backend.render.sh import blend_by_gsplat, blend_sh
from tests.backend.render import gsplat_stand_ins, scenes

SEEDS = (2, 5, 8, 13, 14)


@pytest.fixture
def stand_ins(monkeypatch):
    gsplat_stand_ins.install(monkeypatch)


def _compare_gradients(seed, channels, engine, device):
    splats, camera, _ = scenes.scene(seed)
    on_image, on_alpha = scenes.loss_weights(seed, camera, channels)
    both = []
    for draw, where in ((rasterize, "cpu"), (engine, device)):
        columns = scenes.tensors(splats, device=where)
        features = scenes.features(seed, len(splats), channels).detach().to(where).requires_grad_()
        rendered = draw(*columns, features, camera)
        ((rendered.image * on_image.to(where)).sum() + (rendered.alpha * on_alpha.to(where)).sum()).backward()
        gradients = [column.grad for column in (*columns, features, rendered.means2d)]
        both.append((rendered, gradients))
    (ours, our_gradients), (theirs, their_gradients) = both
    assert (ours.image - theirs.image.cpu()).abs().mean() < 1e-3
    assert (ours.alpha - theirs.alpha.cpu()).abs().mean() < 1e-3
    torch.testing.assert_close(
        ours.means2d[ours.visible], theirs.means2d.cpu()[ours.visible], atol=1e-3, rtol=1e-3
    )  # fmt: skip
    for one, other in zip(our_gradients, their_gradients, strict=True):
        assert one is not None
        assert other is not None
        assert (one - other.cpu()).norm() <= 5e-3 * one.norm() + 1e-5


def _compare_still(seed, engine):
    splats, camera, _ = scenes.scene(seed)
    ours = Renderer(splats, "cpu")
    features = np.random.default_rng(seed).normal(size=(len(splats), 40)).astype(np.float32)
    np.testing.assert_allclose(engine.image(camera, features), ours.image(camera, features), atol=2e-3)
    np.testing.assert_allclose(engine.image(camera, None), ours.image(camera), atol=2e-3)
    pixels = np.array([5, 77, 77, 0, 100])
    for chosen in (None, pixels):
        one, other = ours.contributions(camera, chosen, 6), engine.contributions(camera, chosen, 6)
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_allclose(one.weights, other.weights, atol=2e-3)
        clear = (one.weights > 1e-3) & (np.abs(np.diff(one.weights, append=0, axis=1)) > 1e-3)
        clear &= np.abs(np.diff(one.weights, prepend=2, axis=1)) > 1e-3
        np.testing.assert_array_equal(one.ids[clear], other.ids[clear])
    # More labels and ids than one chunk of channels holds.
    labels = np.random.default_rng(seed).integers(0, 2 * cuda.CHUNK, len(splats))
    for weight in (1.0, 0.01):
        one, other = ours.labels(camera, labels, weight), engine.labels(camera, labels, weight)
        assert (one == other).mean() > 0.98
    assert one.any()
    mask = (np.arange(camera.height)[:, None] // 3 * 7 + np.arange(camera.width) // 3).astype(np.int32)
    mask[:, :4] = -1  # void
    one, other = ours.votes(camera, mask), engine.votes(camera, mask)
    for a, b in zip(one[1:], other[1:], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-2, rtol=1e-2)
    same = one.label == other.label
    assert np.abs(one.own - other.own)[~same].max(initial=0) < 2e-2
    assert same.mean() > 0.9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("channels", [3, 40])
def test_our_side_of_the_calls_gradients(stand_ins, seed, channels):
    _compare_gradients(seed, channels, cuda.rasterize, "cpu")


def _compare_absgrad(seed, engine, device):
    splats, camera, _ = scenes.scene(seed)
    on_image, on_alpha = scenes.loss_weights(seed, camera, 3)
    both = []
    for draw, where in ((rasterize, "cpu"), (engine, device)):
        columns = scenes.tensors(splats, device=where)
        features = scenes.features(seed, len(splats), 3).detach().to(where).requires_grad_()
        rendered = draw(*columns, features, camera, absgrad=True)
        ((rendered.image * on_image.to(where)).sum() + (rendered.alpha * on_alpha.to(where)).sum()).backward()
        assert rendered.means2d.grad is not None
        both.append((rendered.absgrad.cpu(), rendered.means2d.grad.cpu()))
    (ours, our_sum), (theirs, their_sum) = both
    assert ours.shape == (len(splats), 2)
    assert ours.sum() > our_sum.abs().sum()
    assert (ours - theirs).norm() <= 5e-3 * ours.norm()
    assert (our_sum - their_sum).norm() <= 5e-3 * our_sum.norm()


@pytest.mark.parametrize("seed", SEEDS)
def test_our_side_of_the_calls_absgrad(stand_ins, seed):
    _compare_absgrad(seed, cuda.rasterize, "cpu")


@pytest.mark.parametrize("seed", SEEDS)
def test_our_side_of_the_calls_still(stand_ins, seed):
    splats, _, _ = scenes.scene(seed)
    _compare_still(seed, cuda.Still(splats, "cpu"))


@pytest.mark.parametrize("block", [1, 50])
def test_pixels_are_listed_a_block_at_a_time(stand_ins, block, monkeypatch):
    monkeypatch.setattr(cuda, "PIXELS", block)
    splats, _, _ = scenes.scene(2)
    _compare_still(2, cuda.Still(splats, "cpu"))


def _compare_ends(engine):
    """Pixels whose light ends: without the Gaussian that ends it, and the same in images and in contributions."""
    camera = scenes.camera(14, 50, 47)
    splats = scenes.gaussians(14, 200, camera)
    splats.opacities[:] = np.log(0.99 / 0.01)
    splats.scales[:] += 0.5
    ones = np.ones((len(splats), 1), np.float32)
    ours, theirs = Renderer(splats, "cpu").image(camera, ones), engine(splats).image(camera, ones)
    assert (ours > 1 - 1e-4).mean() > 0.3
    assert 1e-3 < (ours - theirs).max() < 0.01
    assert (ours - theirs).min() > -1e-4
    weights = engine(splats).contributions(camera, None, len(splats)).weights
    np.testing.assert_allclose(weights.sum(1), theirs.ravel(), atol=1e-4)


def test_the_gaussian_that_ends_a_pixel_is_left_out(stand_ins):
    _compare_ends(lambda splats: cuda.Still(splats, "cpu"))


def _compare_colours(count, blend, device):
    """Of spherical harmonics, with their gradients; ``blend`` in float32 on ``device``, sh_colours in float64."""
    camera = scenes.camera(3, 20, 20)
    splats = scenes.gaussians(3, 200, camera, count)
    weights = torch.tensor(np.random.default_rng(0).normal(size=(200, 3)))
    results = []
    for draw, dtype, where in ((blend_sh, torch.float64, "cpu"), (blend, torch.float32, device)):
        sh = torch.tensor(splats.sh, dtype=dtype, device=where, requires_grad=True)
        means = torch.tensor(splats.means, dtype=dtype, device=where, requires_grad=True)
        colours = draw(sh, means, camera)
        gradients = torch.autograd.grad((colours * weights.to(where)).sum(), [sh, means][: 1 + (count > 1)])
        results.append([colours, *gradients])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other.cpu().double(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("count", [4, 9, 16])
def test_our_side_of_the_calls_colours(stand_ins, count):
    def blend(sh, means, camera):
        return blend_by_gsplat(sh, means - torch.tensor(camera.centre, dtype=torch.float32))

    _compare_colours(count, blend, "cpu")


def _top_stand_in(means2d, conics, opacities, offsets, members, width, height, tile_size, k):
    """The strongest k of each pixel, in the order of depth, -1 where there are fewer."""
    ids, W, _ = gsplat_stand_ins.dense(means2d[0], conics, opacities, width, height, members)
    weights, columns = torch.cat([W, W.new_zeros(len(W), k)], 1).topk(k, 1)
    columns, order = columns.sort(1)
    weights = weights.gather(1, order)
    found = torch.cat([ids, ids.new_full((k,), -1)])[columns]
    found = torch.where(weights > 0, found, -1).to(torch.int32)
    return found.view(1, height, width, k), weights.view(1, height, width, k)


@pytest.mark.parametrize("seed", SEEDS)
def test_our_side_of_the_operation_of_gsplat_1_6(stand_ins, seed, monkeypatch):
    splats, _, _ = scenes.scene(seed)
    monkeypatch.setattr(gsplat, "rasterize_top_contributing_gaussian_ids", _top_stand_in, raising=False)
    assert cuda.tops()
    _compare_still(seed, cuda.Still(splats, "cpu"))


@pytest.mark.parametrize("channels", [1, 7, 12, 27, 39])
def test_only_numbers_of_channels_that_gsplat_1_6_takes_are_asked_for(stand_ins, channels, monkeypatch):
    by_gsplat = wrapper.rasterize_to_pixels

    def strict(means2d, conics, colors, *rest, **named):
        assert colors.shape[-1] in (1, 2, 3, 4, 5, 6, 8, 9, 16, 17, 21, 23, 24, 32), "gsplat 1.6 raises ValueError"
        return by_gsplat(means2d, conics, colors, *rest, **named)

    monkeypatch.setattr(wrapper, "rasterize_to_pixels", strict)
    splats, camera, _ = scenes.scene(2)
    features = np.random.default_rng(2).normal(size=(len(splats), channels)).astype(np.float32)
    image = cuda.Still(splats, "cpu").image(camera, features)
    assert image.shape[-1] == channels
    np.testing.assert_allclose(image, Renderer(splats, "cpu").image(camera, features), atol=2e-3)
    _compare_gradients(2, channels, cuda.rasterize, "cpu")


def _compare_nothing(engine, device):
    """No Gaussians at all, and some of which none is seen."""
    camera = scenes.camera(0, 20, 10)
    behind = scenes.gaussians(0, 5, camera)
    behind.means[:] = camera.centre - 3 * camera.viewmat[2, :3]
    for splats in (scenes.gaussians(0, 0, camera), behind):
        renderer = engine(splats)
        assert not renderer.image(camera, None).any()
        found = renderer.contributions(camera, None, 3)
        assert found.ids.shape == found.weights.shape == (200, 3)
        assert not found.weights.any()
        votes = renderer.votes(camera, np.ones((10, 20), np.int32))
        assert votes.label.tolist() == [-1] * len(splats)
        columns = scenes.tensors(splats, device=device)
        features = torch.ones(len(splats), 3, device=device, requires_grad=True)
        rendered = (rasterize if device == "cuda" else cuda.rasterize)(*columns, features, camera)
        (rendered.image.sum() + rendered.alpha.sum()).backward()
        assert rendered.image.shape == (10, 20, 3)
        assert rendered.means2d.shape == rendered.radii.shape == (len(splats), 2)
        assert not rendered.visible.any()
        assert features.grad is not None
        assert not features.grad.any()


def test_a_view_that_sees_nothing_is_black_and_lists_no_pairs(stand_ins, monkeypatch):
    monkeypatch.setattr(wrapper, "rasterize_to_indices_in_range", None)
    _compare_nothing(lambda splats: cuda.Still(splats, "cpu"), "cpu")


@pytest.mark.cuda
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("channels", [1, 3, 40])
def test_gradients_on_cuda(seed, channels):
    _compare_gradients(seed, channels, rasterize, "cuda")


@pytest.mark.cuda
@pytest.mark.parametrize("seed", SEEDS)
def test_absgrad_on_cuda(seed):
    _compare_absgrad(seed, rasterize, "cuda")


@pytest.mark.cuda
@pytest.mark.parametrize("seed", SEEDS)
def test_contributions_votes_and_images_on_cuda(seed):
    splats, _, _ = scenes.scene(seed)
    _compare_still(seed, Renderer(splats, "cuda"))


@pytest.mark.cuda
def test_the_gaussian_that_ends_a_pixel_is_left_out_on_cuda():
    _compare_ends(lambda splats: Renderer(splats, "cuda"))


@pytest.mark.cuda
@pytest.mark.parametrize("count", [1, 4, 9, 16])
def test_colours_on_cuda(count):
    cuda.require()
    _compare_colours(count, blend_sh, "cuda")


@pytest.mark.cuda
def test_a_view_that_sees_nothing_on_cuda():
    _compare_nothing(lambda splats: Renderer(splats, "cuda"), "cuda")

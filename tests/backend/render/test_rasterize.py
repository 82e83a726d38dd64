"""The CPU engine against the dense reference: the same numbers forward, the same gradients backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.render import Rendered, rasterize, reference
from backend.scene.types import Camera
from tests.backend.render import scenes

NAMES = ("means", "quats", "scales", "opacities", "features")


def _close(got: torch.Tensor, expected: torch.Tensor, tolerance: float, what: str) -> None:
    error = (got.double() - expected).norm().item()
    assert error <= tolerance * max(expected.norm().item(), 1e-3), f"{what}: {error} of {expected.norm().item()}"


@pytest.mark.parametrize("seed", range(20))
def test_images_and_all_gradients_agree_with_the_dense_reference(seed):
    splats, camera, channels = scenes.scene(seed)
    ours = (*scenes.tensors(splats), scenes.features(seed, len(splats), channels))
    theirs = (*scenes.tensors(splats, torch.float64), scenes.features(seed, len(splats), channels, torch.float64))
    on_image, on_alpha = scenes.loss_weights(seed, camera, channels)

    rendered = rasterize(*ours, camera)
    image, alpha = reference.rasterize(*theirs, camera)
    ((rendered.image * on_image).sum() + (rendered.alpha * on_alpha).sum()).backward()
    ((image * on_image.double()).sum() + (alpha * on_alpha.double()).sum()).backward()

    assert rendered.image.shape == (camera.height, camera.width, channels)
    assert (rendered.image - image).abs().max() < 1e-4
    assert (rendered.alpha - alpha).abs().max() < 1e-4
    for name, one, other in zip(NAMES, ours, theirs, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        _close(one.grad, other.grad, 1e-3, name)


def test_the_scenes_hold_what_they_are_for():
    behind = off = faint = drawn = 0
    for seed in range(20):
        splats, camera, channels = scenes.scene(seed)
        columns = scenes.tensors(splats)
        rendered = rasterize(*columns, scenes.features(seed, len(splats), channels), camera)
        depths = splats.means @ camera.viewmat[2, :3] + camera.viewmat[2, 3]
        dark = splats.alphas < 1 / 255
        visible = rendered.visible.numpy()
        behind += (depths <= 0).sum()
        faint += dark.sum()
        off += (~visible & (depths > 0.1) & ~dark).sum()
        drawn += visible.sum()
        assert not visible[(depths <= 0) | dark].any()
    assert min(behind, off, faint) >= 5
    assert drawn > 100


def test_gradient_of_the_centres_is_per_pixel():
    splats, camera, channels = scenes.scene(10)
    columns, features = scenes.tensors(splats), scenes.features(10, len(splats), channels)
    on_image, _ = scenes.loss_weights(10, camera, channels)
    rendered = rasterize(*columns, features, camera)
    (rendered.image * on_image).sum().backward()

    means, quats, scales, opacities = scenes.plain(splats, torch.float64)
    centres, conics, depths = reference.project(means, quats, scales, camera)
    centres.requires_grad_()
    W, _ = reference.weights_of(centres, conics, depths, opacities, camera)
    ((W @ features.detach().double()) * on_image.double().reshape(-1, channels)).sum().backward()

    assert rendered.means2d.grad is not None
    assert centres.grad is not None
    visible = rendered.visible
    torch.testing.assert_close(rendered.means2d[visible].double(), centres.detach()[visible], atol=1e-3, rtol=1e-4)
    _close(rendered.means2d.grad, centres.grad, 1e-3, "means2d")
    assert (rendered.means2d.grad[~visible] == 0).all()


@pytest.mark.parametrize("seed", [9, 10, 11, 13, 18])
def test_absgrad_is_the_sum_over_pixels_of_the_absolute_gradient(seed):
    splats, camera, channels = scenes.scene(seed)
    on_image, on_alpha = scenes.loss_weights(seed, camera, channels)

    def gradients(absgrad: bool) -> tuple[Rendered, list[torch.Tensor]]:
        columns = (*scenes.tensors(splats), scenes.features(seed, len(splats), channels))
        rendered = rasterize(*columns, camera, absgrad=absgrad)
        ((rendered.image * on_image).sum() + (rendered.alpha * on_alpha).sum()).backward()
        return rendered, [column.grad for column in (*columns, rendered.means2d) if column.grad is not None]

    rendered, with_it = gradients(True)
    _, without = gradients(False)
    for one, other in zip(with_it, without, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    summed, absolute, features = with_it[-1], rendered.absgrad, scenes.features(seed, len(splats), channels)

    means, quats, scales, opacities = scenes.plain(splats, torch.float64)
    centres, conics, depths = reference.project(means, quats, scales, camera)
    # A centre for each pixel: so the gradients of the pixels are not summed.
    apart = centres.expand(camera.width * camera.height, -1, -1).clone().requires_grad_()
    W, light = reference.weights_of(apart, conics, depths, opacities, camera)
    image_loss = ((W @ features.detach().double()) * on_image.double().reshape(-1, channels)).sum()
    (image_loss + ((1 - light) * on_alpha.double().reshape(-1)).sum()).backward()

    assert apart.grad is not None
    _close(summed, apart.grad.sum(0), 1e-3, "means2d")
    _close(absolute, apart.grad.abs().sum(0), 1e-3, "absgrad")
    assert absolute.sum() > 1.2 * summed.abs().sum()
    assert (absolute[~rendered.visible] == 0).all()


def test_absgrad_of_many_channels_is_refused():
    splats, camera, _ = scenes.scene(2)
    with pytest.raises(ValueError, match="32"):
        rasterize(*scenes.tensors(splats), scenes.features(2, len(splats), 33), camera, absgrad=True)


def test_radii_hold_every_pixel_a_gaussian_touches():
    splats, camera, _ = scenes.scene(2)
    columns = scenes.tensors(splats)
    rendered = rasterize(*columns, scenes.features(2, len(splats), 1), camera)
    W, _, _ = reference.weights(*scenes.plain(splats, torch.float64), camera)
    pixels, members = torch.nonzero(W > 0, as_tuple=True)
    centres = torch.stack([pixels % camera.width + 0.5, pixels // camera.width + 0.5], -1)
    assert ((centres - rendered.means2d[members]).abs() <= rendered.radii[members] + 1e-2).all()
    assert rendered.visible[members].all()


def test_nothing_to_draw_is_black_and_transparent():
    camera = scenes.camera(0, 20, 10)
    splats = scenes.gaussians(0, 0, camera)
    columns, features = scenes.tensors(splats), scenes.features(0, 0, 3)
    rendered = rasterize(*columns, features, camera)
    rendered.image.sum().backward()
    assert rendered.image.shape == (10, 20, 3)
    assert rendered.image.abs().sum() == 0
    assert rendered.alpha.abs().sum() == 0
    assert columns[0].grad is not None
    assert columns[0].grad.shape == (0, 3)


def test_wholly_transparent_gaussians_draw_nothing_and_get_no_gradient():
    splats, camera, channels = scenes.scene(2)
    means, quats, scales, _ = scenes.tensors(splats)
    opacities = torch.full((len(splats),), -8.0, requires_grad=True)
    rendered = rasterize(means, quats, scales, opacities, scenes.features(2, len(splats), channels), camera)
    (rendered.image.sum() + rendered.alpha.sum()).backward()
    assert rendered.alpha.abs().sum() == 0
    assert not rendered.visible.any()
    for tensor in (means, quats, scales, opacities):
        assert tensor.grad is not None
        assert (tensor.grad == 0).all()


def test_an_opaque_wall_hides_what_is_behind_it_exactly():
    camera = Camera(np.eye(4), np.array([[30.0, 0, 16], [0, 30.0, 16], [0, 0, 1]]), 32, 32)
    # Three walls leave less than 1e-4 of the light; the fourth is behind them.
    means = torch.tensor([[0, 0, 1.0], [0, 0, 1.1], [0, 0, 1.2], [0, 0, 2.0]], requires_grad=True)
    scales = torch.tensor([[3.0, 3.0, -4.0]] * 4)
    features = torch.tensor([[1.0], [1.0], [1.0], [5.0]], requires_grad=True)
    quats = torch.tensor([[1.0, 0, 0, 0]] * 4)
    rendered = rasterize(means, quats, scales, torch.full((4,), 9.0), features, camera)
    rendered.image.sum().backward()
    assert (rendered.alpha == 1).all()
    assert features.grad is not None
    assert features.grad[3] == 0
    assert (rendered.image - 1).abs().max() < 1e-3


@pytest.mark.parametrize("broken", ["zero quaternion", "tiny quaternion", "nan mean", "inf scale", "nan opacity"])
def test_degenerate_gaussians_spoil_neither_image_nor_gradients(broken):
    splats, camera, channels = scenes.scene(2)
    means, quats, scales, opacities = scenes.plain(splats)
    match broken:
        case "zero quaternion":
            quats[::3] = 0
        case "tiny quaternion":
            quats[::3] *= 1e-15
        case "nan mean":
            means[::3] = torch.nan
        case "inf scale":
            scales[::3] = 1000.0
        case "nan opacity":
            opacities[::3] = torch.nan
    features = scenes.features(2, len(splats), channels)
    columns = (means, quats, scales, opacities, features)
    for column in columns:
        column.requires_grad_()
    rendered = rasterize(means, quats, scales, opacities, features, camera)
    (rendered.image.sum() + rendered.alpha.sum()).backward()
    assert rendered.image.isfinite().all()
    for name, column in zip(NAMES, columns, strict=True):
        assert column.grad is not None
        assert column.grad.isfinite().all(), name


def test_the_result_does_not_depend_on_the_number_of_threads():
    import numba

    splats, camera, channels = scenes.scene(2)
    results = []
    for threads in (1, numba.get_num_threads()):
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        columns = (*scenes.tensors(splats), scenes.features(2, len(splats), channels))
        rendered = rasterize(*columns, camera)
        rendered.image.square().sum().backward()
        numba.set_num_threads(before)
        results.append([rendered.image.detach(), *(column.grad for column in columns)])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_features_alone_can_be_trained():
    splats, camera, channels = scenes.scene(2)
    geometry = scenes.plain(splats)
    features = scenes.features(2, len(splats), channels)
    rendered = rasterize(*geometry, features, camera)
    rendered.image.sum().backward()
    W, _, _ = reference.weights(*scenes.plain(splats, torch.float64), camera)
    assert features.grad is not None
    _close(features.grad, W.sum(0)[:, None].expand(-1, channels), 1e-4, "features")


def test_wrong_shapes_and_types_are_refused():
    splats, camera, channels = scenes.scene(2)
    means, quats, scales, opacities = scenes.tensors(splats)
    features = scenes.features(2, len(splats), channels)
    with pytest.raises(ValueError, match="quats"):
        rasterize(means, quats[:, :3], scales, opacities, features, camera)
    with pytest.raises(ValueError, match="means"):
        rasterize(means.double(), quats, scales, opacities, features, camera)
    with pytest.raises(ValueError, match="features"):
        rasterize(means, quats, scales, opacities, features[:, 0], camera)


def test_writing_into_the_image_before_backward_is_noticed():
    splats, camera, channels = scenes.scene(2)
    columns, features = scenes.tensors(splats), scenes.features(2, len(splats), channels)
    image = rasterize(*columns, features, camera).image
    image.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        image.sum().backward()

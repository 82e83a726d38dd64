from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from torch.nn.functional import conv2d

from backend.reconstruct import losses
from backend.reconstruct.losses import photometric_loss, photometric_loss_reference, psnr, ssim


def pair(height: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
    image = target / 255 + 0.2 * torch.randn(height, width, 3, generator=generator)
    return image.requires_grad_(True), target


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.2, 1.0]), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_fused_kernel_agrees_with_plain_torch_in_value_and_gradient(height, width, weight, seed):
    image, target = pair(height, width, seed)
    fused = photometric_loss(image, target, weight)
    (got,) = torch.autograd.grad(3 * fused, image)
    exact = image.detach().double().requires_grad_(True)
    reference = photometric_loss_reference(exact, target, weight)
    (wanted,) = torch.autograd.grad(3 * reference, exact)
    assert fused.item() == pytest.approx(reference.item(), rel=1e-4, abs=1e-5)
    scale = float(wanted.abs().max()) + 1e-12
    assert float((got - wanted).abs().max()) < 2e-3 * scale


def test_ssim_agrees_with_scikit_image_away_from_the_border():
    # Far inside a large image the border's share is small; scikit-image crops it, we pad with black.
    image, target = pair(160, 160, 3)
    ours = float(ssim(image.detach().double(), target.double() / 255))
    theirs = structural_similarity(
        image.detach().double().numpy(),
        target.double().numpy() / 255,
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ours == pytest.approx(theirs, abs=0.02)


def test_ssim_asks_for_no_convolution_that_a_gpu_rounds(monkeypatch):
    """On CUDA only depth-wise convolutions of float32 in row-major order are torch's own; cuDNN rounds to TF32."""

    def on_cuda(maps, window, padding, groups=1):
        if not (groups == maps.shape[1] > 1 and maps.is_contiguous()):
            maps, window = maps.contiguous(), window.contiguous()
            maps, window = (((t.view(torch.int32) + 0x1000) & ~0x1FFF).view(t.dtype) for t in (maps, window))
        return conv2d(maps, window, padding=padding, groups=groups)

    monkeypatch.setattr(losses, "conv2d", on_cuda)
    _compare_ssim("cpu")


def _compare_ssim(device: str) -> None:
    """In float32 on ``device`` with that in float64, of plain images: there small variances are all there is."""
    image, target = pair(40, 50, 4)
    image, wanted = 0.7 + 0.02 * image.detach(), 0.7 + 0.02 * target / 255
    single, exact = image.to(device).requires_grad_(), image.double().requires_grad_()
    found, similar = ssim(single, wanted.to(device)), ssim(exact, wanted.double())
    assert found.item() == pytest.approx(similar.item(), abs=1e-4)
    (got,), (right,) = torch.autograd.grad(found, single), torch.autograd.grad(similar, exact)
    assert (got.cpu() - right).norm() < 1e-2 * right.norm()


@pytest.mark.cuda
def test_ssim_on_cuda():
    _compare_ssim("cuda")


def test_equal_images_lose_nothing():
    _, target = pair(20, 30, 1)
    image = (target / 255).requires_grad_(True)
    assert photometric_loss(image, target, 0.2).item() == pytest.approx(0, abs=1e-6)
    assert psnr(image, target) > 90


def test_psnr_of_a_known_error():
    target = torch.full((8, 8, 3), 100, dtype=torch.uint8)
    image = target / 255 + 0.1
    assert psnr(image, target) == pytest.approx(20, abs=1e-3)
    assert np.isfinite(psnr(torch.zeros(4, 4, 3), torch.zeros(4, 4, 3, dtype=torch.uint8)))


def test_the_gradient_does_not_depend_on_how_rows_are_shared_out():
    results = []
    for bands in (1, 2, 7):
        image, target = pair(45, 30, 5)
        x, y = image.detach().numpy().reshape(45, 90), target.numpy().reshape(45, 90)
        gradient = np.empty_like(x)
        loss = losses._loss_and_gradient(x, y, np.float32(0.2), bands, gradient)
        results.append((loss, gradient))
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        assert np.array_equal(gradient, results[0][1])

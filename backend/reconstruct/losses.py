"""The photometric loss: L1 and structural dissimilarity, eq. (7) of 3D Gaussian Splatting.

There are two implementations: on the CPU :func:`photometric_loss` runs a fused numba kernel, which computes the
gradient in the same three passes over the image; elsewhere :func:`photometric_loss_reference` uses torch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv2d

from backend.compiled import inlined, kernel
from backend.threads import spread, threads_for

RADIUS = 5
"""The window of SSIM is 11 x 11 (Wang et al. 2004)."""

_taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / 1.5) ** 2)
WINDOW: NDArray[np.float32] = (_taps / _taps.sum()).astype(np.float32)
"""(11,) float32, the Gaussian window of SSIM, standard deviation 1.5 pixels, sum 1."""

C1 = 0.01**2
C2 = 0.03**2


def photometric_loss(image: torch.Tensor, target: torch.Tensor, ssim_weight: float) -> torch.Tensor:
    """Return (1 - w) mean |x - y| + w (1 - mean SSIM(x, y)), a scalar with a gradient to ``image``.

    SSIM treats pixels outside the image as black in both images, as the reference code of 3DGS does.

    Args:
        image: (H, W, 3) float32, the rendered image, about 0 to 1.
        target: (H, W, 3) uint8, the photograph, on the same device.
        ssim_weight: w, 0 to 1; 0.2 in the paper.
    """
    if image.device.type == "cpu":
        return _Fused.apply(image, target, ssim_weight)  # type: ignore[no-any-return]
    return photometric_loss_reference(image, target, ssim_weight)


def photometric_loss_reference(image: torch.Tensor, target: torch.Tensor, ssim_weight: float) -> torch.Tensor:
    """As :func:`photometric_loss`, in torch on any device."""
    wanted = target.to(image.dtype) / 255
    l1 = (image - wanted).abs().mean()
    if ssim_weight == 0:
        return l1
    return (1 - ssim_weight) * l1 + ssim_weight * (1 - ssim(image, wanted))


def ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the mean structural similarity of two (H, W, 3) images in 0 to 1, as a scalar."""
    x, y = a.permute(2, 0, 1).contiguous(), b.permute(2, 0, 1).contiguous()
    count = 4 * len(x)
    window = _window(count, a.dtype, a.device)

    def blur(maps: torch.Tensor) -> torch.Tensor:
        # One group per map: torch computes these on CUDA itself. cuDNN, which it uses otherwise, rounds to the 10 bits
        # of TF32, which leaves only noise of small variances.
        across = conv2d(maps[None], window, padding=(0, RADIUS), groups=count)
        return conv2d(across, window.view(count, 1, -1, 1), padding=(RADIUS, 0), groups=count)[0]

    # Everything in two convolutions, because small ones do not occupy a GPU. Only the sum of both variances is needed.
    mean_x, mean_y, squares, product = blur(torch.cat([x, y, x * x + y * y, x * y])).chunk(4)
    means = mean_x**2 + mean_y**2
    covar = product - mean_x * mean_y
    top = (2 * mean_x * mean_y + C1) * (2 * covar + C2)
    return (top / ((means + C1) * (squares - means + C2))).mean()


@lru_cache
def _window(count: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return WINDOW on a device, (count, 1, 1, 11); cached, because each copy would synchronise the device."""
    return torch.as_tensor(WINDOW, dtype=dtype, device=device).repeat(count, 1, 1, 1)


def psnr(image: torch.Tensor, target: torch.Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of a (H, W, 3) float image, clipped to 0..1, to a uint8 image."""
    error = float((image.detach().clamp(0, 1) - target.to(image.dtype) / 255).square().mean())
    return -10 * float(np.log10(max(error, 1e-10)))


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, target: torch.Tensor, ssim_weight: float) -> torch.Tensor:
        x = image.detach().contiguous()
        height, width = x.shape[:2]
        gradient = torch.empty_like(x)
        threads = threads_for(height)
        loss = _loss_and_gradient(
            x.numpy().reshape(height, width * 3),
            target.contiguous().numpy().reshape(height, width * 3),
            np.float32(ssim_weight),
            threads * -(-height // (threads * _BAND)),
            gradient.numpy().reshape(height, width * 3),
        )
        ctx.save_for_backward(gradient)
        return torch.tensor(loss, dtype=image.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0], None, None


# The kernels treat an image as H rows of 3 W interleaved values: a blur along the row has taps three apart, every loop
# runs over contiguous memory, and channels need not be separated.
_STRIDE = 3
_MARGIN = RADIUS * _STRIDE
_TURN = 15
"""Bit mask of a row's index in a ring of 16: a window of 11 rows, rounded up to a power of two."""
_BAND = 100
"""Most rows of a band: each band recomputes 20 rows of its neighbour."""


@inlined(fastmath=True)
def _blur_row(padded, window, out):
    k0, k1, k2, k3, k4, k5 = window[0], window[1], window[2], window[3], window[4], window[5]
    for x in range(out.shape[0]):
        out[x] = (
            k5 * padded[x + 15]
            + k4 * (padded[x + 12] + padded[x + 18])
            + k3 * (padded[x + 9] + padded[x + 21])
            + k2 * (padded[x + 6] + padded[x + 24])
            + k1 * (padded[x + 3] + padded[x + 27])
            + k0 * (padded[x] + padded[x + 30])
        )


@inlined(fastmath=True)
def _blur_column(ring, y, window, out):
    k0, k1, k2, k3, k4, k5 = window[0], window[1], window[2], window[3], window[4], window[5]
    a0, a1, a2, a3 = ring[(y - 5) & _TURN], ring[(y - 4) & _TURN], ring[(y - 3) & _TURN], ring[(y - 2) & _TURN]
    a4, a5, a6, a7 = ring[(y - 1) & _TURN], ring[y & _TURN], ring[(y + 1) & _TURN], ring[(y + 2) & _TURN]
    a8, a9, a10 = ring[(y + 3) & _TURN], ring[(y + 4) & _TURN], ring[(y + 5) & _TURN]
    for x in range(out.shape[0]):
        out[x] = (
            k0 * (a0[x] + a10[x])
            + k1 * (a1[x] + a9[x])
            + k2 * (a2[x] + a8[x])
            + k3 * (a3[x] + a7[x])
            + k4 * (a4[x] + a6[x])
            + k5 * a5[x]
        )


def _loss_and_gradient(
    image: NDArray[np.float32],
    target: NDArray[np.uint8],
    weight: np.float32,
    bands: int,
    gradient: NDArray[np.float32],
) -> float:
    """Return the loss and write its gradient to ``gradient`` (H, 3 W); both are independent of ``bands``."""
    absolute, similar = np.zeros(len(image), np.float64), np.zeros(len(image), np.float64)
    spread(_bands, bands, image, target, weight, WINDOW, bands, gradient, absolute, similar)
    l1 = float(absolute.sum() / image.size)
    return l1 if weight <= 0 else float((1 - weight) * l1 + weight * (1 - similar.sum() / image.size))


@kernel(fastmath=True)
def _bands(begin, end, image, target, weight, window, bands, gradient, absolute, similar):
    """Compute the gradient in bands begin to end, and each row's sums of absolute differences and of SSIM.

    A band of rows is processed in one pass. The last 16 rows blurred along the row are kept in two rings that fit the
    cache: one of the moments, and five rows behind it one of the derivatives of SSIM, which are blurred too. Rows
    outside the image are zero in both.
    """
    height, length = image.shape
    count = np.float32(height * length)
    l1_step = (np.float32(1) - weight) / count
    ssim_step = -weight / count
    for band in range(begin, end):
        first, last = height * band // bands, height * (band + 1) // bands
        for y in range(first, last):
            total = np.float32(0)
            for x in range(length):
                a, b = image[y, x], np.float32(target[y, x]) * np.float32(1 / 255)
                total += abs(a - b)
                gradient[y, x] = l1_step if a > b else (-l1_step if a < b else np.float32(0))
            absolute[y] = total
        if weight <= 0:
            continue
        # x, y, x x + y y (SSIM only needs the sum of both variances), and x y; then the same blurred.
        rows = np.zeros((4, length + 2 * _MARGIN), np.float32)
        slopes = np.zeros((3, length + 2 * _MARGIN), np.float32)
        across = np.zeros((4, _TURN + 1, length), np.float32)
        moments = np.empty((4, length), np.float32)
        # Derivatives of SSIM by mean(x), mean(x x) and mean(x y).
        back = np.zeros((3, _TURN + 1, length), np.float32)
        for ahead in range(first - 2 * RADIUS, last + 2 * RADIUS):
            if 0 <= ahead < height:
                for x in range(length):
                    a, b = image[ahead, x], np.float32(target[ahead, x]) * np.float32(1 / 255)
                    rows[0, x + _MARGIN], rows[1, x + _MARGIN] = a, b
                    rows[2, x + _MARGIN], rows[3, x + _MARGIN] = a * a + b * b, a * b
                for m in range(4):
                    _blur_row(rows[m], window, across[m, ahead & _TURN])
            else:
                across[:, ahead & _TURN] = 0
            y = ahead - RADIUS
            if y < first - RADIUS:
                continue
            if 0 <= y < height:
                for m in range(4):
                    _blur_column(across[m], y, window, moments[m])
                total = np.float32(0)
                for x in range(length):
                    mx, my = moments[0, x], moments[1, x]
                    squares = mx * mx + my * my
                    variances = moments[2, x] - squares
                    covar = moments[3, x] - mx * my
                    a1, a2 = 2 * mx * my + np.float32(C1), 2 * covar + np.float32(C2)
                    b1 = np.float32(1) / (squares + np.float32(C1))
                    b2 = np.float32(1) / (variances + np.float32(C2))
                    value = a1 * a2 * b1 * b2
                    total += value
                    by_square = -value * b2
                    by_product = 2 * a1 * b1 * b2
                    by_mean = 2 * my * a2 * b1 * b2 - 2 * mx * value * b1 - 2 * mx * by_square - my * by_product
                    slopes[0, x + _MARGIN] = by_mean
                    slopes[1, x + _MARGIN] = by_square
                    slopes[2, x + _MARGIN] = by_product
                if first <= y < last:
                    similar[y] = total
                for m in range(3):
                    _blur_row(slopes[m], window, back[m, y & _TURN])
            else:
                back[:, y & _TURN] = 0
            y -= RADIUS
            if y < first:
                continue
            for m in range(3):
                _blur_column(back[m], y, window, moments[m])
            for x in range(length):
                b = np.float32(target[y, x]) * np.float32(1 / 255)
                slope = moments[0, x] + 2 * image[y, x] * moments[1, x] + b * moments[2, x]
                gradient[y, x] += ssim_step * slope

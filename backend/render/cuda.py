"""The CUDA engine: gsplat's kernels behind the interface of :mod:`backend.render.cpu`.

Two differences from the CPU engine are unavoidable with gsplat 1.5.3. The Gaussian that would reduce a pixel's
transmittance to 1e-4 or below is skipped instead of being the last one drawn, as in INRIA's code; the missing weight is
at most 1e-4 alpha / (1 - alpha), which is 0.01 for an alpha of 0.99 and 0.1 for the largest. And the last digits of
gradient sums depend on the order in which threads add.
Only the kernels of gsplat are used. Its strategies and exporter are not: in 1.5.3 the default strategy never resets an
opacity (`step % every == 0 & step > 0` compares with `0 & step`), and one NaN opacity empties the whole export.
:mod:`backend.reconstruct.densify` and :mod:`protocol.ply` replace them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.render import kernels
from backend.render.model import ALPHA_MAX, LOW_PASS, NEAR, TILE
from backend.render.sh import sh_colours
from backend.render.types import Contributions, Rendered, Votes
from backend.scene.types import Camera
from protocol.errors import Unavailable
from protocol.splats import Splats

CHUNK = 32
"""Channels blended at once; gsplat's kernels keep all channels of a pixel in registers and slow down with more."""

WIDTHS = (1, 2, 3, 4, 5, 8, 9, 16, 17, 32)
"""Numbers of channels, up to CHUNK, that gsplat is compiled for: version 1.5.3 pads others, 1.6 rejects them."""

PIXELS = 2**18
"""Pixels whose pairs are listed at once, so that a large view needs no more memory than a small one."""

ALL = 2**31 - 1
"""More batches of Gaussians than any tile can have."""


@lru_cache(maxsize=1)
def missing() -> str | None:
    """Return why CUDA cannot be used, or None if it can; see :func:`backend.render.kernels.load`."""
    return kernels.load()


def require() -> None:
    """Raise Unavailable unless CUDA can be used."""
    reason = missing()
    if reason is not None:
        raise Unavailable(f"CUDA cannot be used: {reason}.", "Use --device cpu, or install the missing part.")


@dataclass(frozen=True)
class ProjectedSplats:
    """Gaussians projected for one camera, as gsplat's rasterisers expect them; leading dimensions are 1.

    Attributes:
        means2d: (N, 2) pixels. conics: (N, 3) 1/pixels^2. opacities: (N,). visible: (N,) bool.
        radii: (N, 2) int32 pixels. offsets: (1, tiles down, tiles across) int32. members: (n,) int32.
    """

    means2d: Tensor
    conics: Tensor
    opacities: Tensor
    visible: Tensor
    radii: Tensor
    offsets: Tensor
    members: Tensor


def project_splats(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, camera: Camera) -> ProjectedSplats:
    """Project Gaussians, sort them by depth and assign them to tiles."""
    from gsplat.cuda._wrapper import fully_fused_projection, isect_offset_encode, isect_tiles

    # Non-blocking, because a blocking copy would wait for all queued work of the device.
    viewmats, Ks = (
        torch.as_tensor(matrix, dtype=torch.float32).to(means.device, non_blocking=True)[None]
        for matrix in (camera.viewmat, camera.K)
    )
    alphas = torch.sigmoid(opacities)
    across, down = -(-camera.width // TILE), -(-camera.height // TILE)
    if not len(means):
        # gsplat divides by the number of Gaussians, which crashes the process if it is 0.
        none = torch.zeros(0, 2, dtype=torch.int32, device=means.device)
        offsets = torch.zeros(1, down, across, dtype=torch.int32, device=means.device)
        return ProjectedSplats(means[:, :2], scales, alphas, none[:, 0] > 0, none, offsets, none[:, 0].contiguous())
    radii, means2d, depths, conics, _ = fully_fused_projection(
        means, None, quats, torch.exp(scales), viewmats, Ks, camera.width, camera.height,
        eps2d=LOW_PASS, near_plane=NEAR, opacities=alphas,
    )  # fmt: skip
    visible = (radii[0] > 0).all(-1)
    # gsplat leaves the centres of invisible Gaussians uninitialised.
    centres = torch.where(visible[:, None], means2d[0], torch.zeros_like(means2d[0]))
    _, keys, members = isect_tiles(centres.detach()[None], radii, depths, TILE, across, down)
    offsets = isect_offset_encode(keys, 1, across, down)
    return ProjectedSplats(centres, conics[0], alphas, visible, radii[0], offsets, members)


def paint(
    seen: ProjectedSplats, features: Tensor, camera: Camera, drawn: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return image (H, W, C) and alpha (H, W) of features (N, C).

    Args:
        drawn: ``seen.means2d[None]``, if its ``absgrad`` is needed after ``backward``; then C is at most CHUNK.
    """
    from gsplat.cuda._wrapper import rasterize_to_pixels

    parts, alpha = [], None
    centres = seen.means2d[None] if drawn is None else drawn
    for chunk in features.split(CHUNK, dim=1):
        channels = chunk.shape[1]
        width = next(width for width in WIDTHS if width >= channels)
        padded = chunk if width == channels else torch.nn.functional.pad(chunk, (0, width - channels))
        part, one = rasterize_to_pixels(
            centres, seen.conics[None], padded[None].contiguous(), seen.opacities[None],
            camera.width, camera.height, TILE, seen.offsets, seen.members, absgrad=drawn is not None,
        )  # fmt: skip
        parts.append(part[0, ..., :channels])
        # Every chunk has the same alpha; only one of them carries its gradient.
        alpha = one[0, ..., 0] if alpha is None else alpha
    assert alpha is not None
    return torch.cat(parts, -1), alpha


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    features: Tensor,
    camera: Camera,
    absgrad: bool = False,
) -> Rendered:
    """See :func:`backend.render.engine.rasterize`."""
    require()
    seen = project_splats(means, quats, scales, opacities, camera)
    if seen.means2d.requires_grad:
        seen.means2d.retain_grad()
    drawn = seen.means2d[None] if absgrad else None
    image, alpha = paint(seen, features, camera, drawn)
    radii = seen.radii * seen.visible[:, None]
    return Rendered(image, alpha, seen.means2d, seen.visible, radii.to(torch.float32), drawn)


class Still:
    """Constant Gaussians: see :class:`backend.render.engine.Renderer`."""

    def __init__(self, splats: Splats, device: str = "cuda") -> None:
        def tensor(column: NDArray) -> Tensor:
            return torch.tensor(column, dtype=torch.float32, device=device)

        self._geometry = tensor(splats.means), tensor(splats.quats), tensor(splats.scales), tensor(splats.opacities)
        self._sh = tensor(splats.sh)
        self._device = device

    @torch.no_grad()
    def image(self, camera: Camera, features: NDArray[np.float32] | None) -> NDArray[np.float32]:
        if features is None:
            columns = sh_colours(self._sh, self._geometry[0], camera)
        else:
            columns = torch.tensor(features, dtype=torch.float32, device=self._device)
        return paint(project_splats(*self._geometry, camera), columns, camera)[0].cpu().numpy()

    @torch.no_grad()
    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None, k: int) -> Contributions:
        count = camera.width * camera.height
        chosen = np.arange(count) if pixels is None else np.array(pixels, np.int64)
        rows = torch.as_tensor(chosen, device=self._device)
        seen = project_splats(*self._geometry, camera)
        if tops() and len(seen.members):
            ids, values = strongest(seen, camera, k)
        else:
            ids = torch.zeros(count, k, dtype=torch.int32, device=self._device)
            values = torch.zeros(count, k, dtype=torch.float32, device=self._device)
            for some in torch.unique(rows).split(PIXELS):
                members, owners, weights = pairs(seen, camera, some)
                # Strongest first within each pixel, ties nearest first: positive floats sort like their bits.
                keys = (owners << 32) - weights.view(torch.int32)
                order = torch.sort(keys, stable=True).indices
                members, weights = members[order], weights[order]
                rank = _rank(owners, count)
                top = rank < k
                ids[owners[top], rank[top]] = members[top].to(torch.int32)
                values[owners[top], rank[top]] = weights[top]
        return Contributions(chosen, ids[rows].cpu().numpy(), values[rows].cpu().numpy())

    def votes(self, camera: Camera, mask: NDArray[np.int32]) -> Votes:
        """Return the votes. The image is W v, so the gradient of (image . mask is id) by v is the weight on id."""
        seen = project_splats(*self._geometry, camera)
        n = len(self._geometry[0])
        on = torch.as_tensor(np.ascontiguousarray(mask), device=self._device)
        ids = torch.unique(on)
        label = torch.full((n,), -1, dtype=torch.int32, device=self._device)
        own, total, zero = (torch.zeros(n, device=self._device) for _ in range(3))
        for some in ids.split(CHUNK):
            features = torch.zeros(n, len(some), device=self._device, requires_grad=True)
            image, _ = paint(seen, features, camera)
            (on_ids,) = torch.autograd.grad(image, features, (on[..., None] == some).to(torch.float32))
            total += on_ids.sum(1)
            zero += on_ids[:, some == 0].sum(1)
            most, which = on_ids.max(1)
            better = most > own
            label = torch.where(better, some[which].to(torch.int32), label)
            own = torch.where(better, most, own)
        return Votes(label.cpu().numpy(), own.cpu().numpy(), total.cpu().numpy(), zero.cpu().numpy())

    @torch.no_grad()
    def labels(self, camera: Camera, labels: NDArray[np.integer], background: float) -> NDArray[np.int32]:
        seen = project_splats(*self._geometry, camera)
        of = torch.as_tensor(labels.astype(np.int64), device=self._device)
        others = torch.unique(of[of > 0])
        rest = torch.ones(camera.height, camera.width, device=self._device)
        best, image = torch.zeros_like(rest), torch.zeros_like(rest, dtype=torch.int32)
        for some in others.split(CHUNK):
            shares, _ = paint(seen, (of[:, None] == some).to(torch.float32), camera)
            rest -= shares.sum(2)
            # Of equal maxima the first, which has the lowest label.
            most, which = shares.max(2)
            better = most > best
            image = torch.where(better, some[which].to(torch.int32), image)
            best = torch.where(better, most, best)
        return torch.where(background * rest >= best, 0, image).cpu().numpy()


def tops() -> bool:
    """Return whether this gsplat has an operation for the strongest Gaussians per pixel, as version 1.6 does."""
    import gsplat

    return hasattr(gsplat, "rasterize_top_contributing_gaussian_ids")


def strongest(seen: ProjectedSplats, camera: Camera, k: int) -> tuple[Tensor, Tensor]:
    """Return Gaussians and weights of all pixels, (H W, k) int32 and float32, strongest first, by gsplat 1.6's
    operation.

    gsplat pads ids with -1 and does not specify the order, so the result is sorted here.
    """
    import gsplat

    ids, weights = gsplat.rasterize_top_contributing_gaussian_ids(  # pyright: ignore[reportAttributeAccessIssue]
        seen.means2d[None], seen.conics[None], seen.opacities[None], seen.offsets, seen.members,
        camera.width, camera.height, TILE, k,
    )  # fmt: skip
    ids, weights = ids.reshape(-1, k), weights.reshape(-1, k)
    weights, order = torch.where(ids >= 0, weights, 0).sort(dim=1, descending=True, stable=True)
    return ids.gather(1, order).clamp_min(0), weights


def pairs(seen: ProjectedSplats, camera: Camera, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return all non-zero weights of some pixels, by pixel and nearest first: Gaussians, pixels, weights, each (n,).

    gsplat 1.5.3 lists the Gaussians of each pixel without their weights, so alpha and transmittance are recomputed.
    Takes about 60 bytes of device memory per pair.

    Args:
        pixels: (P,) row-major pixel numbers.
    """
    from gsplat.cuda._wrapper import rasterize_to_indices_in_range

    if not len(seen.members):
        nothing = torch.zeros(0, dtype=torch.int64, device=seen.means2d.device)
        return nothing, nothing, nothing.float()
    # A pixel that starts without light ends at its first Gaussian, and nothing is listed for it.
    light = torch.zeros(camera.height * camera.width, device=seen.means2d.device)
    light[pixels] = 1
    light = light.view(1, camera.height, camera.width)
    members, owners, _ = rasterize_to_indices_in_range(
        0, ALL, light, seen.means2d[None], seen.conics[None], seen.opacities[None],
        camera.width, camera.height, TILE, seen.offsets, seen.members,
    )  # fmt: skip
    members, owners = members.long(), owners.long()
    x, y = owners % camera.width + 0.5, owners // camera.width + 0.5
    dx, dy = x - seen.means2d[members, 0], y - seen.means2d[members, 1]
    a, b, c = seen.conics[members].unbind(-1)
    power = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alphas = (seen.opacities[members] * torch.exp(-power)).clamp_max(ALPHA_MAX)
    # T_i is the product of (1 - alpha) over the nearer Gaussians of the pixel: a running sum of logarithms minus its
    # value at the first entry of the pixel; float64, because the sum runs over the whole view.
    dimming = torch.log1p(-alphas.double())
    before = torch.cumsum(dimming, 0) - dimming
    first = _first(owners, camera.width * camera.height)
    transmittance = torch.exp(before - before[first[owners]]) if len(owners) else before
    return members, owners, alphas * transmittance.float()


def _first(owners: Tensor, count: int) -> Tensor:
    """Return (count,) the start of each pixel's run in the sorted ``owners``."""
    lengths = torch.bincount(owners, minlength=count)
    return torch.cumsum(lengths, 0) - lengths


def _rank(owners: Tensor, count: int) -> Tensor:
    """Return (n,) the index of each entry within its pixel's run."""
    return torch.arange(len(owners), device=owners.device) - _first(owners, count)[owners]

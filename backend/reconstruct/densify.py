"""Densification and pruning: adds Gaussians where image gradients are large, and removes those without effect.

Adaptive density control of 3DGS, section 5.2, with two changes. The number of added Gaussians is fixed and the
strongest candidates are used, so that the cost of a run is known; and the score is weighted higher on masked objects.
"""

from __future__ import annotations

import torch

from backend.reconstruct.optimiser import Adam, Columns
from backend.reconstruct.photographs import Photograph
from backend.reconstruct.schedule import Schedule
from backend.render import Rendered

SPLIT = 1.6
"""Factor by which the halves of a split Gaussian are smaller (3DGS, section 5.2)."""

APART = 0.7
"""Distance of the halves of a split Gaussian from the old centre, in standard deviations of a random draw."""

INSIDE = 3.0
"""Standard deviations within which a camera is inside a Gaussian."""

PAIRS = 2**24
"""Most distances between Gaussians and cameras computed at once, 4 bytes each: all at once could fill a GPU."""

FEWEST = 16
"""If pruning would leave fewer Gaussians than this, nothing is pruned, so that a dark scene does not become empty."""


class Growth:
    """The growth score of each Gaussian: the mean norm of the loss gradient with respect to its projected centre.

    In views rendered with ``absgrad``, it is the sum of the absolute gradients of the pixels.

    Attributes:
        score: (N,) float32, sum over the views that saw the Gaussian since the last densification.
        seen: (N,) float32, number of these views.
    """

    def __init__(self, count: int, device: torch.device | str) -> None:
        self.score = torch.zeros(count, device=device)
        self.seen = torch.zeros(count, device=device)

    @torch.no_grad()
    def observe(self, rendered: Rendered, photo: Photograph, mask_weight: float) -> None:
        """Add one view.

        Args:
            rendered: the view, after ``backward``.
            photo: the photograph of the view.
            mask_weight: factor for Gaussians whose centre lies on an object.
        """
        means2d, visible = rendered.means2d, rendered.visible
        gradient = means2d.grad if rendered.drawn is None else rendered.absgrad
        assert gradient is not None
        # Relative to the image size, so that photographs of different sizes count equally.
        pull = gradient.norm(dim=1) * max(photo.camera.width, photo.camera.height)
        if photo.on_object is not None and mask_weight != 1:
            height, width = photo.on_object.shape
            column = means2d[:, 0].nan_to_num().clamp(0, width - 1).long()
            row = means2d[:, 1].nan_to_num().clamp(0, height - 1).long()
            pull = torch.where(photo.on_object.view(-1)[row * width + column], pull * mask_weight, pull)
        self.score += torch.where(visible & pull.isfinite(), pull, 0)
        self.seen += visible

    def mean(self) -> torch.Tensor:
        """(N,) float32, 0 for a Gaussian that no view saw."""
        return self.score / self.seen.clamp(min=1)


@torch.no_grad()
def densify(
    adam: Adam,
    growth: Growth,
    schedule: Schedule,
    step: int,
    centres: torch.Tensor,
    generator: torch.Generator,
) -> Growth:
    """Prune, clone and split the Gaussians of ``adam`` in place, and return an empty score for the new ones.

    Gaussians that are faint, huge, not finite, or close to a camera are removed. Of the others, Gaussians with a camera
    inside grow first, then those with the highest scores, until :meth:`Schedule.room` is used up: small ones are
    cloned, large ones are split in two.

    Args:
        centres: (V, 3) float32, centres of the training cameras.
        generator: on the CPU for every device, so that checkpoints of both engines store the same state.
    """
    columns = adam.columns
    opacity = columns["opacities"].sigmoid()
    size = columns["scales"].exp().amax(1)
    keep = finite(columns) & (opacity > schedule.faint) & (size < schedule.huge_size)
    distance, camera = nearest_camera(columns["means"], centres)
    keep &= distance > schedule.close
    if int(keep.sum()) < FEWEST:
        keep = finite(columns)
    fog = _around_a_camera(columns, centres[camera])
    score = torch.where(keep, growth.mean().masked_fill(fog, torch.inf), 0)
    free = schedule.room(step, len(adam)) - int(keep.sum())
    wanted = max(0, min(free, int((score > 0).sum())))
    # A stable sort, not topk, so that ties are resolved equally in a resumed run.
    grown = score.argsort(descending=True, stable=True)[:wanted]
    large = (size[grown] > schedule.split_size) | fog[grown]
    halves, clones = grown[large], grown[~large]

    offset = _offsets(columns, halves, generator)
    columns["scales"][halves] -= float(torch.tensor(SPLIT).log())
    # Two equal Gaussians at one position transmit (1 - o')^2 of the light; this o' keeps the image (Rota Bulo et al.
    # 2024, "Revising densification", section 3.3).
    half = 1 - (1 - opacity[clones].clamp(max=0.999)).sqrt()
    columns["opacities"][clones] = torch.logit(half)

    added = {name: column[torch.cat([halves, clones])].detach().clone() for name, column in columns.items()}
    added["means"][: len(halves)] += offset
    columns["means"][halves] -= offset
    adam.rearrange(keep, added)
    return Growth(len(adam), opacity.device)


def finite(columns: Columns) -> torch.Tensor:
    """Return (N,) bool, whether all values of a Gaussian are finite."""
    rows = [column.detach().isfinite().view(len(column), -1).all(1) for column in columns.values()]
    return torch.stack(rows).all(0)


def nearest_camera(means: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (N,) float32 distances from ``means`` (N, 3) to the nearest of ``centres`` (V, 3), and (N,) its index."""
    # cdist uses matrix products, so far from the origin short distances would be lost to rounding.
    middle = centres.mean(0)
    rows = max(1, PAIRS // len(centres))
    parts = [torch.cdist(part - middle, centres - middle).min(1) for part in means.split(rows)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _around_a_camera(columns: Columns, cameras: torch.Tensor) -> torch.Tensor:
    """Return (N,) bool, whether the nearest camera, one of ``cameras`` (N, 3), is inside the INSIDE ellipsoid.

    Such a Gaussian usually represents a plain wall behind the camera with a few thick ellipsoids: the camera does not
    see it, but a neighbouring camera would look through it. Removing it would leave a hole; splitting makes it thinner.
    """
    near = cameras - columns["means"]
    local = _turned(near, columns["quats"] * columns["quats"].new_tensor([1, -1, -1, -1]))
    return (local / columns["scales"].exp()).norm(dim=1) < INSIDE


def _offsets(columns: Columns, rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return (len(rows), 3), a random offset for each Gaussian drawn from its own distribution."""
    draw = torch.randn(len(rows), 3, generator=generator).to(rows.device)
    return _turned(APART * draw * columns["scales"][rows].exp(), columns["quats"][rows])


def _turned(vectors: torch.Tensor, quats: torch.Tensor) -> torch.Tensor:
    """Rotate (M, 3) vectors by (M, 4) quaternions wxyz: v + 2 w (q x v) + 2 q x (q x v), with q normalised."""
    w, xyz = torch.nn.functional.normalize(quats, dim=1).split([1, 3], dim=1)
    turn = torch.linalg.cross(xyz, vectors)
    return vectors + 2 * (w * turn + torch.linalg.cross(xyz, turn))

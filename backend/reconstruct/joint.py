"""The embedding of UniC-Lift trained inside the reconstruction, as in the paper: a run to compare ours with.

Each step draws the embedding of the Gaussians in the view of its photograph and adds the paper's losses on it, eq. (4)
from the first step and eqs. (5) and (6) once densification is over. The embedding is drawn in a pass of its own, so the
centres by whose gradient Gaussians are chosen to grow belong to the photographs' pass alone, and label gradients never
count in that choice, as in the paper. Whether they reach the geometry it does not say: here not, unless asked, for
contrast of noisy masks then pulls Gaussians out of shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.lift.embedding.neighbours import neighbours, scene_extent
from backend.lift.embedding.samples import at_boundary
from backend.lift.evidence.views import compact
from backend.lift.unic_lift.losses import cluster_loss, draw_triplets, neighbour_loss, triplet_loss
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.reconstruct.optimiser import Adam, Columns
from backend.reconstruct.photographs import Photograph, Photographs
from backend.reconstruct.schedule import Schedule
from backend.render import rasterize
from backend.scene import read_mask
from backend.scene.types import View

LEARNING_RATE = 0.01
"""Of the embedding. The paper's 1e-4 moves a value by at most 3 in its 30,000 steps of Adam; a Gaussian is seen in a
third or so of our 4,500 and is to come as far."""

UNREAD = ("steps", "learning_rate", "strongest", "regularise_from")
"""Settings of `unic-lift` that belong to frozen geometry: the reconstruction's own stand in their place here."""


@dataclass(frozen=True)
class Segments:
    """The mask of one photograph, at its size.

    Attributes:
        ids: (H W,) int64, ids 1, 2, ... of this view, 0 for none, below 0 for void.
        boundary: (H W,) bool, pixels beside another segment.
        on_object, at_boundary: pixel numbers of the masks and of the boundaries, to draw from.
    """

    ids: Tensor
    boundary: Tensor
    on_object: Tensor
    at_boundary: Tensor


class Joint:
    """What a joint run trains besides Gaussians, and its losses.

    Args:
        settings: of `unic-lift`, without those of :data:`UNREAD`.
        photos: of the training.
        views: their views, in the same order.
        schedule: of the training; eqs. (5) and (6) begin after its last step that may add Gaussians.
        seed: of every draw.
        device: of the training.
        geometry: whether label gradients reach centres, rotations, sizes and opacities.
    """

    def __init__(
        self,
        settings: UnicLiftSettings,
        photos: Photographs,
        views: Sequence[View],
        schedule: Schedule,
        seed: int,
        device: str,
        geometry: bool = False,
    ) -> None:
        self.settings = settings
        self.schedule = schedule
        self.geometry = geometry
        self.learning_rate = LEARNING_RATE
        self.device = device
        self.chance = torch.Generator(device).manual_seed(seed)
        # By the photograph itself: the training holds them all, so none is ever another at the same place.
        self.segments: dict[int, Segments] = {}
        for view, full, half in zip(views, photos.full, photos.half, strict=True):
            mask = read_mask(view)
            if mask is not None:
                for photo in (full, half):
                    self.segments[id(photo)] = _segments(compact(mask), photo, settings.boundary_band, device)
        d = settings.dimensions
        project = torch.eye(d, device=device)
        project += 0.01 * torch.randn(d, d, generator=self.chance, device=device)
        self.project = Adam({"project": project})
        self.near = torch.empty(0, settings.neighbours, dtype=torch.int64, device=device)
        self.inside = torch.empty(0, settings.neighbours, device=device)

    def start(self, count: int) -> Tensor:
        """Return the (count, d) embedding to start from."""
        size = (count, self.settings.dimensions)
        return torch.randn(size, generator=self.chance, device=self.device) * self.settings.init_scale

    def loss(self, columns: Columns, embedding: Tensor, photo: Photograph, step: int) -> Tensor | None:
        """Return the label loss of one photograph; None where its mask has nothing to contrast.

        Args:
            columns: of the Gaussians.
            embedding: (N, d), theirs.
            photo: one of the training's.
            step: of the training.
        """
        segments, settings = self.segments.get(id(photo)), self.settings
        if segments is None:
            return None
        shape = columns if self.geometry else {name: column.detach() for name, column in columns.items()}
        rendered = rasterize(
            shape["means"], shape["quats"], shape["scales"], shape["opacities"], embedding, photo.camera
        ).image.view(-1, settings.dimensions)
        picked = self._pixels(segments)
        segment, boundary, rendered = segments.ids[picked], segments.boundary[picked], rendered.index_select(0, picked)
        if len(segment) == 0 or int(segment.min()) == int(segment.max()):
            return None
        squashed = torch.sigmoid(rendered)
        margin = settings.push_margin if settings.push == "hinge" else None
        loss = settings.lambda_cluster * cluster_loss(
            squashed if settings.sigmoid_before_cluster else rendered, segment, margin
        )
        if step <= self.schedule.grow_until:
            return loss
        if settings.lambda_triplet:
            triplets = draw_triplets(segment, boundary, settings.triplets, self.chance)
            projected = squashed @ self.project.columns["project"].T
            loss = loss + settings.lambda_triplet * triplet_loss(projected, triplets, settings.triplet_margin)
        if settings.lambda_3d and len(embedding) > 1:
            self._find_neighbours(columns["means"], step)
            centre = torch.randint(
                len(embedding), (settings.neighbour_sample,), generator=self.chance, device=self.device
            )
            # Gathered by index_select, whose gradient adds up in a fixed order, as that of an index does not.
            own, near = embedding.index_select(0, centre), self.near[centre]
            others = embedding.index_select(0, near.view(-1)).view(*near.shape, -1)
            if settings.sigmoid_before_3d:
                own, others = torch.sigmoid(own), torch.sigmoid(others)
            loss = loss + settings.lambda_3d * neighbour_loss(own, others, self.inside[centre])
        return loss

    def advance(self) -> None:
        """Move the matrix W of eq. (5) against its gradient; nothing before that equation is in use."""
        everything = torch.ones(self.settings.dimensions, dtype=torch.bool, device=self.device)
        self.project.step({"project": self.settings.projection_rate}, everything)

    def arrays(self) -> dict[str, NDArray]:
        """Return everything :meth:`restore` needs; neighbours are searched for again."""
        parts = {"columns": self.project.columns, "first": self.project.first, "second": self.project.second}
        arrays = {f"joint.{name}": part["project"].detach().cpu().numpy() for name, part in parts.items()}
        return arrays | {
            "joint.generator": self.chance.get_state().cpu().numpy(),
            "joint.steps": np.array([self.project.steps]),
        }

    def restore(self, arrays: dict[str, NDArray]) -> None:
        """Go on from :meth:`arrays`."""
        project, first, second = (
            {"project": torch.from_numpy(arrays[f"joint.{name}"]).to(self.device)}
            for name in ("columns", "first", "second")
        )
        self.project = Adam(project)
        self.project.first, self.project.second = first, second
        self.project.steps = int(arrays["joint.steps"][0])
        self.chance.set_state(torch.from_numpy(arrays["joint.generator"]))

    def _pixels(self, segments: Segments) -> Tensor:
        """Pixel numbers of a step: on objects, anywhere and at boundaries, in the shares of frozen geometry."""
        settings = self.settings
        count = settings.pixels
        total = settings.view_pixels + settings.boundary_pixels
        edge = count * settings.boundary_pixels // total
        objects = 3 * (count - edge) // 4
        everywhere = torch.randint(
            len(segments.ids), (count - edge - objects,), generator=self.chance, device=self.device
        )
        parts = [everywhere]
        for pool, many in ((segments.on_object, objects), (segments.at_boundary, edge)):
            if len(pool):
                parts.append(pool[torch.randint(len(pool), (many,), generator=self.chance, device=self.device)])
        picked = torch.cat(parts)
        return picked[segments.ids[picked] >= (0 if settings.void_is_segment else 1)]

    def _find_neighbours(self, means: Tensor, step: int) -> None:
        """Search neighbours again where Gaussians came or went, and as often as they may, for they also move."""
        if len(self.near) == len(means) and step % self.schedule.grow_every:
            return
        centres = means.detach().cpu().numpy()
        radius = self.settings.radius * scene_extent(centres, np.ones(len(centres), bool))
        near, inside = neighbours(centres, radius, self.settings.neighbours)
        self.near, self.inside = torch.from_numpy(near).to(self.device), torch.from_numpy(inside).to(self.device)


def _segments(mask: NDArray[np.int32], photo: Photograph, band: int, device: str) -> Segments:
    height, width = photo.camera.height, photo.camera.width
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    ids = np.ascontiguousarray(mask[np.ix_(rows, columns)])
    boundary = torch.from_numpy(at_boundary(ids, band).ravel()).to(device)
    flat = torch.from_numpy(ids.ravel().astype(np.int64)).to(device)
    return Segments(flat, boundary, torch.nonzero(flat > 0)[:, 0], torch.nonzero(boundary)[:, 0])

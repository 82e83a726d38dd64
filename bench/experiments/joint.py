"""The embedding of UniC-Lift trained inside the reconstruction, as in the paper, for comparison with ours.

    python -m bench.experiments.joint SCENE --out OUT --test-views last:0.2
    python -m bench.experiments.joint SCENE --out OUT --set decode=bits --geometry

Each step renders the embedding of the Gaussians in the view of its photograph and adds the paper's losses on it: eq.
(4) from the first step, eqs. (5) and (6) after densification. The embedding is rendered in a separate pass, so label
gradients do not affect which Gaussians are densified, as in the paper. The paper does not say whether they change the
geometry. Here they do so only with ``--geometry``, because the contrast of noisy masks then deforms Gaussians.

OUT gets ``splats.ply`` with labels, ``embedding.npy`` and ``labels/``, the label maps of the held-out views.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from backend.cli_options import parse_settings
from backend.lift import Lift, label_map
from backend.lift.embedding.neighbours import neighbours, scene_extent
from backend.lift.embedding.samples import at_boundary
from backend.lift.evidence.gather import gather_evidence
from backend.lift.evidence.views import compact, masked_views
from backend.lift.labels import as_lift
from backend.lift.methods import find_method, read_settings
from backend.lift.task import Labelling
from backend.lift.unic_lift.decode import decode
from backend.lift.unic_lift.losses import cluster_loss, draw_triplets, neighbour_loss, triplet_loss
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.objects import result
from backend.poses import place
from backend.progress import Progress, silent
from backend.reconstruct import checkpoint as checkpoints
from backend.reconstruct import held_out
from backend.reconstruct.densify import finite
from backend.reconstruct.optimiser import Adam, Columns
from backend.reconstruct.photographs import Photograph, Photographs
from backend.reconstruct.schedule import Schedule
from backend.reconstruct.train import Plan, Training, prepare, train
from backend.render import Renderer, device_of, rasterize
from backend.scene import load_scene, read_mask, split_views
from backend.scene.types import Scene, View
from backend.terminal import progress_bars
from protocol.errors import BadArgument
from protocol.result.folder import whole_folder
from protocol.splats import Splats

LEARNING_RATE = 0.01
"""Of the embedding. The paper's 1e-4 moves a value by at most 3 in its 30,000 steps of Adam; a Gaussian is seen in a
third or so of our 4,500 and is to come as far."""

UNREAD = (
    "steps",
    "learning_rate",
    "strongest",
    "regularise_from",
    "lambda_semantic",
    "squash",
    "start_length",
    "rare_codes",
)
"""Settings of `unic-lift` for frozen geometry, or for the decode by bits of frozen geometry."""

EMBEDDING = "embedding"
"""The column of the embedding: it grows, is pruned and is saved with the other columns."""


@dataclass(frozen=True)
class Segments:
    """The mask of one photograph, at its size.

    Attributes:
        ids: (H W,) int64, ids 1, 2, ... of this view, 0 for none, below 0 for void.
        boundary: (H W,) bool, pixels next to another segment.
        on_object, at_boundary: pixel numbers of the masks and of the boundaries, to draw from.
    """

    ids: Tensor
    boundary: Tensor
    on_object: Tensor
    at_boundary: Tensor


class EmbeddingTraining:
    """What a joint run trains in addition to Gaussians, and its losses.

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
        self.device = device
        self.chance = torch.Generator(device).manual_seed(seed)
        # By the number of the photograph and the width at which it is used.
        self.segments: dict[tuple[int, int], Segments] = {}
        for number, (view, full, half) in enumerate(zip(views, photos.full, photos.half, strict=True)):
            mask = read_mask(view)
            if mask is not None:
                for photo in (full, half):
                    segments = _segments(compact(mask), photo, settings.boundary_band, device)
                    self.segments[number, photo.camera.width] = segments
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

    def loss(self, columns: Columns, embedding: Tensor, photo: Photograph, number: int, step: int) -> Tensor | None:
        """Return the label loss of one photograph; None where its mask has nothing to contrast.

        Args:
            columns: of the Gaussians.
            embedding: (N, d), theirs.
            photo: one of the training's, at either size.
            number: of the photograph.
            step: of the training.
        """
        segments, settings = self.segments.get((number, photo.camera.width)), self.settings
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


class JointTraining(Training):
    """A reconstruction that also trains the embedding.

    Args:
        plain: the reconstruction before its first step.
        labels: the training of the embedding.
        seed: of the reconstruction.
    """

    def __init__(self, plain: Training, labels: EmbeddingTraining, seed: int) -> None:
        columns = plain.adam.columns | {EMBEDDING: labels.start(len(plain.adam))}
        super().__init__(Adam(columns), plain.photos, plain.schedule, seed, origin=plain.origin)
        self.labels = labels

    def advance(self) -> tuple[Photograph, Tensor]:
        seen = super().advance()
        self.labels.advance()
        return seen

    def loss(self, image: Tensor, photo: Photograph, number: int) -> Tensor:
        loss, columns = super().loss(image, photo, number), self.adam.columns
        labels = self.labels.loss(columns, columns[EMBEDDING], photo, number, self.step)
        return loss if labels is None else loss + labels

    def rates(self) -> dict[str, float | Tensor]:
        return super().rates() | {EMBEDDING: LEARNING_RATE}

    def embedding(self) -> NDArray[np.float32]:
        """Return (N, d) float32, the embedding of the Gaussians that :meth:`splats` returns."""
        columns = self.adam.columns
        return columns[EMBEDDING].detach()[finite(columns)].cpu().numpy()

    def arrays(self) -> checkpoints.Arrays:
        return super().arrays() | self.labels.arrays()

    def restore(self, path: Path, mark: str) -> bool:
        restored = super().restore(path, mark)
        arrays = checkpoints.load(path, mark) if restored else None
        if arrays is not None:
            self.labels.restore(arrays)
        return restored


def reconstruct_jointly(
    scene: Scene,
    train_views: Sequence[View],
    unic_lift: UnicLiftSettings,
    *,
    device: str = "cpu",
    steps: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    settings: Mapping[str, Any] | None = None,
    geometry: bool = False,
) -> tuple[Splats, NDArray[np.float32]]:
    """As :func:`backend.reconstruct.reconstruct`, with the embedding of UniC-Lift trained in the same loop.

    A run that continues from a checkpoint searches neighbours for eq. (6) again, so its last digits may differ.

    Args:
        unic_lift: the settings of the embedding and its losses; see :class:`EmbeddingTraining`.
        geometry: whether label gradients reach centres, rotations, sizes and opacities, on which the paper is silent:
            they cost several dB. They never count in the choice of what grows.

    Returns:
        The Gaussians, and their embedding, (N, d) float32.
    """
    device = device_of(device)
    plain, mark = prepare(Plan(scene, train_views, device, steps, seed, checkpoint, settings or {}), progress)
    labels = EmbeddingTraining(unic_lift, plain.photos, train_views, plain.schedule, seed, device, geometry)
    training = JointTraining(plain, labels, seed)
    train(training, f"{mark} {unic_lift} {geometry}", checkpoint, progress)
    return training.splats(), training.embedding()


def lift_embedding(
    splats: Splats, embedding: NDArray[np.float32], views: Sequence[View], settings: UnicLiftSettings, device: str
) -> Lift:
    """Return the labels of N finite Gaussians whose (N, d) float32 embedding was trained with them."""
    evidence = gather_evidence(Renderer(splats, device), masked_views(views), len(splats))
    labels = decode(embedding, splats, evidence, settings)
    every = np.ones(len(splats), bool)
    return as_lift(Labelling(labels, embedding), evidence, every, "unic-lift", asdict(settings))


def _segments(mask: NDArray[np.int32], photo: Photograph, band: int, device: str) -> Segments:
    height, width = photo.camera.height, photo.camera.width
    rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    ids = np.ascontiguousarray(mask[np.ix_(rows, columns)])
    boundary = torch.from_numpy(at_boundary(ids, band).ravel()).to(device)
    flat = torch.from_numpy(ids.ravel().astype(np.int64)).to(device)
    return Segments(flat, boundary, torch.nonzero(flat > 0)[:, 0], torch.nonzero(boundary)[:, 0])


def main(
    folder: Annotated[Path, typer.Argument(metavar="SCENE", help="A scene folder with masks.")],
    out: Annotated[Path, typer.Option(help="A new folder for Gaussians, labels and label maps.")],
    test_views: Annotated[str, typer.Option(help="Views held out of everything, as of `backend segment`.")] = "none",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Reconstruction steps.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of unic-lift; repeatable.")
    ] = None,
    geometry: Annotated[bool, typer.Option("--geometry", help="Let label gradients reach the geometry.")] = False,
) -> None:
    """Reconstruct a scene and train the embedding of unic-lift in the same steps."""
    device = device_of(device)
    given = parse_settings(setting or [])
    settings = checked_settings(given)
    scene = load_scene(folder)
    if not scene.matched:
        scene, _ = place(scene, seed)
    training_views, test = split_views(scene.views, test_views)
    with progress_bars() as progress:
        splats, embedding = reconstruct_jointly(
            scene, training_views, settings, device=device, steps=steps, seed=seed, progress=progress, geometry=geometry
        )
    lifted = lift_embedding(splats, embedding, training_views, settings, device)
    renderer = Renderer(splats, device)
    with whole_folder(out) as part:
        result.write_gaussians(part, splats, lifted)
        result.write_labels(part, {view.name: label_map(renderer, lifted.labels, view.camera) for view in test})
    quality = f", {np.mean(held_out(splats, test)):.1f} dB on held-out photographs" if test else ""
    print(f"{lifted.labels.max(initial=0)} objects in {len(splats):,} Gaussians{quality}: {out}")


def checked_settings(given: Mapping[str, float | int | str | bool]) -> UnicLiftSettings:
    """Return the settings of a joint run.

    Raises:
        BadArgument: if one is of :data:`UNREAD`, is unknown or has a wrong value.
    """
    unread = sorted(given.keys() & set(UNREAD))
    if unread:
        raise BadArgument(f"A joint run does not read {', '.join(unread)}.", "Leave out --set for these.")
    read: UnicLiftSettings = read_settings(*find_method("unic-lift"), given)
    # Here the decode changes no other default: both are decodes of one training.
    others = {name: value for name, value in given.items() if name != "decode"}
    return replace(read_settings(*find_method("unic-lift"), others), decode=read.decode)


if __name__ == "__main__":
    typer.run(main)

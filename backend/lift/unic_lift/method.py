"""`unic-lift`: the embedding is trained on pixels of the views, then decoded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.embedding.neighbours import scene_extent
from backend.lift.embedding.samples import sample_views
from backend.lift.evidence.views import masked_views
from backend.lift.task import Labelling, LiftTask
from backend.lift.unic_lift.decode import decode
from backend.lift.unic_lift.settings import UnicLiftSettings


def run(task: LiftTask, settings: UnicLiftSettings) -> Labelling:
    """Train the embedding and decode it."""
    embedding = trained_embedding(task, settings)
    task.progress("lift", 0.9, "decoding")
    return Labelling(decode(embedding, task.splats, task.evidence, settings), embedding)


def trained_embedding(task: LiftTask, settings: UnicLiftSettings) -> NDArray[np.float32]:
    """Return the (N, d) float32 embedding of the task's Gaussians; ones where no view has anything to contrast."""
    # Imported here because torch takes seconds to load, and the table of methods does not need it.
    from backend.lift.unic_lift.training import train

    samples = sample_views(
        task.renderer,
        masked_views(task.views),
        task.evidence.views,
        task.progress,
        task.seed,
        pixels=settings.view_pixels,
        boundary_pixels=settings.boundary_pixels,
        band=settings.boundary_band,
        strongest=settings.strongest,
    )
    means = task.splats.means
    if not samples or len(means) < 2:
        # In each view one mask, or none, covers all that is seen.
        return np.ones((len(means), settings.dimensions), np.float32)
    radius = settings.radius * scene_extent(means, task.evidence.seen)
    return train(samples, means, radius, settings, task.device, task.seed, task.progress, task.watch)

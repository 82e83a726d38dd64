"""`unic-lift`: the embedding is trained on pixels of the views, then decoded."""

from __future__ import annotations

import numpy as np

from backend.lift.embedding.neighbours import scene_extent
from backend.lift.embedding.samples import sample_views
from backend.lift.evidence.views import masked_views
from backend.lift.task import Labelling, LiftTask
from backend.lift.unic_lift.decode import decode
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.lift.unic_lift.trained import Trained


def run(task: LiftTask, settings: UnicLiftSettings) -> Labelling:
    """Train the embedding and decode it."""
    found = trained(task, settings)
    task.progress("lift", 0.9, "decoding")
    labels = decode(found.embedding, task.splats, task.evidence, settings, found.semantic)
    return Labelling(labels, found.embedding)


def trained(task: LiftTask, settings: UnicLiftSettings) -> Trained:
    """Return the embedding of the task's Gaussians; all ones if no view shows more than one mask."""
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
        # No view has pixels of two segments.
        return Trained(np.ones((len(means), settings.dimensions), np.float32), None)
    extent = scene_extent(means, task.evidence.seen)
    return train(samples, means, extent, settings, task.device, task.seed, task.progress, task.watch)

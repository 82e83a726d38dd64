"""Lifting: computes one instance label per Gaussian from masks.

``lift`` runs a method of :data:`METHODS`; ``label_map`` renders its labels in a view. All methods use the same votes
(:mod:`backend.lift.evidence.votes`) and contributions. To add a method, write a package with a settings class and a
``run`` function, and add one row to :mod:`backend.lift_methods` and one to :mod:`backend.lift.methods`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from backend.lift.evidence.gather import gather_evidence
from backend.lift.evidence.views import AnyView, MaskedView, masked_views
from backend.lift.label_maps import label_map, photograph_label_map
from backend.lift.labels import as_lift
from backend.lift.methods import METHODS, Value, find_method, read_settings, settings_dict
from backend.lift.region_evidence import region_evidence
from backend.lift.task import Labelling, LiftTask, Rendering
from backend.lift.types import Lift
from backend.progress import Progress, Watch, silent, unwatched
from protocol.errors import BadMask, BadSplats
from protocol.splats import Splats

__all__ = ["METHODS", "Lift", "MaskedView", "label_map", "lift", "photograph_label_map"]


def lift(
    splats: Splats,
    views: Sequence[AnyView],
    *,
    method: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    settings: Mapping[str, Value] | None = None,
    progress: Progress = silent,
    watch: Watch = unwatched,
    keep_evidence: bool = False,
) -> Lift:
    """Label every Gaussian, from masks whose ids are not consistent between views.

    Args:
        splats: N Gaussians in the frame of the cameras. Those with a non-finite value are background.
        views: views with masks, on disk or in memory; those without a mask are skipped.
        method: a key of :data:`METHODS`; None for the default method.
        device: "cpu", "cuda" or "auto"; for rasterisation and training.
        seed: random seed.
        settings: values that replace the method's defaults, by name.
        progress: told under the stages "contributions" and "lift".
        watch: called by methods that train, with access to the embedding of the finite Gaussians.
        keep_evidence: whether to return :attr:`Lift.regions`.

    Raises:
        BadArgument: if the method or a setting is unknown, or a setting is out of range.
        BadMask: if no view has a mask, or one cannot be read.
        BadSplats: if there is no finite Gaussian.
        Unavailable: if the device is not available.
        Cancelled: from ``progress``.
    """
    name, chosen = find_method(method)
    values = read_settings(name, chosen, settings)
    finite = splats.finite
    if not finite.any():
        raise BadSplats(f"None of the {len(splats)} Gaussians can be labelled: no Gaussian has finite values.")
    whole = splats if finite.all() else splats.pick(finite)
    renderer = _renderer(whole, device)
    evidence = gather_evidence(renderer, masked_views(views), len(whole), progress, len(views))
    if evidence.views == 0:
        raise BadMask(
            f"None of the {len(views)} views has a mask.", "Put one instance mask per photograph into the mask folder."
        )
    progress("lift", 0.0)
    if evidence.masks == 0:
        found = Labelling(np.zeros(len(whole), np.int32))
    else:
        task = LiftTask(whole, views, renderer, evidence, renderer.device, seed, progress, watch)
        found = chosen.run(task, values)
    progress("lift", 1.0)
    lifted = as_lift(found, evidence, finite, name, settings_dict(values))
    if not keep_evidence or evidence.masks == 0:
        return lifted
    return replace(lifted, regions=region_evidence(whole.means, evidence, lifted.labels[finite], finite))


def _renderer(splats: Splats, device: str) -> Rendering:
    # Imported here because the engines take seconds to load, and listing the methods does not need them.
    from backend.render import Renderer

    return Renderer(splats, device)

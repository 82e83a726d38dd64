"""Views and Gaussians that leave little to go by, for every method: each runs, or ends in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.lift import METHODS, Lift, MaskedView, lift
from backend.scene.types import View
from bench.scenes import MadeScene
from protocol.errors import Fault
from protocol.splats import Splats

Input = tuple[Splats, Sequence[MaskedView | View]]

AT_ONCE = {
    "consensus": {},
    "unic-lift": {"steps": 20},
    "contrastive": {"iterations": 500, "smallest_mask": 10, "anchors": 10},
    "hdbscan": {"steps": 20},
}
"""Steps enough to pass through all of a method, not to find anything."""


def masks(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[MadeScene, Path], Input]:
    """The scene with every mask changed."""
    return lambda made, folder: (made.splats, [replace(view, mask=change(view.mask)) for view in made.train])


def without_mask(view: MaskedView) -> View:
    return View(view.name, view.camera, Path("nowhere.png"))


def from_files(made: MadeScene, folder: Path) -> Input:
    """Masks on disk whose ids no 16-bit file could hold."""
    views = []
    for view in made.train:
        file = folder / f"{view.name}.npy"
        np.save(file, np.where(view.mask > 0, view.mask.astype(np.int64) + 3_000_000, 0))
        views.append(View(view.name, view.camera, Path("nowhere.png"), file))
    return made.splats, views


def not_numbers(made: MadeScene, folder: Path) -> Input:
    means, opacities, scales = made.splats.means.copy(), made.splats.opacities.copy(), made.splats.scales.copy()
    means[::7, 1], opacities[1::50], scales[2::50] = np.nan, np.nan, np.inf
    return replace(made.splats, means=means, opacities=opacities, scales=scales), list(made.train)


def nothing_but_nan(made: MadeScene, folder: Path) -> Input:
    return replace(made.splats, means=np.full_like(made.splats.means, np.nan)), list(made.train)


BAD_LIFTS: dict[str, tuple[Callable[[MadeScene, Path], Input], str]] = {
    "no view has a mask": (
        lambda made, folder: (made.splats, [without_mask(view) for view in made.train]),
        "None of the 12 views has a mask",
    ),
    "half of the views have no mask": (
        lambda made, folder: (made.splats, [without_mask(v) if n % 2 else v for n, v in enumerate(made.train)]),
        "",
    ),
    "every mask is background": (masks(np.zeros_like), ""),
    "every mask is void": (masks(lambda mask: np.full_like(mask, -3)), ""),
    "one mask covers everything": (masks(lambda mask: np.full_like(mask, 70_000)), ""),
    "hundreds of masks in a view": (
        masks(lambda mask: np.kron(np.arange(1, 257).reshape(16, 16), np.ones((4, 4), int))),
        "",
    ),
    "one view": (lambda made, folder: (made.splats, made.train[:1]), ""),
    "one object": (masks(lambda mask: (mask == 1).astype(np.int32)), ""),
    "ids above 65,535 in .npy files": (from_files, ""),
    "Gaussians that are not numbers": (not_numbers, ""),
    "no Gaussian is a number": (nothing_but_nan, "no Gaussian has finite values"),
    "one Gaussian": (lambda made, folder: (made.splats.pick(np.array([5])), list(made.train)), ""),
    "no Gaussian": (lambda made, folder: (made.splats.pick(np.zeros(0, np.int64)), list(made.train)), "0 Gaussians"),
    "no view": (lambda made, folder: (made.splats, []), "None of the 0 views has a mask"),
}
"""By name, the change of the scene, and the expected sentence; empty if the lift succeeds."""


def attempt(made: MadeScene, folder: Path, name: str, method: str) -> Lift:
    splats, views = BAD_LIFTS[name][0](made, folder)
    return lift(splats, views, method=method, settings=AT_ONCE[method])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BAD_LIFTS)
def test_runs_or_says_why_not(made: MadeScene, tmp_path: Path, name: str, method: str) -> None:
    says = BAD_LIFTS[name][1]
    if says:
        with pytest.raises(Fault, match=says):
            attempt(made, tmp_path, name, method)
        return
    found = attempt(made, tmp_path, name, method)
    assert found.labels.min() >= 0
    assert len(np.unique(found.labels[found.labels > 0])) == found.labels.max()
    assert np.isfinite(found.confidence).all()


def test_large_ids_on_disk_give_the_labels_of_small_ones_in_memory(made: MadeScene, tmp_path: Path) -> None:
    found = attempt(made, tmp_path, "ids above 65,535 in .npy files", "consensus")
    np.testing.assert_array_equal(found.labels, lift(made.splats, made.train, method="consensus").labels)


def test_gaussians_that_are_not_numbers_stay_background(made: MadeScene, tmp_path: Path) -> None:
    found = attempt(made, tmp_path, "Gaussians that are not numbers", "consensus")
    for rows in (slice(0, None, 7), slice(1, None, 50), slice(2, None, 50)):
        assert not found.labels[rows].any()
    assert found.labels.max() >= made.labels.max() - 1

"""Refining edges leaves the brightness of the scene as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.demo.scene import write_scene
from backend.lift import lift
from backend.reconstruct import held_out, reconstruct
from backend.refine import Refinement, refine
from backend.scene import load_scene


def test_photographs_of_one_exposure_are_shown_as_well_as_before(tmp_path: Path) -> None:
    write_scene(tmp_path / "room", objects=4, views=10, size=96, seed=1)
    views = load_scene(tmp_path / "room").views
    splats = reconstruct(load_scene(tmp_path / "room"), views, steps=600, seed=0)
    refined, _ = refine(splats, lift(splats, views), views, how=Refinement(steps=200))
    assert np.mean(held_out(refined, views)) > np.mean(held_out(splats, views)) - 0.3

"""Gaussians of another frame than the cameras'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from backend.demo.scene import write_scene
from backend.likeness import LEAST, SURE, in_frame_of, likeness
from backend.reconstruct import reconstruct
from backend.scene import Scene, load_scene
from backend.splat_files.axes import to_ply_axes
from protocol.errors import BadSplats
from protocol.splats import Splats
from protocol.transform import transform

FILE = Path("moved.ply")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("likeness")
    write_scene(folder / "room", objects=4, views=10, size=64, seed=1)
    return load_scene(folder / "room")


@pytest.fixture(scope="module")
def splats(scene: Scene) -> Splats:
    return reconstruct(scene, scene.views, device="cpu", steps=400, seed=0)


def moved(scale: float = 1.0, turn: float = 0.0, by: float = 0.0) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * Rotation.from_euler("x", turn, degrees=True).as_matrix()
    matrix[:3, 3] = by
    return matrix


def test_what_is_in_the_frame_is_left_alone(scene: Scene, splats: Splats) -> None:
    assert (likeness(splats, scene.views) or 0) > SURE
    assert in_frame_of(scene.views, splats, FILE) == (splats, ())


@pytest.mark.parametrize("change", [{"scale": 0.07, "turn": 90}, {"turn": 90}, {"scale": 0.07}])
def test_another_frame_is_a_warning(scene: Scene, splats: Splats, change: dict[str, float]) -> None:
    elsewhere = transform(splats, moved(**change))
    assert (likeness(elsewhere, scene.views) or 0) < LEAST
    same, (said,) = in_frame_of(scene.views, elsewhere, FILE)
    assert same is elsewhere
    assert said.startswith("The Gaussians of moved.ply do not look like the photographs from their cameras (likeness ")
    assert "dataparser_transforms.json" in said
    assert "normalize_world_space" in said


def test_gaussians_that_no_camera_sees_are_refused(scene: Scene, splats: Splats) -> None:
    with pytest.raises(BadSplats, match=r"No camera of the scene sees any Gaussian of moved\.ply; .* another frame\."):
        in_frame_of(scene.views, transform(splats, moved(by=1e6)), FILE)


def test_axes_of_spz_that_were_not_converted_are_turned_back(scene: Scene, splats: Splats) -> None:
    back, (said,) = in_frame_of(scene.views, to_ply_axes(splats, "RUB"), FILE)
    np.testing.assert_allclose(back.means, splats.means)
    np.testing.assert_allclose(back.quats, splats.quats)
    assert "moved.ply was turned by half a turn about x" in said

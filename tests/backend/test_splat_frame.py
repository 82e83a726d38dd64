"""Gaussians of another frame than the cameras'."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from backend.demo.scene import write_scene
from backend.photo_similarity import similarity
from backend.reconstruct import reconstruct
from backend.scene import Scene, load_scene
from backend.splat_frame import LEAST, SURE, TRANSFORMS, in_frame_of
from protocol.errors import BadScene, BadSplats
from protocol.formats.axes import to_ply_axes
from protocol.splats import Splats
from protocol.transform import transform


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("similarity")
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


def write_transform(folder: Path, matrix: np.ndarray, scale: float) -> Path:
    """Write what nerfstudio says of having moved a world by ``matrix`` and then scaled it."""
    file = folder / TRANSFORMS
    file.write_text(json.dumps({"transform": matrix[:3].tolist(), "scale": scale}))
    return file


def test_what_is_in_the_frame_is_left_alone(scene: Scene, splats: Splats, tmp_path: Path) -> None:
    assert similarity(splats, scene.views) > SURE
    assert in_frame_of(scene.root, scene.views, splats, tmp_path / "room.ply") == (splats, ())


@pytest.mark.parametrize("change", [{"scale": 0.07, "turn": 90}, {"turn": 90}, {"scale": 0.07}, {"by": 1e6}])
def test_another_frame_is_refused(scene: Scene, splats: Splats, tmp_path: Path, change: dict[str, float]) -> None:
    elsewhere = transform(splats, moved(**change))
    assert similarity(elsewhere, scene.views) < LEAST
    with pytest.raises(BadSplats, match=r"moved\.ply do not match the photographs") as caught:
        in_frame_of(scene.root, scene.views, elsewhere, tmp_path / "moved.ply")
    assert TRANSFORMS in str(caught.value)
    assert "normalize-world-space" in str(caught.value)


@pytest.mark.parametrize("below", ["", "exports/splat"])
def test_nerfstudios_transform_is_undone(scene: Scene, splats: Splats, tmp_path: Path, below: str) -> None:
    matrix, scale = moved(turn=70, by=0.4), 0.07
    forward = np.diag([scale, scale, scale, 1]) @ matrix
    listing = write_transform(tmp_path, matrix, scale)
    file = tmp_path / below / "splat.ply"
    back, (said,) = in_frame_of(scene.root, scene.views, transform(splats, forward), file)
    np.testing.assert_allclose(back.means, splats.means, atol=1e-4)
    np.testing.assert_allclose(back.scales, splats.scales, atol=1e-5)
    assert str(listing) in said


def test_what_was_applied_to_transforms_json_is_done_again(scene: Scene, splats: Splats, tmp_path: Path) -> None:
    # nerfstudio undoes applied_transform in its file; the cameras of transforms.json have it still.
    applied, own, scale = moved(turn=90), moved(turn=20, by=0.1), 0.5
    forward = np.diag([scale, scale, scale, 1]) @ own @ applied
    write_transform(tmp_path, own @ applied, scale)
    (tmp_path / "transforms.json").write_text(json.dumps({"applied_transform": applied[:3].tolist()}))
    trained = transform(transform(splats, np.linalg.inv(applied)), forward)
    back, _ = in_frame_of(tmp_path, scene.views, trained, tmp_path / "run" / "splat.ply")
    np.testing.assert_allclose(back.means, splats.means, atol=1e-4)


def test_a_transform_that_does_not_help_is_named(scene: Scene, splats: Splats, tmp_path: Path) -> None:
    write_transform(tmp_path, moved(turn=45), 1.0)
    with pytest.raises(BadSplats, match=TRANSFORMS) as caught:
        in_frame_of(scene.root, scene.views, transform(splats, moved(turn=90)), tmp_path / "splat.ply")
    assert f"not even after the transform of {tmp_path / TRANSFORMS}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"transform": [[1, 0, 0, 0]], "scale": 1}', BadSplats),
        ('{"transform": [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], "scale": 1}', BadSplats),
        ('{"transform": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": 0}', BadSplats),
        ('{"transform": [[NaN, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": 1}', BadSplats),
        ('{"scale": 1}', BadScene),
        ("[", BadScene),
    ],
)
def test_a_damaged_transform_is_refused(scene: Scene, splats: Splats, tmp_path: Path, text: str, error: type) -> None:
    (tmp_path / TRANSFORMS).write_text(text)
    with pytest.raises(error, match=TRANSFORMS):
        in_frame_of(scene.root, scene.views, transform(splats, moved(turn=90)), tmp_path / "splat.ply")


def test_axes_of_spz_that_were_not_converted_are_turned_back(scene: Scene, splats: Splats, tmp_path: Path) -> None:
    back, (said,) = in_frame_of(scene.root, scene.views, to_ply_axes(splats, "RUB"), tmp_path / "moved.ply")
    np.testing.assert_allclose(back.means, splats.means)
    np.testing.assert_allclose(back.quats, splats.quats)
    assert "moved.ply was rotated by 180 degrees about x" in said

"""What was moved in Blender and exported looks like the original seen by a camera that was moved the other way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocol.ply import read_ply
from protocol.splats import Splats
from tests.blender.example import object_of, write_example

bpy = pytest.importorskip("bpy")
pytest.importorskip("torch", reason="the backend is not installed in this environment")

from mathutils import Matrix  # noqa: E402

from backend.render import Renderer  # noqa: E402
from backend.scene.types import Camera  # noqa: E402
from blender_addon import session  # noqa: E402
from blender_addon.splats.export import export_objects  # noqa: E402

LEAST = 45.0
"""dB of the peak signal-to-noise ratio between the two images."""

K = np.array([[150.0, 0, 80], [0, 150, 60], [0, 0, 1]])
MOVES = (
    Matrix.Translation((0.4, -0.2, 0.3)) @ Matrix.Rotation(0.9, 4, (1, 2, 3)) @ Matrix.Scale(1.5, 4),
    Matrix.Translation((-0.3, 0.5, 0.1)) @ Matrix.Rotation(2.6, 4, (-2, 1, 0.3)),
    Matrix.Rotation(-1.3, 4, (0, 0, 1)) @ Matrix.Scale(0.6, 4),
)


def some_scene(n: int = 900) -> Splats:
    """Three clouds of view-dependent Gaussians of degree 3 about the origin, and a few of no object."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 4, n).astype(np.int32)
    middles = np.array([[0, 0.9, 0], [0.6, 0, 0], [-0.6, 0, 0.2], [0, -0.6, -0.1]])
    means = middles[labels] + rng.normal(size=(n, 3)) * 0.22
    sh = rng.normal(size=(n, 16, 3)) * 0.35
    columns = (means, rng.normal(size=(n, 4)), rng.uniform(-4, -2, (n, 3)), rng.normal(size=n) + 1, sh)
    stored = [column.astype(np.float32) for column in columns]
    known = {"label": labels, "confidence": np.ones(n, np.float32)}
    return Splats(stored[0], stored[1], stored[2], stored[3], stored[4], known)


def seen(splats: Splats, viewmat: np.ndarray) -> np.ndarray:
    image = Renderer(splats.without_columns(), "cpu").image(Camera(viewmat, K, 160, 120))
    return np.asarray(image, np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((np.clip(a, 0, 1) - np.clip(b, 0, 1)) ** 2)))


def cameras() -> list[np.ndarray]:
    """World to camera, from four sides, 3 units away."""
    found = []
    for angle in (0.2, 1.8, 3.3, 4.9):
        back = np.array([np.cos(angle), 0.4, np.sin(angle)]) / np.hypot(1, 0.4)
        right = np.cross((0, 1, 0), -back)
        right /= np.linalg.norm(right)
        rotation = np.array([right, np.cross(-back, right), -back])
        viewmat = np.eye(4)
        viewmat[:3, :3], viewmat[:3, 3] = rotation, -rotation @ (3 * back)
        found.append(viewmat)
    return found


def moved_the_other_way(viewmat: np.ndarray, move: np.ndarray) -> np.ndarray:
    """The camera that sees the unmoved as ``viewmat`` sees the moved; what is scaled is as much nearer."""
    scale = np.cbrt(np.linalg.det(move[:3, :3]))
    both = viewmat @ move
    both[:3] /= scale
    return both


def in_capture(scene, move: Matrix) -> np.ndarray:
    placement = np.array(scene.splatlift.placement).reshape(4, 4)
    return np.linalg.inv(placement) @ np.array(move) @ placement


def test_a_scene_moved_as_a_whole(tmp_path: Path) -> None:
    splats = some_scene()
    write_example(tmp_path / "in", splats, meshes=False)
    scene = session.import_folder(tmp_path / "in", scale=1.7)
    bpy.context.view_layer.update()
    for child in scene.children:
        for thing in child.objects:
            thing.matrix_world = MOVES[0] @ thing.matrix_world
    export_objects([scene], tmp_path / "out.ply")
    out = read_ply(tmp_path / "out.ply")
    for viewmat in cameras():
        image = seen(out, viewmat)
        assert image.std() > 0.1
        assert psnr(image, seen(splats, moved_the_other_way(viewmat, in_capture(scene, MOVES[0])))) >= LEAST
        assert psnr(image, seen(splats, viewmat)) < 25


def test_every_object_moved_by_itself(tmp_path: Path) -> None:
    splats = some_scene()
    write_example(tmp_path / "in", splats, meshes=False)
    scene = session.import_folder(tmp_path / "in", "SPLATS")
    bpy.context.view_layer.update()
    for child, move in zip(session.objects_of(scene), MOVES, strict=True):
        for thing in child.objects:
            thing.matrix_world = move @ thing.matrix_world
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    (scene,) = session.scenes()
    for child, move in zip(session.objects_of(scene), MOVES, strict=True):
        export_objects([child], tmp_path / "out.ply")
        out, original = read_ply(tmp_path / "out.ply"), object_of(splats, child.splatlift.label)
        assert out.sh_degree == 3
        for viewmat in cameras():
            expected = seen(original, moved_the_other_way(viewmat, in_capture(scene, move)))
            assert psnr(seen(out, viewmat), expected) >= LEAST

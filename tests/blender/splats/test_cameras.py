"""Cameras of a capture in Blender: they see every point where the capture's cameras saw it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadArgument, BadResult
from tests.blender.example import write_example

bpy = pytest.importorskip("bpy")

from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Matrix, Vector  # noqa: E402

from blender_addon import session  # noqa: E402
from blender_addon.splats.cameras import is_camera, look_through, photographs_of, remove_cameras  # noqa: E402
from blender_addon.splats.collections import placement_of  # noqa: E402

INTRINSICS = {
    "centred": (640, 480, [[500, 0, 320], [0, 500, 240], [0, 0, 1]]),
    "shifted": (1906, 1070, [[1480.5, 0, 901.25], [0, 1480.5, 577.75], [0, 0, 1]]),
    "portrait": (480, 640, [[510, 0, 215], [0, 510, 333], [0, 0, 1]]),
    "wide pixels": (720, 576, [[610, 0, 350], [0, 660, 291], [0, 0, 1]]),
    "high pixels": (576, 720, [[655, 0, 290], [0, 600, 350], [0, 0, 1]]),
}


def some_pose(rng: np.random.Generator) -> np.ndarray:
    """World to camera, about 4 units from the origin and looking at about there."""
    forward = rng.normal(size=3)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, rng.normal(size=3))
    right /= np.linalg.norm(right)
    viewmat = np.eye(4)
    viewmat[:3, :3] = [right, np.cross(forward, right), forward]
    viewmat[:3, 3] = viewmat[:3, :3] @ (4 * forward) + rng.normal(size=3) * 0.1
    return viewmat


def write_cameras(folder: Path, photographs: bool = False) -> list[dict]:
    """Write ``cameras.json`` as the backend does, and photographs into a folder beside it if asked to."""
    rng = np.random.default_rng(3)
    rows = []
    for name, (width, height, K) in INTRINSICS.items():
        row = {"name": name, "width": width, "height": height, "K": K, "viewmat": some_pose(rng).tolist()}
        rows.append({**row, "photograph": f"images/{name}.png"})
    (folder / "cameras.json").write_text(json.dumps({"format": 1, "views": rows}))
    if photographs:
        (folder / "capture" / "images").mkdir(parents=True)
        for row in rows:
            picture = bpy.data.images.new("picture", 8, 6)
            picture.filepath_raw, picture.file_format = str(folder / "capture" / row["photograph"]), "PNG"
            picture.save()
            bpy.data.images.remove(picture)
    return rows


@pytest.mark.parametrize(("up", "scale"), [("AUTO", 1.0), ("Z", 2.5), ("-X", 0.01)])
def test_points_are_seen_where_the_capture_saw_them(tmp_path: Path, up: session.Up, scale: float) -> None:
    write_example(tmp_path / "in")
    rows = {row["name"]: row for row in write_cameras(tmp_path / "in")}
    scene = session.import_folder(tmp_path / "in", up=up, scale=scale, cameras=True)
    collection = session.cameras_of(scene)
    assert scene.children[-1] == collection
    assert [each.name for each in collection.objects] == list(INTRINSICS)
    bpy.context.view_layer.update()
    placement = np.array(placement_of(scene).matrix_world)
    points = np.random.default_rng(4).uniform(-0.8, 0.8, (200, 3))
    for camera in collection.objects:
        row = rows[camera.name]
        look_through(camera, bpy.context.scene)
        assert bpy.context.scene.camera == camera
        world = points @ placement[:3, :3].T + placement[:3, 3]
        seen = np.array([world_to_camera_view(bpy.context.scene, camera, Vector(point)) for point in world])
        pixels = np.column_stack([seen[:, 0] * row["width"], (1 - seen[:, 1]) * row["height"]])
        at = points @ np.array(row["viewmat"])[:3, :3].T + np.array(row["viewmat"])[:3, 3]
        expected = at @ np.array(row["K"]).T
        np.testing.assert_allclose(pixels, expected[:, :2] / expected[:, 2:], atol=1e-3)
        np.testing.assert_allclose(seen[:, 2], at[:, 2] * scale, rtol=1e-5)


def test_cameras_follow_the_scene_where_it_is_moved(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", cameras=True)
    bpy.context.view_layer.update()
    camera = session.cameras_of(scene).objects[0]
    before = camera.matrix_world.copy()
    move = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(0.4, 4, "X")
    upright = placement_of(scene)
    upright.matrix_world = move @ upright.matrix_world
    bpy.context.view_layer.update()
    np.testing.assert_allclose(np.array(camera.matrix_world), np.array(move @ before), atol=1e-5)


def test_photographs_stand_behind_what_the_cameras_see(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in", photographs=True)
    (tmp_path / "in" / "capture" / "images" / "portrait.png").unlink()
    scene = session.import_folder(tmp_path / "in", cameras=True, photographs=tmp_path / "in" / "capture")
    cameras = session.cameras_of(scene)
    assert photographs_of(cameras) == 4
    for camera in cameras.objects:
        pictures = camera.data.background_images
        assert camera.data.show_background_images == (camera.name != "portrait")
        assert [Path(each.image.filepath).stem for each in pictures] == ([camera.name] if len(pictures) else [])
        assert all(each.frame_method == "STRETCH" and tuple(each.image.size) == (8, 6) for each in pictures)


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "nowhere.png", None])
def test_only_what_lies_in_the_capture_is_put_behind(tmp_path: Path, path: str | None) -> None:
    write_example(tmp_path / "in")
    rows = write_cameras(tmp_path / "in")
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "capture").mkdir()
    rows[0]["photograph"] = path
    (tmp_path / "in" / "cameras.json").write_text(json.dumps({"format": 1, "views": rows[:1]}))
    scene = session.import_folder(tmp_path / "in", cameras=True, photographs=tmp_path / "capture")
    assert photographs_of(session.cameras_of(scene)) == 0


def test_cameras_are_added_later_and_in_place_of_earlier_ones(tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in", photographs=True)
    scene = session.import_folder(tmp_path / "in")
    assert session.cameras_of(scene) is None
    first = session.import_cameras(scene)
    assert photographs_of(first) == 0
    second = session.import_cameras(scene, tmp_path / "in" / "capture")
    assert photographs_of(second) == 5
    assert session.cameras_of(scene) == second
    assert second.name == "Cameras"
    assert len(bpy.data.cameras) == 5
    assert not any(is_camera(each) for each in scene.children[0].objects)
    remove_cameras(second)
    assert (len(bpy.data.cameras), len(bpy.data.images)) == (0, 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, r"has no cameras\.json"),
        ("[", "not a valid list of cameras"),
        ('{"format": 2, "views": []}', "not a valid list of cameras"),
        ("skewed", "'centred' .* not supported by Blender"),
        ("mirrored", "'centred' .* not supported by Blender"),
        ("flat", "'centred' .* not supported by Blender"),
    ],
)
def test_broken_cameras_are_refused_and_leave_nothing(tmp_path: Path, text: str | None, says: str) -> None:
    write_example(tmp_path / "in")
    rows = write_cameras(tmp_path / "in")
    damage = {"skewed": ("K", 0, 1, 3.0), "mirrored": ("viewmat", 0, slice(0, 4), None), "flat": ("K", 1, 1, 0.0)}
    if text in damage:
        key, i, j, value = damage[text]
        values = np.array(rows[0][key], float)
        values[i, j] = -values[i, j] if value is None else value
        text = json.dumps({"format": 1, "views": [{**rows[0], key: values.tolist()}]})
    (tmp_path / "in" / "cameras.json").unlink()
    if text is not None:
        (tmp_path / "in" / "cameras.json").write_text(text)
    with pytest.raises(BadResult, match=says):
        session.import_folder(tmp_path / "in", cameras=True)
    assert not bpy.data.collections
    assert not bpy.data.objects


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"up": "W"}, "up axis 'W' does not exist"),
        ({"scale": 0.0}, "scale 0.0"),
        ({"scale": float("nan")}, "scale nan"),
        ({"cameras": True, "photographs": Path("/nowhere")}, "folder of photographs /nowhere does not exist"),
    ],
)
def test_bad_choices_are_refused(tmp_path: Path, choice: dict, says: str) -> None:
    write_example(tmp_path / "in")
    write_cameras(tmp_path / "in")
    with pytest.raises(BadArgument, match=says):
        session.import_folder(tmp_path / "in", **choice)


@pytest.mark.parametrize("up", ["X", "-X", "Y", "-Y", "Z", "-Z"])
def test_the_chosen_axis_points_up_and_the_captured_frame_stays(tmp_path: Path, up: session.Up) -> None:
    splats = write_example(tmp_path / "in")
    scene = session.import_folder(tmp_path / "in", up=up, scale=2.0)
    bpy.context.view_layer.update()
    thing = scene.children[0].objects[0]
    world = np.array(thing.matrix_world)
    np.testing.assert_allclose(world[:3, :3] @ session.AXES[up], (0, 0, 2), atol=1e-6)
    assert np.linalg.det(world[:3, :3]) == pytest.approx(8, abs=1e-5)
    means = np.empty(3 * len(thing.data.vertices), np.float32)
    thing.data.attributes["position"].data.foreach_get("vector", means)
    assert means.reshape(-1, 3).tobytes() == splats.means[splats.extra["label"] == 1].tobytes()

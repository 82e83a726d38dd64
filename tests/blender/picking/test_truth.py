"""Random clicks on a made scene against the labels that a renderer draws of the same views."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")
pytest.importorskip("torch", reason="the renderer needs torch")

from scipy.ndimage import maximum_filter, minimum_filter  # noqa: E402

from backend.lift.label_maps import label_map  # noqa: E402
from backend.render import Renderer  # noqa: E402
from backend.scene.types import Camera  # noqa: E402
from blender_addon import session  # noqa: E402
from blender_addon.picking.clicking import Clicks  # noqa: E402
from protocol.errors import BadArgument  # noqa: E402
from protocol.ply import write_ply  # noqa: E402
from protocol.splats import Splats, merge  # noqa: E402
from tests.blender.clumps import clump, solid  # noqa: E402
from tests.blender.picking.sights import sight_through  # noqa: E402

CLICKS = 200
OBJECTS = 12
VIEWS = 6
WIDTH, HEIGHT = 320, 240
K = ((300.0, 0.0, 150.0), (0.0, 300.0, 130.0), (0.0, 0.0, 1.0))


def made_scene(rng: np.random.Generator) -> Splats:
    """Balls in a box that cover one another, above a floor that is background."""
    balls = []
    for label in range(OBJECTS + 1):
        centre = tuple(rng.uniform(-3, 3, 3)) if label else (0.0, 14.0, 0.0)
        ball = solid(clump(centre, 400, label, tuple(rng.random(3))))
        balls.append(ball.with_columns(label=np.full(400, label, np.int32), confidence=np.ones(400, np.float32)))
    return merge(balls)


def made_cameras(rng: np.random.Generator) -> dict[str, Camera]:
    cameras = {}
    for number in range(VIEWS):
        centre = rng.normal(size=3)
        centre *= 11 / np.linalg.norm(centre)
        forward = -centre / np.linalg.norm(centre)
        right = np.cross(forward, [0.0, -1.0, 0.1])
        right /= np.linalg.norm(right)
        viewmat = np.eye(4)
        viewmat[:3, :3] = [right, np.cross(forward, right), forward]
        viewmat[:3, 3] = -viewmat[:3, :3] @ centre
        cameras[f"{number:04d}"] = Camera(viewmat, np.array(K), WIDTH, HEIGHT)
    return cameras


def write_result(folder: Path, splats: Splats, cameras: dict[str, Camera]) -> None:
    folder.mkdir()
    write_ply(splats, folder / "splats.ply")
    rows = [
        {"id": label, "name": f"ball {label}", "count": 400, "colour": [0.5, 0.5, 0.5], "confidence": 0.9}
        for label in range(1, OBJECTS + 1)
    ]
    (folder / "objects.json").write_text(json.dumps({"format": 1, "scene": "balls", "objects": rows}))
    views = [
        {"name": name, "width": WIDTH, "height": HEIGHT, "K": K, "viewmat": camera.viewmat.tolist()}
        for name, camera in cameras.items()
    ]
    (folder / "cameras.json").write_text(json.dumps({"format": 1, "views": views}))


def test_random_clicks_select_what_is_rendered_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    splats, cameras = made_scene(rng), made_cameras(rng)
    write_result(tmp_path / "in", splats, cameras)
    scene = session.import_folder(tmp_path / "in", cameras=True, up="Z", scale=0.5)
    bpy.context.view_layer.update()
    renderer = Renderer(splats, "cpu")
    truth = {name: label_map(renderer, splats.extra["label"], camera) for name, camera in cameras.items()}
    things = {thing.name: thing for thing in session.cameras_of(scene).objects}
    right, seen = 0, set()
    for _ in range(CLICKS):
        name = str(rng.choice(list(cameras)))
        ids = truth[name]
        # Two pixels or more inside an outline.
        inside = (minimum_filter(ids, 5) == maximum_filter(ids, 5)) & (ids > 0)
        label = int(rng.choice(np.unique(ids[inside])))
        row, column = rng.choice(np.argwhere(inside & (ids == label)))
        sight = sight_through(things[name], (WIDTH, HEIGHT))
        clicks = Clicks()
        try:
            clicked = clicks.click(
                bpy.context.view_layer, sight, column + 0.5, HEIGHT - row - 0.5, is_visible=lambda thing: True
            )
        except BadArgument:
            continue
        right += clicked.name == f"ball {label}"
        seen.add(label)
    assert right / CLICKS >= 0.98
    assert len(seen) == OBJECTS

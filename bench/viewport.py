"""How near Blender's pictures of splats are to the renderer's, and how long the 3D view takes to draw them.

    python -m bench.viewport render RESULT OUT            F12, in any Python with bpy
    blender --python bench/viewport.py -- window RESULT OUT --screenshot "import -window root {path}"
    python -m bench.viewport score RESULT OUT             PSNR of what either wrote, by the backend's renderer
    blender --python bench/viewport.py -- frames 300000   frame times, in a Blender with a window

Pictures are made from four cameras of the capture, spread over it. A render has the size of the capture. A window shows
what its 3D view shows, without overlays and on black, so its pictures are wider than the photographs; ``score`` renders
with the same projection. Blender's window has to be at the left and top of the screen. The Gaussians of ``frames`` are
random ones that cover the walls of a room and a ball in it, each as wide as the usual distance to its neighbours.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # Blender runs this file by its path

import numpy as np
from numpy.typing import NDArray

from protocol.ply import write_ply
from protocol.result.cameras import CameraRow, read_cameras
from protocol.result.names import FORMAT, SPLATS
from protocol.result.table import ObjectRow, ObjectTable, write_table
from protocol.splats import SH_COUNTS, Splats

VIEWS = "views.json"
COUNT = 4
FRAMES = 4
EDGE = 20
"""Pixels at each side of a window's view that are not counted: Blender's areas have round corners and marks there."""
SETTLE = 2.0
"""Seconds for a window to draw what was changed."""


def render(chosen: argparse.Namespace) -> None:
    """Render the views with EEVEE or Cycles and write them with their cameras."""
    import bpy

    import blender_addon
    from blender_addon import api

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    scene: Any = bpy.context.scene
    start = time.perf_counter()
    imported = api.import_result(chosen.result, chosen.display, cameras=True)
    print(f"Blender {bpy.app.version_string}, {imported.splatlift.count:,} Gaussians, imported in {_since(start)}")
    engines = {each.identifier for each in scene.render.bl_rna.properties["engine"].enum_items}
    scene.render.engine = next(each for each in engines | {"CYCLES"} if each.startswith(chosen.engine))
    scene.cycles.samples, scene.cycles.use_denoising = chosen.samples, False
    scene.eevee.taa_render_samples = chosen.samples
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    written = []
    for row in _spread(read_cameras(chosen.result)):
        api.look_through(_camera(imported, row.name))
        path = chosen.out.absolute() / f"{row.name}.png"
        scene.render.filepath = str(path)
        start = time.perf_counter()
        bpy.ops.render.render(write_still=True)
        print(f"{row.name}: {scene.render.engine}, {chosen.samples} samples, {_since(start)}")
        written.append(
            {"file": path.name, "box": [0, 0, row.width, row.height], "edge": 0, "K": row.K, "viewmat": row.viewmat}
        )
    (chosen.out / VIEWS).write_text(json.dumps(written))
    blender_addon.unregister()


def window(chosen: argparse.Namespace) -> Iterator[None]:
    """Show the views in the 3D view of a window, have the screen photographed, and write the pictures' cameras."""
    import bpy

    from blender_addon import api

    imported = api.import_result(chosen.result, "SPLATS", cameras=True)
    area, region = _view()
    space = area.spaces.active
    space.shading.type, space.shading.color_type = chosen.shading, "MATERIAL"
    yield from _wait(SETTLE)
    written = []
    for row in _spread(read_cameras(chosen.result)):
        space.region_3d.view_perspective = "PERSP"
        space.region_3d.view_matrix = _camera(imported, row.name).matrix_world.inverted()
        yield from _wait(SETTLE)
        path = chosen.out.absolute() / f"{row.name}.png"
        subprocess.run([part.format(path=path) for part in shlex.split(chosen.screenshot)], check=True)
        across, up = region.width, region.height
        window_height = bpy.context.window_manager.windows[0].height
        top = window_height - region.y - up
        projection = np.array(space.region_3d.window_matrix, float)
        fx, fy = 0.5 * projection[0, 0] * across, 0.5 * projection[1, 1] * up
        # From the frame of the view to the capture's: what placed the capture in Blender stands in between.
        placed = np.array(imported.splatlift.placement, float).reshape(4, 4)
        there = np.diag([1.0, -1.0, -1.0, 1.0]) @ np.array(space.region_3d.view_matrix, float) @ placed
        written.append(
            {
                "file": path.name,
                "box": [region.x, top, across, up],
                "edge": EDGE,
                "K": [
                    [fx, 0, 0.5 * across * (1 - projection[0, 2])],
                    [0, fy, 0.5 * up * (1 + projection[1, 2])],
                    [0, 0, 1],
                ],
                "viewmat": there.tolist(),
            }
        )
    (chosen.out / VIEWS).write_text(json.dumps(written))


def frames(chosen: argparse.Namespace) -> Iterator[None]:
    """Print how long a frame takes of a view that stands still, and of one that turns."""
    import bpy
    import gpu

    from blender_addon import api
    from blender_addon.viewport.handler import drawing

    with TemporaryDirectory() as folder:
        write_room(Path(folder), chosen.count, chosen.degree)
        start = time.perf_counter()
        api.import_result(folder, "SPLATS", up="Z")
        print(f"imported in {_since(start)}")
    area, region = _view()
    space = area.spaces.active
    space.lens = 24
    space.region_3d.view_location, space.region_3d.view_distance = (0, 0, 0), 0.9
    turn = space.region_3d.view_rotation.copy()
    yield from _wait(SETTLE)
    renderer = f"{gpu.platform.renderer_get()}, {gpu.platform.version_get()}"
    print(f"{bpy.app.version_string}, {region.width} x {region.height} pixels, {renderer}")

    def timed(before: Callable[[int], None]) -> str:
        start, cpu = time.perf_counter(), time.process_time()
        for n in range(FRAMES):
            before(n)
            region.tag_redraw()
            bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
        each = (time.perf_counter() - start) / FRAMES, (time.process_time() - cpu) / FRAMES
        return f"{each[0] * 1000:.0f} ms ({each[1] * 1000:.0f} ms of processors)"

    def rotate(n: int) -> None:
        from mathutils import Quaternion

        space.region_3d.view_rotation = turn @ Quaternion((0, 0, 1), 0.05 * n)

    print(f"{chosen.count:,} Gaussians of degree {chosen.degree}")
    for dependent in (True, False):
        bpy.context.scene.splatlift.view_dependent = dependent
        timed(lambda n: None)
        kind = "view-dependent colour" if dependent else "constant colour"
        print(f"  {kind}: still {timed(lambda n: None)}, turning {timed(rotate)} a frame")
    costs = [view.cost for view in drawing._views.values()]
    print(f"  of which sorting took {max(costs) * 1000:.0f} ms; failure: {drawing.failure or 'none'}")
    drawing.clear()
    start = time.perf_counter()
    region.tag_redraw()
    bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    print(f"  the first frame after an edit of everything: {_since(start)}")
    for thing in bpy.data.objects:
        thing.hide_set(True)
    timed(lambda n: None)
    print(f"  without splats: {timed(lambda n: None)} a frame")


def score(chosen: argparse.Namespace) -> None:
    """Print the PSNR of pictures against the backend's renderer, on black."""
    from PIL import Image

    from backend.render import Renderer
    from backend.scene.types import Camera
    from protocol.ply import read_ply

    renderer = Renderer(read_ply(chosen.result / SPLATS), "cpu")
    values = []
    for each in json.loads((chosen.out / VIEWS).read_text()):
        left, top, width, height = each["box"]
        camera = Camera(K=np.array(each["K"]), viewmat=np.array(each["viewmat"]), width=width, height=height)
        wanted = np.clip(np.asarray(renderer.image(camera)), 0, 1)
        picture = Image.open(chosen.out / each["file"]).convert("RGB").crop((left, top, left + width, top + height))
        Image.fromarray((wanted * 255).round().astype(np.uint8)).save(chosen.out / f"renderer-{each['file']}")
        picture.save(chosen.out / f"blender-{each['file']}")
        edge = each["edge"]
        errors = (np.asarray(picture) / 255 - wanted)[edge : height - edge, edge : width - edge]
        values.append(float(-10 * np.log10(np.mean(errors**2))))
        print(f"{each['file']}: {values[-1]:.1f} dB")
    print(f"mean of {len(values)} views: {np.mean(values):.1f} dB, lowest {min(values):.1f}")


def write_room(folder: Path, count: int, degree: int) -> None:
    """Write a result of one object: three quarters of its Gaussians on the walls of a room, the rest on a ball."""
    rng = np.random.default_rng(0)
    walls = count * 3 // 4
    places = rng.uniform(-1, 1, (count, 3))
    axes = rng.integers(0, 3, walls)
    places[np.arange(walls), axes] = np.sign(places[np.arange(walls), axes])
    ball = rng.standard_normal((count - walls, 3))
    places[walls:] = 0.4 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    spacing = np.where(np.arange(count) < walls, np.sqrt(24 / walls), np.sqrt(4 * np.pi * 0.16 / (count - walls)))

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal((count, *shape)).astype(np.float32)

    scales = np.log(spacing)[:, None].repeat(3, 1) - rng.uniform(0, 1.5, (count, 3))
    sh = normal(SH_COUNTS[degree], 3) * np.float32(0.1)
    sh[:, 0] = 2 * np.sin(3 * places + np.array([0, 2, 4]))
    splats = Splats(places.astype(np.float32), normal(4), scales.astype(np.float32), normal() + 1, sh)
    splats = splats.with_columns(label=np.ones(count, np.int32), confidence=np.ones(count, np.float32))
    write_ply(splats, folder / SPLATS)
    row = ObjectRow(id=1, name="Room", count=count, colour=(0.5, 0.5, 0.5))
    write_table(folder, ObjectTable(format=FORMAT, scene="bench", objects=[row]))


def _spread(rows: list[CameraRow]) -> list[CameraRow]:
    return [rows[n] for n in np.linspace(0, len(rows) - 1, COUNT).round().astype(int)]


def _camera(imported: Any, name: str) -> Any:
    cameras = [each for child in imported.children for each in child.objects if each.type == "CAMERA"]
    return next(each for each in cameras if each.data.name == name)


def _view() -> tuple[Any, Any]:
    """The largest 3D view of the window, bare of everything but what is in the scene, and its region."""
    import bpy

    areas = [area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D"]
    area: Any = max(areas, key=lambda each: each.width * each.height)
    space = area.spaces.active
    space.overlay.show_overlays = space.show_gizmo = False
    space.show_region_toolbar = space.show_region_ui = space.show_region_header = space.show_region_tool_header = False
    space.shading.background_type, space.shading.background_color = "VIEWPORT", (0, 0, 0)
    return area, next(region for region in area.regions if region.type == "WINDOW")


def _wait(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def _since(start: float) -> str:
    return f"{time.perf_counter() - start:.2f} s"


def _in_window(steps: Callable[[argparse.Namespace], Iterator[None]], chosen: argparse.Namespace) -> None:
    """Run the steps of a measurement from a timer of Blender's, and quit."""
    import bpy

    import blender_addon

    bpy.context.preferences.view.show_splash = False
    for each in list(bpy.data.objects):
        bpy.data.objects.remove(each)
    blender_addon.register()
    going = steps(chosen)

    def tick() -> float | None:
        try:
            next(going)
            return 0.05
        except StopIteration:
            pass
        except BaseException:  # noqa: BLE001, a timer that fails would leave the window open for ever
            traceback.print_exc()
        sys.stdout.flush()
        blender_addon.unregister()
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(tick, first_interval=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("render", "window", "score"):
        command = commands.add_parser(name)
        command.add_argument("result", type=Path, help="result folder")
        command.add_argument("out", type=Path, help="folder for pictures")
    commands.choices["render"].add_argument("--display", choices=("SPLATS", "POINTS", "MESH"), default="SPLATS")
    commands.choices["render"].add_argument("--engine", choices=("CYCLES", "BLENDER_EEVEE"), default="CYCLES")
    commands.choices["render"].add_argument("--samples", type=int, default=64)
    commands.choices["window"].add_argument(
        "--screenshot", required=True, help="command that saves the screen to {path}"
    )
    commands.choices["window"].add_argument("--shading", choices=("SOLID", "MATERIAL", "RENDERED"), default="SOLID")
    command = commands.add_parser("frames")
    command.add_argument("count", type=int, help="Gaussians")
    command.add_argument("--degree", type=int, choices=range(4), default=3)
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    chosen = parser.parse_args(own)
    if "out" in chosen:
        chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.command in ("window", "frames"):
        _in_window({"window": window, "frames": frames}[chosen.command], chosen)
    else:
        {"render": render, "score": score}[chosen.command](chosen)


if __name__ == "__main__":
    main()

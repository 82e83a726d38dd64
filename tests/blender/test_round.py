"""The whole line through the installed zip: a real server and worker, real ZeroMQ, a Blender with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocol.ply import read_ply
from tests.blender.bare import run_in_bare_blender

pytest.importorskip("bpy")

ROOT = Path(__file__).parents[2]

SCRIPT = """
address, scene, cache, out = arguments
from bl_ext.user_default.splatlift import api, session
from mathutils import Matrix

stages = []
with api.connect(address, cache=cache) as client:
    assert [method.name for method in client.methods]
    job = api.segment(client, scene, test_views="last:0.2", steps=300, on_progress=lambda *told: stages.append(told[0]))
    result = job.result(timeout=240)
    again = api.segment(client, scene, test_views="last:0.2", steps=300).job
    again.cancel()
assert "torch" not in sys.modules and "backend" not in sys.modules
order = ["upload", "scene", "poses", "reconstruct", "lift", "objects", "write"]
seen = [stage for stage in dict.fromkeys(stages) if stage in order]
# Reports tell where a job is at, so a stage that ends between two of them is not among them.
assert "reconstruct" in seen and seen == [stage for stage in order if stage in seen], stages

collection = api.import_result(result, display="POINTS", cameras=True, photographs=scene)
cameras = session.cameras_of(collection).objects
assert len(cameras) == 12 and all(len(each.data.background_images) == 1 for each in cameras)
objects = session.objects_of(collection)
assert objects and all(each.splatlift.count > 0 for each in objects)
first, second = objects[:2]
print("RESULT", result)
api.export_object(first, out + "/still.ply")
for each in second.objects:
    each.matrix_world = Matrix.Translation((1.0, 2.0, 3.0)) @ each.matrix_world
bpy.context.view_layer.update()
api.export_object(second, out + "/moved.ply")
bpy.data.collections.remove(first)
api.export_object(session.objects_of(collection), out + "/rest.ply")
bpy.ops.preferences.addon_disable(module=name)
print("whole")
"""


MAKE = """
import sys
from pathlib import Path
from backend.demo.scene import write_scene
write_scene(Path(sys.argv[1]), objects=8, views=12, size=96, seed=5)
"""


@pytest.fixture
def scene(backend_python: str, tmp_path: Path) -> Path:
    command = [backend_python, "-c", MAKE, str(tmp_path / "kitchen")]
    subprocess.run(command, cwd=ROOT, env=bare_environment(), check=True)
    return tmp_path / "kitchen"


@pytest.fixture
def address(backend_python: str, tmp_path: Path) -> Iterator[str]:
    command = [
        backend_python,
        "-m",
        "backend",
        "serve",
        "--bind",
        "tcp://127.0.0.1:0",
        "--data",
        str(tmp_path / "data"),
    ]
    server = subprocess.Popen(command, cwd=ROOT, env=bare_environment(), stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().split()[-1]
    server.terminate()
    assert server.wait(10) == 0, "the server ends in order"


def bare_environment() -> dict[str, str]:
    """The environment without this Python's paths, which are of no use to another."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def test_segment_import_edit_export(extension: Path, scene: Path, address: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    printed = run_in_bare_blender(SCRIPT, extension, tmp_path, address, scene, tmp_path / "cache", out, timeout=300)
    assert "whole" in printed
    result = Path(printed.partition("RESULT ")[2].splitlines()[0])
    assert (out / "still.ply").read_bytes() == (result / "objects" / "0001.ply").read_bytes()

    assert json.loads((result / "objects.json").read_text())["scene"] == "kitchen"

    before, after = read_ply(result / "objects" / "0002.ply"), read_ply(out / "moved.ply")
    shift = after.means - before.means
    # The capture's frame may stand turned in Blender's, by a rotation that keeps lengths.
    assert np.allclose(np.linalg.norm(shift, axis=1), np.sqrt(14), atol=1e-3)
    assert np.allclose(shift, shift[0], atol=1e-3)
    everything = read_ply(result / "splats.ply").extra["label"]
    assert len(read_ply(out / "rest.ply")) == int((everything > 1).sum())

"""The extension zip, installed into a Blender that has nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.ply import read_ply
from tests.blender.bare import run_in_bare_blender
from tests.blender.example import write_example

pytest.importorskip("bpy")

SCRIPT = """
result, out = arguments
from bl_ext.user_default.splatlift import api
import blake3, msgspec, plyfile, splatlift_protocol, zmq

user = bpy.utils.resource_path("USER")
for module in (api, blake3, msgspec, plyfile, splatlift_protocol, zmq):
    assert module.__file__.startswith(user), module.__file__
assert not {"torch", "backend", "protocol"} & sys.modules.keys()
assert api.Fault.__module__ == "splatlift_protocol.errors"

from pathlib import Path

place = Path(api.__file__).parent
def written():
    files = [path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

before = written()
scene = api.import_result(result, display="POINTS")
assert [child.name for child in scene.children] == ["mug", "plant", "lamp", "background"], list(scene.children)
api.export_object(scene.children[1], out)
for _ in range(20):
    bpy.ops.preferences.addon_disable(module=name)
    bpy.ops.preferences.addon_enable(module=name)
bpy.ops.preferences.addon_disable(module=name)
assert written() == before, "the add-on writes nothing where it is installed"
assert not hasattr(bpy.types.Collection, "splatlift")
print("whole")
"""


def test_the_zip_brings_all_it_needs(extension: Path, tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    printed = run_in_bare_blender(SCRIPT, extension, tmp_path, tmp_path / "in", tmp_path / "out.ply")
    assert "whole" in printed
    source = tmp_path / "in" / "objects" / "0002.ply"
    assert (tmp_path / "out.ply").read_bytes() == source.read_bytes()
    assert len(read_ply(tmp_path / "out.ply")) > 0

"""The extension zip, installed into a Blender that has nothing else: no source tree, no site-packages, no settings."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import build_addon
from protocol.ply import read_ply
from tests.blender.example import write_example

pytest.importorskip("bpy")

NEEDED_BY_BPY = ("bpy", "numpy", "requests", "urllib3", "idna", "certifi", "charset_normalizer", "zstandard")

SCRIPT = """
import sys
from pathlib import Path

site, zip_path, result, out = sys.argv[1:]
sys.path.insert(0, site)
import bpy

installed = bpy.ops.extensions.package_install_files(filepath=zip_path, repo="user_default", enable_on_install=True)
assert installed == {"FINISHED"}, installed
name = "bl_ext.user_default.splatlift"
assert name in bpy.context.preferences.addons, [each.module for each in bpy.context.preferences.addons]

from bl_ext.user_default.splatlift import api
import msgspec, plyfile, protocol, zmq

user = bpy.utils.resource_path("USER")
for module in (api, msgspec, plyfile, protocol, zmq):
    assert module.__file__.startswith(user), module.__file__
assert "torch" not in sys.modules and "backend" not in sys.modules

scene = api.import_result(result, display="POINTS")
assert [child.name for child in scene.children] == ["mug", "plant", "lamp", "background"], list(scene.children)
api.export_object(scene.children[1], out)
bpy.ops.preferences.addon_disable(module=name)
assert not hasattr(bpy.types.Collection, "splatlift")
print("whole")
"""


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_addon.build(tmp_path_factory.mktemp("dist"), build_addon.this_platform())


def test_the_zip_brings_all_it_needs(extension: Path, tmp_path: Path) -> None:
    write_example(tmp_path / "in")
    site = tmp_path / "site"
    site.mkdir()
    for name in NEEDED_BY_BPY:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            package = Path(spec.origin).parent
            for each in package.parent.glob(f"{name}*"):
                if not each.name.endswith("-info"):
                    (site / each.name).symlink_to(each)
    # The interpreter below the virtual environment, isolated: only what is linked above and the zip can be imported.
    python = getattr(sys, "_base_executable", sys.executable)
    arguments = (site, extension, tmp_path / "in", tmp_path / "out.ply")
    done = subprocess.run(
        [python, "-I", "-S", "-c", SCRIPT, *map(str, arguments)],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whole" in done.stdout
    source = tmp_path / "in" / "objects" / "0002.ply"
    assert (tmp_path / "out.ply").read_bytes() == source.read_bytes()
    assert len(read_ply(tmp_path / "out.ply")) > 0

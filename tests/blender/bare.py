"""A Blender that has nothing else: no source tree, no site-packages, no settings, only the extension zip."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

NEEDED_BY_BPY = ("bpy", "numpy", "requests", "urllib3", "idna", "certifi", "charset_normalizer", "zstandard")

INSTALL = """
import sys
from pathlib import Path

site, zip_path, *arguments = sys.argv[1:]
sys.path.insert(0, site)
import bpy

installed = bpy.ops.extensions.package_install_files(filepath=zip_path, repo="user_default", enable_on_install=True)
assert installed == {"FINISHED"}, installed
name = "bl_ext.user_default.splatlift"
assert name in bpy.context.preferences.addons, [each.module for each in bpy.context.preferences.addons]
"""


def run_in_bare_blender(script: str, extension: Path, work: Path, *arguments: object, timeout: float = 120) -> str:
    """Install the zip in a fresh Blender, run ``script`` with ``arguments`` as a list, and return what it printed.

    Raises:
        AssertionError: if the script ends with an error; the message is all that it printed.
    """
    site = work / "site"
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
    done = subprocess.run(
        [python, "-I", "-S", "-c", INSTALL + script, str(site), str(extension), *map(str, arguments)],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(work / "user")},
        cwd=work,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

"""Every capture in a folder: segmented on a server, imported, saved and exported, without a window.

    blender -b --python docs/batch.py -- tcp://127.0.0.1:5757 /captures /out

Makes OUT/NAME.blend, OUT/NAME.ply and OUT/NAME/0001.ply and so on for each capture NAME. What is there already is left
alone, so an interrupted batch goes on where it was. The exit status is the number of captures that failed.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import bpy

try:
    from bl_ext.user_default.splatlift import api, session
except ImportError:  # not installed: in the source tree
    from blender_addon import api, session


def main() -> int:
    parser = argparse.ArgumentParser("batch.py")
    parser.add_argument("server", help="tcp://HOST:PORT, as backend serve prints it")
    parser.add_argument("captures", type=Path, help="a folder of scene folders")
    parser.add_argument("out", type=Path, help="where the files go")
    parser.add_argument("--display", default="POINTS", choices=("POINTS", "SPLATS", "MESH"))
    # What stands after "--" is not Blender's.
    chosen = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [])
    failed = 0
    with api.connect(chosen.server) as client:
        for capture in sorted(each for each in chosen.captures.iterdir() if each.is_dir()):
            try:
                one(client, capture, chosen.out, chosen.display)
            except api.Fault as fault:
                print(f"{capture.name}: {fault}", file=sys.stderr, flush=True)
                failed += 1
    return failed


def one(client: api.Client, capture: Path, out: Path, display: Any) -> None:
    blend = out / f"{capture.name}.blend"
    if blend.exists():
        print(f"{capture.name}: there already", flush=True)
        return
    folder = out / capture.name
    folder.mkdir(parents=True, exist_ok=True)
    result = api.segment(client, capture, on_progress=print).result()
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = api.import_result(result, display, cameras=True, photographs=capture)
    for each in session.objects_of(scene):
        api.export_object(each, folder / f"{each.splatlift.label:04d}.ply")
    api.export_scene(scene, out / f"{capture.name}.ply", background=False)
    bpy.ops.wm.save_as_mainfile(filepath=str(blend.absolute()))
    print(f"{capture.name}: {len(session.objects_of(scene))} objects", flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Runs one scene through the whole add-on without a window: segment on a server, import, save and export.

    python -m blender_addon.batch tcp://127.0.0.1:5757 /captures/kitchen --blend kitchen.blend --objects kitchen/

Inside Blender call :func:`main` with the same arguments. Progress is printed to standard output as one line of JSON per
step: ``{"stage", "fraction", "note"}``; the last line is ``{"result", "objects", "blend"}``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import bpy

from protocol.errors import Fault

from . import api, session


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the batch and return an exit status: 0, or 2 after printing a fault as one line on stderr."""
    options = _options(arguments)
    try:
        run(options)
    except Fault as fault:
        print(f"batch: {fault}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Segment, import, save and export according to ``options``.

    Raises:
        Fault: as the functions of :mod:`blender_addon.api`.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with api.connect(options.address, cache=options.cache) as client:
        job = api.segment(client, options.scene, options.method, test_views=options.test_views, on_progress=_tell)
        folder = job.result()
    _tell("import", 0.0, folder.name)
    scene = api.import_result(folder, display=options.display)
    objects = session.objects_of(scene)
    for done, each in enumerate(objects):
        target = options.objects / f"{each.splatlift.label:04d}.ply"
        _tell("export", done / len(objects), target.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        api.export_object(each, target)
    bpy.ops.wm.save_as_mainfile(filepath=str(options.blend.absolute()))
    print(json.dumps({"result": str(folder), "objects": len(objects), "blend": str(options.blend)}), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("batch", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("address", help="the server, tcp://HOST:PORT")
    parser.add_argument("scene", type=Path, help="a scene folder")
    parser.add_argument("--blend", type=Path, required=True, help="the .blend file to save")
    parser.add_argument("--objects", type=Path, required=True, help="the folder to export the objects to")
    parser.add_argument("--cache", type=Path, help="the folder for downloads; default: the folder in the preferences")
    parser.add_argument("--method", help="a lifting method; default: the server's recommended one")
    parser.add_argument("--test-views", default="none", help="test views, not used for training or lifting")
    parser.add_argument("--display", default="POINTS", choices=("POINTS", "SPLATS", "MESH"))
    return parser.parse_args(arguments)


def _tell(stage: str, fraction: float, note: str = "") -> None:
    print(json.dumps({"stage": stage, "fraction": round(fraction, 4), "note": note}), flush=True)


if __name__ == "__main__":
    from . import register, unregister

    register()
    try:
        status = main()
    finally:
        unregister()
    sys.exit(status)

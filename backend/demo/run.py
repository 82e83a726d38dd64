"""`backend demo`: the whole pipeline on a generated scene.

It runs a server process, a second process with Blender and the add-on's client, ZeroMQ between them, and a worker
process that reconstructs and lifts. The result is scored against the ground truth of the generated scene.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from backend.demo.scene import write_scene
from backend.evaluate.folders import evaluate_folder
from backend.progress import Progress
from protocol.errors import BadArgument, JobFailed, Unavailable
from protocol.result.names import OVERVIEW

TEST_VIEWS = "last:0.2"
MARK = ".splatlift-demo"


def run_demo(out: Path, *, seed: int = 0, progress: Progress) -> list[str]:
    """Run the demonstration and return lines with the locations of all outputs and their scores.

    Args:
        out: the output folder: ``scene/``, ``result/``, ``objects/``, ``demo.blend``, ``overview.png``. An earlier
            demonstration is replaced.
        seed: of the scene.
        progress: told the stages of the scene, the job and the import.

    Raises:
        Unavailable: if bpy is not installed. BadArgument: if ``out`` contains anything else. JobFailed: if Blender's
            process ends with an error.
    """
    if importlib.util.find_spec("bpy") is None:
        raise Unavailable(
            "The demonstration needs the Python module bpy, which is Blender without a window.",
            "Install it with: pip install 'splatlift[blender]' (Python 3.11).",
        )
    _clear(out)
    write_scene(out / "scene", seed=seed, progress=progress)
    with TemporaryDirectory(prefix="splatlift-demo-") as work:
        with _server(Path(work) / "server") as address:
            ended = _blender(address, out, Path(work), progress)
        shutil.copytree(ended["result"], out / "result")
    shutil.copy(out / "result" / OVERVIEW, out / OVERVIEW)
    score = evaluate_folder(out / "result", out / "scene" / "gt" / "instance")
    return [
        f"{ended['objects']} objects were found; the held-out views show {score.tp + score.fn}.",
        f"Panoptic quality on {score.views} held-out views: {score.pq_things:.1f} (objects), "
        f"{score.pq_scene:.1f} (objects and background); mean IoU {score.mean_iou:.1f}.",
        f"Blender file      {out / 'demo.blend'}",
        f"picture           {out / 'overview.png'}",
        f"exported objects  {out / 'objects'}",
        f"result folder     {out / 'result'}",
        f"scene             {out / 'scene'}",
    ]


def _clear(out: Path) -> None:
    """Make ``out`` an empty folder marked as a demonstration."""
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / MARK).is_file())):
        raise BadArgument(
            f"{out} contains files that are not from an earlier demonstration.", "Choose a new folder with --out."
        )
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).touch()


@contextmanager
def _server(data: Path) -> Iterator[str]:
    """Run `backend serve` on a free port of this machine and yield its address."""
    command = [sys.executable, "-m", "backend", "serve", "--bind", "tcp://127.0.0.1:0", "--data", str(data)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        line = server.stdout.readline().strip()
        if not line:
            raise JobFailed(f"The server failed to start, with status {server.wait(10)}.")
        yield line.rpartition(" ")[2]
    finally:
        server.terminate()
        server.wait(10)


def _blender(address: str, out: Path, work: Path, progress: Progress) -> dict:
    """Run the add-on's batch in a separate process; forward its progress and return its last line."""
    command = [sys.executable, "-m", "blender_addon.batch", address, str(out / "scene"), "--test-views", TEST_VIEWS]
    command += ["--blend", str(out / "demo.blend"), "--objects", str(out / "objects"), "--cache", str(work / "cache")]
    ended: dict = {}
    with (work / "blender.log").open("w+") as log:
        blender = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert blender.stdout is not None
            for line in blender.stdout:
                if not line.startswith("{"):
                    continue  # Blender prints other lines too
                told = json.loads(line)
                if "stage" in told:
                    progress(told["stage"], told["fraction"], told["note"])
                else:
                    ended = told
            status = blender.wait()
        finally:
            blender.kill()
            blender.wait()
        if status or not ended:
            log.seek(0)
            complaints = log.read().strip().splitlines()
            raise JobFailed(complaints[-1] if complaints else f"Blender ended with status {status}.")
    return ended

"""The true worker around a small pipeline, for :mod:`bench.chaos_power`: what it makes depends on the scene alone.

The file ``script`` of the scene says how: "fail", or the number of its steps. Between two of them it waits for as many
seconds as the variable BENCH_PAUSE says. After each step it writes a checkpoint, as training does, and it continues
from one: a step adds to the sums in it, so a wrong checkpoint gives a wrong result.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

from backend.progress import Progress, Stopped
from backend.reconstruct import checkpoint as checkpoints
from backend.server.kept_poses import KeptPoses
from backend.server.worker import work
from protocol.errors import BadScene
from protocol.job_request import JobRequest
from protocol.manifest import digest_of
from protocol.result.folder import whole_folder

SUMS = 2000
"""Numbers in a checkpoint: more than fit into a sector."""


def segment(
    scene: Path,
    out: Path,
    request: JobRequest,
    *,
    checkpoint: Path,
    progress: Progress,
    kept_poses: KeptPoses,
    **_: object,
) -> None:
    script = (scene / "script").read_text()
    if script == "fail":
        raise BadScene("The scene has no view.", "Take photographs.")
    pause = float(os.environ.get("BENCH_PAUSE", "0"))
    photographs = sorted((scene / "images").iterdir())
    poses = scene.with_name("poses")
    source = digest_of(b"".join(path.read_bytes() for path in photographs))
    kept_poses.restore(source, request.seed, poses)
    if not poses.is_dir():
        poses.mkdir()
        (poses / "points").write_bytes(bytes.fromhex(source) * 500)
        (poses / "first").write_bytes(photographs[0].read_bytes())
        kept_poses.keep(source, request.seed, poses)
    count = int(script)
    found = checkpoints.load(checkpoint, source)
    begin, sums = (0, np.zeros(SUMS, np.int64)) if found is None else (int(found["step"]), found["sums"].copy())
    for step in range(begin, count):
        try:
            progress("reconstruct", step / count)
        except Stopped:
            _save(checkpoint, step, sums, source)
            raise
        time.sleep(pause)
        sums += np.arange(SUMS) * (step + 1)
        _save(checkpoint, step + 1, sums, source)
    with whole_folder(out) as folder:
        (folder / "gallery").mkdir()
        (folder / "points").write_bytes((poses / "points").read_bytes())
        for number, path in enumerate(photographs):
            (folder / "gallery" / f"{number}.txt").write_text(digest_of(path.read_bytes()) * 100)
        (folder / "splats.ply").write_bytes(sums.tobytes())
        (folder / "report.json").write_text(f'{{"source": "{source}"}}')


def _save(path: Path, step: int, sums: np.ndarray, source: str) -> None:
    checkpoints.save(path, {"step": np.array(step), "sums": sums}, source)


def main() -> None:
    sys.exit(work(Path(sys.argv[1]), sys.argv[2], segment))

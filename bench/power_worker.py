"""The true worker around a small pipeline, for :mod:`bench.chaos_power`: what it makes depends on the scene alone.

The file ``script`` of the scene says how: "fail", or the number of its steps. Between two of them it waits for as many
seconds as the variable BENCH_PAUSE says.
"""

import os
import sys
import time
from pathlib import Path

from backend.progress import Progress
from backend.server.kept_poses import KeptPoses
from backend.server.worker import work
from protocol.errors import BadScene
from protocol.job_request import JobRequest
from protocol.manifest import digest_of
from protocol.result.folder import whole_folder


def segment(
    scene: Path, out: Path, request: JobRequest, *, progress: Progress, kept_poses: KeptPoses, **_: object
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
    for step in range(count):
        progress("reconstruct", step / count)
        time.sleep(pause)
    with whole_folder(out) as folder:
        (folder / "gallery").mkdir()
        (folder / "points").write_bytes((poses / "points").read_bytes())
        for number, path in enumerate(photographs):
            (folder / "gallery" / f"{number}.txt").write_text(digest_of(path.read_bytes()) * 100)
        (folder / "report.json").write_text(f'{{"source": "{source}"}}')


def main() -> None:
    sys.exit(work(Path(sys.argv[1]), sys.argv[2], segment))

"""The true worker around a pipeline of the tests: counts photographs instead of lifting them."""

import sys
import time
from pathlib import Path

from backend.progress import Progress
from backend.server.worker import work
from protocol.errors import BadScene
from protocol.job_request import JobRequest


def segment(scene: Path, out: Path, request: JobRequest, *, progress: Progress, **_: object) -> None:
    print("a library that prints to standard output")
    script = (scene / "script").read_text()
    progress("reconstruct", 0.5, "29.8 dB\nand more")
    progress("reconstruct", 1.5)
    if script == "greedy":
        kept = []
        while True:
            kept.append(b"x" * (20 << 20))
            progress("lift", 0.0)
            time.sleep(0.005)
    if script == "bug":
        raise KeyError("means")
    if script == "bad":
        raise BadScene(f"The scene {scene.name} has no view.", "Take photographs.")
    if script == "lost":
        raise BadScene(f"The file {scene / 'images' / '0.png'} is broken.", f"Look at {scene / 'images'}/ of {scene}.")
    if script == "wait":
        while True:
            progress("lift", 0.0)
            time.sleep(0.01)
    if script == "hang":
        progress("lift", 0.0)
        time.sleep(60)
    names = sorted(path.name for path in scene.rglob("*") if path.is_file())
    out.mkdir()
    (out / "report.txt").write_text(f"{names} {request.seed} {request.device} {request.masks}")


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1]), sys.argv[2], segment))

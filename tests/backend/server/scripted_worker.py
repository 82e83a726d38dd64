"""A worker that executes the file ``script`` of its scene, one command per line.

It keeps to the lines and files of a true worker and imports little, so it starts at once.
"""

import errno
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[3]))
from backend import lock


def main() -> None:
    global reports
    folder = Path(sys.argv[1])
    held = lock.hold(folder / "worker.lock")
    if held is None:
        os._exit(75)
    reports = os.open(folder / f"reports-{sys.argv[2]}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    lock.sign(folder / "worker.lock", f"{os.getpid()} {sys.argv[2]} {psutil.boot_time()}")
    job = json.loads((folder / "job.json").read_text())

    def stored(digest: str) -> Path:
        return Path(job["store"]) / digest[:2] / digest

    files = {entry["path"]: entry["digest"] for entry in json.loads(stored(job["scene"]).read_text())["files"]}
    for line in stored(files["script"]).read_text().splitlines():
        command, *rest = line.split()
        if command == "step":  # stage, fraction
            say(type="progress", stage=rest[0], fraction=float(rest[1]), note="at work")
        elif command == "many":  # how many steps
            for i in range(int(rest[0])):
                say(type="progress", stage="lift", fraction=i / int(rest[0]), note="")
        elif command == "write":  # name, size in bytes: seeded content
            path = folder / "result" / rest[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((rest[0].encode() * (int(rest[1]) // len(rest[0]) + 1))[: int(rest[1])])
        elif command == "picture":  # height, width, value: of one colour
            height, width, value = map(int, rest)
            shape = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({height}, {width}, 3), }}".ljust(117) + "\n"
            head = b"\x93NUMPY\x01\x00" + len(shape).to_bytes(2, "little") + shape.encode()
            (folder / "picture.npy").write_bytes(head + bytes([value]) * (height * width * 3))
            say(type="picture")
        elif command == "copy":  # a folder, which becomes the result
            shutil.copytree(line.partition(" ")[2], folder / "result", dirs_exist_ok=True)
        elif command == "done":
            say(type="done")
        elif command == "error":  # code
            say(type="error", code=rest[0], sentence="The scene is empty.", remedy="Take photographs.")
        elif command == "raw":
            os.write(reports, line.partition(" ")[2].encode() + b"\n")
        elif command == "log":
            os.write(2, line.partition(" ")[2].encode() + b"\n")
        elif command == "environment":  # a variable, whose value becomes the stage
            say(type="progress", stage=f"{rest[0]}={os.environ.get(rest[0])}", fraction=0.5, note="")
        elif command == "status":
            os._exit(int(rest[0]))
        elif command == "kill":  # signal, by which it dies
            os.kill(os.getpid(), getattr(signal, rest[0]))
        elif command == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif command == "child":  # a child that outlives it and holds its lock
            if os.fork() == 0:
                time.sleep(60)
        elif command == "daemon":  # a child in a session of its own that outlives it
            if os.fork() == 0:
                os.setsid()
                time.sleep(60)
                os._exit(0)
        elif command == "spam":  # MiB that it writes to its standard output
            for _ in range(int(rest[0])):
                os.write(1, (b"x" * 127 + b"\n") * 8192)
        elif command == "checkpoint":
            checkpoint = folder / "checkpoint"
            say(type="progress", stage="resumed" if checkpoint.exists() else "fresh", fraction=0.5, note="")
            checkpoint.write_text("half")
        elif command == "train":  # how many more steps its checkpoint has than the one before
            train(folder / "checkpoint", int(rest[0]))
        elif command in ("count-down", "lack"):  # the number of starts in which it is killed, or ends with status 76
            left = folder / "left"
            number = int(left.read_text()) if left.exists() else int(rest[0])
            left.write_text(str(number - 1))
            if number > 0 and command == "lack":
                os._exit(76)
            if number > 0:
                os.kill(os.getpid(), signal.SIGKILL)
        elif command == "wait-unless-resumed":
            if not (folder / "resume").exists():
                (folder / "resume").touch()
                time.sleep(60)
        elif command == "until-there":  # a file in the job's folder
            while not (folder / rest[0]).exists():
                time.sleep(0.01)
        elif command == "until-cancelled":
            until(folder, "cancel")
            sys.exit(1)
        elif command == "until-stopped":  # seconds that it takes to write its checkpoint
            until(folder, "stop")
            say(type="stopping")
            time.sleep(float(rest[0]))
            (folder / "checkpoint").write_text("half")
            sys.exit(1)
        elif command == "sleep":
            time.sleep(float(rest[0]))
        else:
            raise ValueError(line)


def train(checkpoint: Path, steps: int) -> None:
    import numpy as np  # here, because the other commands do not need it

    if checkpoint.exists():
        with np.load(checkpoint) as arrays:
            steps += int(arrays["steps"][0])
    with open(checkpoint, "wb") as file:
        np.savez(file, steps=np.array([steps, steps]))


def until(folder: Path, order: str) -> None:
    while not ((folder / "order").exists() and (folder / "order").read_text() == order):
        time.sleep(0.01)


def say(**line) -> None:
    os.write(reports, json.dumps(line).encode() + b"\n")


try:
    main()
except OSError as error:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENOMEM):
        raise
    os._exit(76)  # as the true worker, which is started again later

"""A worker that executes the file ``script`` of its scene, one command per line.

It keeps to the lines of a true worker and needs nothing but the standard library, so it starts at once.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    folder = Path(sys.argv[1])
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
            os.write(1, line.partition(" ")[2].encode() + b"\n")
        elif command == "log":
            os.write(2, line.partition(" ")[2].encode() + b"\n")
        elif command == "status":
            os._exit(int(rest[0]))
        elif command == "kill":  # signal, by which it dies
            os.kill(os.getpid(), getattr(signal, rest[0]))
        elif command == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif command == "child":  # a child that outlives it and holds its standard output
            if os.fork() == 0:
                time.sleep(60)
        elif command == "checkpoint":
            checkpoint = folder / "checkpoint"
            say(type="progress", stage="resumed" if checkpoint.exists() else "fresh", fraction=0.5, note="")
            checkpoint.write_text("half")
        elif command == "wait-unless-resumed":
            if not (folder / "resume").exists():
                (folder / "resume").touch()
                time.sleep(60)
        elif command == "until-there":  # a file in the job's folder
            while not (folder / rest[0]).exists():
                time.sleep(0.01)
        elif command == "until-cancelled":
            assert sys.stdin.readline() == "cancel\n"
            sys.exit(1)
        elif command == "sleep":
            time.sleep(float(rest[0]))
        else:
            raise ValueError(line)


def say(**line) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


main()

"""The command that runs the attacks."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import typer
import zmq

import bench.attacks
from bench.attacks import connections, files, handshakes, messages, order, others, parts  # noqa: F401
from bench.attacks.serving import ATTACKS, MEASURED
from protocol.errors import Fault


def _run(name: str) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory(prefix="attack-") as place:
        try:
            return True, ATTACKS[name](Path(place))
        except AssertionError as error:
            return False, str(error) or "an assertion failed"
        except (Fault, OSError, TimeoutError, zmq.ZMQError) as error:
            log = Path(place, "server.log")
            last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
            return False, f"{type(error).__name__}: {error}"[:150] + "".join(f" | log: {line[:150]}" for line in last)


app = typer.Typer(add_completion=False, help=bench.attacks.__doc__)


@app.command()
def wire(only: str = "", list_names: bool = typer.Option(False, "--list")) -> None:
    """Run the attacks whose names contain a text, and print a line for each."""
    failed = 0
    for name in ATTACKS:
        if only in name:
            if list_names:
                print(name.replace("_", " "))
                continue
            begin = time.monotonic()
            MEASURED.clear()
            withstood, said = _run(name)
            failed += not withstood
            took = time.monotonic() - begin
            measured = "".join(f"; waited {each.waited * 1000:.0f} ms, grew {each.grown:.0f} MiB" for each in MEASURED)
            verdict = "withstood" if withstood else "FAILED"
            print(f"{verdict:9s} {name.replace('_', ' ')} ({took:.0f} s): {said}{measured}", flush=True)
    if not list_names:
        print(f"{failed} failed")


@app.callback()
def _main() -> None:
    """Commands."""


if __name__ == "__main__":
    app()

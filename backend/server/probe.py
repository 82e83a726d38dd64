"""The process that probes the machine and the methods; it may load torch. See :mod:`backend.server.capabilities`."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import msgspec
import psutil

from backend.lift.methods import METHODS
from backend.segmenter import known_models
from backend.server.capabilities import Found
from backend.server.child_pipes import listen, take_stdout
from protocol.errors import Fault
from protocol.messages import Facts
from protocol.settings import declare


def main() -> None:
    channel = take_stdout()
    listen()
    methods = {name: declare(method.settings) for name, method in METHODS.items()}
    machine = _machine(sys.argv[1])
    channel.write(msgspec.json.encode(Found(machine, methods, _gpus(machine.device), known_models())))
    channel.flush()


def _machine(wanted: str) -> Facts:
    from backend.render import device_of

    try:
        device = device_of(wanted)
    except Fault as fault:
        return Facts(wanted, "", 0, 0, fault.sentence[:2000])
    if device == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info()
        return Facts(device, torch.cuda.get_device_name()[:200], free, total)
    memory = psutil.virtual_memory()
    return Facts(device, _processor()[:200], memory.available, memory.total)


def _gpus(device: str) -> list[str]:
    """Return the name of each visible GPU in ``CUDA_VISIBLE_DEVICES``, in order."""
    if device != "cuda":
        return []
    import torch

    count = torch.cuda.device_count()
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[:count] if visible else [str(number) for number in range(count)]


def _processor() -> str:
    """Return the processor's name, if known, and its number of cores."""
    name = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.is_file():
        models = [line.partition(":")[2].strip() for line in about.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
    # The output is complete. The shutdown of torch would take seconds.
    os._exit(0)

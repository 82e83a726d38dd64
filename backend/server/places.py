"""Which jobs may run beside one another: one on each GPU, and one on the CPU.

While the GPUs are not known, one job on "the GPU" and one on the CPU; a job whose device its worker chooses takes both.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.server.worker_protocol import Device

CPU = "cpu"
ANY_GPU = "gpu"


def held(device: Device, wanted: int, given: Sequence[str], gpus: Sequence[str] | None) -> set[str]:
    """Return the places that a running job holds.

    Args:
        device: what its worker was told.
        wanted: how many GPUs the job asked for.
        given: the GPUs that its worker was given; empty for one that was started while they were not known.
        gpus: those of the machine, None while they are not known.
    """
    if device == "cpu" or gpus == []:
        return {CPU}
    if gpus is None:
        return {CPU, ANY_GPU} if device == "auto" else {ANY_GPU}
    # Without CUDA_VISIBLE_DEVICES a worker takes the first.
    return set(given or gpus[:wanted])


def find(device: Device, wanted: int, taken: set[str], gpus: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the places that a job can start at, None where it has to wait.

    The names of GPUs among them are those that its worker is to be given.

    Args:
        device, wanted, gpus: as :func:`held`.
        taken: the places of all that run, and of all that wait before this job.
    """
    if device == "cpu" or not gpus:
        needed = held(device, wanted, (), gpus)
        return None if needed & taken else tuple(sorted(needed))
    free = [gpu for gpu in gpus if gpu not in taken]
    # A job that wants more than there are gets all, and says itself that they are too few.
    enough = min(wanted, len(gpus))
    return tuple(free[:enough]) if len(free) >= enough else None


def reserved(device: Device, gpus: Sequence[str] | None) -> set[str]:
    """Return the places that no later job may take before a waiting one, so that a job of many GPUs gets its turn."""
    if device == "cpu" or not gpus:
        return held(device, 1, (), gpus)
    return set(gpus)


def number(gpus: Sequence[str] | None) -> int | None:
    """Return how many jobs whose device is left open can run at once; None while that is not known."""
    return None if gpus is None else max(1, len(gpus))

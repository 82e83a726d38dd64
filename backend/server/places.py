"""Which jobs may run at the same time: one on each GPU, and one on the CPU.

While the GPUs are not known, one job may run on "the GPU" and one on the CPU; a job whose worker chooses the device
takes both places.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.server.worker_protocol import Device

CPU = "cpu"
ANY_GPU = "gpu"


def held(device: Device, wanted: int, given: Sequence[str], gpus: Sequence[str] | None) -> set[str]:
    """Return the places that a running job holds.

    Args:
        device: of its worker.
        wanted: number of GPUs that the job asked for.
        given: the GPUs of its worker; empty if it was started while they were not known.
        gpus: those of the machine; None while they are not known.
    """
    if device == "cpu" or gpus == []:
        return {CPU}
    if gpus is None:
        return {CPU, ANY_GPU} if device == "auto" else {ANY_GPU}
    # Without CUDA_VISIBLE_DEVICES a worker uses the first ones.
    return set(given or gpus[:wanted])


def find(device: Device, wanted: int, taken: set[str], gpus: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the places at which a job can start now; None if it has to wait.

    The names of GPUs among them are the GPUs for its worker.

    Args:
        device, wanted, gpus: as :func:`held`.
        taken: the places of all running jobs, and of all jobs that wait before this one.
    """
    if device == "cpu" or not gpus:
        needed = held(device, wanted, (), gpus)
        return None if needed & taken else tuple(sorted(needed))
    free = [gpu for gpu in gpus if gpu not in taken]
    # A job that wants more GPUs than there are gets all; the worker then reports the error.
    enough = min(wanted, len(gpus))
    return tuple(free[:enough]) if len(free) >= enough else None


def reserved(device: Device, gpus: Sequence[str] | None) -> set[str]:
    """Return the places that later jobs may not take while a job waits, so that a job for many GPUs can start."""
    if device == "cpu" or not gpus:
        return held(device, 1, (), gpus)
    return set(gpus)


def number(gpus: Sequence[str] | None) -> int | None:
    """Return how many jobs with device "auto" can run at the same time; None while that is not known."""
    return None if gpus is None else max(1, len(gpus))

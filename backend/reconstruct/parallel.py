"""Reconstruction on several GPUs of one machine: one process each, with all Gaussians and its own photograph.

A step then uses as many photographs as there are processes. After every step, gradients are averaged and growth scores
are added up; everything else is computed by every process from the same numbers with the same results. So nothing else
is exchanged, and N processes give the same result as one process with N photographs per step. The communication grows
with the number of Gaussians, not of pixels: 4 bytes per value and step.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from backend.reconstruct.densify import Growth
from backend.reconstruct.optimiser import Columns
from backend.reconstruct.photographs import Photograph
from backend.render import Rendered
from protocol.errors import BadArgument, Unavailable

PATIENCE = timedelta(minutes=10)
"""Timeout for other processes, which may still be compiling kernels or reading photographs."""


class Peers:
    """The processes of one reconstruction, from the perspective of one of them.

    Attributes:
        rank: of this process, from 0; process 0 reports progress and writes checkpoints.
        count: number of processes.
    """

    def __init__(self, rank: int, count: int, others: tuple[BaseProcess, ...] = ()) -> None:
        self.rank = rank
        self.count = count
        self._others = others

    def check(self) -> None:
        """Raise Unavailable if another process has failed, because waiting for it might never end."""
        if any(other.exitcode for other in self._others):
            raise Unavailable("The process of another GPU ended unexpectedly.", "Read its error message in the log.")

    def share(
        self, columns: Columns, growth: Growth, rendered: Rendered, photo: Photograph, mask_weight: float
    ) -> torch.Tensor:
        """Average the gradients of ``columns`` over all processes, and let ``growth`` observe all rendered views.

        Args:
            columns: with the gradients of this process, which are replaced.
            growth: the same in every process, before and after.
            rendered, photo, mask_weight: see :meth:`~backend.reconstruct.densify.Growth.observe`.

        Returns:
            (N,) bool, the Gaussians that any process has seen.

        Raises:
            Unavailable: if another process has ended.
        """
        self.check()
        own = Growth(len(growth.score), growth.score.device)
        own.observe(rendered, photo, mask_weight)
        for column in columns.values():
            assert column.grad is not None
            column.grad = _sum(column.grad.contiguous()) / self.count
        growth.score += _sum(own.score)
        growth.seen += _sum(own.seen)
        return own.seen > 0

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a tensor summed over all processes, in place.

        Raises:
            Unavailable: if another process has ended.
        """
        self.check()
        return _sum(tensor)


def _sum(tensor: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over all processes, in place."""
    try:
        distributed.all_reduce(tensor)
    except RuntimeError as error:
        raise Unavailable(
            f"The process of another GPU cannot be reached: {error}", "Read its error message in the log."
        ) from error
    return tensor


@contextmanager
def together(count: int, device: str, follow: Callable[..., object], job: tuple[Any, ...]) -> Iterator[Peers | None]:
    """Run ``follow(peers, *job)`` in ``count - 1`` further processes, which end with the context.

    Args:
        count: 1 yields None and starts no process.
        device: "cuda", one GPU per process, this one first; or "cpu", which all share.
        follow: a module-level function, so that processes can import it; ``job`` is copied to them.

    Raises:
        BadArgument: if ``count`` is below 1.
        Unavailable: if there are not enough GPUs, or torch cannot connect them.
    """
    if count < 1:
        raise BadArgument(f"The number of GPUs is {count}.", "Give 1 or more.")
    if count == 1:
        yield None
        return
    if device == "cuda" and torch.cuda.device_count() < count:
        raise Unavailable(
            f"{count} GPUs were requested, but this machine has {torch.cuda.device_count()}.", "Request fewer GPUs."
        )
    if not distributed.is_available() or (device == "cuda" and not distributed.is_nccl_available()):
        raise Unavailable(
            "This build of torch cannot use several GPUs.", "Use one GPU, or install a build of torch with NCCL."
        )
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        others = tuple(
            context.Process(target=_other, args=(rank, count, device, folder, follow, job), daemon=True)
            for rank in range(1, count)
        )
        for other in others:
            other.start()
        try:
            _join(0, count, device, folder)
            yield Peers(0, count, others)
            if device == "cuda":
                # NCCL processes leave together: joining one first would deadlock, because it waits for this one.
                distributed.destroy_process_group()
            for other in others:
                other.join()
        finally:
            for other in others:
                # SIGKILL ends them whatever library waits inside them.
                other.kill()
                other.join()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _join(rank: int, count: int, device: str, folder: str) -> None:
    if device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if device == "cuda" else "gloo"
    # A path, not a file:// URL: torch does not decode "%20" in URLs, and would wait forever if the path has a space.
    store = distributed.FileStore(str(Path(folder, "meeting")), count)  # pyright: ignore
    distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)


def _other(
    rank: int, count: int, device: str, folder: str, follow: Callable[..., object], job: tuple[Any, ...]
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _join(rank, count, device, folder)
    follow(Peers(rank, count), *job)
    distributed.destroy_process_group()


def _end_with_parent() -> None:
    """End this process when its parent exits or is killed; otherwise it would wait forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

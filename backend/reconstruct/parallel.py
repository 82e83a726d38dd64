"""Several GPUs of one machine: a process each, with all Gaussians and another photograph.

A step then looks at as many photographs as there are processes. Their gradients are averaged and what they say of
growth is added up, after every step; the rest every process does by itself, from the same numbers with the same
results. So nothing else need be exchanged, and N processes do what one does with N photographs a step. What they
exchange grows with the Gaussians, not with the pixels: 4 bytes a value and step.
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
"""How long a process waits for the others, which may still compile kernels or read photographs."""


class Peers:
    """The processes of one reconstruction, seen from one of them.

    Attributes:
        rank: which one this is, from 0; 0 reports and writes checkpoints.
        count: how many there are.
    """

    def __init__(self, rank: int, count: int, others: tuple[BaseProcess, ...] = ()) -> None:
        self.rank = rank
        self.count = count
        self._others = others

    def check(self) -> None:
        """Raise Unavailable if another process has failed: not every wait for it would end."""
        if any(other.exitcode for other in self._others):
            raise Unavailable("The process of another GPU ended unexpectedly.", "Read its error message in the log.")

    def share(
        self, columns: Columns, growth: Growth, rendered: Rendered, photo: Photograph, mask_weight: float
    ) -> torch.Tensor:
        """Average the gradients of ``columns`` over all processes, and let ``growth`` observe what all have rendered.

        Args:
            columns: with the gradients of this process, which are replaced.
            growth: the same in every process, before and after.
            rendered, photo, mask_weight: see :meth:`~backend.reconstruct.densify.Growth.observe`.

        Returns:
            (N,) bool, the Gaussians that any process has seen.

        Raises:
            Unavailable: another process has ended.
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
        """Return a tensor added up over all processes, in place.

        Raises:
            Unavailable: another process has ended.
        """
        self.check()
        return _sum(tensor)


def _sum(tensor: torch.Tensor) -> torch.Tensor:
    """Add up a tensor over all processes, in place."""
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
        count: 1 yields None and starts nothing.
        device: "cuda", a GPU for each process, this one the first; or "cpu", which all share.
        follow: of a module, as it is named to the processes; ``job`` is copied to them.

    Raises:
        BadArgument: ``count`` below 1.
        Unavailable: there are not as many GPUs, or torch cannot join them.
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
                # NCCL's processes leave together: one that is waited for would wait for this one.
                distributed.destroy_process_group()
            for other in others:
                other.join()
        finally:
            for other in others:
                # Not a request to end: pycolmap's handler of that one may wait for ever, for a lock of its own thread.
                other.kill()
                other.join()
            if distributed.is_initialized():
                distributed.destroy_process_group()


def _join(rank: int, count: int, device: str, folder: str) -> None:
    if device == "cuda":
        torch.cuda.set_device(rank)
    backend = "nccl" if device == "cuda" else "gloo"
    # A path and not a file:// URL: torch does not decode the URL's "%20" and so waits forever where a path has a space.
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
    """End this process when the one that started it ends, however that happens: else it would wait for it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

"""Adam that updates only visible Gaussians, with moments that are kept through densification."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from backend.compiled import kernel
from backend.threads import spread

BETA1 = 0.9
BETA2 = 0.999
EPS = 1e-15
"""As in 3DGS: gradients of a mean over all pixels are tiny, and would vanish next to the usual 1e-8."""

LEAST = 30_000
"""Least number of values per thread."""

Columns = dict[str, torch.Tensor]


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) over named columns of N Gaussians.

    Rows that are not visible in a step keep their values and moments; plain Adam would move them by old momentum. With
    all rows visible it equals :class:`torch.optim.Adam`.

    Attributes:
        columns: name -> (N, ...) float32, contiguous, requires_grad; one device.
        first, second: name -> the running moments, shaped as the columns.
        steps: number of steps so far, for the bias correction.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = {name: _leaf(column) for name, column in columns.items()}
        self.first = {name: torch.zeros_like(column) for name, column in columns.items()}
        self.second = {name: torch.zeros_like(column) for name, column in columns.items()}
        self.steps = 0

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @torch.no_grad()
    def step(self, rates: Mapping[str, float | torch.Tensor], visible: torch.Tensor) -> None:
        """Update the visible rows with their gradients, and clear the gradients.

        A non-finite gradient counts as zero, so that one bad pixel cannot destroy a Gaussian.

        Args:
            rates: name -> step size, a number or (values per Gaussian,) one for each value of a row.
            visible: (N,) bool.
        """
        self.steps += 1
        unbias1, unbias2 = 1 / (1 - BETA1**self.steps), 1 / (1 - BETA2**self.steps)
        for name, column in self.columns.items():
            if column.grad is None:
                continue
            move = _step_numba if column.device.type == "cpu" else _step_gsplat
            move(column, column.grad, self.first[name], self.second[name], visible, rates[name], unbias1, unbias2)
            column.grad = None

    @torch.no_grad()
    def rearrange(self, keep: torch.Tensor, added: Columns) -> None:
        """Keep the rows of ``keep`` (N,) bool with their moments, and append ``added`` with moments of zero."""
        for name, column in self.columns.items():
            new = added[name]
            self.columns[name] = _leaf(torch.cat([column.detach()[keep], new]))
            self.first[name] = torch.cat([self.first[name][keep], torch.zeros_like(new)])
            self.second[name] = torch.cat([self.second[name][keep], torch.zeros_like(new)])


def _leaf(column: torch.Tensor) -> torch.Tensor:
    return column.detach().contiguous().requires_grad_(True)


def _step_gsplat(column, gradient, first, second, visible, rate, unbias1, unbias2) -> None:
    """Uses gsplat's kernel, which reads only visible rows and does not synchronise the device.

    The kernel has no bias correction, which is equivalent to a factor on the step and one on epsilon.
    """
    from gsplat.cuda._wrapper import adam

    slope = torch.nan_to_num(gradient.contiguous(), nan=0.0, posinf=0.0, neginf=0.0)
    unbias, eps = unbias1 / unbias2**0.5, EPS / unbias2**0.5
    if isinstance(rate, torch.Tensor):
        # The kernel has one rate for all values.
        way = torch.zeros_like(column)
        adam(way, slope, first, second, visible, unbias, BETA1, BETA2, eps)
        column.addcmul_(way, rate.to(column.device, non_blocking=True).view(column[:1].shape))
    else:
        adam(column, slope, first, second, visible, rate * unbias, BETA1, BETA2, eps)


def _step_numba(column, gradient, first, second, visible, rate, unbias1, unbias2) -> None:
    flat = (len(column), -1)
    rate = torch.as_tensor(rate, dtype=torch.float32).expand(column[:1].numel())
    spread(
        _step_rows,
        len(column),
        column.detach().view(flat).numpy(),
        gradient.contiguous().view(flat).numpy(),
        first.view(flat).numpy(),
        second.view(flat).numpy(),
        visible.numpy(),
        rate.contiguous().numpy(),
        np.float32(unbias1),
        np.float32(unbias2),
        least=LEAST // column[:1].numel(),
    )


@kernel(fastmath={"contract", "arcp", "nsz"})
def _step_rows(begin, end, column, gradient, first, second, visible, rate, unbias1, unbias2):
    b1, b2, one = np.float32(BETA1), np.float32(BETA2), np.float32(1)
    for i in range(begin, end):
        if not visible[i]:
            continue
        for j in range(column.shape[1]):
            slope = gradient[i, j]
            if not np.isfinite(slope):
                slope = np.float32(0)
            m = b1 * first[i, j] + (one - b1) * slope
            v = b2 * second[i, j] + (one - b2) * slope * slope
            first[i, j], second[i, j] = m, v
            column[i, j] -= rate[j] * (m * unbias1) / (np.sqrt(v * unbias2) + np.float32(EPS))

"""Adam for a table of which each step updates few rows."""

from __future__ import annotations

import torch
from torch import Tensor

FADE = (0.9, 0.99)
"""Adam's decay rates. The second is smaller than usual because a row is updated in at most a few hundred steps."""


class RowAdam:
    """Adam on the rows of a table that a step updates; the others keep their values and moments.

    torch.optim.SparseAdam does the same from sparse gradients, which cost a sort and a copy for each of the four
    gathers of a step; here the rows are known in advance.

    Args:
        table: (N, d), changed in place.
        rate: learning rate.
    """

    def __init__(self, table: Tensor, rate: float) -> None:
        self.table = table
        self.rate = rate
        self.first = torch.zeros_like(table)
        self.second = torch.zeros_like(table)
        self.steps = torch.zeros(len(table), device=table.device)

    def step(self, rows: Tensor, gradient: Tensor) -> None:
        """Update the distinct ``rows`` (R,) int64 with their ``gradient`` (R, d)."""
        self.steps[rows] += 1
        count = self.steps[rows, None]
        first = self.first[rows].mul_(FADE[0]).add_(gradient, alpha=1 - FADE[0])
        second = self.second[rows].mul_(FADE[1]).addcmul_(gradient, gradient, value=1 - FADE[1])
        self.first[rows], self.second[rows] = first, second
        unbiased = (second / (1 - FADE[1] ** count)).sqrt_().add_(1e-8)
        self.table[rows] -= self.rate * (first / (1 - FADE[0] ** count)) / unbiased

"""Adam on rows."""

from __future__ import annotations

import torch

from backend.lift.embedding.row_adam import FADE, RowAdam


def test_row_adam_is_adam_on_the_rows_it_touches() -> None:
    start = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    table, dense = start.clone(), start.clone()[[1, 4]].requires_grad_()
    ours, theirs = RowAdam(table, 0.05), torch.optim.Adam([dense], lr=0.05, betas=FADE)
    for step in range(20):
        gradient = torch.randn(2, 3, generator=torch.Generator().manual_seed(step))
        ours.step(torch.tensor([1, 4]), gradient)
        dense.grad = gradient
        theirs.step()
    torch.testing.assert_close(table[[1, 4]], dense.detach(), rtol=1e-4, atol=1e-5)
    assert torch.equal(table[[0, 2, 3, 5]], start[[0, 2, 3, 5]])

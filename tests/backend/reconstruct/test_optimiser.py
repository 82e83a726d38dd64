from __future__ import annotations

import pytest
import torch

from backend.reconstruct.optimiser import Adam, _step_torch


def columns(n: int = 40) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"means": (n, 3), "quats": (n, 4), "opacities": (n,), "sh": (n, 4, 3)}
    return {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}


RATES = {"means": 0.01, "quats": 0.02, "opacities": 0.05, "sh": 0.03}


def gradients(adam: Adam, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for column in adam.columns.values():
        column.grad = torch.randn(column.shape, generator=generator)


def gradient_of(column: torch.Tensor) -> torch.Tensor:
    assert column.grad is not None
    return column.grad


def test_all_rows_visible_is_torch_adam():
    ours = Adam(columns())
    theirs = {name: column.clone().requires_grad_(True) for name, column in columns().items()}
    torch_adam = torch.optim.Adam(
        [{"params": [theirs[name]], "lr": rate} for name, rate in RATES.items()], betas=(0.9, 0.999), eps=1e-15
    )
    for step in range(20):
        gradients(ours, step)
        for name, column in theirs.items():
            column.grad = gradient_of(ours.columns[name]).clone()
        ours.step(RATES, torch.ones(40, dtype=torch.bool))
        torch_adam.step()
    for name, column in theirs.items():
        torch.testing.assert_close(ours.columns[name].detach(), column.detach(), rtol=2e-5, atol=2e-6)


def test_unseen_rows_do_not_move_and_keep_their_moments():
    adam = Adam(columns())
    visible = torch.arange(40) % 2 == 0
    before = {name: column.detach().clone() for name, column in adam.columns.items()}
    for step in range(3):
        gradients(adam, step)
        adam.step(RATES, visible)
    for name, column in adam.columns.items():
        assert torch.equal(column[~visible], before[name][~visible])
        assert not adam.second[name][~visible].any()
        assert (column[visible] != before[name][visible]).all()


def test_both_engines_make_the_same_step():
    numba, plain = Adam(columns()), Adam(columns())
    visible = torch.arange(40) % 3 != 0
    for step in range(5):
        gradients(numba, step)
        numba.step(RATES, visible)
        gradients(plain, step)
        for name, column in plain.columns.items():
            rate = torch.full((column[:1].numel(),), RATES[name])
            with torch.no_grad():
                _step_torch(
                    column,
                    column.grad,
                    plain.first[name],
                    plain.second[name],
                    visible,
                    rate,
                    1 / (1 - 0.9 ** (step + 1)),
                    1 / (1 - 0.999 ** (step + 1)),
                )
    for name in RATES:
        torch.testing.assert_close(numba.columns[name].detach(), plain.columns[name].detach(), rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_gradient_that_is_not_finite_counts_as_zero(bad):
    adam = Adam(columns())
    gradients(adam, 0)
    gradient_of(adam.columns["means"])[3, 1] = bad
    before = adam.columns["means"].detach().clone()
    adam.step(RATES, torch.ones(40, dtype=torch.bool))
    assert adam.columns["means"][3, 1] == before[3, 1]
    assert all(torch.isfinite(column).all() for column in adam.columns.values())


def test_one_rate_per_value():
    adam = Adam(columns())
    gradients(adam, 0)
    before = adam.columns["means"].detach().clone()
    adam.step(RATES | {"means": torch.tensor([0.1, 0.0, 0.2])}, torch.ones(40, dtype=torch.bool))
    moved = (adam.columns["means"] - before).abs()
    torch.testing.assert_close(moved.detach(), torch.tensor([0.1, 0.0, 0.2]).expand(40, 3), rtol=1e-4, atol=1e-6)


def test_rearrange_carries_moments_and_starts_new_rows_at_zero():
    adam = Adam(columns())
    gradients(adam, 0)
    adam.step(RATES, torch.ones(40, dtype=torch.bool))
    keep = torch.arange(40) >= 10
    kept = adam.first["sh"][10:].clone()
    adam.rearrange(keep, {name: column[:5] for name, column in columns().items()})
    assert len(adam) == 35
    assert torch.equal(adam.first["sh"][:30], kept)
    assert not adam.first["sh"][30:].any()
    assert adam.columns["sh"].requires_grad

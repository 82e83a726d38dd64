from __future__ import annotations

import pytest
import torch

from backend.reconstruct.optimiser import Adam, _step_gsplat
from backend.render.cuda import require
from tests.backend.render import gsplat_stand_ins


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


def _compare_steps(move, device):
    """Steps of the numba kernel and of ``move``, with a gradient that is not a number and a rate for each value."""
    ours, theirs = Adam(columns()), Adam({name: column.to(device) for name, column in columns().items()})
    visible = torch.arange(40) % 3 != 0
    rates = RATES | {"sh": torch.linspace(0.001, 0.05, 12)}
    for step in range(5):
        gradients(ours, step)
        gradient_of(ours.columns["quats"])[4, 2] = torch.nan
        slopes = {name: gradient_of(column).clone().to(device) for name, column in ours.columns.items()}
        ours.step(rates, visible)
        unbias = 1 / (1 - 0.9 ** (step + 1)), 1 / (1 - 0.999 ** (step + 1))
        for name, column in theirs.columns.items():
            with torch.no_grad():
                move(
                    column, slopes[name], theirs.first[name], theirs.second[name], visible.to(device), rates[name],
                    *unbias,
                )  # fmt: skip
    for name in RATES:
        for one, other in ((ours.columns, theirs.columns), (ours.first, theirs.first), (ours.second, theirs.second)):
            torch.testing.assert_close(one[name].detach(), other[name].detach().cpu(), rtol=1e-4, atol=3e-6)


def test_our_side_of_gsplats_adam(monkeypatch):
    gsplat_stand_ins.install(monkeypatch)
    _compare_steps(_step_gsplat, "cpu")


@pytest.mark.cuda
def test_both_engines_make_the_same_step():
    require()
    _compare_steps(_step_gsplat, "cuda")


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
